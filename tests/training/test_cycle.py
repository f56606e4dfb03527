"""A run from the examples to its end: what it leaves behind, whenever it was killed."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, event
from sqlmodel import col, func, select

from bot import deciding, examples, pausing, releases
from bot.abstaining import DEFAULTS
from bot.store import pins
from bot.store.database import open_engine, reading, transaction
from bot.store.runs import LostRun, claim_run, request_run
from bot.store.schema import (
    Adapter,
    AnswerMode,
    Audit,
    Dataset,
    DatasetExample,
    Evaluation,
    EvaluationQuestion,
    Example,
    ExampleSource,
    ExampleStatus,
    OutboxKind,
    OutboxMessage,
    Rollout,
    Run,
    RunStatus,
    RunTrigger,
    now,
)
from serving.client import BASE, Unavailable
from serving.probes import Probe, restored
from tests.fake_vllm import FakeVllm
from tests.lora_files import make_adapter, random_tensors, write_adapter
from tests.training.stage import (
    CHANNEL,
    TEAM,
    Figures,
    Verdict,
    fake_evaluate,
    fake_train,
    kept,
    parts,
    queue_and_claim,
    teach,
    worker_settings,
)
from training import cycle, soundness
from training.asked import Asked, Said
from training.exam import Pinned
from training.failures import TrainingFailed
from training.parts import Parts
from training.rows import read
from training.settings import WorkerSettings
from training.train import Say, TrainJob


class Killed(BaseException):
    """The process is gone: nothing after this point happened."""


@pytest.fixture
def settings(tmp_path: Path, fake_vllm: FakeVllm) -> WorkerSettings:
    return worker_settings(tmp_path, fake_vllm.url)


@pytest.fixture
def base(tmp_path: Path, fake_vllm: FakeVllm) -> Path:
    return tmp_path / "base-model"


async def play(made: Parts) -> RunStatus:
    """Queue, claim and play one run to its end."""
    async with kept(made.settings, made.engine):
        return await cycle.run(*queue_and_claim(made.engine), made)


def newest(engine: Engine) -> Run:
    with reading(engine) as session:
        return session.exec(select(Run).order_by(col(Run.id).desc())).first() or Run(team_id="")


def said(engine: Engine) -> list[str]:
    with reading(engine) as session:
        rows = session.exec(select(OutboxMessage).order_by(col(OutboxMessage.id))).all()
        assert {row.channel for row in rows} <= {CHANNEL}
        return [row.payload["text"] for row in rows]


def _ends(engine: Engine) -> tuple[int, int]:
    """How many messages there are, and how many of their words are the end."""
    with reading(engine) as session:
        rows = session.exec(select(OutboxMessage)).all()
    posts = sum(row.kind is OutboxKind.POST for row in rows)
    return posts, sum("is live" in row.payload["text"] for row in rows)


def live_adapter(engine: Engine) -> str | None:
    with reading(engine) as session:
        adapter = releases.adapter_of(session, releases.live(session, TEAM))
        return adapter.name if adapter else None


async def test_too_much_of_one_persons_word_is_left_out_and_counted(
    engine: Engine, settings: WorkerSettings, base: Path
) -> None:
    """With a limit, the newest of a person's are trained; how many were not is in the dataset."""
    teach(engine)
    limited = settings.model_copy(update={"most_share": 0.5})
    assert await play(parts(limited, engine, base)) is RunStatus.RELEASED
    with reading(engine) as session:
        frozen = session.get_one(Dataset, newest(engine).dataset_id)
        taught = session.exec(select(DatasetExample.example_id)).all()
    assert sorted(taught) == list(range(13, 33))
    why = "more than half of what is learned would be one person's word"
    assert frozen.counts["refused"] == {why: 12}


