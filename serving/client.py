"""An async client of one vLLM server: chat with log-probabilities, scoring, and LoRA loading."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypedDict, TypeVar

import httpx

from serving import tracing
from serving.signing import signed

T = TypeVar("T")

BASE = "base"  # the name under which every server serves the base model
CONNECT_S = 5.0
HEALTH_S = 5.0
LOAD = "/v1/load_lora_adapter"
STREAMED = {"stream": True, "stream_options": {"include_usage": True}}
# What vLLM says with 400 when it has NaN for an answer, as if it were the request's fault.
NOT_A_NUMBER = "not JSON compliant"
# About the request itself. Any other status (a wrong key, too many requests, a proxy's time-out) is
# about this server or this moment.
ABOUT_REQUEST = frozenset({400, 413, 422})


class ChatMessage(TypedDict):
    """One message of a chat, in OpenAI's form."""

    role: str
    content: str


class ServingError(Exception):
    """The server did not give what was asked for."""


class Unavailable(ServingError):
    """No connection, a time-out, a server error, a wrong key or a reply that is not the server's:
    try another replica, or later."""


class Unreachable(Unavailable):
    """No connection, or it broke, or a time-out: nothing is known of the server."""


class Broken(Unavailable):
    """The server is there, and failed (HTTP 5xx), or says what is no number."""


class ModelMissing(ServingError):
    """The server does not know this model (HTTP 404): another replica may."""


class Refused(ServingError):
    """The server understood and said no (HTTP 400, 413, 422): asking again would not help."""


class NoScores(Refused):
    """The server does not tell how likely it finds a text, whatever the text."""


@dataclass(frozen=True)
class Delta:
    """A piece of an answer, with the natural-log probabilities of its tokens."""

    text: str
    logprobs: tuple[float, ...]
    finish_reason: str | None = None  # of the last one, as of a Completion
    prompt_tokens: int | None = None  # told behind the last one


@dataclass(frozen=True)
class Completion:
    """A whole answer. `finish_reason` is "stop", or "length" when it was cut off; `prompt_tokens`
    is None where the server did not tell."""

    text: str
    logprobs: tuple[float, ...]
    finish_reason: str
    prompt_tokens: int | None = None

    @property
    def mean_logprob(self) -> float | None:
        """Mean natural-log probability of the answer's tokens; None without any."""
        return sum(self.logprobs) / len(self.logprobs) if self.logprobs else None


