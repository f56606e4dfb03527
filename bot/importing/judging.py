"""What becomes of each answer of a file, by what the store holds. Nothing is changed here."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from sqlalchemy import func
from sqlmodel import Session, col, select

from bot import conflicts, examples
from bot.examples import Draft
from bot.importing.pairs import Pair, Tell
from bot.store.schema import (
    RATINGS,
    Audit,
    Example,
    ExampleSource,
    ExampleStatus,
    Feedback,
    Question,
)

FORGOTTEN = "a message that it came from was deleted or edited since"


class Fate(StrEnum):
    """What becomes of a pair."""

    LEARNED = "learned"
    REFUSED = "refused"  # `why` says why; stored, so that the counts show it
    FORGOTTEN = "forgotten"  # its messages were deleted or edited in Slack: nothing of it is kept
    OVERRULED = "overruled"  # another answer to the same question counts
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
    example_id: int | None = None  # of what was stored of it


@dataclass(frozen=True)
class _Row:
    """What has to be known of a stored example to judge a new one."""

    id: int
    content_hash: str
    status: ExampleStatus
    by_feedback: bool
    replaced_by: int | None  # the id of what took its place
    at: float  # when it was said, if anything that is imported has a time of its own


@dataclass
class _Known:
    """What the store holds of a team, and what the file is to it."""

    rows: dict[int, _Row] = field(default_factory=dict)
    by_question: dict[str, list[_Row]] = field(default_factory=dict)
    lost: set[int] = field(default_factory=set)  # ids of what staff said is not the right one
    file: set[str] = field(default_factory=set)  # content hashes of what the file says
    was_stored: bool = False  # the file, as it is
    rated: set[tuple[str, str, str]] = field(default_factory=set)  # channel, ts, user
    forgotten: set[tuple[str, str]] = field(default_factory=set)  # channel, ts


def drafted(pairs: Sequence[Pair], tell: Tell, keep: Collection[str] = ()) -> list[Item]:
    """Clean and redact the pairs, as what is said in Slack.

    Args:
        keep: contacts that the house publishes, never redacted.
    """
    items = []
    for done, pair in enumerate(pairs, 1):
        draft = examples.draft(
            pair.question, pair.answer, rejected=pair.rejected, scope=pair.scope, keep=keep
        )
        draft = replace(draft, refusal=pair.refusal or draft.refusal)
        items.append(Item(pair, draft, examples.content_hash(draft)))
        tell("checking", done, len(pairs))
    return items


def judge(
    session: Session, team_id: str, items: Sequence[Item], *, sha256: str, again: bool = False
) -> list[Verdict]:
    """What becomes of each item, by what the store holds now. Changes nothing.

    Args:
        sha256: of the file.
        again: whether what another file has replaced since may come back, though this very file
            was imported before.
    """
    known = _known(session, team_id, dated=any(item.pair.sources for item in items))
    last = {_question(item): item for item in items if item.draft.refusal is None}
    known.file = {item.content_hash for item in last.values()}
    known.was_stored = not again and was_imported(session, team_id, sha256)
    seen: dict[tuple[str, str], Item] = {}
    verdicts = []
    for item in items:
        verdict = _within(item, last, seen) or _against(item, known)
        seen.setdefault(item.key, item)
        verdicts.append(verdict)
    return verdicts


def was_imported(session: Session, team_id: str, sha256: str) -> bool:
    """Whether this very file was imported before."""
    done = select(Audit.detail).where(Audit.team_id == team_id, Audit.action == "import")
    return any(detail.get("sha256") == sha256 for detail in session.exec(done))


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
    if mark is None and (twin := _twin(item, same_question, known)) is not None:
        if twin.replaced_by is not None:
            back = "" if _is_settled(twin, same_question, known) else "; --again brings it back"
            newest = _newest(twin, known).id
            return Verdict(item, Fate.OVERRULED, f"example:{newest} took its place since{back}")
        return Verdict(item, Fate.KNOWN, f"example:{twin.id} is {twin.status}")
    if item.draft.refusal is not None:
        return Verdict(item, Fate.REFUSED, item.draft.refusal)
    rivals = [one for one in live if one.content_hash != item.content_hash]
    newer = next((one for one in rivals if mark is not None and one.at > float(mark.ts)), None)
    if newer is not None:
        return Verdict(item, Fate.OVERRULED, f"example:{newer.id} is newer")
    return Verdict(item, Fate.LEARNED, retires=tuple(one.id for one in rivals))


def _twin(item: Item, same_question: Sequence[_Row], known: _Known) -> _Row | None:
    """The stored example that says the same, if that settles it.

    An approval that was taken back in Slack can be given anew by a file.
    """
    said = [one for one in same_question if one.content_hash == item.content_hash]
    for row in sorted(said, key=lambda one: one.status is ExampleStatus.RETIRED):
        if row.status is ExampleStatus.REVOKED and row.by_feedback:
            continue
        if row.status is ExampleStatus.REFUSED and item.draft.refusal is None:
            continue  # by rules that have changed since
        if row.status is ExampleStatus.RETIRED and not _stays_retired(row, same_question, known):
            continue
        return row
    return None


def _stays_retired(row: _Row, same_question: Sequence[_Row], known: _Known) -> bool:
    """Whether an answer that was replaced cannot come back by the file: files grow old."""
    return known.was_stored or _is_settled(row, same_question, known)


def _is_settled(row: _Row, same_question: Sequence[_Row], known: _Known) -> bool:
    """Whether people replaced it in Slack, or the file itself has what took its place."""
    standing = (ExampleStatus.LIVE, ExampleStatus.HELD)
    by_people = any(one.by_feedback for one in same_question if one.status in standing)
    newest = _newest(row, known)
    in_file = newest.content_hash in known.file - {row.content_hash}
    return by_people or newest.by_feedback or row.id in known.lost or in_file


def _newest(row: _Row, known: _Known) -> _Row:
    """What took the place of an example, and of that in turn."""
    seen = {row.id}
    while row.replaced_by in known.rows and row.replaced_by not in seen:
        seen.add(row.replaced_by)
        row = known.rows[row.replaced_by]
    return row


def _known(session: Session, team_id: str, *, dated: bool) -> _Known:
    known = _Known()
    written = _written(session, team_id) if dated else {}
    everything = select(
        col(Example.id), Example.content_hash, Example.status, col(Example.feedback_id)
    ).where(Example.team_id == team_id, Example.content_hash != "")
    replaced = _replaced(session, team_id)
    for number, digest, status, feedback_id in session.exec(everything.order_by(col(Example.id))):
        key = number or 0
        known.rows[key] = row = _Row(
            key, digest, ExampleStatus(status), feedback_id is not None, replaced.get(key),
            written.get(key, 0.0),
        )  # fmt: skip
        known.by_question.setdefault(digest[:32], []).append(row)
    known.lost = conflicts.lost(session, team_id)
    if dated:
        known.rated = _rated(session, team_id)
        known.forgotten = _forgotten(session, team_id)
    return known


def _replaced(session: Session, team_id: str) -> dict[int, int | None]:
    """What took the place of each example that is retired."""
    retired = select(Example.id, Example.reason).where(
        Example.team_id == team_id, Example.status == ExampleStatus.RETIRED
    )
    return {key or 0: examples.replaced_by(reason) for key, reason in session.exec(retired)}


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