async def test_a_run_that_passes_the_gate_goes_live(
    engine: Engine, settings: WorkerSettings, base: Path, fake_vllm: FakeVllm
) -> None:
    """Examples become a dataset, an adapter, an evaluation and a live release, all linked."""
    teach(engine)
    assert await play(parts(settings, engine, base)) is RunStatus.RELEASED
    run = newest(engine)
    with reading(engine) as session:
        adapter = session.get_one(Adapter, run.adapter_id)
        frozen = session.get_one(Dataset, run.dataset_id)
        evaluation = session.exec(select(Evaluation)).one()
        members = session.exec(select(func.count()).select_from(DatasetExample)).one()
    assert live_adapter(engine) == adapter.name
    assert fake_vllm.loads == [adapter.name]
    assert Path(adapter.path).parent == settings.adapters_dir
    assert (evaluation.run_id, evaluation.passed) == (run.id, True)
    assert evaluation.figures == {"right": 3, "live": BASE, "score": None, "among": 1}
    assert len(read(Path(frozen.path))) == members == 32
    assert run.reasons == ["3 of 3 right"]
    assert "v2 is live" in said(engine)[-1]
    assert not (settings.data_dir / "runs" / str(run.id)).exists()


async def test_a_candidate_that_a_server_does_not_apply_is_not_measured(
    engine: Engine, settings: WorkerSettings, base: Path, fake_vllm: FakeVllm
) -> None:
    """What torch expects of it is stored with it, and held against the server before anything is
    asked: an evaluation of the base's answers under its name would prove nothing."""
    teach(engine)
    right = parts(settings, engine, base)

    def unlike(base_model: str, adapter: Path) -> Probe:
        fake_vllm.voices[adapter.name] = "base"
        return right.expect(base_model, adapter)

    made = replace(right, expect=unlike, patience_s=1)
    assert await play(made) is RunStatus.FAILED
    assert "it answers as base does" in newest(engine).reasons[0]
    with reading(engine) as session:
        adapter = session.exec(select(Adapter)).one()
        assert restored(adapter.probe) == right.expect(str(base), Path(adapter.path))
        assert session.exec(select(Evaluation)).all() == []


async def test_a_run_that_the_gate_refuses_changes_nothing(
    engine: Engine, settings: WorkerSettings, base: Path
) -> None:
    """The base stays live, the candidate is no longer wanted, and the reasons are told."""
    teach(engine)
    verdict = Verdict(passed=False, reasons=("it forgot too much",))
    assert await play(parts(settings, engine, base, decide=lambda _: verdict)) is RunStatus.KEPT
    assert live_adapter(engine) is None
    assert newest(engine).reasons == ["it forgot too much"]
    assert "it forgot too much" in said(engine)[-1]
    with reading(engine) as session:
        assert releases.desired_adapters(session) == []


async def test_too_little_to_tell_is_an_end_of_its_own(
    engine: Engine, settings: WorkerSettings, base: Path
) -> None:
    """Nothing changes, the reasons are told, and the same examples are not trained again."""
    teach(engine)
    verdict = Verdict(passed=False, enough=False, reasons=("too few were asked",))
    made = parts(settings, engine, base, decide=lambda _: verdict)
    assert await play(made) is RunStatus.UNCLEAR
    assert live_adapter(engine) is None
    assert "not enough to tell whether it is better" in said(engine)[-1]
    with reading(engine) as session:
        assert session.exec(select(Evaluation)).one().verdict == "unclear"
        assert releases.desired_adapters(session) == []
    assert await play(made) is RunStatus.REFUSED
    assert newest(engine).reasons == ["nothing new since run 1, which ended as unclear"]


async def test_a_run_killed_after_its_evaluation_ends_by_the_same_verdict(
    engine: Engine, settings: WorkerSettings, base: Path
) -> None:
    """What was stored tells fail and too little to tell apart."""
    teach(engine)
    dying = open_engine(settings.database_url)
    commits: list[Any] = []

    def decide(_: Figures) -> Verdict:
        event.listen(dying, "commit", at_the_second)
        return Verdict(passed=False, enough=False)

    def at_the_second(connection: Any) -> None:
        commits.append(connection)
        if len(commits) == 2:  # the evaluation is stored, the run's end is not
            raise Killed

    async with kept(settings, engine):
        with pytest.raises(Killed):
            await cycle.run(*queue_and_claim(engine), parts(settings, dying, base, decide=decide))
        dying.dispose()
    assert newest(engine).status is RunStatus.RUNNING
    again = parts(settings, engine, base, decide=lambda _: pytest.fail("decided twice"))
    assert await play(again) is RunStatus.UNCLEAR


