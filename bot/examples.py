"""Examples: what can be learned, made from what staff approved; redacted, refused or retired."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, update
from sqlmodel import Session, and_, col, exists, or_, select
from sqlmodel.sql.expression import SelectOfScalar

from bot import audit
from bot.courtesies import cut
from bot.mrkdwn import IMPORTED, plain
from bot.quality import normalised, refusal, same
from bot.redaction import redact, redact_together
from bot.store import holds, shadows
from bot.store.schema import (
    Adapter,
    Audit,
    DatasetExample,
    Evaluation,
    EvaluationQuestion,
    Example,
    ExampleSource,
    ExampleStatus,
    Feedback,
    Run,
    Trial,
    now,
)

__all__ = [
    "Draft", "add", "content_hash", "counts", "distrust", "distrusted_at", "draft",
    "forget_measured", "forget_message", "free", "hold", "made", "of_feedback", "plain", "put_back",
    "redact", "replaced_by", "retire", "retired_by", "revoke", "source_rows", "trust", "voices",
    "wrong",
]  # fmt: skip


# No text of more characters is looked at: the time that redacting takes grows with their square.
_LONGEST = 12_000
_REPLACED = re.compile(r"example:(\d+) answers the same question")
# What counts, or may count again.
_STANDING = (
    ExampleStatus.LIVE, ExampleStatus.RETIRED, ExampleStatus.HELD, ExampleStatus.REJECTED,
)  # fmt: skip


class NotTaken(Exception):
    """An example cannot be taken back, or given back, as it stands."""


@dataclass(frozen=True)
class Draft:
    """A possible example: cleaned and redacted; `refusal` says why it cannot be learned, if so."""

    question: str
    answer: str
    rejected: str | None = None
    scope: str | None = None
    refusal: str | None = None


def draft(
    question: str,
    answer: str,
    *,
    rejected: str | None = None,
    scope: str | None = None,
    keep: Collection[str] = (),
) -> Draft:
    """Make a draft from Slack's texts.

    Args:
        question: what was asked.
        answer: what staff approved, or wrote instead of `rejected`.
        rejected: the bot's answer that a correction replaced.
        scope: the only channel in which the example may be used; None for the whole workspace.
        keep: contacts that the house publishes, never redacted: see `bot.redaction.redact`.
    """
    texts = [plain(text) for text in (question, answer, rejected or "")]
    if len(texts[2]) > _LONGEST:
        texts[2] = ""
    if max(map(len, texts)) > _LONGEST:  # it was not redacted, so it is not kept either
        what = "question" if len(texts[0]) > _LONGEST else "answer"
        return Draft("", "", None, scope, f"the {what} is longer than {_LONGEST} characters")
    clean_question, clean_answer, clean_rejected = redact_together(texts, keep)
    if same(clean_rejected, clean_answer):
        clean_rejected = ""
    reason = refusal(clean_question, clean_answer)
    return Draft(clean_question, clean_answer, clean_rejected or None, scope, reason)


def wrong(question: str, rejected: str, *, keep: Collection[str] = ()) -> Draft:
    """Make a draft of what staff called wrong and put nothing in the place of.

    It is cleaned, redacted and refused as an answer would be.
    """
    made = draft(question, rejected, keep=keep)
    return replace(made, answer="", rejected=made.answer or None)


def add(
    session: Session,
    draft: Draft,
    *,
    team_id: str,
    feedback_id: int,
    approved_by: str,
    sources: Sequence[tuple[str, str]],
    embedding: bytes | None = None,
    embedder: str | None = None,
    held: str | None = None,
) -> Example:
    """Store the example of one feedback; a second call for the same feedback returns the first.

    A refused draft is stored as REFUSED, with the reason; one without an answer as REJECTED. Live
    examples with the same question and scope but another answer are RETIRED: the newest word of
    staff counts.

    Args:
        sources: (channel, ts) of every message that the texts come from.
        embedding: of `draft.question`, from `Memory.embed_bytes`, made before the transaction.
        embedder: the name of what made it.
        held: why it may not be used before it is freed; until then it retires nothing.
    """
    if known := of_feedback(session, feedback_id):
        return known
    example = made(
        draft, team_id=team_id, feedback_id=feedback_id, approved_by=approved_by,
        embedding=embedding, embedder=embedder, held=held,
    )  # fmt: skip
    session.add(example)
    session.flush()
    session.add_all(source_rows(example, sources))
    session.flush()
    if example.status == ExampleStatus.LIVE:
        _retire_older(session, example)
    subject = f"example:{example.id}"
    audit.record(session, team_id, approved_by, f"example.{example.status}", subject)
    return example


def made(
    draft: Draft,
    *,
    team_id: str,
    feedback_id: int | None,
    approved_by: str,
    embedding: bytes | None = None,
    embedder: str | None = None,
    held: str | None = None,
) -> Example:
    """The row of a draft, not yet stored; `held` as for `add`."""
    return Example(
        team_id=team_id,
        feedback_id=feedback_id,
        question=draft.question,
        answer=draft.answer,
        rejected=draft.rejected,
        scope=draft.scope,
        status=_first_status(draft, held),
        reason=draft.refusal or held,
        approved_by=approved_by,
        content_hash=content_hash(draft),
        embedding=embedding,
        embedder=embedder,
    )


def retire(older: Example, newer: Example) -> None:
    """Let a newer answer to the same question take the place of an older one."""
    _change(older, ExampleStatus.RETIRED, retired_by(newer))


def put_back(session: Session, example: Example) -> None:
    """Let a retired example count again, unless a newer one answers the very same question."""
    if example.status is ExampleStatus.RETIRED:
        _count_again(session, example)


def take_back(session: Session, example: Example, why: str, by: str) -> list[Example]:
    """Let one example count no more; `give_back` undoes it. Returns what counts again instead.

    Importing its file again does not bring it back, unlike staff who approve the answer anew.

    Raises:
        NotTaken: it does not count, or people have to settle first whether it does.
    """
    if example.status not in _STANDING or example.status is ExampleStatus.HELD:
        raise NotTaken(f"example {example.id} does not count: {example.status}, {example.reason}")
    _change(example, ExampleStatus.REVOKED, holds.TAKEN_BACK + why)
    session.flush()
    _audit_revoked(session, example, why, by=by)
    return _revive_retired(session, example)


def give_back(session: Session, example: Example, by: str) -> None:
    """Undo `take_back`: it counts again, unless a newer one answers the same question by now, or
    whose word it is was distrusted since.

    Raises:
        NotTaken: it was not taken back so, or whoever approved it has taken that back since.
    """
    if not _was_taken(example):
        raise NotTaken(f"example {example.id} was not taken back by `mynah revoke`")
    given = session.get(Feedback, example.feedback_id) if example.feedback_id else None
    if given is not None and given.revoked_at is not None:
        raise NotTaken(f"example {example.id} stays out: {given.user} took the approval back since")
    user = example.approved_by.removeprefix(IMPORTED)
    if counts(session, example.team_id, user, example.created_at):
        _count_again(session, example)
    else:
        _change(example, ExampleStatus.HELD, holds.DISTRUSTED)
    audit.record(session, example.team_id, by, "example.restore", f"example:{example.id}")


def alike(session: Session, example: Example) -> list[Example]:
    """The other live examples that say the very same."""
    same = select(Example).where(
        Example.team_id == example.team_id,
        Example.content_hash == example.content_hash,
        Example.status == ExampleStatus.LIVE,
        Example.id != example.id,
    )
    return list(session.exec(same.order_by(col(Example.id))))


def _was_taken(example: Example) -> bool:
    taken = (example.reason or "").startswith(holds.TAKEN_BACK)
    return example.status is ExampleStatus.REVOKED and taken


def revoke(session: Session, feedback_id: int, why: str) -> Example | None:
    """Take back the example of a feedback; None if it made none that counts."""
    example = of_feedback(session, feedback_id)
    if example is None or example.status not in _STANDING:
        return None
    _change(example, ExampleStatus.REVOKED, why)
    _audit_revoked(session, example, why)
    _revive_retired(session, example)
    return example


def hold(session: Session, feedback_id: int, why: str) -> None:
    """Keep the example of a feedback out of memory and datasets until it is freed.

    Also a retired one: it may be the right one of the two. What it had retired counts again. One
    that is held already is held for this from now on.
    """
    example = of_feedback(session, feedback_id)
    if example is None or example.status not in _STANDING:
        return
    if example.status == ExampleStatus.HELD and example.reason in (why, holds.DISTRUSTED):
        return
    _change(example, ExampleStatus.HELD, why)
    session.flush()
    _revive_retired(session, example)
    audit.record(
        session, example.team_id, "mynah", "example.hold", f"example:{example.id}", why=why
    )


def free(session: Session, feedback_id: int, why: str) -> None:
    """End the hold on the example of a feedback, if there is one."""
    example = of_feedback(session, feedback_id)
    if example is None or example.status != ExampleStatus.HELD:
        return
    if example.reason == holds.DISTRUSTED:  # only `trust` ends that
        return
    _count_again(session, example)
    audit.record(
        session, example.team_id, "mynah", "example.free", f"example:{example.id}", why=why
    )


def distrust(session: Session, team_id: str, user: str, by: str) -> list[Example]:
    """Hold all that counts by one person's word, and let count again what it had retired.

    Also what they called wrong. What is held already waits for somebody else's word, and stays so;
    theirs is none any more (`voices`).
    """
    mine = _approved_by(team_id, user).where(
        col(Example.status).in_(_STANDING), Example.status != ExampleStatus.HELD
    )
    taken = list(session.exec(mine))
    for example in taken:
        _change(example, ExampleStatus.HELD, holds.DISTRUSTED)
    session.flush()
    for example in taken:
        _revive_retired(session, example)
    audit.record(session, team_id, by, "user.distrust", f"user:{user}", examples=len(taken))
    return taken


def distrusted_at(session: Session, team_id: str, user: str) -> datetime | None:
    """When all that a person had taught was taken back; None if it was not, or was given back."""
    done = select(Audit).where(
        Audit.team_id == team_id,
        Audit.subject == f"user:{user}",
        col(Audit.action).in_(("user.distrust", "user.trust")),
    )
    last = session.exec(done.order_by(col(Audit.id).desc())).first()
    return last.at if last is not None and last.action == "user.distrust" else None


def trust(session: Session, team_id: str, user: str, by: str) -> list[Example]:
    """Undo `distrust`: the examples count again, unless a newer one answers the same question."""
    mine = _approved_by(team_id, user).where(
        Example.status == ExampleStatus.HELD, Example.reason == holds.DISTRUSTED
    )
    given = list(session.exec(mine))
    for example in given:
        _count_again(session, example)
    audit.record(session, team_id, by, "user.trust", f"user:{user}", examples=len(given))
    return given


def _approved_by(team_id: str, user: str) -> SelectOfScalar[Example]:
    words = select(Example).where(
        Example.team_id == team_id, col(Example.approved_by).in_((user, IMPORTED + user))
    )
    return words.order_by(col(Example.id))


def voices(session: Session, feedback_id: int) -> set[str]:
    """Who says the same as the feedback's example: this answer to this question, in this scope."""
    example = of_feedback(session, feedback_id)
    if example is None:
        return set()
    alike = select(Example.approved_by, Example.created_at).where(
        Example.team_id == example.team_id,
        Example.content_hash == example.content_hash,
        col(Example.status).in_(_STANDING),
    )
    return {
        user
        for user, at in session.exec(alike)
        if counts(session, example.team_id, user.removeprefix(IMPORTED), at)
    }


