"""What Prometheus reads."""

from __future__ import annotations

import httpx
from sqlalchemy import Engine

from bot import health
from bot.embedder import LexicalEmbedder
from bot.memory import Memory
from bot.store.database import transaction
from bot.store.schema import AnswerMode
from tests.bot.taught import teach
from tests.deploy.learned import answered, base_release, trained

NAME = "mynah-0123456789ab"
FACT = ("What is the code of the door?", "The code of the door is 4711.")


async def _connected() -> bool:
    return True


async def test_answers_are_counted_by_origin(store: Engine) -> None:
    """By mode and adapter; those whose example weights recognised once more by themselves."""
    one = teach(store, Memory(store, LexicalEmbedder()), *FACT)
    with transaction(store) as session:
        base = base_release(session)
        release = trained(session, NAME, [one])
        answered(session, base, "door?", "4711", AnswerMode.QUOTED, one)
        answered(session, base, "door?", "Who knows.")
        for logprob in (None, -0.1, -0.2):
            answered(session, release, "code?", "4711", AnswerMode.QUOTED, one, logprob=logprob)
    app = httpx.ASGITransport(health.build(store, _connected))
    async with httpx.AsyncClient(transport=app, base_url="http://mynah") as client:
        told = (await client.get("/metrics")).text
    assert {line for line in told.splitlines() if line.startswith("mynah_answers")} == {
        'mynah_answers{adapter="",mode="quoted"} 1.0',
        'mynah_answers{adapter="",mode="closed_book"} 1.0',
        f'mynah_answers{{adapter="{NAME}",mode="quoted"}} 3.0',
        f'mynah_answers_recognised{{adapter="{NAME}",mode="quoted"}} 2.0',
    }