async def test_what_was_asked_is_kept_question_by_question(
    store: Engine, tmp_path: Path, fake_vllm: FakeVllm, base: Path
) -> None:
    """Each with its example, what the three models said, and its slices; pins are asked along;
    a figure that is no number is stored as none. The same on both databases."""
    teach(store)
    with transaction(store) as session:
        pins.pin(session, TEAM, "Which port?", "7411", by="U0ADMIN")
        pins.pin(session, "T0OTHER", "Not ours?", "no", by="U0ADMIN")
        source = ExampleSource(example_id=1, channel="C0HELP", ts="1.0", team_id=TEAM)
        session.add(source)
        session.get_one(Example, 1).created_at = now() - timedelta(days=20)
    given: list[Pinned] = []

    async def evaluate(*args: Any, **kwargs: Any) -> Figures:
        given.extend(kwargs["pins"])
        assert kwargs["withheld_below"] == DEFAULTS[AnswerMode.CLOSED_BOOK]  # nothing is rated yet
        said = {"candidate": Said(text="floor 0", right=True, logprob=math.nan)}
        asked = [
            Asked(
                sort="wording", question=row.question, wanted=row.answer, cluster=row.cluster,
                example_id=row.example_id, tokens=4, slices=row.slices, said=said,
            )
            for row in kwargs["rows"]
            if row.split != "train"
        ]  # fmt: skip
        return Figures(live=kwargs["live"], asked=asked, right=3)

    settings = worker_settings(tmp_path, fake_vllm.url)
    made = parts(settings, store, base, evaluate=evaluate)
    assert await play(made) is RunStatus.RELEASED
    assert given == [Pinned("Which port?", "7411")]
    with reading(store) as session:
        evaluation = session.exec(select(Evaluation)).one()
        rows = session.exec(select(EvaluationQuestion)).all()
        held = session.exec(select(DatasetExample).where(DatasetExample.split != "train")).all()
    assert "asked" not in evaluation.figures
    assert {row.example_id for row in rows} == {one.example_id for one in held}
    assert {row.evaluation_id for row in rows} == {evaluation.id}
    assert rows[0].said["candidate"].items() >= {"text": "floor 0", "right": True}.items()
    assert rows[0].said["candidate"]["logprob"] is None
    assert {tuple(row.slices.items()) for row in rows} <= {
        (("channel", "workspace"), ("age", "up to a week")),
        (("channel", "C0HELP"), ("age", "up to a month")),
    }


async def test_a_training_that_went_wrong_without_a_word_is_not_even_measured(
    engine: Engine, settings: WorkerSettings, base: Path
) -> None:
    """An adapter without effect, with a loss that stood still: the run has both reasons."""
    teach(engine)

    def no_effect(job: TrainJob, say: Say) -> Path:
        idle = random_tensors(base)
        idle |= {key: np.zeros_like(half) for key, half in idle.items() if "lora_B" in key}
        directory = write_adapter(job.work_dir / "adapter", idle)
        soundness.write_curve([{"fact_loss": 3.0}] * 20, directory)
        return directory

    assert await play(parts(settings, engine, base, train=no_effect)) is RunStatus.FAILED
    assert newest(engine).reasons == [
        "the loss did not fall: 3.00 at first, 3.00 at the end",
        "the adapter is all zeros: training had no effect",
    ]
    assert "the adapter is all zeros" in said(engine)[-1]
    assert not list(settings.adapters_dir.glob("mynah-*"))


async def test_a_run_has_one_message_that_is_kept_up_to_date(
    engine: Engine, settings: WorkerSettings, base: Path
) -> None:
    """Whoever asked sees each phase, what is learned from, and the end, in one message."""
    teach(engine)
    await play(parts(settings, engine, base))
    with reading(engine) as session:
        first, *rest = session.exec(select(OutboxMessage).order_by(col(OutboxMessage.id))).all()
    assert first.kind is OutboxKind.POST
    assert {row.kind for row in rest[:-1]} == {OutboxKind.UPDATE}
    assert rest[-1].kind is OutboxKind.RENEW  # its end is said, whatever became of the message
    assert {row.follows_id for row in rest} == {first.id}
    lines = said(engine)
    assert any("Run 1: training 50%." in line for line in lines)
    assert all("• 25 examples to learn from, 7 kept back" in line for line in lines[1:])


