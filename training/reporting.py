"""The picture and the page of a run, kept with its evaluation for whoever shows them."""

from __future__ import annotations

from sqlalchemy import Engine, update
from sqlmodel import col

from bot.store.database import reading, transaction
from bot.store.runs import update_run
from bot.store.schema import Evaluation, Run
from training import picture, report, run_report


def keep(engine: Engine, run_id: int, fence: int) -> None:
    """Draw and write what was measured. Raises LostRun."""
    with reading(engine) as session:
        known = run_report.read(session, session.get_one(Run, run_id))
    drawn, written = picture.draw(known), report.page(known)
    with transaction(engine) as session:
        update_run(session, run_id, fence)
        measured = col(Evaluation.run_id) == run_id
        session.execute(update(Evaluation).where(measured).values(picture=drawn, page=written))
