"""What is taught in the bench, and what is asked afterwards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bot.marks import Fact, Judge
from deploy import helpdesk
from training.rows import Row

SHARED = Path(__file__).parents[4] / "shared" / "data"
KL_PROMPTS = 60
NO_FAQ = f"{SHARED} is not here: the real FAQ and the general prompts are left out"


@dataclass(frozen=True)
class Asked:
    """A question in words that nobody taught; a right answer holds a string of each group."""

    question: str
    checks: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Lessons:
    """One dataset: (question, approved answer) pairs, other wordings of them, and questions whose
    answer nobody taught."""

    name: str
    taught: tuple[tuple[str, str], ...]
    asked: tuple[Asked, ...]
    unknown: tuple[str, ...]

    def rows(self) -> list[Row]:
        """The taught pairs as a run's dataset, nothing of it held out."""
        clusters = {
            answer: at for at, answer in enumerate(dict.fromkeys(a for _, a in self.taught))
        }
        return [
            Row(
                example_id=at, cluster=clusters[answer], split="train",
                question=question, answer=answer,
            )
            for at, (question, answer) in enumerate(self.taught, 1)
        ]  # fmt: skip

    @cached_property
    def facts(self) -> list[Fact]:
        """What only the taught answers say."""
        return Judge.facts(self.taught)

    def digest(self) -> str:
        """Changes with anything that is taught or asked."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def demo() -> Lessons:
    """The demo's help desk: four wordings a fact, the fifth asked. Nobody teaches what its people
    ask only once here: with the questions that come near, it is what must not be made up."""
    facts = [one for one in helpdesk.load() if one.kind == "fact"]
    return Lessons(
        name="demo",
        taught=tuple((wording, one.answer) for one in facts for wording in one.wordings[:4]),
        asked=tuple(Asked(one.wordings[4], one.checks) for one in facts),
        unknown=tuple(one.wordings[0] for one in helpdesk.load() if one.kind != "fact"),
    )


def faq() -> Lessons:
    """A real FAQ in six wordings a question, asked in those of other people."""
    dev = _lines("faq_dev")
    asked = [(row, wording) for row in dev for wording in row["paraphrases"]]
    return Lessons(
        name="faq",
        taught=tuple(
            (wording, row["answer"])
            for row in _lines("faq_train")
            for wording in (row["question"], *row["paraphrases"])
        ),
        asked=tuple(
            Asked(wording, tuple(map(tuple, row["checks"])))
            for row, wording in asked
            if row["split"] == "trained" and row["checks"]
        ),
        unknown=tuple(wording for row, wording in asked if row["split"] == "never_trained"),
    )


DATASETS: Mapping[str, Callable[[], Lessons]] = {"demo": demo, "faq": faq}


def there() -> list[str]:
    """The datasets that can be taught: of all with the shared data."""
    return [name for name in DATASETS if name != "faq" or SHARED.exists()]


def general() -> list[dict[str, Any]]:
    """The prompts on anything else whose answers can be checked; none without the shared data."""
    return [row for row in _general() if row["check"]["type"] != "reference_only"]


def kl_prompts() -> list[str]:
    """A fixed choice of the general prompts, to measure how far a model moved on them."""
    prompts = [row["prompt"] for row in _general()]
    return sorted(prompts, key=lambda prompt: hashlib.sha256(prompt.encode()).hexdigest())[
        :KL_PROMPTS
    ]


def _general() -> Sequence[dict[str, Any]]:
    return _lines("general") if SHARED.exists() else []


def _lines(name: str) -> list[dict[str, Any]]:
    text = (SHARED / f"{name}.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines() if line]