async def test_a_nightly_run_speaks_once(
    engine: Engine, settings: WorkerSettings, base: Path
) -> None:
    """Nobody waits for it: it says how it ended, and nothing before."""
    teach(engine)
    made = parts(settings, engine, base)
    with transaction(engine) as session:
        request_run(session, team_id=TEAM, trigger=RunTrigger.SCHEDULE, recipe={})
    assert await play(made) is RunStatus.RELEASED
    [line] = said(engine)
    assert "v2 is live" in line


async def test_too_little_is_a_refusal_and_nothing_is_trained(
    engine: Engine, settings: WorkerSettings, base: Path
) -> None:
    """With too few examples no trainer starts, and the reason says how many are missing."""
    teach(engine, facts=1)

    def must_not_train(job: TrainJob, say: Say) -> Path:
        raise AssertionError("trained on too little")

    status = await play(parts(settings, engine, base, train=must_not_train))
    assert status is RunStatus.REFUSED
    assert "at least 8 are needed" in said(engine)[-1]


async def test_the_same_examples_are_not_trained_twice(
    engine: Engine, settings: WorkerSettings, base: Path
) -> None:
    """A run over what the last one learned is refused; with one more fact it is not."""
    teach(engine)
    made = parts(settings, engine, base)
    await play(made)
    assert await play(made) is RunStatus.REFUSED
    assert newest(engine).reasons == ["nothing new since run 1, which ended as released"]
    teach(engine, facts=1, start=8)
    again = parts(settings, engine, base, train=fake_train(base, seed=1))
    assert await play(again) is RunStatus.RELEASED
    with reading(engine) as session:
        figures = session.exec(select(Evaluation).order_by(col(Evaluation.id).desc())).first()
        first = session.exec(select(Adapter).order_by(col(Adapter.id))).first()
    assert figures is not None
    assert first is not None
    assert figures.figures["live"] == first.name  # the second is measured against the first


async def test_what_was_compared_with_something_else_is_not_released(
    engine: Engine, settings: WorkerSettings, base: Path
) -> None:
    """An admin rolls back after the evaluation: the candidate beat what is no longer live."""
    teach(engine)
    assert await play(parts(settings, engine, base)) is RunStatus.RELEASED
    teach(engine, facts=1, start=8)

    def roll_back(_: Figures) -> Verdict:
        with transaction(engine) as session:
            releases.roll_back(session, TEAM, by="U0ADMIN")
        return Verdict()

    again = parts(settings, engine, base, train=fake_train(base, seed=1), decide=roll_back)
    assert await play(again) is RunStatus.KEPT
    assert live_adapter(engine) is None
    assert newest(engine).reasons == ["v1 went live meanwhile, and it was not compared with that"]
    with reading(engine) as session:
        assert releases.desired_adapters(session) == []


async def test_what_passed_in_a_pause_goes_live_after_it(
    engine: Engine, settings: WorkerSettings, base: Path
) -> None:
    """A run under way when an admin pauses has proven its adapter, which waits, loaded; the next
    run after the pause measures the same one again, without training, and releases it."""
    teach(engine)

    def pause(_: Figures) -> Verdict:
        with transaction(engine) as session:
            pausing.pause(session, TEAM, by="U0ADMIN")
        return Verdict()

    assert await play(parts(settings, engine, base, decide=pause)) is RunStatus.PROVEN
    assert newest(engine).reasons == ["3 of 3 right", cycle.PAUSED]
    assert "Mynah is paused" in said(engine)[-1]
    assert live_adapter(engine) is None
    with transaction(engine) as session:
        assert len(releases.desired_adapters(session)) == 1
        pausing.resume(session, TEAM, by="U0ADMIN")

    def must_not_train(job: TrainJob, say: Say) -> Path:
        raise AssertionError("trained again")

    made = parts(settings, engine, base, train=must_not_train)
    assert await play(made) is RunStatus.RELEASED
    with reading(engine) as session:
        assert live_adapter(engine) == session.exec(select(Adapter.name)).one()
        assert len(session.exec(select(Evaluation)).all()) == 2
        assert session.get_one(Run, 1).status is RunStatus.RELEASED
        assert deciding.waiting(session, TEAM) is None
    assert await play(made) is RunStatus.REFUSED


