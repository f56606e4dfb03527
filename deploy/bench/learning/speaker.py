"""A model that answers in batches, and what it said."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deploy.bench.learning.speaking import Said, generate, load
from serving.client import ChatMessage, Completion

BATCH = 32


class Speaker:
    """One base model, with or without an adapter. What it said is kept in a file and not asked
    again, so a measurement that was stopped goes on where it was; the model loads when needed.

    Args:
        more: called whenever more was kept.
    """

    def __init__(
        self,
        base_model: str,
        adapter: Path | None,
        kept: Path,
        more: Callable[[], object] = lambda: None,
    ) -> None:
        self._base_model = base_model
        self._adapter = adapter
        self._kept = kept
        self._more = more
        self._known = _read(kept)
        self._loaded: tuple[Any, Any] | None = None

    def answers(self, chats: Sequence[list[ChatMessage]], max_tokens: int) -> list[Said]:
        """Answer each chat, in their order."""
        keys = [_key(chat, max_tokens) for chat in chats]
        missing = {
            key: chat for key, chat in zip(keys, chats, strict=True) if key not in self._known
        }
        # Alike lengths together: what is padded is computed for nothing.
        order = sorted(missing, key=lambda key: len(json.dumps(missing[key])))
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            said = self._generate([missing[key] for key in batch], max_tokens)
            self._keep(dict(zip(batch, said, strict=True)))
        return [self._known[key] for key in keys]

    def _generate(self, chats: Sequence[list[ChatMessage]], max_tokens: int) -> list[Said]:
        return generate(*self._model(), chats, max_tokens)

    def scores(self, chat: list[ChatMessage], answers: Sequence[str]) -> list[list[float]]:
        """Of each answer, the natural-log probability of each token and of its end."""
        return _scores(*self._model(), chat, answers)

    def _model(self) -> tuple[Any, Any]:
        if self._loaded is None:
            self._loaded = load(self._base_model, self._adapter)
        return self._loaded

    def _keep(self, said: dict[str, Said]) -> None:
        self._known |= said
        self._kept.parent.mkdir(parents=True, exist_ok=True)
        with self._kept.open("a", encoding="utf-8") as file:
            file.writelines(
                json.dumps({"key": key, **asdict(one)}) + "\n" for key, one in said.items()
            )
        self._more()


class Batching:
    """A speaker behind the call that `training.asking.ask` makes of a vLLM client: what is asked
    at the same time is answered in one batch."""

    def __init__(self, speaker: Speaker) -> None:
        self._speaker = speaker
        self._waiting: list[tuple[list[ChatMessage], asyncio.Future[Said]]] = []

    async def complete(
        self, messages: list[ChatMessage], *, model: str, max_tokens: int
    ) -> Completion:
        """See `serving.client.VllmClient.complete`."""
        future: asyncio.Future[Said] = asyncio.get_running_loop().create_future()
        self._waiting.append((messages, future))
        await asyncio.sleep(0)  # lets the other streams ask, too
        waiting, self._waiting = self._waiting, []
        said = self._speaker.answers([chat for chat, _ in waiting], max_tokens) if waiting else []
        for (_, asked), answer in zip(waiting, said, strict=True):
            asked.set_result(answer)
        answer = await future
        return Completion(answer.text, (), "stop" if answer.ended else "length")


def _scores(
    model: Any, tokenizer: Any, chat: list[ChatMessage], answers: Sequence[str]
) -> list[list[float]]:
    import torch

    from training.logits import AnswerHead, pack
    from training.tokens import Encoder

    encoder = Encoder(tokenizer, max_prompt=1024, max_answer=512)
    items = [encoder.encode_chat([dict(one) for one in chat], answer) for answer in answers]
    head, batch = AnswerHead(model), pack(items)
    with torch.no_grad():
        logits = head.logits(head.states({key: one.to(model.device) for key, one in batch.items()}))
    chances = logits.float().log_softmax(-1).cpu().gather(1, batch["targets"][:, None])[:, 0]
    return [part.tolist() for part in chances.split([len(item.answer) for item in items])]


def _key(chat: Sequence[ChatMessage], max_tokens: int) -> str:
    asked = json.dumps([chat, max_tokens], sort_keys=True)
    return hashlib.sha256(asked.encode()).hexdigest()[:20]


def _read(kept: Path) -> dict[str, Said]:
    known = {}
    for line in kept.read_text("utf-8").splitlines() if kept.exists() else ():
        try:
            one = json.loads(line)
        except ValueError:
            continue  # it was being written when the process was killed
        known[one["key"]] = Said(one["text"], one["ended"])
    return known
