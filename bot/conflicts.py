"""Conflicts: two live examples that answer nearly the same question otherwise.

Where the question is surely the same, the newer word counts and the older example is retired;
where it may be, nothing changes. Staff are shown both cases and have the last word, which holds
however often the two meet again. An example is compared when it begins to count, and each time
that it does so again; whoever is stopped in between, the next one goes on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from sqlalchemy import ColumnElement, Engine
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, or_, select
from sqlmodel.sql.expression import SelectOfScalar

from bot import alike, audit, examples
from bot.embedder import Embedder
from bot.store.database import reading
from bot.store.schema import Conflict, ConflictStatus, Example, ExampleStatus, Feedback, now
from bot.store.teams import lock_team

AT_ONCE = 500  # examples are compared with all others in one go
_Near = tuple[Example, Example, float]  # which may ask the same, and their cosine
OPEN = (ConflictStatus.POSSIBLE, ConflictStatus.REPLACED)
_COUNTING = (ExampleStatus.LIVE, ExampleStatus.HELD)


@dataclass(frozen=True)
class Found:
    """Two examples that contradict each other; `sure` when they answer the same question."""

    newer_id: int
    older_id: int
    similarity: float
    sure: bool


@dataclass(frozen=True)
class Comparison:
    """What was found, and of which examples: the `changed_at` with which each was read."""

    found: Sequence[Found]
    read: dict[int, datetime]


def compare(engine: Engine, team_id: str, embedder: Embedder) -> Comparison | None:
    """Compare what has begun to count with all that counts; None when there is nothing new.

    Changes nothing: `note` does, in a transaction, as embedding has no place in one. Only vectors
    that are stored and by this embedder are looked at.
    """
    with reading(engine) as session:
        due = list(session.exec(_due(team_id).limit(AT_ONCE)))
        if not due:
            return None
        near = _near_by_scope(session, team_id, due, embedder.name)
        said = {one.id: _said_at(session, one) for pair in near for one in pair[:2]}
    found = _contradictions(near, said, embedder)
    return Comparison(found, {one.id or 0: one.changed_at for one in due})


def foresee(
    engine: Engine,
    team_id: str,
    embedder: Embedder,
    new: Sequence[Example],
    *,
    retired: Collection[int],
    replaces: bool = True,
) -> list[Found]:
    """What `compare` and `note` would find if these examples were stored. Changes nothing.

    Args:
        new: with embeddings, with ids that no stored one has, as they would follow on those, and
            with the time at which each was said as `created_at`.
        retired: the ids of stored examples that they would retire.
        replaces: as for `note`.
    """
    with reading(engine) as session:
        near = _near_by_scope(session, team_id, new, embedder.name, retired)
        said = {one.id: _said_at(session, one) for pair in near for one in pair[:2]}
    foreseen, gone = [], set[int]()
    for found in _contradictions(near, said, embedder):
        if gone.isdisjoint((found.newer_id, found.older_id)):
            one = found if replaces else replace(found, sure=False)
            foreseen.append(one)
            gone |= {one.older_id} if one.sure else set()
    return foreseen


def note(
    session: Session, team_id: str, comparison: Comparison, *, replaces: bool = True
) -> set[int]:
    """Store what was found, and retire what is surely replaced; whose conflicts are new, by the id
    of the newer example. What changed since it was read is compared again.

    Args:
        replaces: whether something may be retired that staff have not judged. Not where nobody
            would be told: then both count.
    """
    lock_team(session, team_id)
    rows = _locked(session, comparison)
    new: set[int] = set()
    for found in comparison.found:
        one = found if replaces else replace(found, sure=False)
        newer, older = rows[one.newer_id], rows[one.older_id]
        if newer.status is older.status is ExampleStatus.LIVE and _meet(session, one, newer, older):
            new.add(one.newer_id)
    for key, changed_at in comparison.read.items():
        rows[key].compared_at = changed_at
    return new


def of_newer(session: Session, newer_id: int) -> list[Conflict]:
    """The conflicts of an example with older ones that wait for staff's word."""
    rows = select(Conflict).where(Conflict.newer_id == newer_id, col(Conflict.status).in_(OPEN))
    return list(session.exec(rows.order_by(col(Conflict.id))))