async def test_what_passed_answers_some_threads_first(
    engine: Engine, settings: WorkerSettings, base: Path
) -> None:
    """With MYNAH_CANARY below 1 it is a canary: what is live stays, and the message says so. What
    passes while it is out waits; when it is over, that is measured again, not trained."""
    teach(engine)
    trying = settings.model_copy(update={"canary": 0.2})
    assert await play(parts(trying, engine, base)) is RunStatus.RELEASED
    assert live_adapter(engine) is None
    with reading(engine) as session:
        canary = releases.canary(session, TEAM)
        last = session.exec(select(Rollout).order_by(col(Rollout.id).desc())).first()
    assert canary is not None
    assert last is not None
    assert (canary.number, last.share, last.by) == (2, 0.2, "gate")
    assert any(":eyes: Run 1: v2 answers 20% of new threads." in line for line in said(engine))
    teach(engine, facts=1, start=8)
    later = parts(trying, engine, base, train=fake_train(base, seed=1))
    assert await play(later) is RunStatus.PROVEN
    assert "v2 is on trial with some of the threads" in newest(engine).reasons[-1]
    with transaction(engine) as session:
        releases.roll_back(session, TEAM, by="canary")
    assert await play(later) is RunStatus.RELEASED
    with reading(engine) as session:
        canary = releases.canary(session, TEAM)
        assert canary is not None
        assert canary.number == 3
        assert len(session.exec(select(Adapter)).all()) == 2


async def test_a_canary_whose_time_was_over_is_not_tried_again_by_itself(
    engine: Engine, settings: WorkerSettings, base: Path
) -> None:
    """It waits for an admin, also when the same examples would be learned another night."""
    teach(engine)
    made = parts(settings.model_copy(update={"canary": 0.2}), engine, base)
    assert await play(made) is RunStatus.RELEASED
    with transaction(engine) as session:
        canary = releases.canary(session, TEAM)
        assert canary is not None
        assert deciding.ask(session, session.get_one(Run, 1), by="canary", reason="too few")
        releases.end_canary(session, canary, by="canary", waits=True)
    assert await play(made) is RunStatus.REFUSED
    assert newest(engine).reasons == ["nothing new since run 1: v2 waits for an admin"]


async def test_measured_again_what_no_longer_passes_waits_no_more(
    engine: Engine, settings: WorkerSettings, base: Path
) -> None:
    """What passed in a pause and does not pass after it leaves the servers, and its own run tells
    so; where the measuring itself failed, it goes on waiting."""
    teach(engine)
    with transaction(engine) as session:
        pausing.pause(session, TEAM, by="U0ADMIN")
    assert await play_paused(parts(settings, engine, base)) is RunStatus.PROVEN
    with transaction(engine) as session:
        pausing.resume(session, TEAM, by="U0ADMIN")

    def fail(_: Figures) -> Verdict:
        raise TrainingFailed("no memory left")

    assert await play(parts(settings, engine, base, decide=fail)) is RunStatus.FAILED
    with reading(engine) as session:
        assert deciding.waiting(session, TEAM) is not None
        assert len(releases.desired_adapters(session)) == 1
    worse = parts(settings, engine, base, decide=lambda _: Verdict(False, ("it forgot",)))
    assert await play(worse) is RunStatus.KEPT
    with reading(engine) as session:
        assert deciding.waiting(session, TEAM) is None
        assert session.get_one(Run, 1).status is RunStatus.KEPT
        assert releases.desired_adapters(session) == []
    assert any("Run 1: v2 was discarded by run 3." in line for line in said(engine))


async def play_paused(made: Parts) -> RunStatus:
    """Play a run that was claimed before the pause."""
    with transaction(made.engine) as session:
        run = Run(team_id=TEAM, trigger=RunTrigger.COMMAND, status=RunStatus.RUNNING, fence=1)
        session.add(run)
    async with kept(made.settings, made.engine):
        return await cycle.run(1, 1, made)


