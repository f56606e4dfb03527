"""Storing what was read from a file: looked at first, and then all of it in one transaction.

What staff marked in Slack is stored as their feedback, so that taking the reaction away, or
reacting again, counts as if Mynah had been there. A file's word is its importer's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import func
from sqlmodel import Session, col, select

from bot import audit, examples, feedback
from bot.embedder import Embedder
from bot.examples import Draft
from bot.importing.pairs import Pair, Tell
from bot.mrkdwn import IMPORTED, plain
from bot.store.schema import (
    RATINGS,
    Example,
    ExampleSource,
    ExampleStatus,
    Feedback,
    FeedbackKind,
    Question,
)
from bot.store.teams import lock_team

_BATCH = 256
FORGOTTEN = "a message that it came from was deleted or edited since"


class Fate(StrEnum):
    """What becomes of a pair."""

    LEARNED = "learned"
    REFUSED = "refused"  # `why` says why; stored, so that the counts show it
    FORGOTTEN = "forgotten"  # its messages were deleted or edited in Slack: nothing of it is kept
    OVERRULED = "overruled"  # a newer answer to the same question counts
    KNOWN = "known"


@dataclass(frozen=True)
class Item:
    """One pair, cleaned and redacted."""

    pair: Pair
    draft: Draft
    content_hash: str

    @property
    def key(self) -> tuple[str, str]:
        """Two items with one key are the same word: staff who mark a message are asked each."""
        return self.content_hash, self.pair.mark.user if self.pair.mark else ""


@dataclass(frozen=True)
class Verdict:
    """What becomes of an item, and why."""

    item: Item
    fate: Fate
    why: str = ""
    retires: tuple[int, ...] = ()  # ids of examples that answer the same question otherwise


@dataclass(frozen=True)
class _Row:
    """What has to be known of a stored example to judge a new one."""

    id: int
    content_hash: str
    status: ExampleStatus
    by_feedback: bool
    at: float  # when it was said, if anything that is imported has a time of its own


@dataclass
class _Known:
    """What the store holds of a team."""

    by_question: dict[str, list[_Row]] = field(default_factory=dict)
    rated: set[tuple[str, str, str]] = field(default_factory=set)  # channel, ts, user
    forgotten: set[tuple[str, str]] = field(default_factory=set)  # channel, ts


def drafted(pairs: Sequence[Pair], tell: Tell) -> list[Item]:
    """Clean and redact the pairs, as what is said in Slack."""
    items = []
    for done, pair in enumerate(pairs, 1):
        draft = examples.draft(pair.question, pair.answer, rejected=pair.rejected, scope=pair.scope)
        draft = replace(draft, refusal=pair.refusal or draft.refusal)
        items.append(Item(pair, draft, examples.content_hash(draft)))
        tell("checking", done, len(pairs))
    return items


def judge(session: Session, team_id: str, items: Sequence[Item]) -> list[Verdict]:
    """What becomes of each item, by what the store holds now. Changes nothing."""
    known = _known(session, team_id, dated=any(item.pair.sources for item in items))
    last = {_question(item): item for item in items if item.draft.refusal is None}
    seen: dict[tuple[str, str], Item] = {}
    verdicts = []
    for item in items:
        verdict = _within(item, last, seen) or _against(item, known)
        seen.setdefault(item.key, item)
        verdicts.append(verdict)
    return verdicts


def embedded(verdicts: Sequence[Verdict], embedder: Embedder, tell: Tell) -> dict[str, bytes]:
    """The embeddings of what is to be learned, by question."""
    questions = list(
        dict.fromkeys(one.item.draft.question for one in verdicts if one.fate is Fate.LEARNED)
    )
    found: dict[str, bytes] = {}
    for start in range(0, len(questions), _BATCH):
        batch = questions[start : start + _BATCH]
        found |= zip(batch, (row.tobytes() for row in embedder.embed(batch)), strict=True)
        tell("embedding", len(found), len(questions))
    return found


def store(
    session: Session,
    team_id: str,
    items: Sequence[Item],
    *,
    by: str,
    origin: dict[str, str],
    vectors: dict[str, bytes],
    embedder: str,
) -> list[Verdict]:
    """Store what is new, in the caller's transaction, and return what became of each item.

    Args:
        by: the user who imports.
        origin: what the audit table says of the file.
        vectors: from `embedded`; what is missing is embedded when it is searched.
        embedder: the name of what made them.
    """
    lock_team(session, team_id)
    verdicts = judge(session, team_id, items)
    new = [one for one in verdicts if one.fate in (Fate.LEARNED, Fate.REFUSED)]
    rows = []
    for verdict in new:
        draft = verdict.item.draft
        vector = vectors.get(draft.question) if verdict.fate is Fate.LEARNED else None
        rows.append(
            examples.made(
                draft, team_id=team_id, feedback_id=_recorded(session, team_id, verdict, by),
                approved_by=_approver(verdict.item.pair, by), embedding=vector,
                embedder=embedder if vector else None,
            )
        )  # fmt: skip
    session.add_all(rows)
    session.flush()
    for verdict, row in zip(new, rows, strict=True):
        session.add_all(examples.source_rows(row, verdict.item.pair.sources))
        audit.record(
            session, team_id, f"{IMPORTED}{by}", f"example.{row.status}", f"example:{row.id}",
            place=verdict.item.pair.place,
        )  # fmt: skip
    _retire(session, list(zip(new, rows, strict=True)))
    if new:
        counts = {fate: sum(one.fate is fate for one in verdicts) for fate in Fate}
        audit.record(session, team_id, f"{IMPORTED}{by}", "import", f"team:{team_id}",
                     **origin, **{str(fate): count for fate, count in counts.items()})  # fmt: skip
    return verdicts


def _question(item: Item) -> str:
    return item.content_hash[:32]


def _within(item: Item, last: dict[str, Item], seen: dict[tuple[str, str], Item]) -> Verdict | None:
    """What the file itself says of an item: of two answers to one question the later counts."""
    twin = seen.get(item.key)
    if twin is not None and item.draft.answer:  # what is too long has no words left to compare
        return Verdict(item, Fate.KNOWN, f"the same as {twin.pair.place}")
    later = last.get(_question(item))
    if item.draft.refusal is None and later is not None and later.content_hash != item.content_hash:
        return Verdict(item, Fate.OVERRULED, f"{later.pair.place} answers the same question")
    return None


def _against(item: Item, known: _Known) -> Verdict:
    """What the store says of an item."""
    pair, mark = item.pair, item.pair.mark
    if mark is not None and (mark.channel, mark.ts, mark.user) in known.rated:
        return Verdict(item, Fate.KNOWN, "it was rated in Slack, or imported before")
    if not known.forgotten.isdisjoint(pair.sources):
        return Verdict(item, Fate.FORGOTTEN, FORGOTTEN)
    same_question = known.by_question.get(_question(item), [])
    live = [one for one in same_question if one.status is ExampleStatus.LIVE]
    if mark is None and (twin := _twin(item, same_question)) is not None:
        return Verdict(item, Fate.KNOWN, f"example:{twin.id} is {twin.status}")
    if item.draft.refusal is not None:
        return Verdict(item, Fate.REFUSED, item.draft.refusal)
    rivals = [one for one in live if one.content_hash != item.content_hash]
    newer = next((one for one in rivals if mark is not None and one.at > float(mark.ts)), None)
    if newer is not None:
        return Verdict(item, Fate.OVERRULED, f"example:{newer.id} is newer")
    return Verdict(item, Fate.LEARNED, retires=tuple(one.id for one in rivals))


def _twin(item: Item, same_question: Sequence[_Row]) -> _Row | None:
    """The stored example that says the same, if that settles it.

    An approval that was taken back in Slack can be given anew by a file. An answer that an earlier
    file replaced can come back; one that people replaced in Slack cannot: files grow old.
    """
    standing = (ExampleStatus.LIVE, ExampleStatus.HELD)
    by_people = any(one.by_feedback for one in same_question if one.status in standing)
    for row in same_question:
        if row.content_hash != item.content_hash:
            continue
        if row.status is ExampleStatus.REVOKED and row.by_feedback:
            continue
        if row.status is ExampleStatus.REFUSED and item.draft.refusal is None:
            continue  # by rules that have changed since
        if row.status is ExampleStatus.RETIRED and not by_people:
            continue
        return row
    return None


def _known(session: Session, team_id: str, *, dated: bool) -> _Known:
    known = _Known()
    written = _written(session, team_id) if dated else {}
    stored = select(
        col(Example.id), Example.content_hash, Example.status, col(Example.feedback_id)
    ).where(Example.team_id == team_id, Example.content_hash != "")
    for key, digest, status, feedback_id in session.exec(stored.order_by(col(Example.id))):
        at = written.get(key or 0, 0.0)
        row = _Row(key or 0, digest, ExampleStatus(status), feedback_id is not None, at)
        known.by_question.setdefault(digest[:32], []).append(row)
    if dated:
        known.rated = _rated(session, team_id)
        known.forgotten = _forgotten(session, team_id)
    return known


def _written(session: Session, team_id: str) -> dict[int, float]:
    """When the newest message behind each example was written; without any, when it was stored."""
    stored = select(Example.id, Example.created_at).where(Example.team_id == team_id)
    newest = (
        select(ExampleSource.example_id, func.max(ExampleSource.ts))
        .where(ExampleSource.team_id == team_id)
        .group_by(col(ExampleSource.example_id))
    )
    times = {key or 0: at.timestamp() for key, at in session.exec(stored)}
    return times | {key: float(ts) for key, ts in session.exec(newest)}


def _rated(session: Session, team_id: str) -> set[tuple[str, str, str]]:
    """Who rated which message, also who took it back: Slack itself knows better than an export."""
    rated = select(Feedback.channel, Feedback.target_ts, Feedback.user).where(
        Feedback.team_id == team_id, col(Feedback.kind).in_(RATINGS)
    )
    return set(session.exec(rated))


def _forgotten(session: Session, team_id: str) -> set[tuple[str, str]]:
    blanked = (
        select(ExampleSource.channel, ExampleSource.ts)
        .join(Example, col(Example.id) == col(ExampleSource.example_id))
        .where(
            Example.team_id == team_id,
            Example.status == ExampleStatus.REVOKED,
            Example.content_hash == "",
        )
    )
    deleted = select(Question.channel, Question.ts).where(
        Question.team_id == team_id, col(Question.deleted_at).is_not(None)
    )
    return {*session.exec(blanked), *session.exec(deleted)}


def _recorded(session: Session, team_id: str, verdict: Verdict, by: str) -> int | None:
    """The feedback that a mark is, stored; None for what no mark in Slack stands behind."""
    mark = verdict.item.pair.mark
    if mark is None:
        return None
    words = plain(mark.words) if mark.kind == "correct" else None
    given, _ = feedback.record(
        session, team_id=team_id, channel=mark.channel, target_ts=mark.ts, user=mark.user,
        kind=FeedbackKind(mark.kind), correction=words,
        given_at=datetime.fromtimestamp(float(mark.ts), UTC), by=f"{IMPORTED}{by}",
    )  # fmt: skip
    return given.id


def _approver(pair: Pair, by: str) -> str:
    """Whose word it is: staff who marked it said so themselves."""
    return pair.mark.user if pair.mark else f"{IMPORTED}{pair.approver or by}"


def _retire(session: Session, made: Sequence[tuple[Verdict, Example]]) -> None:
    keys = [key for verdict, _ in made for key in verdict.retires]
    older: dict[int | None, Example] = {}
    # In slices: databases limit how many values one statement may carry.
    for start in range(0, len(keys), 500):
        wanted = col(Example.id).in_(keys[start : start + 500])
        older |= {one.id: one for one in session.exec(select(Example).where(wanted))}
    for verdict, row in made:
        for key in verdict.retires:
            examples.retire(older[key], row)