def waiting(session: Session, team_id: str, among: Collection[int]) -> list[Conflict]:
    """The conflicts that wait for staff's word in which one of these examples stands."""
    rows = select(Conflict).where(Conflict.team_id == team_id, col(Conflict.status).in_(OPEN))
    return [one for one in session.exec(rows.order_by(col(Conflict.id)))
            if not {one.newer_id, one.older_id}.isdisjoint(among)]  # fmt: skip


def lost(session: Session, team_id: str) -> set[int]:
    """The ids of the examples of which staff said that another one is right."""
    settled = select(Conflict).where(Conflict.team_id == team_id, col(Conflict.status).not_in(OPEN))
    said = {ConflictStatus.OLDER: lambda one: one.newer_id,
            ConflictStatus.NEWER: lambda one: one.older_id}  # fmt: skip
    return {said[one.status](one) for one in session.exec(settled) if one.status in said}


def is_due(session: Session, team_id: str) -> bool:
    """Whether something has begun to count that was not compared yet."""
    return session.exec(_due(team_id).limit(1)).first() is not None


def decide(session: Session, conflict: Conflict, verdict: ConflictStatus, user: str) -> None:
    """Settle a conflict: keep both, or one of them. The caller checks that the person may."""
    newer = session.get_one(Example, conflict.newer_id, with_for_update=True)
    older = session.get_one(Example, conflict.older_id, with_for_update=True)
    was_replaced = conflict.status is ConflictStatus.REPLACED
    conflict.status, conflict.decided_by, conflict.decided_at = verdict, user, now()
    audit.record(
        session, conflict.team_id, user, "conflict.decide", f"example:{newer.id}",
        older=f"example:{older.id}", verdict=verdict.value,
    )  # fmt: skip
    session.flush()
    if verdict is ConflictStatus.OLDER and newer.status in _COUNTING:
        examples.retire(newer, older)
    if was_replaced and verdict is not ConflictStatus.NEWER:
        examples.put_back(session, older)
    if verdict is ConflictStatus.NEWER and older.status is ExampleStatus.LIVE:
        examples.retire(older, newer)


def drop_settled(session: Session, team_id: str) -> set[int]:
    """Forget the open conflicts that are none any more, as one of the two was taken back; the ids
    of the newer examples."""
    newer, older = aliased(Example), aliased(Example)
    rows = (
        select(Conflict)
        .join(newer, col(newer.id) == col(Conflict.newer_id))
        .join(older, col(older.id) == col(Conflict.older_id))
        .where(Conflict.team_id == team_id)
        .where(or_(_over(ConflictStatus.POSSIBLE, newer, older, _COUNTING),
                   _over(ConflictStatus.REPLACED, newer, older, (ExampleStatus.RETIRED,))))
    )  # fmt: skip
    over = list(session.exec(rows))
    for conflict in over:
        session.delete(conflict)
    session.flush()
    return {conflict.newer_id for conflict in over}


def _over(
    status: ConflictStatus, newer: type[Example], older: type[Example],
    expected: Sequence[ExampleStatus],
) -> ColumnElement[bool]:  # fmt: skip
    gone = col(newer.status).not_in(_COUNTING) | col(older.status).not_in(expected)
    return (col(Conflict.status) == status) & gone


def _due(team_id: str) -> SelectOfScalar[Example]:
    never = col(Example.compared_at).is_(None)
    return (
        select(Example)
        .where(Example.team_id == team_id, Example.status == ExampleStatus.LIVE)
        .where(or_(never, col(Example.compared_at) < col(Example.changed_at)))
        .order_by(col(Example.id))
    )


def _near_by_scope(
    session: Session, team_id: str, due: Sequence[Example], embedder: str,
    without: Collection[int] = (),
) -> list[_Near]:  # fmt: skip
    return [pair for scope in dict.fromkeys(one.scope for one in due)
            for pair in _near(session, team_id, scope, due, embedder, without)]  # fmt: skip