async def test_what_passed_may_have_to_wait_for_an_admin(
    engine: Engine, settings: WorkerSettings, base: Path
) -> None:
    """With MYNAH_RELEASE=ask the candidate stays loaded and answers nobody; the run's message has
    the buttons; the same examples are not trained again meanwhile."""
    teach(engine)
    asked = parts(settings.model_copy(update={"release": "ask"}), engine, base)
    assert await play(asked) is RunStatus.PROVEN
    assert live_adapter(engine) is None
    with reading(engine) as session:
        one = deciding.waiting(session, TEAM)
        assert one is not None
        assert (one.run.id, one.release.number) == (1, 2)
        assert len(releases.desired_adapters(session)) == 1
        last = session.exec(select(OutboxMessage).order_by(col(OutboxMessage.id).desc())).first()
    assert last is not None
    assert [one["action_id"] for one in last.payload["blocks"][-1]["elements"]] == [
        "admin:promote",
        "admin:discard",
    ]
    assert await play(asked) is RunStatus.REFUSED
    assert newest(engine).reasons == ["nothing new since run 1: v2 waits for an admin"]


async def test_what_passes_later_takes_the_place_of_what_waits(
    engine: Engine, settings: WorkerSettings, base: Path
) -> None:
    """One candidate waits at most: the older one is discarded, in the audit and in its message."""
    teach(engine)
    asking = settings.model_copy(update={"release": "ask"})
    assert await play(parts(asking, engine, base)) is RunStatus.PROVEN
    teach(engine, facts=1, start=8)
    again = parts(asking, engine, base, train=fake_train(base, seed=1))
    assert await play(again) is RunStatus.PROVEN
    with reading(engine) as session:
        one = deciding.waiting(session, TEAM)
        discards = session.exec(select(Audit).where(Audit.action == "release.discard")).all()
        assert session.get_one(Run, 1).status is RunStatus.KEPT
        assert len(releases.desired_adapters(session)) == 1
    assert one is not None
    assert (one.run.id, one.release.number) == (2, 3)
    assert [(row.actor, row.subject) for row in discards] == [("run 2", "release:2")]
    assert any("Run 1: v2 was discarded by run 2." in line for line in said(engine))


async def test_a_failure_is_told_with_its_reason(
    engine: Engine, settings: WorkerSettings, base: Path
) -> None:
    """Training that comes to nothing ends the run as failed; what was live stays live."""
    teach(engine)

    def fail(job: TrainJob, say: Say) -> Path:
        raise TrainingFailed("the loss did not fall")

    assert await play(parts(settings, engine, base, train=fail)) is RunStatus.FAILED
    assert newest(engine).reasons == ["the loss did not fall"]
    assert "the loss did not fall" in said(engine)[-1]
    assert live_adapter(engine) is None


async def test_a_bad_adapter_never_reaches_a_server(
    engine: Engine, settings: WorkerSettings, base: Path, fake_vllm: FakeVllm
) -> None:
    """Weights that are not for this base fail the run before anything is loaded."""
    teach(engine)

    def train(job: TrainJob, say: Say) -> Path:
        return make_adapter(job.work_dir / "adapter", base, rank=128)

    assert await play(parts(settings, engine, base, train=train)) is RunStatus.FAILED
    assert "rank" in newest(engine).reasons[0]
    assert fake_vllm.loads == []


async def test_no_server_is_a_failure_that_says_so(
    engine: Engine, settings: WorkerSettings, base: Path, fake_vllm: FakeVllm
) -> None:
    """When no vLLM answers in time, the run ends with that reason."""
    teach(engine)
    fake_vllm.down()
    status = await play(parts(settings, engine, base, patience_s=0.5))
    assert status is RunStatus.FAILED
    assert "no vLLM server had base ready in time" in newest(engine).reasons[0]


async def test_a_server_that_dies_during_the_evaluation_does_not_fail_the_run(
    engine: Engine, settings: WorkerSettings, base: Path, fake_vllm: FakeVllm
) -> None:
    """vLLM restarts without its adapters; they are loaded again, and the evaluation is repeated."""
    teach(engine)
    deaths: list[int] = []

    async def evaluate(*args: Any, **kwargs: Any) -> Figures:
        if not deaths:
            deaths.append(1)
            fake_vllm.down()
            fake_vllm.up()
            raise Unavailable("connection reset")
        return await fake_evaluate(*args, **kwargs)

    assert await play(parts(settings, engine, base, evaluate=evaluate)) is RunStatus.RELEASED
    assert len(fake_vllm.loads) == 2