def counts(session: Session, team_id: str, user: str, at: datetime) -> bool:
    """Whether what a person said then is a voice: not if it was taken back with all the rest."""
    since = distrusted_at(session, team_id, user)
    return since is None or at > since


def forget_message(
    session: Session, team_id: str, channel: str, ts: str, *,
    reads: str | None = None, before: str = "", keep: Collection[str] = (),
) -> list[Example]:  # fmt: skip
    """Forget every example made from a message that was deleted or edited.

    The texts are blanked, the approvals revoked, and the audit table names the adapters that were
    trained on them. Returns the examples that were still remembered.

    Args:
        reads: the message's words as they are now. What was made of these very words stays: it was
            approved after the edit, which is only told of late.
        before: the words that this edit changed.
        keep: as for `draft`.
    """
    wanted = _made_from(team_id, channel, ts)
    examples = [
        example
        for example in session.exec(wanted)
        if not (_is_blank(example) or _still_holds(session, example, ts, reads, before, keep))
    ]
    for example in examples:
        _blank(session, example)
        _revive_retired(session, example)
        _audit_revoked(session, example, f"the message {ts} in {channel} was deleted or edited")
    return examples


def came_from(session: Session, team_id: str, channel: str, ts: str) -> bool:
    """Whether an example was made from this message."""
    return session.exec(_made_from(team_id, channel, ts)).first() is not None