class VllmClient:
    """One vLLM server. Safe to share between tasks; close it with `aclose` or `async with`.

    Every method raises Unavailable, ModelMissing or Refused, except `healthy`.
    """

    def __init__(
        self, url: str, *, api_key: str, control_key: str | None = None, timeout_s: float = 120
    ) -> None:
        self.url = url.rstrip("/")
        self._control_key = control_key
        # The read time-out is the longest silence, not the length of a whole answer.
        self._http = httpx.AsyncClient(
            base_url=self.url,
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=httpx.Timeout(timeout_s, connect=CONNECT_S),
            trust_env=False,  # a proxy from the environment must not see questions or keys
            event_hooks={"request": [tracing.carry]},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def stream(
        self,
        messages: Sequence[ChatMessage],
        *,
        model: str = BASE,
        max_tokens: int = 256,
        temperature: float = 0.0,
    ) -> AsyncGenerator[Delta, None]:
        """Yield the answer as it is generated. Closing the generator stops the generation.

        Never retried: the caller knows whether somebody has seen the first words.
        """
        body = _question(messages, model, max_tokens, temperature) | STREAMED
        try:
            async with self._http.stream("POST", "/v1/chat/completions", json=body) as response:
                if response.is_error:
                    await response.aread()
                    raise _refusal(response)
                # aclosing: a reader who leaves early must not leave the lines half-read.
                async with aclosing(_events(response)) as events:
                    async for event in events:
                        for choice in event["choices"]:
                            said = choice["delta"].get("content") or ""
                            delta = Delta(said, _logprobs(choice), choice.get("finish_reason"))
                            if delta.text or delta.logprobs or delta.finish_reason:
                                yield delta
                        if (read := _prompt_tokens(event)) is not None:
                            yield Delta("", (), prompt_tokens=read)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    async def complete(
        self,
        messages: Sequence[ChatMessage],
        *,
        model: str = BASE,
        max_tokens: int = 256,
        temperature: float = 0.0,
    ) -> Completion:
        """Return the whole answer. A broken connection is tried once more: nothing was seen yet."""
        reply = await self._chat(_question(messages, model, max_tokens, temperature))
        choice = reply["choices"][0]
        text, reason = choice["message"]["content"] or "", choice["finish_reason"] or "stop"
        return Completion(text, _logprobs(choice), reason, _prompt_tokens(reply))

    async def score(
        self, messages: Sequence[ChatMessage], completion: str, *, model: str = BASE
    ) -> list[float]:
        """`scores` of one answer."""
        [found] = await self.scores(messages, [completion], model=model)
        return found

    async def scores(
        self, messages: Sequence[ChatMessage], completions: Sequence[str], *, model: str = BASE
    ) -> list[list[float]]:
        """Of each completion, the natural-log probability of each token and of its end token.

        The server's own chat template and tokenizer decide what the tokens are: the prompt, the
        prompt with an empty answer, and the prompt with each answer are rendered, and what the
        last adds over the first, up to the end token, is scored.

        Raises:
            NoScores: the server tells no log-probabilities of a prompt, or not as vLLM does.
            Refused: the template renders an answer so that the prompt changes with it, or one is
                longer than the model reads, or impossible.
        """
        prompt, empty = await _all(
            self._token_ids(messages, model, open_end=True),
            self._token_ids([*messages, _assistant("")], model, open_end=False),
        )
        whole = ([*messages, _assistant(one)] for one in completions)
        scored = await _all(*(self.read(chat, model=model) for chat in whole))
        tail = empty[len(prompt) :]  # the end token, and what the template puts behind it
        found = []
        for tokens in scored:
            ids = [token for token, _ in tokens]
            if not tail or ids[: len(prompt)] != prompt or ids[len(ids) - len(tail) :] != tail:
                raise Refused(f"{self.url}: the chat template cannot be scored token by token")
            end = len(tokens) - len(tail) + 1
            found.append([logprob for _, logprob in tokens[len(prompt) : end]])
        return found

    async def read(
        self, messages: Sequence[ChatMessage], *, model: str = BASE
    ) -> list[tuple[int, float]]:
        """Of each token of a whole chat, as the server's template writes it: its id, and its
        natural-log probability. The first has none, and stands as 0.

        Raises:
            NoScores: the server tells no log-probabilities of a prompt, or not as vLLM does.
            Refused: one is impossible.
        """
        request = _render(messages, model, open_end=False)
        reply = await self._chat(request | {"prompt_logprobs": 0, "return_token_ids": True})
        first = self._ids(reply)[0]
        try:
            _, *rows = reply["prompt_logprobs"]
            told = [
                (int(token), float(one["logprob"])) for row in rows for token, one in row.items()
            ]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise NoScores(f"{self.url}: it tells no log-probabilities of a prompt") from error
        if not all(math.isfinite(logprob) for _, logprob in told):
            raise Refused(f"{self.url}: a log-probability is no number")
        return [(first, 0.0), *told]

    async def figures(self) -> dict[str, float]:
        """What the server counts, by name; the labels of one name are added up."""
        # With the slash: vLLM answers without it with a redirect.
        reply = await self._request("GET", "/metrics/", again=True)
        found: dict[str, float] = {}
        for line in reply.text.splitlines():
            name, _, number = line.rpartition(" ")
            if not line.startswith("#") and (value := _number(number)) is not None:
                name = name.partition("{")[0]
                found[name] = found.get(name, 0.0) + value
        return found

    async def models(self) -> dict[str, str | None]:
        """Return every served name and its root path: the base, and the loaded adapters."""
        reply = await self._request("GET", "/v1/models", again=True)
        return {card["id"]: card.get("root") for card in reply.json()["data"]}

    async def load_adapter(self, name: str, path: Path, sha256: str) -> None:
        """Load the adapter in `path` (as the server sees it). Nothing happens when it is loaded.

        Args:
            sha256: what the store says that it hashes to.

        Raises:
            Refused: with the server's line: a bad adapter, files that are not what the store says,
                a bad name, or another one of this name.
        """
        body = signed(self._control_key or "", name, sha256, str(path), at=time.time())
        try:
            await self._control(LOAD, body)
        except Refused:
            if (await self.models()).get(name) != str(path):
                raise

    async def unload_adapter(self, name: str) -> None:
        """Forget the adapter: answers under way finish, new requests get ModelMissing."""
        try:
            await self._control("/v1/unload_lora_adapter", {"lora_name": name})
        except ModelMissing:
            return

    async def healthy(self) -> bool:
        """Whether the server says that it is up."""
        try:
            return (await self._http.get("/health", timeout=HEALTH_S)).is_success
        except httpx.TransportError:
            return False

    async def _control(self, path: str, body: Mapping[str, Any]) -> None:
        key = self._control_key
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        await self._request("POST", path, body=body, headers=headers)

    async def _token_ids(
        self, messages: Sequence[ChatMessage], model: str, *, open_end: bool
    ) -> list[int]:
        body = _render(messages, model, open_end=open_end) | {"return_token_ids": True}
        return self._ids(await self._chat(body))

    def _ids(self, reply: Mapping[str, Any]) -> list[int]:
        ids: list[int] | None = reply.get("prompt_token_ids")
        if not ids:
            raise NoScores(f"{self.url}: it does not tell the tokens of a prompt")
        return ids

    async def _chat(self, body: Mapping[str, Any]) -> dict[str, Any]:
        reply = await self._request("POST", "/v1/chat/completions", body=body, again=True)
        try:
            parsed = reply.json()
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict):
            raise Unavailable(f"{self.url}: {reply.status_code}, but no JSON object")
        return parsed

    async def _request(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        again: bool = False,
    ) -> httpx.Response:
        try:
            response = await self._http.request(method, path, json=body, headers=headers)
        except httpx.TransportError as error:
            # A time-out is not tried again: the server is slow, and would be asked twice.
            if again and not isinstance(error, httpx.ReadTimeout):
                return await self._request(method, path, body=body, headers=headers)
            raise self._unreachable(error) from error
        if response.is_error:
            raise _refusal(response)
        return response

    def _unreachable(self, error: httpx.TransportError) -> Unreachable:
        return Unreachable(f"{self.url}: {type(error).__name__} {error}".rstrip())