def _near(
    session: Session, team_id: str, scope: str | None, due: Sequence[Example], embedder: str,
    without: Collection[int],
) -> Iterator[_Near]:  # fmt: skip
    """Pairs of a due example and another of its scope that may ask the same, each pair once."""
    stored = session.exec(
        select(col(Example.id), col(Example.embedding))
        .where(Example.team_id == team_id, Example.status == ExampleStatus.LIVE)
        .where(col(Example.scope).is_not_distinct_from(scope), Example.embedder == embedder)
        .where(col(Example.embedding).is_not(None))
        .order_by(col(Example.id))
    ).all()
    vectors = {key or 0: vector or b"" for key, vector in stored if key not in without}
    known = {one.id or 0: one for one in due if (one.scope, one.embedder) == (scope, embedder)}
    # What is not stored yet is compared like the rest.
    vectors |= {key: one.embedding for key, one in known.items() if one.embedding}
    keys = list(vectors)
    place = {key: at for at, key in enumerate(keys)}
    mine = [one for one in due if one.id in place]
    if not mine:
        return
    rows = np.stack([np.frombuffer(vector, dtype=np.float32) for vector in vectors.values()])
    some = rows[[place[one.id or 0] for one in mine]]
    seen: set[frozenset[int]] = set()
    for at, column, similarity in alike.close(some, rows, alike.limits(embedder).possible):
        key = keys[column]
        one, other = mine[at], known.get(key) or session.get_one(Example, key)
        pair = frozenset((one.id or 0, other.id or 0))
        if len(pair) == 2 and pair not in seen and _may_contradict(one, other):
            seen.add(pair)
            yield one, other, similarity


def _contradictions(
    near: Sequence[_Near], said: Mapping[int | None, datetime], embedder: Embedder
) -> list[Found]:
    """Those of the pairs whose answers differ, with what was said later as the newer."""
    agree = alike.same_answers([(one.answer, other.answer) for one, other, _ in near], embedder)
    sure_from = alike.limits(embedder.name).sure
    found = []
    for (one, other, similarity), same in zip(near, agree, strict=True):
        if not same:
            older, newer = sorted((one, other), key=lambda each: (said[each.id], each.id))
            sure = similarity >= sure_from and not alike.contrasted(one.question, other.question)
            found.append((newer, older, similarity, sure))
    return list(_with_wordings(found))


def _may_contradict(one: Example, other: Example) -> bool:
    """Of one question in the very same words, the newer answer counts already."""
    same_question = one.content_hash[:32] == other.content_hash[:32]
    answers_alike = one.answer == other.answer
    return not (same_question or answers_alike) and alike.comparable(one.question, other.question)


def _with_wordings(
    found: Sequence[tuple[Example, Example, float, bool]],
) -> Iterator[Found]:
    """As found; further wordings of an example that is surely replaced are replaced with it."""
    replaced: defaultdict[int | None, set[str]] = defaultdict(set)
    for newer, older, _, sure in found:
        if sure:
            replaced[newer.id].add(older.answer)
    for newer, older, similarity, sure in found:
        also = older.answer in replaced[newer.id]
        yield Found(newer.id or 0, older.id or 0, similarity, sure or also)


def _said_at(session: Session, example: Example) -> datetime:
    """When staff said so; what came by a file was said when it was imported."""
    given = session.get(Feedback, example.feedback_id) if example.feedback_id else None
    return given.given_at if given is not None else example.created_at


def _locked(session: Session, comparison: Comparison) -> dict[int, Example]:
    """The examples as they are now. The newest first, as those who take back lock them."""
    ids = {key for one in comparison.found for key in (one.newer_id, one.older_id)}
    wanted = sorted(ids | comparison.read.keys(), reverse=True)
    rows: dict[int, Example] = {}
    for key in wanted:
        rows[key] = session.get_one(Example, key, with_for_update=True, populate_existing=True)
    return rows


def _meet(session: Session, one: Found, newer: Example, older: Example) -> bool:
    """Do what has to be done when both are live; whether staff have to be told."""
    pair = (Conflict.newer_id == one.newer_id, Conflict.older_id == one.older_id)
    known = session.exec(select(Conflict).where(*pair)).first()
    if known is not None:
        _hold_to(known.status, newer, older)
        return False
    status = ConflictStatus.REPLACED if one.sure else ConflictStatus.POSSIBLE
    session.add(
        Conflict(
            team_id=newer.team_id, newer_id=one.newer_id, older_id=one.older_id,
            similarity=one.similarity, status=status,
        )
    )  # fmt: skip
    _hold_to(status, newer, older)
    audit.record(
        session, newer.team_id, "mynah", f"conflict.{status.value}", f"example:{newer.id}",
        older=f"example:{older.id}", similarity=round(one.similarity, 3),
    )  # fmt: skip
    session.flush()
    return True


def _hold_to(status: ConflictStatus, newer: Example, older: Example) -> None:
    if status in (ConflictStatus.REPLACED, ConflictStatus.NEWER):
        examples.retire(older, newer)
    elif status is ConflictStatus.OLDER:
        examples.retire(newer, older)
