"""`make bench-memory`: does memory find the right answer, and does it quote a wrong one?

The question that matters in life is one about the same product that nobody has answered yet. It is
made here by leaving each fact out in turn and asking for it: whatever is quoted then is wrong.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bot.embedder import LEXICAL, PACKAGED, Embedder, open_embedder
from bot.memory import Thresholds, thresholds
from bot.ranking import Place, familiar, place, rank
from deploy import helpdesk
from deploy.errors import in_one_line

REPORT = Path("reports/memory.json")
FAQ = Path("../shared/data")
FIXED = ((0.62, 0.03), (0.7, 0.1), (0.8, 0.03))  # cosine and lead, nothing else
PROMPT = (0.4, 0.55, 0.7)  # cosine alone
SMALL = 8  # so many other facts does a memory hold on its first day

Pair = tuple[str, str]  # a question and its answer
Ranker = Callable[[NDArray[np.float32], NDArray[np.intp], NDArray[np.float32]], Iterator[Place]]
Rule = Callable[["Found"], bool]


@dataclass(frozen=True)
class Case:
    """A question, what memory holds when it is asked, and the right answer; None: not in memory.

    kind: held (its fact is taught in other words), out (its fact is left out), near (no fact of
    the house answers it).
    """

    kind: str
    question: str
    right: str | None
    taught: tuple[Pair, ...]


@dataclass(frozen=True)
class Found:
    """What memory makes of a case: `place` is where the right answer stands, 0 if nowhere."""

    kind: str
    place: int
    similarity: float
    lead: float
    fit: float  # see `bot.memory.Thresholds`


def helpdesk_cases(wordings: int) -> Iterator[Case]:
    """The demo's facts, each wording held out in turn, with so many of the others taught."""
    rows = helpdesk.load()
    facts = [row for row in rows if row.kind == "fact"]
    once = [(row.wordings[0], row.answer) for row in rows if row.kind == "once"]
    for held in range(5):
        turned = [fact.wordings[held + 1 :] + fact.wordings[:held] for fact in facts]
        taught = [
            (question, fact.answer)
            for fact, others in zip(facts, turned, strict=True)
            for question in others[:wordings]
        ]
        asked = [(fact.wordings[held], fact.answer) for fact in facts]
        yield from _cases(asked, taught + once)
        yield from _near((row.wordings[0] for row in rows if row.kind == "near"), taught + once)
    yield from (_left_out(pair, taught + once) for pair in once)


def first_day_cases() -> Iterator[Case]:
    """The demo's facts in a memory that holds eight others, four wordings each."""
    facts = [row for row in helpdesk.load() if row.kind == "fact"]
    for number, fact in enumerate(facts):
        others = np.random.default_rng(number).permutation(len(facts))
        chosen = [fact, *(facts[one] for one in others if one != number)][: SMALL + 1]
        taught = [(wording, one.answer) for one in chosen for wording in one.wordings[:4]]
        yield from _cases([(fact.wordings[4], fact.answer)], taught)


def faq_cases(wordings: int) -> Iterator[Case]:
    """A real FAQ, which nobody here wrote, asked in the words of other people."""
    taught = [
        (wording, row["answer"])
        for row in _lines(FAQ / "faq_train.jsonl")
        for wording in [row["question"], *row["paraphrases"]][:wordings]
    ]
    for row in _lines(FAQ / "faq_dev.jsonl"):
        if row["split"] == "trained":
            yield from _cases([(wording, row["answer"]) for wording in row["paraphrases"]], taught)
        else:
            yield from _near(row["paraphrases"], taught)


def _cases(asked: Iterable[Pair], taught: Sequence[Pair]) -> Iterator[Case]:
    for question, answer in asked:
        yield Case("held", question, answer, tuple(taught))
        yield _left_out((question, answer), taught)


def _left_out(asked: Pair, taught: Sequence[Pair]) -> Case:
    question, answer = asked
    return Case("out", question, None, tuple(pair for pair in taught if pair[1] != answer))


def _near(questions: Iterable[str], taught: Sequence[Pair]) -> Iterator[Case]:
    return (Case("near", question, None, tuple(taught)) for question in questions)


class Bench:
    """Asks cases of one embedder; every text is embedded once."""

    def __init__(self, embedder: Embedder) -> None:
        self.limits: Thresholds = thresholds(embedder)
        self._embedder = embedder
        self._vectors: dict[str, NDArray[np.float32]] = {}

    def ask(self, cases: Sequence[Case], ranker: Ranker = rank) -> list[Found]:
        """Search for each case."""
        texts = {text for one in cases for text in (one.question, *dict(one.taught))}
        missing = sorted(texts - self._vectors.keys())
        self._vectors |= zip(missing, self._embedder.embed(missing), strict=True)
        return [self._find(case, ranker) for case in cases]

    def _find(self, case: Case, ranker: Ranker) -> Found:
        rows = np.array([self._vectors[question] for question, _ in case.taught])
        known = list(dict.fromkeys(answer for _, answer in case.taught))
        numbers = {answer: number for number, answer in enumerate(known)}
        answers = np.array([numbers[answer] for _, answer in case.taught])
        places = list(islice(ranker(rows, answers, self._vectors[case.question]), len(known)))
        ranked = [known[one.answer] for one in places]
        top = places[0]
        lead = top.score - places[1].score if len(places) > 1 else 1.0
        texts = [ranked[0], *(case.taught[row][0] for row in top.rows)]
        return Found(
            kind=case.kind,
            place=ranked.index(case.right) + 1 if case.right else 0,
            similarity=top.similarity,
            lead=lead,
            fit=self.limits.fit(top.agreement, lead, familiar(case.question, texts), len(known)),
        )


