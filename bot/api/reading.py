"""What a caller asks, read from the body of a request. Pure functions.

The last message is the question, and those before it are its thread: the caller keeps the state. A
caller's own system message is left out, as most chat front ends send one that nobody meant: Mynah's
prompt is the one that its training used, and none of its words can be overridden. What else cannot
be followed and does no harm (a temperature, a limit of tokens: an approved answer is quoted word
for word) is left out too, and the answer names all of it under `mynah.ignored`. What would break
the caller's expectations, such as an answer in JSON, is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.api.errors import ApiError
from bot.mrkdwn import storable
from bot.prompt import Turn

MODEL = "mynah"
MOST_BYTES = 256 * 1024
MOST_CHARS = 40_000  # of a question, as in Slack
USER_CHARS = 128
_READ = {"model", "messages", "stream", "stream_options", "user", "metadata", "n"}
# Settings under which a plain answer is what was asked for.
_HARMLESS: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "response_format": ({"type": "text"},),
    "tool_choice": ("auto", "none"),
    "function_call": ("auto", "none"),
    "modalities": (["text"],),
}


class _Part(BaseModel):
    model_config = ConfigDict(strict=True)

    type: Literal["text"]
    text: str


class _Message(BaseModel):
    model_config = ConfigDict(strict=True)

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[_Part] | None = None

    @property
    def text(self) -> str:
        if self.content is None or isinstance(self.content, str):
            return storable(self.content or "").strip()
        return storable("\n".join(part.text for part in self.content)).strip()


class _StreamOptions(BaseModel):
    model_config = ConfigDict(strict=True)

    include_usage: bool | None = None


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")

    model: str
    messages: list[_Message] = Field(min_length=1)
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    user: str | None = Field(None, max_length=USER_CHARS)
    metadata: dict[str, str] | None = None


@dataclass(frozen=True)
class Asked:
    """One request: a question in its thread."""

    question: str
    turns: tuple[Turn, ...]  # before the question, oldest first
    user: str  # "" where the caller names nobody
    thread: str  # the conversation's name, hashed: whatever the caller calls it
    stream: bool
    usage: bool  # whether the stream ends with a chunk of its own about usage
    ignored: tuple[str, ...]
    sha256: str  # of the body


def asked(body: bytes) -> Asked:
    """What a request's body asks.

    Raises:
        ApiError: 400, or 404 where it asks another model.
    """
    found = parsed(body)
    _check_harmless(found)
    request = _valid(found)
    if request.model != MODEL:
        raise other_model()
    said = [one for one in request.messages if one.role in ("user", "assistant")]
    question = _question(said)
    user = storable(request.user or "").strip()
    named = (request.metadata or {}).get("conversation")
    first = next(one.text for one in said if one.role == "user")
    options = request.stream_options
    return Asked(
        question=question,
        turns=tuple(_turn(one) for one in said[:-1] if one.text),
        user=user,
        thread=_thread(user, named, first),
        stream=bool(request.stream),
        usage=bool(options and options.include_usage),
        ignored=_ignored(found, request),
        sha256=hashlib.sha256(body).hexdigest(),
    )


def other_model() -> ApiError:
    """There is one model alone: which release answers is not the caller's to say."""
    return ApiError(404, f"The only model here is `{MODEL}`.", "model_not_found", param="model")


def parsed(body: bytes) -> dict[str, Any]:
    """The JSON object of a body. Raises ApiError."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "The body is no JSON.", "invalid_json") from error
    if not isinstance(found, dict):
        raise ApiError(400, "The body has to be a JSON object.", "invalid_json")
    return found


def complaint(error: ValidationError) -> ApiError:
    """The first thing that is wrong, without what was sent."""
    found = error.errors(include_input=False, include_url=False)
    first = max(found, key=lambda one: len(one["loc"]))  # of alternatives, the one that was meant
    where = ".".join(str(part) for part in first["loc"] if not str(part).startswith("list["))
    return ApiError(400, f"{where}: {first['msg']}", "invalid_value", param=where)


def _valid(found: dict[str, Any]) -> _Body:
    try:
        return _Body.model_validate(found)
    except ValidationError as error:
        raise complaint(error) from error


def _check_harmless(found: Mapping[str, Any]) -> None:
    for name, harmless in _HARMLESS.items():
        value = found.get(name)
        if value is not None and value not in harmless:
            words = f"{name}: Mynah gives one answer in plain text, and calls no tools."
            raise ApiError(400, words, "unsupported_value", param=name)


def _question(said: list[_Message]) -> str:
    if not said or said[-1].role != "user" or not said[-1].text:
        words = "messages: the last one has to be the user's, and to ask something."
        raise ApiError(400, words, "invalid_value", param="messages")
    if len(said[-1].text) > MOST_CHARS:
        words = f"messages: a question has at most {MOST_CHARS} characters."
        raise ApiError(400, words, "context_length_exceeded", param="messages")
    return said[-1].text


def _turn(one: _Message) -> Turn:
    return Turn("user" if one.role == "user" else "assistant", one.text)


def _thread(user: str, named: str | None, first: str) -> str:
    """A thread has one release: the same for all turns of a conversation."""
    of = ["named", named] if named is not None else ["begins", first]
    return hashlib.sha256(json.dumps([user, *of]).encode()).hexdigest()[:32]


def _ignored(found: Mapping[str, Any], request: _Body) -> tuple[str, ...]:
    left = [name for name, value in found.items() if name not in _READ and value is not None]
    systems = any(one.role in ("system", "developer") for one in request.messages)
    return (*(["system"] if systems else []), *left)
