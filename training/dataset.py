"""What a run learns from, and what it keeps back to be measured on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from sqlalchemy import ColumnElement
from sqlmodel import Session, col, func, select

from bot.store.schema import Dataset, DatasetExample, Example, ExampleStatus
from training.neighbours import Pair, Vectors, groups
from training.rows import Row, Split, of_split
from training.wordings import (
    clusters,
    grouped,
    joined,
    overlooked,
    plain,
    related,
    twin_pairs,
)

HELD_OUT_WORDINGS = 0.10  # of all rows
HELD_OUT_QUESTIONS = 0.05  # of all clusters
LEAST_HELD_OUT = 3
# More would tell little more and cost hours of answering: of 400 questions a share is known within
# 5 points either way (95 %; within 3 where nine in ten are right), of 100 within 10.
MOST_WORDINGS = 400  # rows
MOST_QUESTIONS = 100  # clusters
LOOKED_AT = 1000  # clusters, for whether they are unlike all others …
LOOKED_AT_ONCE = 100
ENOUGH_WORDINGS = 3  # one is held out only where so many are known …
KEPT_WORDINGS = 2  # … and so many are left to be trained
LEAST_TRAINABLE = 8


class TooLittle(Exception):
    """Too little to learn from: the message says what is missing."""


def learnable(session: Session, team_id: str) -> list[Example]:
    """The examples of a team that may reach shared weights: those without a channel scope that are
    live, or say what is wrong."""
    wanted = select(Example).where(*_learnable(team_id)).order_by(col(Example.id))
    return list(session.exec(wanted))


def learnable_ids(session: Session, team_id: str) -> set[int | None]:
    """The ids of those: their texts and vectors are much to read."""
    return set(session.exec(select(Example.id).where(*_learnable(team_id))))


def _learnable(team_id: str) -> list[ColumnElement[bool]]:
    standing = (ExampleStatus.LIVE, ExampleStatus.REJECTED)
    return [
        col(Example.team_id) == team_id,
        col(Example.status).in_(standing),
        col(Example.scope).is_(None),
    ]


def embeddings(
    examples: Sequence[Example], embedder: str, embed: Callable[[Sequence[str]], Vectors]
) -> Vectors:
    """Unit vectors of the questions: the stored ones where `embedder` made them all."""
    stored = [example.embedding for example in examples if example.embedder == embedder]
    vectors = [np.frombuffer(one, dtype=np.float32) for one in stored if one]
    if len(vectors) == len(examples) and len({len(vector) for vector in vectors}) == 1:
        return np.stack(vectors)
    return embed([example.question for example in examples])


def split(
    examples: Sequence[Example],
    vectors: Vectors,
    seed: int = 0,
    threads: Mapping[int, str] | None = None,
) -> list[Row]:
    """Divide examples into what is trained and what is only measured.

    Wordings are held out where a fact is known in at least three, and two stay to be trained;
    about one cluster in twenty is held out whole, those asked once and unlike the others first.
    Of very many examples no more is held out than it takes to measure well.
    No held-out wording or question is ever trained, nor a twin of one, nor anything else of its
    thread. The choice depends on the texts and threads alone (not on order or ids), and mostly
    stays when examples are added: otherwise the live adapter would have been trained on what
    measures the next one.

    What says only what is wrong is a split of its own; it is neither measured on, nor kept where it
    asks as something held out does, or rejects what is approved as the answer to that question.

    Args:
        vectors: unit rows, one for each example's question, shape (n, d).
        threads: in which thread an example came up, by its id; others stand alone.

    Raises:
        TooLittle: too few rows would be left to train, or none could be held out.
    """
    everything = sorted(range(len(examples)), key=lambda at: _texts(examples[at]))
    order = [at for at in everything if examples[at].answer]
    if not order:
        raise TooLittle("there are no approved examples yet")
    ordered, known = [examples[at] for at in order], vectors[order]
    questions = [example.question for example in ordered]
    links = twin_pairs(questions, known)
    while True:
        chosen = _Choice(ordered, known, links, seed, threads or {})
        whole = chosen.whole_questions()
        held = chosen.wordings(whole)
        missed = overlooked(whole | held, questions, known)
        if not missed:
            break
        links += missed  # each joins two groups of twins, so this comes to an end
    _refuse_too_little(len(order), len(whole), len(held))
    wrong = [at for at in everything if not examples[at].answer]
    apart = _apart(wrong, [order[at] for at in whole | held], examples, vectors, threads or {})
    return chosen.rows(whole, held) + _rejected(apart, len(chosen.members))


class _Choice:
    """What may be held out of examples in a fixed order."""

    def __init__(
        self,
        examples: Sequence[Example],
        vectors: Vectors,
        links: Sequence[Pair],
        seed: int,
        threads: Mapping[int, str],
    ) -> None:
        self.examples, self.vectors = examples, vectors
        self.twin_of = grouped(len(examples), links)
        self.cluster_of = clusters(self.twin_of, [one.answer for one in examples])
        self.members = groups(self.cluster_of)
        self.lots = [_lot(seed, example.question) for example in examples]
        threaded = [threads.get(example.id or 0) for example in examples]
        # What only goes together: twins and what is of their threads, and clusters likewise.
        self.bound_of = joined(self.twin_of, threaded)
        self.bound = groups(self.bound_of)
        self.bundles = groups(joined(self.cluster_of, threaded))

    def whole_questions(self) -> set[int]:
        """Clusters of which nothing will be trained: the rarest asked first."""
        wanted = min(MOST_QUESTIONS, max(1, round(HELD_OUT_QUESTIONS * len(self.members))))
        held: set[int] = set()
        for bundle in self._rarest(min(wanted, len(self.bundles) - 1)):
            if len({self.cluster_of[at] for at in held}) >= wanted:
                break
            if len(held) + len(self.bundles[bundle]) <= MOST_WORDINGS:
                held.update(self.bundles[bundle])
        return held

    def wordings(self, whole: set[int]) -> set[int]:
        """Bound twin groups, one from each cluster in turn, until about one row in ten is held
        out."""
        wanted = max(LEAST_HELD_OUT, round(HELD_OUT_WORDINGS * len(self.examples)))
        queues = [self._spare(members) for members in self.members.values()]
        queues = sorted((queue for queue in queues if queue), key=lambda queue: self._lot(queue[0]))
        in_turn = sorted(
            (turn, place, group)
            for place, queue in enumerate(queues)
            for turn, group in enumerate(queue)
        )
        held: set[int] = set()
        for _, _, group in in_turn:
            if len(held) >= min(wanted, MOST_WORDINGS):
                break
            chosen = self.bound[group]
            after = held.union(chosen)
            if len(after) > MOST_WORDINGS or not whole.isdisjoint(chosen):
                continue
            if self._leaves_enough(after, chosen):
                held = after
        return held

    def rows(self, whole: set[int], wordings: set[int]) -> list[Row]:
        """One row for each example, clusters numbered in order of appearance."""
        number = {cluster: number for number, cluster in enumerate(self.members)}
        return [
            Row(
                example_id=example.id or 0,
                cluster=number[self.cluster_of[at]],
                split=_split_name(at, whole, wordings),
                question=example.question,
                answer=example.answer,
                rejected=example.rejected,
            )
            for at, example in enumerate(self.examples)
        ]

    def _rarest(self, count: int) -> list[int]:
        """The bundles with the fewest wordings; of those, what is unlike all else; then by lot."""
        lots = {key: min(self.lots[at] for at in ats) for key, ats in self.bundles.items()}
        by_lot = sorted(self.bundles, key=lambda bundle: lots[bundle])
        asked = [len({self.twin_of[at] for at in self.bundles[bundle]}) for bundle in by_lot]
        chosen: list[int] = []
        for _, places in sorted(groups(asked).items()):
            as_rare, room = [by_lot[place] for place in places], count - len(chosen)
            chosen += as_rare if len(as_rare) <= room else self._unlike(as_rare, room)
        return chosen

    def _unlike(self, bundles: Sequence[int], count: int) -> list[int]:
        """So many of the bundles, those first that are unlike all others; no more are looked at
        than it takes."""
        unlike: list[int] = []
        for start in range(0, min(len(bundles), LOOKED_AT), LOOKED_AT_ONCE):
            if len(unlike) >= count:
                break
            some = bundles[start : start + LOOKED_AT_ONCE]
            rows = [at for bundle in some for at in self.bundles[bundle]]
            alike = related(rows, self.cluster_of, self.vectors)
            near = {at for at in rows if self.cluster_of[at] in alike}
            unlike += [bundle for bundle in some if near.isdisjoint(self.bundles[bundle])]
        return list(dict.fromkeys([*unlike, *bundles]))[:count]

    def _spare(self, members: Sequence[int]) -> list[int]:
        """A cluster's bound groups that could be held out while enough are left, by lot."""
        bound = sorted({self.bound_of[at] for at in members}, key=self._lot)
        return bound[:-KEPT_WORDINGS] if len(bound) >= ENOUGH_WORDINGS else []

    def _leaves_enough(self, held: set[int], chosen: Sequence[int]) -> bool:
        """Whether each cluster of the chosen keeps wordings to be trained: a thread may hold
        several facts."""
        return all(
            len({self.bound_of[at] for at in self.members[cluster] if at not in held})
            >= KEPT_WORDINGS
            for cluster in {self.cluster_of[at] for at in chosen}
        )

    def _lot(self, bound: int) -> str:
        return min(self.lots[at] for at in self.bound[bound])


