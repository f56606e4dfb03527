"""What `mynah trace` shows, as plain JSON: lineage both ways."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from bot import confidence, permalink
from bot.store import lineage, origins, proofs, receipts
from bot.store.lineage import Learned, Lived
from bot.store.origins import Origin
from bot.store.proofs import Change
from bot.store.receipts import Used
from bot.store.schema import (
    Adapter,
    Answer,
    Audit,
    Dataset,
    Example,
    Feedback,
    Question,
    Release,
    Run,
)
from deploy.facts import BadInput

NAMES = (
    "an answer's id, a message's link or CHANNEL:TS, an adapter's name, a release (v3), or an "
    "example (example:7)"
)
_EXAMPLE = "example:"


def trace(session: Session, team_id: str, word: str) -> dict[str, Any]:
    """The lineage of what `word` names. Raises BadInput."""
    if word.isdecimal():
        return {"answer": _answer(session, answer(session, team_id, word))}
    if word.startswith(_EXAMPLE):
        return {"example": _example(session, example(session, team_id, word))}
    if (place := permalink.message(word)) is not None:
        return _message(session, team_id, *place)
    if word.startswith("v") and word[1:].isdecimal():
        return _release(session, team_id, int(word[1:]))
    return {"adapter": adapter_facts(session, _adapter(session, team_id, word))}


def answer(session: Session, team_id: str, word: str) -> Answer:
    """The answer that an id, a link or CHANNEL:TS names. Raises BadInput."""
    if word.isdecimal():
        rows = select(Answer).where(Answer.team_id == team_id, Answer.id == int(word))
        found: Sequence[Answer] = session.exec(rows).all() if len(word) < 18 else []
    elif (place := permalink.message(word)) is not None:
        found = lineage.answers_at(session, team_id, *place)
    else:
        raise BadInput(f"{word!r} is neither an answer's id nor a message's link or CHANNEL:TS")
    if not found:
        raise BadInput(f"there is no answer {word}")
    return found[0]


def example(session: Session, team_id: str, word: str) -> Example:
    """The example that `example:7`, or 7, names. Raises BadInput."""
    number = word.removeprefix(_EXAMPLE)
    if not number.isdecimal():
        raise BadInput(f"{word!r} is no example: each has a number, as `mynah trace` shows it")
    rows = select(Example).where(Example.team_id == team_id, Example.id == int(number))
    found = session.exec(rows).first() if len(number) < 18 else None
    if found is None:
        raise BadInput(f"there is no example {number}")
    return found


def adapter_facts(session: Session, one: Adapter) -> dict[str, Any]:
    """An adapter: what it was made from, and where it answered."""
    found = lineage.ancestry(session, one)
    return {
        "adapter": one.name,
        "base_model": one.base_model,
        "run": _run(found.run, found.dataset),
        "trained": {
            "count": found.trained.count,
            "by": found.by,
            "taken_back": found.taken_back,
            "first": [learned_facts(each) for each in found.trained.first],
        },
        "knows": _knows(proofs.change(session, one)),
        "releases": [_lived(each) for each in found.releases],
    }


def learned_facts(one: Learned) -> dict[str, Any]:
    """An example: its words, whose they are, and the messages or the file they came from."""
    example = one.example
    return {
        "example": example.id,
        "question": example.question,
        "answer": example.answer,
        "status": str(example.status),
        "reason": example.reason,
        "approved_by": example.approved_by,
        "feedback": _feedback(one.feedback) if one.feedback else None,
        "messages": [_place(*place) for place in one.sources],
        "imported": _origin(one.origin) if one.origin else None,
    }


def used_facts(session: Session, one: Used) -> dict[str, Any]:
    """An example that an answer was made from, and what spoke for it."""
    logprob = one.recognised_logprob
    return learned_facts(lineage.learned(session, one.example)) | {
        "similarity": round(one.similarity, 3),
        "recognised_logprob": None if logprob is None else round(logprob, 3),
    }


def _knows(change: Change) -> dict[str, Any]:
    return {
        "facts": change.facts,
        "known": change.known,
        "before": change.before,
        "learned": change.learned,
        "forgotten": {
            "count": len(change.forgotten),
            "first": [
                {"example": one.example_id, "question": one.question}
                for one in change.forgotten[: lineage.FIRST]
            ],
        },
    }


def _answer(session: Session, one: Answer) -> dict[str, Any]:
    receipt = receipts.of_answer(session, one)
    asked = session.get_one(Question, one.question_id)
    others = select(Answer.id).where(Answer.question_id == asked.id, Answer.id != one.id)
    release = session.get_one(Release, one.release_id)
    made = session.exec(select(Adapter).where(Adapter.name == one.adapter)).first()
    return {
        "id": one.id,
        "message": _place(one.channel, one.ts) if one.ts else None,
        "question": asked.text,
        "asked_by": asked.user,
        "text": one.text,
        "mode": str(one.mode),
        "confidence": confidence.explained(one.mode, one.confidence, one.threshold),
        "at": one.answered_at.isoformat(),
        "replaced_at": _time(one.replaced_at),
        "deleted_at": _time(one.deleted_at or asked.deleted_at),
        "others": sorted(session.exec(others.where(col(Answer.id).is_not(None)))),
        "release": _lived(lineage.lived(session, release)),
        "adapter": adapter_facts(session, made) if made else None,
        "weights_wrote_it": one.mode in lineage.BY_WEIGHTS,
        "used": [used_facts(session, each) for each in receipt.used],
        "ratings": [_feedback(each) for each in lineage.ratings_of(session, one)],
        "taught": [_reach(session, each) for each in lineage.learned_of(session, one)],
    }


def _example(session: Session, one: Example) -> dict[str, Any]:
    """How an example came, what was done with it since, and all that came of it."""
    answers = lineage.answers_from(session, one)
    return _reach(session, lineage.learned(session, one)) | {
        "rejected": one.rejected,
        "scope": one.scope,
        "learned_at": one.created_at.isoformat(),
        "history": [_done(each) for each in origins.history(session, one)],
        "answers": {
            "count": answers.count,
            "newest": [_given(*each) for each in answers.first],
        },
    }


def _message(session: Session, team_id: str, channel: str, ts: str) -> dict[str, Any]:
    """What a message is: an answer, with what is behind it, or what was learned from, or both."""
    answers = lineage.answers_at(session, team_id, channel, ts)
    learned = lineage.learned_from(session, team_id, channel, ts)
    ratings = lineage.ratings_at(session, team_id, channel, ts)
    if not (answers or learned or ratings):
        raise BadInput(f"nothing is known of the message {channel}:{ts}")
    found: dict[str, Any] = {}
    if answers:
        found["answer"] = _answer(session, answers[0])
    found["message"] = {
        "message": _place(channel, ts),
        "ratings": [_feedback(each) for each in ratings],
        "learned": [_reach(session, each) for each in learned],
    }
    return found


def _release(session: Session, team_id: str, number: int) -> dict[str, Any]:
    rows = select(Release).where(Release.team_id == team_id, Release.number == number)
    release = session.exec(rows).first()
    if release is None:
        raise BadInput(f"there is no release v{number}: `mynah releases` lists them")
    if release.adapter_id is None:
        return {"release": _lived(lineage.lived(session, release))}
    return {"adapter": adapter_facts(session, session.get_one(Adapter, release.adapter_id))}


def _adapter(session: Session, team_id: str, word: str) -> Adapter:
    """The adapter of this name, or the only one whose name begins so."""
    rows = select(Adapter).where(
        Adapter.team_id == team_id, col(Adapter.name).startswith(word, autoescape=True)
    )
    found = session.exec(rows.order_by(Adapter.name)).all() if word else []
    if len(found) > 1 and found[0].name != word:
        names = ", ".join(one.name for one in found[: lineage.FIRST])
        raise BadInput(f"{len(found)} adapters are called {word}…: {names}")
    if not found:
        raise BadInput(f"nothing is called {word!r}; give {NAMES}")
    return found[0]


def _reach(session: Session, one: Learned) -> dict[str, Any]:
    found = lineage.reach(session, one)
    return learned_facts(one) | {
        "runs": {
            "count": found.runs.count,
            "first": [
                {
                    **(_run(each.run, each.dataset) or {}),
                    "split": each.split,
                    "adapter": each.adapter.name if each.adapter else None,
                    "releases": [_lived(release) for release in each.releases],
                }
                for each in found.runs.first
            ],
        },
        "answers_from_it": found.used,
        "answers_by_adapters_trained_on_it": found.written,
    }


def _run(run: Run | None, dataset: Dataset | None) -> dict[str, Any] | None:
    if run is None:
        return None
    return {
        "run": run.id,
        "status": str(run.status),
        "finished_at": _time(run.finished_at),
        "dataset": dataset.content_hash[:12] if dataset else None,
    }


def _lived(one: Lived) -> dict[str, Any]:
    return {
        "release": f"v{one.release.number}",
        "live": [{"from": at.isoformat(), "until": _time(until)} for at, until in one.spans],
        "answers": one.answers,
    }


def _feedback(one: Feedback) -> dict[str, Any]:
    return {
        "kind": str(one.kind),
        "by": one.user,
        "at": one.given_at.isoformat(),
        "message": _place(one.channel, one.target_ts),
        "reason": one.reason,
        "revoked_at": _time(one.revoked_at),
    }


def _origin(one: Origin) -> dict[str, Any]:
    return {"place": one.place, "sha256": one.sha256, "by": one.by, "at": one.at.isoformat()}


def _done(one: Audit) -> dict[str, Any]:
    what = one.action.removeprefix("example.")
    return {"at": one.at.isoformat(), "what": what, "by": one.actor, "why": one.detail.get("why")}


def _given(answer: Answer, question: Question) -> dict[str, Any]:
    return {
        "answer": answer.id,
        "mode": str(answer.mode),
        "question": question.text,
        "text": answer.text,
        "message": _place(answer.channel, answer.ts) if answer.ts else None,
    }


def _place(channel: str, ts: str) -> str:
    return f"{channel}:{ts}"


def _time(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