def cosine(
    rows: NDArray[np.float32], answers: NDArray[np.intp], query: NDArray[np.float32]
) -> Iterator[Place]:
    """Each answer by its best wording, without what `bot/ranking.py` adds."""
    similarities = rows @ query
    seen = set()
    for row in np.argsort(-similarities, kind="stable"):
        if (answer := int(answers[row])) not in seen:
            seen.add(answer)
            yield place(answer, answers, similarities, float(similarities[row]))


def retrieval(found: Sequence[Found]) -> dict[str, float]:
    """How high the right answer stands."""
    places = [one.place for one in found if one.kind == "held"]
    return {
        "recall_at_1": _share(place == 1 for place in places),
        "mrr": _share(1 / place for place in places),
    }


def quoting(found: Sequence[Found], rule: Rule) -> dict[str, float]:
    """Of the held-out wordings the shares for which the rule takes the right answer and a wrong
    one, and of the rest those for which it takes any: `out` are questions whose fact is not in
    memory."""
    held = [one for one in found if one.kind == "held"]
    shares = {
        "right": _share(rule(one) and one.place == 1 for one in held),
        "wrong": _share(rule(one) and one.place != 1 for one in held),
        "not_taken": _share(not rule(one) for one in held),
    }
    for kind in ("out", "near"):
        if asked := [one for one in found if one.kind == kind]:
            shares[kind] = _share(rule(one) for one in asked)
    return shares


def measure() -> dict[str, Any]:
    """Every figure of the report."""
    sets = {
        "helpdesk_4": list(helpdesk_cases(4)),
        "helpdesk_1": list(helpdesk_cases(1)),
        "first_day": list(first_day_cases()),
    }
    skipped = None if FAQ.exists() else f"{FAQ} is not here: the real FAQ is left out"
    if skipped is None:
        sets |= {"faq_6": list(faq_cases(6)), "faq_1": list(faq_cases(1))}
    sentences, words = Bench(open_embedder(PACKAGED)), Bench(open_embedder(LEXICAL))
    figures = {name: _figures(cases, sentences, words) for name, cases in sets.items()}
    return {"skipped": skipped, "sets": figures}


def _figures(cases: Sequence[Case], sentences: Bench, words: Bench) -> dict[str, Any]:
    mynah, lexical = sentences.ask(cases), words.ask(cases)
    plain = {"embeddings": sentences.ask(cases, cosine), "words": words.ask(cases, cosine)}
    return {
        "asked": {kind: sum(one.kind == kind for one in mynah) for kind in ("held", "out", "near")},
        "retrieval": {
            name: retrieval(found)
            for name, found in {"mynah": mynah, "mynah, no model": lexical, **plain}.items()
        },
        "quoted": {
            "mynah": quoting(mynah, _quoted(sentences.limits)),
            "mynah, no model": quoting(lexical, _quoted(words.limits)),
            **{f"cosine {at}, lead {lead}": quoting(mynah, _fixed(at, lead)) for at, lead in FIXED},
        },
        "away": {
            "mynah": quoting(mynah, _away(sentences.limits)),
            "mynah, no model": quoting(lexical, _away(words.limits)),
        },
        "prompted": {
            "mynah": quoting(mynah, _from(sentences.limits.prompt)),
            "mynah, no model": quoting(lexical, _from(words.limits.prompt)),
            **{f"cosine {at}": quoting(mynah, _fixed(at, -1.0)) for at in PROMPT},
        },
        "hinted": {
            "mynah": quoting(mynah, _from(sentences.limits.hint)),
            "mynah, no model": quoting(lexical, _from(words.limits.hint)),
        },
    }


def _quoted(limits: Thresholds) -> Rule:
    return lambda one: limits.quotes(one.fit, one.lead)


def _away(limits: Thresholds) -> Rule:
    """What is quoted while no model answers."""
    return lambda one: limits.stands_in(one.fit, one.lead)


def _from(fit: float) -> Rule:
    return lambda one: one.fit >= fit


def _fixed(similarity: float, lead: float) -> Rule:
    return lambda one: one.similarity >= similarity and one.lead >= lead


def table(figures: Mapping[str, Any]) -> str:
    """The figures for the eye, in percent."""
    lines = []
    for name, found in figures["sets"].items():
        asked = ", ".join(f"{count} {kind}" for kind, count in found["asked"].items() if count)
        lines += [f"{name} ({asked})", f"  {'':<32}{'recall@1':>10}{'MRR':>10}"]
        for system, one in found["retrieval"].items():
            lines.append(f"  {system:<32}{_percent(one['recall_at_1'])}{_percent(one['mrr'])}")
        for part in ("quoted", "away", "prompted", "hinted"):
            kinds = ("right", "wrong", "out", "near")
            lines.append(f"  {part:<32}" + "".join(f"{kind:>10}" for kind in kinds))
            for rule, one in found[part].items():
                lines.append(f"  {rule:<32}" + "".join(_percent(one.get(kind)) for kind in kinds))
    return "\n".join(lines)


def _percent(share: float | None) -> str:
    return f"{'–':>10}" if share is None else f"{100 * share:>10.1f}"


def _share(hits: Iterable[float]) -> float:
    return round(float(np.mean(list(hits))), 4)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    """Measure and tell."""
    argparse.ArgumentParser(prog="make bench-memory").parse_args()
    print("▶ What memory finds, and what it would quote", flush=True)
    figures = measure()
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(figures, indent=2) + "\n")
    print(table(figures))
    if figures["skipped"]:
        print(figures["skipped"])
    print(f"Figures: {REPORT}")


if __name__ == "__main__":
    with in_one_line("bench-memory"):
        main()