def _made_from(team_id: str, channel: str, ts: str) -> SelectOfScalar[Example]:
    return (
        select(Example)
        .join(ExampleSource, _of_source())
        .where(
            ExampleSource.team_id == team_id,
            ExampleSource.channel == channel,
            ExampleSource.ts == ts,
        )
    )


def of_feedback(session: Session, feedback_id: int) -> Example | None:
    """The example that a feedback made, whatever its status."""
    return session.exec(select(Example).where(Example.feedback_id == feedback_id)).first()


def adapters_trained_on(session: Session, example_id: int) -> list[str]:
    """The names of the adapters whose dataset held the example in any split, chosen or not."""
    tried = exists().where(
        col(Trial.run_id) == col(Run.id), col(Trial.adapter_id) == col(Adapter.id)
    )
    trained = (
        select(Adapter.name)
        .join(Run, or_(col(Run.adapter_id) == col(Adapter.id), tried))
        .join(DatasetExample, col(DatasetExample.dataset_id) == col(Run.dataset_id))
        .where(DatasetExample.example_id == example_id)
    )
    return sorted(set(session.exec(trained)))


def _first_status(draft: Draft, held: str | None) -> ExampleStatus:
    if draft.refusal:
        return ExampleStatus.REFUSED
    return ExampleStatus.HELD if held else _counting(draft.answer)


