"""Small tasks that have nothing to do with the house, each with a check that no taste decides.

They say what a distance from the base cannot: whether what it could do before is still there.
"""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Literal

from pydantic import BaseModel, ConfigDict

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
TOKENS = 48  # of an answer, as in an evaluation's other questions


class Task(BaseModel):
    """A prompt, and what its answer must be.

    `check` is "number" (the last number in the answer is `wanted`), "says" (`wanted` stands in it
    as whole words, whatever their case; of alternatives between bars one does) or "form" (the
    whole answer matches the regular expression `wanted`).
    """

    model_config = ConfigDict(frozen=True)

    prompt: str
    check: Literal["number", "says", "form"]
    wanted: str

    def right(self, answer: str) -> bool:
        """Whether the answer passes."""
        if self.check == "number":
            numbers = _NUMBER.findall(answer.replace(",", ""))
            return bool(numbers) and float(numbers[-1]) == float(self.wanted)
        if self.check == "form":
            return re.fullmatch(self.wanted, answer.strip()) is not None
        words = "|".join(map(re.escape, self.wanted.split("|")))
        return re.search(rf"(?<!\w)(?:{words})(?!\w)", answer, re.IGNORECASE) is not None


def load_tasks() -> list[Task]:
    """The packaged tasks; nothing like them is ever trained on."""
    text = files("training").joinpath("prompts", "general.jsonl").read_text("utf-8")
    return [Task.model_validate(json.loads(line)) for line in text.splitlines() if line]
