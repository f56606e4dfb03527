"""Storing what was read from a file: all of it in one transaction.

What staff marked in Slack is stored as their feedback, so that taking the reaction away, or
reacting again, counts as if Mynah had been there. A file's word is its importer's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import func
from sqlmodel import Session, col, select

from bot import audit, examples, feedback
from bot.embedder import Embedder
from bot.importing.judging import Fate, Item, Verdict, judge, was_imported
from bot.importing.pairs import Mark, Pair, Tell
from bot.mrkdwn import IMPORTED, plain
from bot.store.schema import Example, FeedbackKind
from bot.store.teams import lock_team

_BATCH = 256


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
    again: bool = False,
) -> list[Verdict]:
    """Store what is new, in the caller's transaction, and return what became of each item.

    Args:
        by: the user who imports.
        origin: what the audit table says of the file; "sha256" is known again.
        vectors: from `embedded`; what is missing is embedded when it is searched.
        embedder: the name of what made them.
        again: as for `judge`.
    """
    lock_team(session, team_id)
    sha256 = origin["sha256"]
    is_known = was_imported(session, team_id, sha256)
    verdicts = judge(session, team_id, items, sha256=sha256, again=again)
    new = [one for one in verdicts if one.fate in (Fate.LEARNED, Fate.REFUSED)]
    rows = []
    for verdict in new:
        given = _recorded(session, team_id, verdict, by)
        rows.append(_row(team_id, verdict, by, vectors, embedder, feedback_id=given))
    session.add_all(rows)
    session.flush()
    for verdict, row in zip(new, rows, strict=True):
        session.add_all(examples.source_rows(row, verdict.item.pair.sources))
        audit.record(
            session, team_id, f"{IMPORTED}{by}", f"example.{row.status}", f"example:{row.id}",
            place=verdict.item.pair.place,
        )  # fmt: skip
    _retire(session, list(zip(new, rows, strict=True)))
    if new or not is_known:
        counts = {fate: sum(one.fate is fate for one in verdicts) for fate in Fate}
        audit.record(session, team_id, f"{IMPORTED}{by}", "import", f"team:{team_id}",
                     **origin, **{str(fate): count for fate, count in counts.items()})  # fmt: skip
    ids = {id(verdict): row.id for verdict, row in zip(new, rows, strict=True)}
    return [replace(one, example_id=ids.get(id(one))) for one in verdicts]


def foreseen(
    session: Session,
    team_id: str,
    verdicts: Sequence[Verdict],
    *,
    by: str,
    vectors: dict[str, bytes],
    embedder: str,
) -> dict[int, tuple[Verdict, Example]]:
    """What would be learned, as it would be stored, by the ids that it might have."""
    first = (session.exec(select(func.max(Example.id))).one() or 0) + 1
    learned = [one for one in verdicts if one.fate is Fate.LEARNED]
    rows = {}
    for key, verdict in enumerate(learned, first):
        row = _row(team_id, verdict, by, vectors, embedder, feedback_id=None)
        row.id = key
        if (mark := verdict.item.pair.mark) is not None:
            row.created_at = _said_at(mark)
        rows[key] = (verdict, row)
    return rows


def older(session: Session, verdicts: Sequence[Verdict]) -> dict[int, Example]:
    """What the items retire, by id."""
    keys = [key for verdict in verdicts for key in verdict.retires]
    found: dict[int, Example] = {}
    # In slices: databases limit how many values one statement may carry.
    for start in range(0, len(keys), 500):
        wanted = col(Example.id).in_(keys[start : start + 500])
        found |= {one.id or 0: one for one in session.exec(select(Example).where(wanted))}
    return found


def _row(
    team_id: str, verdict: Verdict, by: str, vectors: dict[str, bytes], embedder: str, *,
    feedback_id: int | None,
) -> Example:  # fmt: skip
    draft = verdict.item.draft
    vector = vectors.get(draft.question) if verdict.fate is Fate.LEARNED else None
    return examples.made(
        draft, team_id=team_id, feedback_id=feedback_id,
        approved_by=_approver(verdict.item.pair, by), embedding=vector,
        embedder=embedder if vector else None,
    )  # fmt: skip


def _recorded(session: Session, team_id: str, verdict: Verdict, by: str) -> int | None:
    """The feedback that a mark is, stored; None for what no mark in Slack stands behind."""
    mark = verdict.item.pair.mark
    if mark is None:
        return None
    words = plain(mark.words) if mark.kind == "correct" else None
    given, _ = feedback.record(
        session, team_id=team_id, channel=mark.channel, target_ts=mark.ts, user=mark.user,
        kind=FeedbackKind(mark.kind), correction=words,
        given_at=_said_at(mark), by=f"{IMPORTED}{by}",
    )  # fmt: skip
    return given.id


def _said_at(mark: Mark) -> datetime:
    return datetime.fromtimestamp(float(mark.ts), UTC)


def _approver(pair: Pair, by: str) -> str:
    """Whose word it is: staff who marked it said so themselves."""
    return pair.mark.user if pair.mark else f"{IMPORTED}{pair.approver or by}"


def _retire(session: Session, made: Sequence[tuple[Verdict, Example]]) -> None:
    replaced = older(session, [verdict for verdict, _ in made])
    for verdict, row in made:
        for key in verdict.retires:
            examples.retire(replaced[key], row)
