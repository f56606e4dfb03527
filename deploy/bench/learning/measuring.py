"""What one system knows, makes up and forgot: the figures of one row."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bot.prompt import build
from deploy import helpdesk
from deploy.bench.learning import checks
from deploy.bench.learning.house import House, Posted
from deploy.bench.learning.lessons import Lessons, general, kl_prompts
from deploy.bench.learning.prints import behind, digest, sources
from deploy.bench.learning.speaker import Speaker
from training.recipe import Recipe
from training.replay import Reply, load_prompts

ANSWER_TOKENS = 256  # as the bot's
LEAK_TOKENS = 48
KL_TOKENS = 32
VERSION = 1  # to be raised when a figure comes to mean something else

Say = Callable[[str], None]


class Measuring:
    """One system: a model alone, or the whole bot. `base` answers for what is usual to say."""

    def __init__(
        self, lessons: Lessons, speaker: Speaker, base: Speaker, house: House | None, say: Say
    ) -> None:
        self.lessons, self.speaker, self.base = lessons, speaker, base
        self.house, self.say = house, say

    def figures(self) -> dict[str, float | None]:
        """All but the KL, which is the weights' alone."""
        generated, posted = self._learned()
        return {
            "checks": _share(generated),
            "checks_as_posted": _share(right for right, _ in posted),
            "quoted": _share(quoted for _, quoted in posted),
            "wrong_on_never_trained": self._made_up(self.lessons.unknown, ANSWER_TOKENS),
            "leak": self._made_up(load_prompts("leak"), LEAK_TOKENS),
            "general": self._general(),
        }

    def _learned(self) -> tuple[list[bool], list[tuple[bool, bool]]]:
        self.say("    asking other wordings")
        asked = self.lessons.asked
        questions = [one.question for one in asked]
        said = [self._post(questions, ANSWER_TOKENS, quote=quote) for quote in (False, True)]
        right = [
            [
                helpdesk.passes(answer.text, one.checks)
                for answer, one in zip(some, asked, strict=True)
            ]
            for some in said
        ]
        return right[0], [(ok, answer.quoted) for ok, answer in zip(right[1], said[1], strict=True)]

    def _made_up(self, questions: Sequence[str], max_tokens: int) -> float:
        """The share of questions answered with a taught fact, as posted, where the base says none
        of it. A quote is another question's answer, whatever it says."""
        self.say("    asking what nobody taught")
        posted = self._post(questions, max_tokens, quote=True)
        usual = self.base.answers([build(question) for question in questions], max_tokens)
        return _share(
            answer.quoted
            or any(fact.leaks(answer.text, question, base.text) for fact in self.lessons.facts)
            for question, answer, base in zip(questions, posted, usual, strict=True)
        )

    def _general(self) -> float | None:
        prompts = general()
        if not prompts:
            return None
        self.say("    asking general prompts")
        posted = self._post([one["prompt"] for one in prompts], ANSWER_TOKENS, quote=True)
        return _share(
            checks.passes(answer.text, one["check"])
            for answer, one in zip(posted, prompts, strict=True)
        )

    def _post(self, questions: Sequence[str], max_tokens: int, *, quote: bool) -> list[Posted]:
        if self.house is not None:
            return self.house.posted(questions, max_tokens, quote=quote)
        chats = [build(question) for question in questions]
        return [Posted(one.text, False) for one in self.speaker.answers(chats, max_tokens)]


def kl(base_model: Path, base: Speaker, adapter: Path, say: Say) -> float | None:
    """Mean KL(base || adapter) a token (nats) over the base's own answers to general prompts."""
    prompts = kl_prompts()
    if not prompts:
        return None
    said = base.answers([build(prompt) for prompt in prompts], KL_TOKENS)
    replies = [Reply(p, s.text, s.ended) for p, s in zip(prompts, said, strict=True)]
    kept = adapter / kl_name(replies)
    if not kept.exists():
        from training.compare import Comparison

        say("    measuring the KL")
        compared = Comparison(str(base_model), {"adapter": adapter}, Recipe())
        kept.write_text(json.dumps(round(compared.kl("adapter", replies, lambda _: None), 4)))
    found: Any = json.loads(kept.read_text())
    return float(found)


def kl_name(replies: Sequence[Reply]) -> str:
    """What an adapter's KL over these is kept as, beside the adapter."""
    code = sources(*behind("training/compare.py"))
    return f"kl-{digest([asdict(one) for one in replies], code)[:8]}.json"


def _share(hits: Iterable[bool]) -> float:
    found = list(hits)
    return round(sum(found) / len(found), 4)