def _apart(
    wrong: Sequence[int],
    held: Sequence[int],
    examples: Sequence[Example],
    vectors: Vectors,
    threads: Mapping[int, str],
) -> list[Example]:
    """Those of `wrong` that ask nothing that is held out, come from other threads, and do not call
    wrong what is approved as the answer to their very question."""
    places = [threads.get(example.id or 0) for example in examples]
    taken = {places[at] for at in held} - {None}
    elsewhere = [at for at in wrong if places[at] not in taken]
    kept_back = set(held)
    dropped = {
        at
        for at, other in overlooked(wrong, [example.question for example in examples], vectors)
        if other in kept_back or plain(examples[other].answer) == plain(examples[at].rejected or "")
    }
    return [examples[at] for at in elsewhere if at not in dropped]


def _rejected(examples: Sequence[Example], first: int) -> list[Row]:
    """The rows of what says only what is wrong, each a cluster by itself."""
    return [
        Row(
            example_id=example.id or 0, cluster=first + number, split="rejected",
            question=example.question, answer="", rejected=example.rejected,
        )
        for number, example in enumerate(examples)
    ]  # fmt: skip


def _texts(example: Example) -> tuple[str, str, str, int]:
    return example.question, example.answer, example.rejected or "", example.id or 0


def _lot(seed: int, question: str) -> str:
    """Depends on the question's words alone, so that it stays when other examples come."""
    return hashlib.sha256(f"{seed}|{plain(question)}".encode()).hexdigest()


