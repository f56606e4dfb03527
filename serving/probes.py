"""The proof that a server answers by an adapter's own weights, and not by others under its name.

vLLM ignores some adapters in silence, can mix up two of one name, and reads an evicted one from
disk again. A name that answers proves nothing, so what it finds of a fixed answer is held against
what torch found when the adapter was published.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from serving.client import BASE, ChatMessage, Completion, NoScores, Refused, VllmClient

# Mean difference a token, in nats. Torch and vLLM in bfloat16 are 0.05 to 0.06 apart, alone and
# beside other answers; a trained adapter is 0.6 to 3 from its base, and as far from another one.
NOISE = 0.1
LIMIT = 0.25


class BadProbe(Exception):
    """One line: what answers under a name is not what it should be."""


@dataclass(frozen=True)
class Probe:
    """A fixed answer to a fixed question, and how likely each of its tokens is (natural log).

    Attributes:
        ids: its tokens, with what the chat template puts behind it.
        logprobs: to the base with the adapter.
        base: to the base alone.
    """

    messages: tuple[ChatMessage, ...]
    answer: str
    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    base: tuple[float, ...]

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def restored(stored: Mapping[str, Any] | None) -> Probe | None:
    """What `stored` gave; None where nothing was measured."""
    if stored is None:
        return None
    return Probe(
        messages=tuple(stored["messages"]),
        answer=stored["answer"],
        ids=tuple(stored["ids"]),
        logprobs=tuple(stored["logprobs"]),
        base=tuple(stored["base"]),
    )


async def prove(
    client: VllmClient, name: str, probe: Probe | None, rivals: Mapping[str, Probe]
) -> None:
    """Ask, and return if it is the adapter that answers.

    Args:
        probe: of the adapter; None: all that can be told is whether it answers sanely.
        rivals: the probes of other adapters, with which it may have been mixed up.

    Raises:
        BadProbe: it is not, or what it says is no number.
        ServingError: the server did not answer.
    """
    if probe is None:
        check_sane(await client.complete(HELLO, model=name, max_tokens=1), f"{client.url}: {name}")
        return
    found = await measured(client, name, probe)
    likes = {BASE: probe.base} | {
        other: rival.logprobs
        for other, rival in rivals.items()
        if other != name and rival.ids == probe.ids
    }
    own = distance(found, probe.logprobs)
    nearest = min(likes, key=lambda other: distance(found, likes[other]))
    line = f"{client.url}: {name} does not answer as it was trained to, by {own:.2f} nats a token"
    # Half as far: what lies between the two is the noise of both.
    if own > NOISE and 2 * distance(found, likes[nearest]) < own:
        raise BadProbe(f"{line}: it answers as {nearest} does")
    if own > LIMIT:
        raise BadProbe(line)


def distance(found: Sequence[float], expected: Sequence[float]) -> float:
    """Mean absolute difference a token, in nats."""
    pairs = zip(found, expected, strict=True)
    return sum(abs(one - other) for one, other in pairs) / len(found)


HELLO: Sequence[ChatMessage] = ({"role": "user", "content": "Hello"},)


def check_sane(answer: Completion, who: str) -> None:
    """Raises BadProbe for an answer without finite log-probabilities."""
    if not answer.logprobs or not all(math.isfinite(each) for each in answer.logprobs):
        raise BadProbe(f"{who} answers without sane log-probabilities")


async def measured(client: VllmClient, name: str, probe: Probe) -> list[float]:
    """How likely the server finds each token of the probe's answer.

    Raises:
        BadProbe: a number is none, or it reads other tokens.
        ServingError: the server did not answer.
    """
    chat: list[ChatMessage] = [*probe.messages, {"role": "assistant", "content": probe.answer}]
    try:
        tokens = (await client.read(chat, model=name))[-len(probe.ids) :]
    except NoScores:
        raise
    except Refused as error:
        raise BadProbe(f"{client.url}: {name}: {error}") from error
    if tuple(token for token, _ in tokens) != probe.ids:
        raise BadProbe(
            f"{client.url}: {name} reads other tokens than it was trained on: another tokenizer or"
            " chat template"
        )
    return [logprob for _, logprob in tokens]
