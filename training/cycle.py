"""One run from the examples to the release. Killed at any moment, it goes on where it stopped.

Each step leaves its result in the database under the run's fence, and a step whose result is there
is not done again. The process does nothing else, so store calls are made without threads.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence

from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from bot import releases
from bot.embedder import BadEmbedder
from bot.store.database import transaction
from bot.store.runs import LostRun
from bot.store.schema import Evaluation, RunStatus
from bot.store.teams import lock_team
from serving.adapters import BadAdapter
from serving.base import NoBaseModel
from serving.client import BASE, ServingError
from serving.resting import NoRest
from serving.settings import read as read_settings
from training import freezing, reporting
from training.alone import Alone
from training.child import AGAIN, LOST, ON, settle_in
from training.dataset import TooLittle
from training.failures import GoOn, RestOver, TrainingFailed
from training.held import Held
from training.measuring import Measuring
from training.parts import Parts, real_parts
from training.servers import NoServer, Servers
from training.settings import WorkerSettings
from training.soundness import Unsound
from training.trying import Trying

PAUSED = (
    "Mynah is paused: after `/mynah resume` an admin may promote it, or the next run (`/mynah "
    "train`) measures it again, unless more was taught by then, and lets it go live if it passes"
)
ON_TRIAL = (
    "v{number} is on trial with some of the threads, one at a time: an admin may promote this one "
    "instead, or the next run measures it again when that is over"
)
EXPECTED = (
    TrainingFailed,
    BadAdapter,
    NoBaseModel,
    BadEmbedder,
    ServingError,
    NoServer,
    NoRest,
    RestOver,
)


async def run(run_id: int, fence: int, parts: Parts) -> RunStatus:
    """Bring the run to its end and return what it ended as.

    Raises:
        LostRun: another worker has taken the run over; nothing more was written.
        GoOn: a new process has to bring it there.
    """
    held = Held(run_id, fence, parts)
    servers = Servers(parts.engine, parts.settings, parts.patience_s)
    try:
        frozen = freezing.freeze(held)
        trying, measuring = Trying(held, servers, frozen), Measuring(held, servers, frozen)
        if parts.settings.train_alone:
            await Alone(held, servers, frozen, trying, measuring).work()
        else:
            await trying.train()
        best = await measuring.best()
        reporting.keep(parts.engine, run_id, fence)
        return _release(held, best)
    except TooLittle as error:
        return _end(held, RunStatus.REFUSED, str(error))
    except Unsound as error:
        return _end(held, RunStatus.FAILED, *error.reasons)
    except EXPECTED as error:
        return _end(held, RunStatus.FAILED, str(error))


def _release(held: Held, evaluation: Evaluation) -> RunStatus:
    """Let the candidate answer, wait for an admin, or take it away; that and the run's end are
    one write."""
    if not evaluation.passed:
        status = RunStatus.KEPT if evaluation.enough else RunStatus.UNCLEAR
        return _end(held, status, *evaluation.reasons)
    try:
        with transaction(held.engine) as session:
            status = _let_answer(held, session, evaluation)
    except releases.ReleaseError as error:
        return _end(held, RunStatus.KEPT, str(error))
    held.tidy()
    return status


def _let_answer(held: Held, session: Session, evaluation: Evaluation) -> RunStatus:
    """Promote what passed, unless an admin has to do it."""
    reasons = list(evaluation.reasons)
    release = releases.add_candidate(session, held.team_id, evaluation.adapter_id, by="gate")
    paused = lock_team(session, held.team_id).paused  # before what may have changed in it
    if not paused:
        _refuse_other_live(session, evaluation)
    other = releases.canary(session, held.team_id)
    tried = other is not None and other.id != release.id
    if paused or tried or held.settings.release == "ask":
        if other is not None and tried:
            reasons.append(ON_TRIAL.format(number=other.number))
        held.end(session, RunStatus.PROVEN, [*reasons, PAUSED] if paused else reasons)
        return RunStatus.PROVEN
    share, why = held.settings.canary, "; ".join(reasons)
    releases.promote(session, release, by="gate", reason=why, share=share)
    held.end(session, RunStatus.RELEASED, reasons)
    return RunStatus.RELEASED


def _refuse_other_live(session: Session, evaluation: Evaluation) -> None:
    """What is live may have changed since the evaluation: an admin rolled back meanwhile."""
    live = releases.live(session, evaluation.team_id)
    adapter = releases.adapter_of(session, live)
    if (adapter.name if adapter else BASE) != evaluation.figures["live"]:
        raise releases.ReleaseError(
            f"v{live.number} went live meanwhile, and it was not compared with that"
        )


def _end(held: Held, status: RunStatus, *reasons: str) -> RunStatus:
    """End the run without a release."""
    with transaction(held.engine) as session:
        held.end(session, status, reasons)
    if status is not RunStatus.FAILED:  # what failed is kept to be looked at
        held.tidy()
    return status


def main(arguments: Sequence[str], build: Callable[[WorkerSettings], Parts] = real_parts) -> int:
    """`python -m training.cycle RUN FENCE`, as the worker starts it; returns the exit status."""
    settle_in()
    run_id, fence = map(int, arguments)
    try:
        status = asyncio.run(run(run_id, fence, build(read_settings(WorkerSettings))))
    except LostRun as error:
        print(error, flush=True)
        return LOST
    except DBAPIError as error:
        print(error.orig, flush=True)
        return AGAIN
    except GoOn as why:
        print(why, flush=True)
        return ON
    print(f"run {run_id} ended as {status}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
