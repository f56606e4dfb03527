"""The picture and the page of a run, kept with its evaluation for whoever shows them."""

from __future__ import annotations

from sqlalchemy import Engine
from sqlmodel import select

from bot.store.database import reading, transaction
from bot.store.runs import update_run
from bot.store.schema import Evaluation, Run
from training import picture, report, run_report


def keep(engine: Engine, run_id: int, fence: int) -> None:
    """Draw and write what was measured. Raises LostRun."""
    with reading(engine) as session:
        run = session.get_one(Run, run_id)
        known = run_report.read(session, run)
    drawn, written = picture.draw(known), report.page(known)
    with transaction(engine) as session:
        update_run(session, run_id, fence)
        of_run = select(Evaluation).where(
            Evaluation.run_id == run_id, Evaluation.adapter_id == run.adapter_id
        )
        for kept in session.exec(of_run.with_for_update()):
            kept.picture = drawn
            # What was forgotten while it was written is not to come back with it.
            same = run_report.read(session, run).asked == known.asked
            kept.page = written if same else None
