"""Many questions to one model, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from serving.client import ChatMessage, Completion, VllmClient

# At a time: prefill on a CPU is slow, and people are being answered meanwhile.
STREAMS = 4


async def ask(
    client: VllmClient,
    chats: Sequence[list[ChatMessage]],
    *,
    model: str,
    max_tokens: int,
    done: Callable[[float], None] = lambda share: None,
) -> list[Completion]:
    """Ask each chat greedily; answers come in the order of the chats.

    Args:
        done: told the answered share, 0 to 1, after each answer.

    Raises:
        ServingError: one answer failed; the others under way are given up.
    """
    answers: dict[int, Completion] = {}
    waiting = iter(enumerate(chats))

    async def stream() -> None:
        for number, chat in waiting:
            answers[number] = await client.complete(chat, model=model, max_tokens=max_tokens)
            done(len(answers) / len(chats))

    streams = [asyncio.create_task(stream()) for _ in range(STREAMS)]
    try:
        await asyncio.gather(*streams)
    finally:
        for task in streams:
            task.cancel()
        await asyncio.gather(*streams, return_exceptions=True)
    return [answers[number] for number in range(len(chats))]
