"""A run as it is stored, made up: what its report and its picture are drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.store.schema import RunStatus
from training.asked import Asked, Said, Sort, marks, of_sort
from training.curve import Curve, thinned
from training.run_report import Made, RunReport
from training.soundness import Point

STARTED = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
PLACES = ("C0HELP", "C0OPS", "workspace")


def asked(
    sort: Sort, at: int, right: tuple[bool, bool, bool], question: str = "", **said: str
) -> Asked:
    """A question, with whether base, live and candidate answered it right."""
    names = ("base", "live", "candidate")
    return Asked(
        sort=sort, question=question or f"Where is thing {at}?", wanted=f"On floor {at}.",
        cluster=at // 2, tokens=5, example_id=at,
        slices={"channel": PLACES[at % 3], "age": "up to a week" if at % 4 else "older"},
        said={
            name: Said(text=said.get(name, f"{name} says {at}."), right=ok, logprob=-1.0)
            for name, ok in zip(names, right, strict=True)
        },
    )  # fmt: skip


def leak(question: str, said: str) -> Asked:
    """An unrelated question that was answered with something taught."""
    both = {
        "base": Said(text="I do not know.", right=True),
        "candidate": Said(text=said, right=False),
    }
    return Asked(sort="leak", question=question, wanted="", said=both)


def measured(questions: Sequence[Asked], **changed: Any) -> dict[str, Any]:
    """An evaluation's figures as they are stored."""
    wordings = of_sort(questions, "wording")
    return {
        "live": "mynah-a",
        "wordings": marks(wordings).model_dump(),
        "questions": marks(of_sort(questions, "question")).model_dump(),
        "pins": marks(of_sort(questions, "pin")).model_dump(),
        "gain_over_live": 0.52, "gain_over_live_within": {"low": 0.31, "high": 0.74},
        "gain_over_base": 1.5, "gain_over_base_within": None,
        "kl": 0.112, "leak": {"of": 24, "hits": len(of_sort(questions, "leak"))},
        "seconds": 61.4,
    } | changed  # fmt: skip


def falling(steps: int = 240) -> Curve:
    """A loss that falls."""
    losses = (3.4 * 0.985**step + 0.3 * (step * 7919 % 13) / 13 for step in range(steps))
    return thinned([Point(loss=loss) for loss in losses])


def questions() -> list[Asked]:
    """Twenty wordings, six questions, two pins and a leak: most won, one lost."""
    return [
        *(asked("wording", at, (at % 9 == 0, at % 3 == 0, at % 7 != 3)) for at in range(20)),
        *(asked("question", at, (False, False, at == 24)) for at in range(20, 26)),
        *(asked("pin", at, (False, True, at == 30), f"Which port has {at}?") for at in (30, 31)),
        leak("Who wrote Hamlet?", "It is on floor 3."),
    ]  # fmt: skip


def run(**changed: Any) -> RunReport:
    """A run that passed and is live."""
    found: dict[str, Any] = {
        "id": 3, "status": RunStatus.RELEASED, "phase": "weighing the evidence", "attempts": 1,
        "queued_at": STARTED - timedelta(seconds=4), "started_at": STARTED,
        "finished_at": STARTED + timedelta(minutes=12), "recipe": {"name": "sft", "rank": 32},
        "number": 2, "dataset": "d" * 64, "verdict": "pass",
        "counts": {
            "train": 172, "held_out_wording": 20, "held_out_question": 6, "clusters": 60,
            "preferences": 12, "refused": {"the question is only a greeting": 3},
        },
        "adapter": Made(
            name="mynah-0123456789ab", sha256="a" * 64, base_model="SmolLM2", base_sha256="b" * 64,
            at=STARTED + timedelta(minutes=10),
        ),
        "curve": falling(), "measured_at": STARTED + timedelta(minutes=11, seconds=50),
        "why": ["17 of 20 held-out wordings right, live 7: between 6 and 14 more (95 %)"],
        "asked": questions(), "figures": measured(questions()),
    }  # fmt: skip
    return RunReport(**found | changed)