def _counting(answer: str) -> ExampleStatus:
    """What an example is while nothing speaks against it."""
    return ExampleStatus.LIVE if answer else ExampleStatus.REJECTED


def content_hash(draft: Draft) -> str:
    """What a draft says, where it counts. The first 32 characters stand for question and scope, so
    that a newer answer finds the older ones."""
    said = (draft.answer,) if draft.answer else ("", draft.rejected or "")
    return _half_hash(normalised(draft.question), draft.scope or "") + _half_hash(*said)


def _half_hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def source_rows(example: Example, sources: Iterable[tuple[str, str]]) -> list[ExampleSource]:
    """The messages that a stored example was made from, to be stored."""
    assert example.id is not None
    return [
        ExampleSource(example_id=example.id, channel=channel, ts=ts, team_id=example.team_id)
        for channel, ts in sorted(set(sources))
    ]


def _retire_older(session: Session, example: Example) -> None:
    for older in _rivals(session, example):
        retire(older, example)


def _rivals(session: Session, example: Example) -> list[Example]:
    """The live examples that answer the same question otherwise, oldest first."""
    same_question = select(Example).where(
        Example.team_id == example.team_id,
        Example.status == ExampleStatus.LIVE,
        Example.id != example.id,
        col(Example.content_hash).startswith(example.content_hash[:32]),
        Example.content_hash != example.content_hash,
    )
    return list(session.exec(same_question.order_by(col(Example.id))))


def retired_by(example: Example) -> str:
    """Why an example is retired that this one took the place of."""
    return f"example:{example.id} answers the same question"


def replaced_by(reason: str | None) -> int | None:
    """The id of the example that took the place of one, by its reason; None if none did."""
    found = _REPLACED.fullmatch(reason or "")
    return int(found[1]) if found else None


def _revive_retired(session: Session, example: Example) -> list[Example]:
    """What a newer word had retired counts again, now that the newer word was taken back."""
    retired = select(Example).where(
        Example.team_id == example.team_id,
        Example.status == ExampleStatus.RETIRED,
        Example.reason == retired_by(example),
    )
    older = list(session.exec(retired.order_by(col(Example.id))))
    for one in older:
        _count_again(session, one)
    return [one for one in older if one.status is ExampleStatus.LIVE]


def _count_again(session: Session, example: Example) -> None:
    """Live again, unless a newer one answers the same question by now."""
    if not example.answer:
        _change(example, ExampleStatus.REJECTED, None)
        return
    rivals = _rivals(session, example)
    if rivals and (rivals[-1].id or 0) > (example.id or 0):
        _change(example, ExampleStatus.RETIRED, retired_by(rivals[-1]))
        return
    _change(example, ExampleStatus.LIVE, None)
    _retire_older(session, example)


def _change(example: Example, status: ExampleStatus, why: str | None) -> None:
    example.status = status
    example.reason = why
    example.changed_at = now()


def _of_source() -> ColumnElement[bool]:
    return col(ExampleSource.example_id) == col(Example.id)