async def test_an_example_taken_back_while_choosing_is_not_learned(
    engine: Engine, settings: WorkerSettings, base: Path
) -> None:
    """A revocation between the choice and the freezing counts: the choice is made anew."""
    teach(engine)

    class Revoking:
        name = "revoking"

        def embed(self, texts: Sequence[str]) -> Any:
            from bot.embedder import LexicalEmbedder

            with transaction(engine) as session:
                session.get_one(Example, 1).status = ExampleStatus.REVOKED
            return LexicalEmbedder().embed(texts)

    await play(parts(settings, engine, base, embedder=Revoking))
    with reading(engine) as session:
        learned = session.exec(select(DatasetExample.example_id)).all()
    assert 1 not in learned
    assert len(learned) == 31


async def test_what_is_forgotten_while_it_is_measured_leaves_no_words(
    engine: Engine, settings: WorkerSettings, base: Path
) -> None:
    """A message that is deleted during the evaluation is in none of its rows, nor in its page."""
    teach(engine)

    async def evaluate(*args: Any, **kwargs: Any) -> Figures:
        row = next(row for row in kwargs["rows"] if row.split == "held_out_wording")
        with transaction(engine) as session:
            example = session.get_one(Example, row.example_id)
            session.add_all(examples.source_rows(example, [("C0HELP", "7.0")]))
            session.flush()
            assert examples.forget_message(session, TEAM, "C0HELP", "7.0")
        said = Said(text=row.answer, right=True)
        asked = Asked(
            sort="wording", question=row.question, wanted=row.answer, example_id=row.example_id,
            cluster=row.cluster, said={"base": said, "live": said, "candidate": said},
        )  # fmt: skip
        return Figures(live=kwargs["live"], asked=[asked], right=1)

    await play(parts(settings, engine, base, evaluate=evaluate))
    with reading(engine) as session:
        [row] = session.exec(select(EvaluationQuestion)).all()
    assert (row.question, row.wanted) == ("", "")
    assert {said["text"] for said in row.said.values()} == {""}


async def test_a_run_that_was_taken_over_writes_nothing_more(
    engine: Engine, settings: WorkerSettings, base: Path
) -> None:
    """A trainer that lost its run stops at its next word, without adapter or release."""
    teach(engine)

    def train(job: TrainJob, say: Say) -> Path:
        with transaction(engine) as session:
            assert claim_run(session, "another", lease_s=60) is not None
        say("training on", 0.9)
        raise AssertionError("went on without the run")

    with pytest.raises(LostRun):
        await play(parts(settings, engine, base, train=train))
    assert newest(engine).status is RunStatus.RUNNING
    assert newest(engine).adapter_id is None


async def test_killed_at_any_write_it_ends_the_same(
    migrated_file: Path, tmp_path: Path, settings: WorkerSettings, base: Path
) -> None:
    """Whichever write did not come about any more, the next attempt ends with one adapter, one
    evaluation, one promotion and one message, as if nothing had happened."""
    ends = []
    for write in range(1, 40):
        engine, dying = (open_engine(f"sqlite:///{tmp_path / str(write)}.db") for _ in range(2))
        shutil.copy(migrated_file, tmp_path / f"{write}.db")
        event.listen(dying, "commit", die_at(write))
        teach(engine)
        async with kept(settings, engine):
            with suppress(Killed):
                await cycle.run(*queue_and_claim(engine), parts(settings, dying, base))
                break  # there are not so many writes
            await cycle.run(*queue_and_claim(engine), parts(settings, engine, base))
        ends.append(what_is_left(engine))
    assert len(ends) >= 8
    assert set(ends) == {("released", 1, 1, 1, ("promote", "candidate", "promote"), (1, 1), 2)}


def die_at(write: int) -> Callable[[Any], None]:
    """A listener that ends everything instead of letting the nth transaction be committed."""
    left = iter(range(write - 1, -1, -1))

    def on_commit(_: Any) -> None:
        if next(left) == 0:
            raise Killed

    return on_commit


def what_is_left(engine: Engine) -> tuple[Any, ...]:
    """Status, datasets, adapters, evaluations, rollouts in order, messages, attempts."""
    run = newest(engine)
    with reading(engine) as session:
        numbers = [
            session.exec(select(func.count()).select_from(table)).one()
            for table in (Dataset, Adapter, Evaluation)
        ]
        rollouts = session.exec(select(Rollout.action).order_by(col(Rollout.id))).all()
    return (run.status.value, *numbers, tuple(map(str, rollouts)), _ends(engine), run.attempts)
