"""The picture of an evaluation shows what was measured, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlmodel import select

from bot.store.database import reading
from bot.store.schema import Evaluation, OutboxKind, OutboxMessage, RunStatus
from serving.client import VllmClient
from tests.fake_vllm import FakeVllm
from tests.training.a_run import measured, questions, run
from tests.training.stage import kept, parts, queue_and_claim, teach, worker_settings
from training import cycle, picture
from training.curve import Curve
from training.evaluate import Count, Figures, Marks


def marks(base: int, live: int, candidate: int, of: int = 8) -> Marks:
    """Right answers of the three models."""
    return Marks(
        **{
            name: Count(of=of, hits=hits)
            for name, hits in (("base", base), ("live", live), ("candidate", candidate))
        }
    )


def figures(**changed: Any) -> Figures:
    """What an evaluation found."""
    found: dict[str, Any] = {
        "candidate": "mynah-b", "live": "mynah-a", "trained": 24, "wordings": marks(1, 3, 7),
        "questions": marks(0, 0, 1, of=4), "gain_over_live": 0.5, "gain_over_base": 1.5,
        "kl": 0.112, "kl_prompts": 32, "leak": Count(of=24, hits=1), "seconds": 3.0,
    }  # fmt: skip
    return Figures(**found | changed)


def test_an_evaluation_has_a_picture() -> None:
    """A PNG; another evaluation looks different; without right answers to show there is none."""
    drawn = picture.draw(run())
    assert drawn is not None
    assert drawn.startswith(b"\x89PNG")
    fewer = [one for one in questions() if one.example_id != 0]
    assert picture.draw(run(asked=fewer, figures=measured(fewer))) != drawn
    assert picture.draw(run(asked=(), figures={"right": 3})) is None
    assert picture.draw(run(asked=(), figures=measured([]))) is None


def test_each_part_of_the_picture_is_drawn() -> None:
    """The verdict, the loss, the leak and the KL: with another one the picture is another."""
    known = {"verdict": "fail", "status": RunStatus.KEPT}
    others = [
        run(**known), run(curve=Curve()),
        *(run(figures=measured(questions(), **one)) for one in (
            {"kl": 0.4}, {"kl": None}, {"leak": {"of": 24, "hits": 9}}, {"live": "base"},
        )),
    ]  # fmt: skip
    assert len({picture.draw(one) for one in [run(), *others]}) == len(others) + 1


async def test_a_run_leaves_its_picture_for_the_bot(
    engine: Engine, tmp_path: Path, fake_vllm: FakeVllm
) -> None:
    """It is kept with the evaluation, and put under the run's one message, once."""

    async def evaluate(client: VllmClient, **given: Any) -> Figures:
        return figures(live=given["live"])

    teach(engine)
    settings = worker_settings(tmp_path, fake_vllm.url)
    made = parts(settings, engine, tmp_path / "base-model", evaluate=evaluate)
    async with kept(settings, engine):
        await cycle.run(*queue_and_claim(engine), made)
    with reading(engine) as session:
        found = session.exec(select(Evaluation)).one()
        first = session.exec(select(OutboxMessage).where(OutboxMessage.key == "run:1")).one()
        row = session.exec(
            select(OutboxMessage).where(OutboxMessage.kind == OutboxKind.PICTURE)
        ).one()
    assert found.picture is not None
    assert found.picture.startswith(b"\x89PNG")
    assert (row.follows_id, row.payload["filename"]) == (first.id, "run-1.png")
    assert row.payload["evaluation_id"] == found.id
    assert found.page is not None
    assert "Run 1 passed the gate." in found.page
    assert row.payload["page"]["filename"] == "run-1.html"
    assert row.payload["alt_txt"].startswith("the gate let it pass; ")
    assert "base 1, before 3, now 7 of 8" in row.payload["alt_txt"]