def _is_blank(example: Example) -> bool:
    return example.status == ExampleStatus.REVOKED and not (example.question or example.answer)


def _still_holds(
    session: Session, example: Example, ts: str, reads: str | None, before: str,
    keep: Collection[str],
) -> bool:  # fmt: skip
    if reads is None or max(len(reads), len(before)) > _LONGEST:
        return False
    texts = (example.question, example.answer or example.rejected or "")
    now, once = _versions(reads, keep), _versions(before, keep)
    if not any(_made_of(text, now, once) for text in texts):
        return False
    feedback = session.get(Feedback, example.feedback_id) if example.feedback_id else None
    if feedback is None or feedback.target_ts != ts:
        return True
    return feedback.correction in (None, reads)


def _versions(words: str, keep: Collection[str]) -> set[str]:
    """A message as examples hold it, also those from before there was something to keep."""
    texts = (words, cut(words))
    return {redact(text, kept) for text in texts for kept in ((), keep)} - {""}


def _made_of(text: str, now: set[str], before: set[str]) -> bool:
    """Whether a text is a message as it reads now, or was put together of it and others. Not if it
    has a line that the message had before alone: what was taken out of it is in the text."""
    if text in now:
        return True
    gone = _lines(before) - _lines(now)
    stands = any(f"\n{one}\n" in f"\n{text}\n" for one in now)
    return stands and bool(before) and gone.isdisjoint(text.splitlines())


def _lines(texts: set[str]) -> set[str]:
    return {line for text in texts for line in text.splitlines() if line}


def _blank(session: Session, example: Example) -> None:
    _change(example, ExampleStatus.REVOKED, "a message that it came from was deleted or edited")
    example.question = example.answer = example.content_hash = ""
    example.rejected = example.embedding = example.embedder = None
    feedback = session.get(Feedback, example.feedback_id) if example.feedback_id else None
    if feedback is not None:
        feedback.correction = None
        feedback.revoked_at = feedback.revoked_at or now()
    _blank_measured(session, example)
    shadows.forget_example(session, example.id)


def _blank_measured(session: Session, example: Example) -> None:
    """Evaluations of what was trained on it keep their marks, and no words of it: what was asked
    of it, what leaked, which may be it, and the reports."""
    trained = (
        select(Evaluation.id)
        .join(Run, col(Run.id) == Evaluation.run_id)
        .join(DatasetExample, col(DatasetExample.dataset_id) == col(Run.dataset_id))
        .where(DatasetExample.example_id == example.id)
    )
    evaluations = list(session.exec(trained))
    of_these = col(EvaluationQuestion.evaluation_id).in_(evaluations)
    leaked = and_(of_these, col(EvaluationQuestion.sort) == "leak")
    asked = or_(leaked, col(EvaluationQuestion.example_id) == example.id)
    for one in session.exec(select(EvaluationQuestion).where(asked)).all():
        if one.sort != "leak":
            one.question = one.wanted = ""
        one.said = {model: said | {"text": ""} for model, said in one.said.items()}
    reports = update(Evaluation).where(col(Evaluation.id).in_(evaluations))
    session.execute(reports.values(page=None))


def forget_measured(session: Session, evaluation: Evaluation) -> None:
    """Take the words of what was forgotten meanwhile out of an evaluation that was just stored."""
    asked = select(EvaluationQuestion.example_id).where(
        EvaluationQuestion.evaluation_id == evaluation.id
    )
    members = (
        select(Example)
        .join(DatasetExample, col(DatasetExample.example_id) == col(Example.id))
        .join(Run, col(Run.dataset_id) == col(DatasetExample.dataset_id))
        .where(Run.id == evaluation.run_id)
        .where(or_(col(Example.id).in_(asked), col(Example.status) == ExampleStatus.REVOKED))
        # What was asked is held: it is forgotten before, and seen here, or finds what is stored.
        .with_for_update(read=True, of=Example)
    )
    for example in session.exec(members).all():
        if _is_blank(example):
            _blank_measured(session, example)


def _audit_revoked(session: Session, example: Example, why: str, *, by: str = "") -> None:
    assert example.id is not None
    adapters = adapters_trained_on(session, example.id)
    audit.record(
        session,
        example.team_id,
        by or example.approved_by,
        "example.revoke",
        f"example:{example.id}",
        why=why,
        adapters=adapters,
    )
