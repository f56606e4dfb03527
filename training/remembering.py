"""A client that asks nothing twice: what one candidate was compared with is known for the next."""

from __future__ import annotations

import json
from collections.abc import MutableMapping, Sequence

from serving.client import BASE, ChatMessage, Completion, VllmClient


class Remembering(VllmClient):
    """Keeps greedy answers in `said`: an adapter's name is its content, so they do not change."""

    def __init__(self, url: str, *, api_key: str, said: MutableMapping[str, Completion]) -> None:
        super().__init__(url, api_key=api_key)
        self._said = said

    async def complete(
        self,
        messages: Sequence[ChatMessage],
        *,
        model: str = BASE,
        max_tokens: int = 256,
        temperature: float = 0.0,
    ) -> Completion:
        """As VllmClient; a greedy answer that is known is not asked for again."""

        async def ask() -> Completion:
            return await super(Remembering, self).complete(
                messages, model=model, max_tokens=max_tokens, temperature=temperature
            )

        if temperature:
            return await ask()
        key = json.dumps([model, list(messages), max_tokens])
        if key not in self._said:
            self._said[key] = await ask()
        return self._said[key]
