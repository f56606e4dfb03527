"""Answers in OpenAI's form, whole or as a stream. Pure functions.

https://platform.openai.com/docs/api-reference/chat/object and …/chat-streaming . What is Mynah's
own stands under `mynah`, where OpenAI's clients leave it as it is. `usage` is that of the request
to the model that the answer came of, with all that Mynah put into its prompt: 0 for a quoted one.
"""

from __future__ import annotations

import json
from typing import Any

from bot.api.calls import Answered, Exchange
from bot.api.reading import MODEL

Json = dict[str, Any]
DONE = "data: [DONE]\n\n"
PREFIX = "chatcmpl-"


def model() -> Json:
    """The one model."""
    return {"id": MODEL, "object": "model", "created": 0, "owned_by": "mynah"}


def identifier(exchange: Exchange) -> str:
    """What the caller names the answer by, known before there is one: its question's number."""
    return f"{PREFIX}{exchange.question_id}"


def number(name: str) -> int:
    """The number of the question that an identifier names; 0 for anything else."""
    digits = name.removeprefix(PREFIX)
    # No longer than a database's own numbers.
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 19 else 0


def whole(exchange: Exchange, answered: Answered) -> Json:
    """An answer that was not streamed."""
    message = {"role": "assistant", "content": answered.text, "refusal": None}
    choice = {
        "index": 0, "message": message, "logprobs": None, "finish_reason": _reason(answered),
    }  # fmt: skip
    return _head(exchange, "chat.completion") | {
        "choices": [choice], "usage": _usage(answered), "mynah": _receipt(exchange, answered),
    }  # fmt: skip


def first(exchange: Exchange) -> str:
    """The chunk that says who speaks."""
    return _chunk(exchange, {"role": "assistant", "content": ""})


def piece(exchange: Exchange, text: str) -> str:
    """A chunk with some words."""
    return _chunk(exchange, {"content": text})


def last(exchange: Exchange, answered: Answered) -> str:
    """The chunk that says how it ended, and where the words come from."""
    receipt = {"mynah": _receipt(exchange, answered)}
    return _chunk(exchange, {}, _reason(answered), **receipt)


def usage(exchange: Exchange, answered: Answered) -> str:
    """The chunk that `stream_options.include_usage` asks for."""
    told = {"choices": [], "usage": _usage(answered)}
    body = _head(exchange, "chat.completion.chunk") | told
    return f"data: {json.dumps(body)}\n\n"


def _chunk(exchange: Exchange, delta: Json, reason: str | None = None, **more: Any) -> str:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    body = _head(exchange, "chat.completion.chunk") | {"choices": [choice]} | more
    if exchange.asked.usage:
        body["usage"] = None
    return f"data: {json.dumps(body)}\n\n"


def _head(exchange: Exchange, kind: str) -> Json:
    created = int(exchange.asked_at.timestamp())
    return {"id": identifier(exchange), "object": kind, "created": created, "model": MODEL}


def _usage(answered: Answered) -> Json:
    read, written = answered.prompt_tokens, answered.completion_tokens
    return {
        "prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written,
    }  # fmt: skip


def _reason(answered: Answered) -> str:
    return "length" if answered.cut else "stop"


def _receipt(exchange: Exchange, answered: Answered) -> Json:
    return {
        "answer": answered.answer, "release": answered.release, "adapter": answered.adapter,
        "mode": answered.mode.value, "confidence": answered.confidence,
        "source": answered.source, "ignored": list(exchange.asked.ignored),
    }  # fmt: skip