def _split_name(at: int, whole: set[int], wordings: set[int]) -> Split:
    if at in whole:
        return "held_out_question"
    return "held_out_wording" if at in wordings else "train"


def _refuse_too_little(count: int, whole: int, wordings: int) -> None:
    trainable = count - whole - wordings
    if trainable < LEAST_TRAINABLE:
        raise TooLittle(
            f"{count} approved examples leave {trainable} to train on; "
            f"at least {LEAST_TRAINABLE} are needed"
        )
    if not wordings:
        raise TooLittle(
            "no question has been asked in three different wordings yet, so nothing can be kept "
            "back to measure what is learned"
        )


def freeze(
    session: Session,
    team_id: str,
    rows: Sequence[Row],
    directory: Path,
    left_out: Mapping[str, int] | None = None,
) -> Dataset:
    """Write the rows once, named by their content, and record which example went where.

    The same rows give the same dataset again (and its file again, should it be gone).

    Args:
        left_out: how many live examples were not chosen, by reason; counted with the refused.
    """
    lines = "".join(row.model_dump_json() + "\n" for row in rows)
    content_hash = hashlib.sha256(lines.encode()).hexdigest()
    path = directory.resolve() / f"dataset-{content_hash[:12]}.jsonl"
    _write_once(path, lines)
    same = select(Dataset).where(Dataset.team_id == team_id, Dataset.content_hash == content_hash)
    known = session.exec(same).first()
    if known is not None:
        known.path = str(path)  # the data directory may have moved
        return known
    counts = _counts(session, team_id, rows, left_out or {})
    dataset = Dataset(team_id=team_id, content_hash=content_hash, path=str(path), counts=counts)
    session.add(dataset)
    session.flush()
    session.add_all(_membership(dataset, row) for row in rows)
    session.flush()
    return dataset


def _membership(dataset: Dataset, row: Row) -> DatasetExample:
    return DatasetExample(
        dataset_id=dataset.id or 0,
        example_id=row.example_id,
        team_id=dataset.team_id,
        split=row.split,
    )


def _counts(
    session: Session, team_id: str, rows: Sequence[Row], left_out: Mapping[str, int]
) -> dict[str, object]:
    names: list[Split] = ["train", "held_out_wording", "held_out_question", "rejected"]
    refused = session.exec(
        select(Example.reason, func.count())
        .where(Example.team_id == team_id, Example.status == ExampleStatus.REFUSED)
        .group_by(col(Example.reason))
    ).all()
    return {
        **{name: len(of_split(rows, name)) for name in names},
        "clusters": len({row.cluster for row in rows if row.answer}),
        "preferences": sum(row.rejected is not None for row in rows if row.answer),
        "refused": {reason or "": count for reason, count in refused} | dict(left_out),
    }


def _write_once(path: Path, lines: str) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(f".{os.getpid()}.part")
    with beside.open("w", encoding="utf-8") as file:
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())  # a dataset that a row names must survive a power cut
    beside.replace(path)
