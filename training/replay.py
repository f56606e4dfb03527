"""Replay: where an adapter is held to the base, so that it unlearns and spills nothing.

Mostly the base's own answers, to everyday prompts and to the team's questions about other products.
And the taught answers to these: what the adapter would love to say there, one word leading to the
next, must be as unlikely as it is to the base.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

from bot.prompt import build
from serving.client import BASE, VllmClient
from training.asking import ask
from training.contrast import Embed, apart, contrasts
from training.rows import Row

# Many prompts with short answers keep more of the base than few with long ones, and cost less.
REPLAY_TOKENS = 32
CONTRASTS = 120  # half as many as there are everyday prompts; and as many temptations


@dataclass(frozen=True)
class Reply:
    """A prompt and words on which the adapter's next-token probabilities stay the base's.

    `ended` is False where the words were cut off.
    """

    prompt: str
    answer: str
    ended: bool = True


def load_prompts(name: Literal["replay", "forgetting", "leak"] = "replay") -> list[str]:
    """One of the packaged prompt lists: only "replay" is ever trained on."""
    text = files("training").joinpath("prompts", f"{name}.jsonl").read_text("utf-8")
    return [json.loads(line)["prompt"] for line in text.splitlines() if line]


async def replay(client: VllmClient, rows: Sequence[Row], embed: Embed, cache: Path) -> list[Reply]:
    """What is replayed beside these trained rows; nothing like it is tested with.

    Raises:
        ServingError: the server did not answer.
    """
    everyday = load_prompts()
    tested = load_prompts("forgetting") + load_prompts("leak")
    asked, tempting = (
        apart(contrasts(rows, everyday, CONTRASTS, seed), tested, embed) for seed in (0, 1)
    )
    prompts = everyday + [contrast.question for contrast in asked]
    said = await base_answers(client, prompts, cache)
    return said + [Reply(contrast.question, contrast.answer) for contrast in tempting]


async def base_answers(
    client: VllmClient, prompts: Sequence[str], cache: Path, *, max_tokens: int = REPLAY_TOKENS
) -> list[Reply]:
    """Ask the base model each prompt once, greedily.

    Args:
        cache: a file for this base model; answers in it are used again, so that a run that is
            taken up after a crash trains on the very same replies.

    Raises:
        ServingError: the server did not answer.
    """
    known = _read(cache)
    keys = {prompt: _key(prompt, max_tokens) for prompt in prompts}
    if missing := [prompt for prompt, key in keys.items() if key not in known]:
        chats = [build(prompt) for prompt in missing]
        said = await ask(client, chats, model=BASE, max_tokens=max_tokens)
        for prompt, answer in zip(missing, said, strict=True):
            ended = answer.finish_reason != "length"
            known[keys[prompt]] = Reply(prompt, answer.text, ended)
        _write(cache, known)
    return [known[keys[prompt]] for prompt in prompts]


def _key(prompt: str, max_tokens: int) -> str:
    # The whole chat counts: another system prompt means other answers.
    asked = json.dumps([build(prompt), max_tokens], sort_keys=True)
    return hashlib.sha256(asked.encode()).hexdigest()[:16]


def _read(cache: Path) -> dict[str, Reply]:
    if not cache.exists():
        return {}
    lines = (json.loads(line) for line in cache.read_text("utf-8").splitlines())
    return {line.pop("key"): Reply(**line) for line in lines}


def _write(cache: Path, replies: Mapping[str, Reply]) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps({"key": key, **asdict(reply)}) for key, reply in replies.items())
    beside = cache.with_name(f".{cache.name}.{os.getpid()}")
    beside.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    beside.replace(cache)
