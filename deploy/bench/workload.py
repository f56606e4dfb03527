"""A help desk of any size: what its staff approved over the years, made up.

Facts are about parts of a product, and are asked in about four wordings each: built from templates
with synonyms, some of them hasty copies of another one and some asked once, so that near-duplicates
come about as they do in life.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from functools import cache
from random import Random

import numpy as np
from numpy.typing import NDArray

from bot.store.schema import Example

TEAM = "T0MYNAH"
PEOPLE = 24
ASKED = (1, 1, 2, 3, 4, 4, 5, 6, 7, 7)  # wordings of a fact: four on average
COPIED = 0.2  # of the wordings are the first one, written in haste
CODES = 0.1  # of the facts are about an error code

_THINGS_TEXT = """
    invoice calendar dashboard mailbox backup certificate webhook ticket printer badge laptop
    payroll contract warehouse camera router firewall sandbox container database report export
    importer scheduler gateway portal wallet voucher shipment return catalogue price discount
    subscription seat license template form survey poll channel recording transcript headset phone
    extension hotline queue skill chatbot macro trigger workflow approval signature archive folder
    drive snapshot cluster node replica index cache token password passkey profile avatar directory
    group role permission audit alert monitor probe metric trace budget expense receipt card account
"""
_PARTS_TEXT = """
    limit timeout owner colour size format language currency region address key name port path
    schedule retention quota version theme order priority history preview label filter layout
    checksum interval threshold encoding signature rotation fallback mirror proxy timezone locale
    prefix suffix header footer margin
"""
_PLACES_TEXT = """
    staging production billing onboarding mobile desktop partner reseller school clinic museum
    factory harbour airport hotel bakery studio library embassy farm brewery theatre stadium
    laboratory hospital bank court depot office kiosk branch garage gallery nursery academy
    shipyard observatory vineyard foundry print-shop
"""
_THINGS, _PARTS, _PLACES = (text.split() for text in (_THINGS_TEXT, _PARTS_TEXT, _PLACES_TEXT))
_ACTIONS = (
    ("change", "set", "modify", "adjust"), ("find", "locate", "look up", "see"),
    ("reset", "restore", "clear", "put back"), ("export", "download", "extract", "save"),
    ("share", "hand over", "give away", "pass on"), ("delete", "remove", "drop", "get rid of"),
    ("enable", "turn on", "activate", "switch on"), ("disable", "turn off", "stop", "switch off"),
)  # fmt: skip
_FORMS = (
    "How do I {act} the {part} of the {place} {thing} in Fernloft?",
    "Where can I {act} the {place} {thing}'s {part}?",
    "is there a way to {act} the {part} for a {thing} ({place} team)",
    "Fernloft: need to {act} {thing} {part}, we are the {place} people",
    "Our {place} customer wants to {act} the {part} on their {thing}, who can do that?",
    "{act} {thing} {part} {place}",
    "What must I click to {act} the {part} when the {thing} belongs to {place}?",
    "Can somebody explain how the {place} folks {act} a {thing} {part}?",
)
_CODE_FORMS = (
    "What does error {code} mean on the {place} {thing}?",
    "The {thing} says {code}, what now? ({place})",
    "got {code} in Fernloft while we {act} the {part} of a {thing}",
    "{place} {thing} stops with error {code}",
)
_HASTE = ("hi, {}", "{} thanks!", "please: {}", "hello, {}")


def examples(count: int, seed: int = 0) -> list[Example]:
    """The examples of one team: the same for the same count and seed, without ids or vectors."""
    rng = Random(seed)  # noqa: S311 - words, not secrets
    made: list[Example] = []
    fact = 0
    while len(made) < count:
        answer, wordings = _fact(rng, fact)
        made += [_example(rng, wording, answer, len(made)) for wording in wordings]
        fact += 1
    return made[:count]


def _fact(rng: Random, number: int) -> tuple[str, list[str]]:
    acts = rng.choice(_ACTIONS)
    words = {"part": rng.choice(_PARTS), "place": rng.choice(_PLACES), "thing": rng.choice(_THINGS)}
    coded = rng.random() < CODES
    forms = list(_CODE_FORMS if coded else _FORMS)
    rng.shuffle(forms)
    words["code"] = f"FL-{number:05}"
    asked = [form.format(act=rng.choice(acts), **words) for form in forms[: rng.choice(ASKED)]]
    wordings = [_hasty(rng, asked[0]) if rng.random() < COPIED else one for one in asked]
    answer = (
        f"Open Admin → {words['thing']} → {words['part']} and enter R{number}: {words['place']} "
        f"may {acts[0]} it {rng.randint(2, 90)} times a day."
    )
    return answer, wordings


def _hasty(rng: Random, wording: str) -> str:
    hurried = rng.choice(_HASTE).format(wording)
    if rng.random() < 0.5:
        return hurried
    at = rng.randrange(len(hurried) - 1)
    return hurried[:at] + hurried[at + 1] + hurried[at] + hurried[at + 2 :]


def _example(rng: Random, question: str, answer: str, number: int) -> Example:
    return Example(
        team_id=TEAM,
        question=question,
        answer=answer,
        approved_by=f"U{min(int(rng.expovariate(0.2)), PEOPLE):04}",  # few answer most
        content_hash=f"{number:064}",
    )


class WordVectors:
    """An embedder that costs nothing: each word is a direction, and a text the sum of its words.

    Texts are as alike as they share words, rare ones weighing more, in as many dimensions as the
    sentence model has; no model has to look at 50,000 texts.
    """

    name = "bench-words"
    width = 384

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `Embedder.embed`."""
        rows = np.array([self._sum(text) for text in texts], dtype=np.float32)
        rows = rows.reshape(len(texts), self.width)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.maximum(lengths, 1e-9), dtype=np.float32)

    def _sum(self, text: str) -> NDArray[np.float32]:
        directions = [_direction(word) for word in re.findall(r"[\w-]+", text.casefold())]
        total: NDArray[np.float32] = np.sum(directions, axis=0, initial=0.0)
        return total


_SLIGHT = frozenset(word for form in _FORMS + _CODE_FORMS for word in re.findall(r"[a-z]+", form))


@cache
def _direction(word: str) -> NDArray[np.float32]:
    drawn = np.random.default_rng(zlib.crc32(word.encode())).normal(size=WordVectors.width)
    return np.asarray(drawn * (0.3 if word in _SLIGHT else 1.0), dtype=np.float32)
