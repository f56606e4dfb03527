"""A house that has learned: datasets, runs, adapters, releases and answers, all linked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from sqlmodel import Session, select

from bot import releases
from bot.store.schema import (
    Adapter,
    Answer,
    AnswerExample,
    AnswerMode,
    Dataset,
    DatasetExample,
    Evaluation,
    Example,
    Question,
    Release,
    Run,
    RunStatus,
    RunTrigger,
)
from tests.stores import TEAM

_clock = count(1)


def ts() -> str:
    """Another message's timestamp."""
    return f"1800000000.{next(_clock):06d}"


def trained(
    session: Session,
    name: str,
    examples: Sequence[Example],
    *,
    held_out: Sequence[Example] = (),
    path: str = "",
) -> Release:
    """An adapter of these examples, that went live."""
    releases.ensure_team(session, TEAM)
    dataset = Dataset(team_id=TEAM, content_hash=f"{name}-data", path="", counts={})
    adapter = Adapter(
        team_id=TEAM, name=name, sha256=name, path=path or f"/nowhere/{name}", base_model="base",
        base_sha256="0", rank=16,
    )  # fmt: skip
    session.add_all([dataset, adapter])
    session.flush()
    splits = [(one, "train") for one in examples] + [(one, "held_out_wording") for one in held_out]
    for one, split in splits:
        member = DatasetExample(
            dataset_id=dataset.id or 0, example_id=one.id or 0, team_id=TEAM, split=split
        )
        session.add(member)
    run = Run(
        team_id=TEAM, trigger=RunTrigger.COMMAND, status=RunStatus.RELEASED,
        dataset_id=dataset.id, adapter_id=adapter.id,
    )  # fmt: skip
    session.add(run)
    session.flush()
    session.add(
        Evaluation(team_id=TEAM, run_id=run.id or 0, adapter_id=adapter.id or 0, passed=True)
    )
    session.flush()
    release = releases.add_candidate(session, TEAM, adapter.id or 0, by="gate")
    releases.promote(session, release, by="gate")
    return release


def answered(
    session: Session,
    release: Release,
    question: str,
    text: str,
    mode: AnswerMode = AnswerMode.CLOSED_BOOK,
    used: Example | None = None,
    *,
    logprob: float | None = None,
) -> Answer:
    """An answer in #help, in a thread of its own; `logprob` where weights recognised `used`."""
    asked = ts()
    row = Question(
        team_id=TEAM, channel="C0HELP", thread_ts=asked, ts=asked, user="U0ASKER", text=question
    )
    session.add(row)
    session.flush()
    adapter = releases.adapter_of(session, release)
    answer = Answer(
        team_id=TEAM, question_id=row.id or 0, text=text, mode=mode, release_id=release.id or 0,
        adapter=adapter.name if adapter else None, confidence=-0.1, channel="C0HELP", ts=ts(),
    )  # fmt: skip
    session.add(answer)
    session.flush()
    if used is not None:
        link = AnswerExample(
            answer_id=answer.id or 0, example_id=used.id or 0, team_id=TEAM, similarity=0.75,
            recognised_logprob=logprob,
        )  # fmt: skip
        session.add(link)
        session.flush()
    return answer


def base_release(session: Session) -> Release:
    """v1."""
    releases.ensure_team(session, TEAM)
    return session.exec(select(Release).where(Release.team_id == TEAM, Release.number == 1)).one()