async def _all(*asked: Coroutine[Any, Any, T]) -> list[T]:
    """What each gives; the first error ends the others, as nobody waits for them any more."""
    tasks = [asyncio.create_task(one) for one in asked]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _question(
    messages: Sequence[ChatMessage], model: str, max_tokens: int, temperature: float
) -> dict[str, Any]:
    return {
        "model": model,
        "messages": list(messages),
        "max_tokens": max_tokens,
        "temperature": temperature,
        "logprobs": True,
    }


def _render(messages: Sequence[ChatMessage], model: str, *, open_end: bool) -> dict[str, Any]:
    """A request that is only there for its prompt (the API wants at least one new token)."""
    return {
        "model": model,
        "messages": list(messages),
        "max_tokens": 1,
        "temperature": 0.0,
        "add_generation_prompt": open_end,
    }


def _prompt_tokens(said: Mapping[str, Any]) -> int | None:
    told = (said.get("usage") or {}).get("prompt_tokens")
    return told if isinstance(told, int) else None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _assistant(text: str) -> ChatMessage:
    return {"role": "assistant", "content": text}


def _logprobs(choice: Mapping[str, Any]) -> tuple[float, ...]:
    """Raises Broken where one is no number: what was said then means nothing."""
    content = (choice.get("logprobs") or {}).get("content") or ()
    found = tuple(token["logprob"] for token in content)
    if not all(isinstance(one, int | float) and math.isfinite(one) for one in found):
        raise Broken("the server answers with log-probabilities that are no numbers")
    return tuple(map(float, found))


async def _events(response: httpx.Response) -> AsyncGenerator[dict[str, Any], None]:
    """The JSON of each server-sent event, up to [DONE].

    Raises:
        Unavailable: the stream broke off, or the engine reported an error in the middle of it.
    """
    async for line in response.aiter_lines():
        if not line.startswith("data: "):
            continue
        if line == "data: [DONE]":
            return
        event: dict[str, Any] = json.loads(line.removeprefix("data: "))
        if "error" in event:
            raise Unavailable(f"{response.url}: {_message(event)}")
        yield event
    raise Unavailable(f"{response.url}: the answer broke off")


def _refusal(response: httpx.Response) -> ServingError:
    try:
        reason = _message(response.json())
    except ValueError:
        reason = response.text[:200]
    line = f"{response.url}: {response.status_code} {reason}"
    if response.status_code == 404:
        return ModelMissing(line)
    if NOT_A_NUMBER in reason:
        return Broken(line)
    bad_adapter = response.status_code == 403 and response.url.path == LOAD  # the guard's word
    if response.status_code in ABOUT_REQUEST or bad_adapter:
        return Refused(line)
    return Broken(line) if response.status_code >= 500 else Unavailable(line)


def _message(body: Any) -> str:
    error = body.get("error", body) if isinstance(body, dict) else body
    return str(error.get("message", error) if isinstance(error, dict) else error)
