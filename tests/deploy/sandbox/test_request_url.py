"""HTTP delivery: what the sandbox posts to a request URL, and what it makes of the answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

import pytest
from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncApp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from deploy.sandbox.personas import SIGNING_SECRET
from deploy.sandbox.request_url import encoded
from tests.deploy.sandbox.test_bolt import all_acked, ask, counts
from tests.sandbox_server import Sandbox, served, until


class Endpoint:
    """A request URL that writes down what is posted, and says what it is told to."""

    def __init__(self) -> None:
        self.seen: list[tuple[dict[str, str], bytes]] = []
        self.says: Callable[[], Awaitable[Response]] = _nothing

    async def __call__(self, request: Request) -> Response:
        body = await request.body()
        if b'"url_verification"' in body:
            return JSONResponse({"challenge": json.loads(body)["challenge"]})
        self.seen.append((dict(request.headers), body))
        return await self.says()

    def retries(self) -> list[tuple[str | None, str | None]]:
        """The retry headers of each post."""
        names = ("x-slack-retry-num", "x-slack-retry-reason")
        return [(seen.get(names[0]), seen.get(names[1])) for seen, _ in self.seen]


async def _nothing() -> Response:
    return Response()


@asynccontextmanager
async def endpoint(sandbox: Sandbox) -> AsyncIterator[Endpoint]:
    """The sandbox's request URL."""
    heard = Endpoint()

    async def take(request: Request) -> Response:
        return await heard(request)

    async with served(Starlette(routes=[Route("/in", take, methods=["POST"])])) as url:
        assert await sandbox.request_url(f"{url}/in") == {"ok": True}
        yield heard


async def test_bolt_takes_events_and_commands(sandbox: Sandbox) -> None:
    """An unmodified Bolt app verifies the signature, the challenge, a JSON event and a form."""
    app = AsyncApp(client=sandbox.client("xoxb-mynah"), signing_secret=SIGNING_SECRET)
    heard: list[Any] = []

    @app.event("message")
    async def on_message(body: dict[str, Any]) -> None:
        heard.append(body["event"]["text"])

    @app.command("/mynah")
    async def on_command(ack: Any, command: dict[str, Any]) -> None:
        heard.append(command["text"])
        await ack("Working on it")

    bolt = Starlette(routes=[Route("/in", AsyncSlackRequestHandler(app).handle, methods=["POST"])])
    async with served(bolt) as url:
        assert (await sandbox.request_url(f"{url}/in"))["ok"]
        await ask(sandbox, "grüß & Gott")
        await until(lambda: all_acked(sandbox))
        answer = await sandbox.command("status & more")
    assert heard == ["grüß &amp; Gott", "status & more"]
    assert answer["response"] == {"text": "Working on it"}
    assert {one["attempts"] for one in (await sandbox.state())["deliveries"]} == {1}


async def test_a_wrong_secret_is_refused_by_bolt(sandbox: Sandbox) -> None:
    """Bolt with another signing secret answers 401, so that the URL is not taken."""
    app = AsyncApp(client=sandbox.client("xoxb-mynah"), signing_secret="of another app")
    bolt = Starlette(routes=[Route("/in", AsyncSlackRequestHandler(app).handle, methods=["POST"])])
    async with served(bolt) as url:
        answer = await sandbox.request_url(f"{url}/in")
    assert answer == {"ok": False, "error": "url_not_verified", "detail": "http_error"}


async def test_a_url_that_does_not_know_the_challenge_is_not_taken(sandbox: Sandbox) -> None:
    """Nobody there, another answer: refused, and events go on waiting for a socket."""

    async def polite(_: Request) -> Response:
        return PlainTextResponse("hello")

    async with served(Starlette(routes=[Route("/in", polite, methods=["POST"])])) as url:
        said = await sandbox.request_url(f"{url}/in")
        assert (said["error"], "challenge" in said["detail"]) == ("url_not_verified", True)
        assert (await sandbox.request_url(f"{url}/out"))["detail"] == "http_error"
    assert (await sandbox.request_url(f"{url}/in"))["detail"] == "connection_failed"
    assert (await sandbox.request_url("no url"))["error"] == "bad_request"
    await ask(sandbox, "no mention")
    assert [one["status"] for one in (await sandbox.state())["deliveries"]] == ["waiting"]


async def test_a_refused_event_comes_again(sandbox: Sandbox) -> None:
    """Not 2xx: the same event id again, with the number and the reason of the retry."""
    async with endpoint(sandbox) as heard:
        answers = [500, 302, 204]

        async def answer() -> Response:
            return Response(status_code=answers.pop(0))

        heard.says = answer
        await ask(sandbox, "no mention")
        await until(lambda: all_acked(sandbox))
    assert heard.retries() == [(None, None), ("1", "http_error"), ("2", "http_error")]
    assert len({json.loads(body)["event_id"] for _, body in heard.seen}) == 1
    assert heard.seen[0][0]["content-type"] == "application/json"


async def test_a_late_answer_does_not_count(sandbox: Sandbox) -> None:
    """An app that is too slow, or whose answer is lost, hears the event again: `http_timeout`."""
    slow = asyncio.Event()
    async with endpoint(sandbox) as heard:

        async def answer() -> Response:
            if len(heard.seen) == 1:
                await slow.wait()
            return Response()

        heard.says = answer
        await sandbox.faults(ack_s=0.3, drop_ack=1)
        await ask(sandbox, "no mention")
        await until(lambda: len(heard.seen) > 1)
        await sandbox.faults(ack_s=3)
        await until(lambda: all_acked(sandbox))
        slow.set()
    assert heard.retries() == [(None, None), ("1", "http_timeout"), ("2", "http_timeout")]


async def test_given_up_when_nobody_is_there(sandbox: Sandbox) -> None:
    """Unlike a socket, a URL where nobody listens uses up the schedule."""
    await sandbox.faults(retry_s=[0, 0.1])
    async with endpoint(sandbox):
        pass
    await ask(sandbox, "no mention")
    await until(lambda: _gave_up(sandbox))
    [delivery] = (await sandbox.state())["deliveries"]
    assert delivery["attempts"] == 3


async def _gave_up(sandbox: Sandbox) -> bool:
    return (await counts(sandbox))["gave_up"] == 1


async def test_duplicates_on_demand(sandbox: Sandbox) -> None:
    """One event in two posts, neither of them a retry."""
    await sandbox.faults(duplicate=1)
    async with endpoint(sandbox) as heard:
        await ask(sandbox, "no mention")
        await until(lambda: all_acked(sandbox))
    assert len({json.loads(body)["event_id"] for _, body in heard.seen}) == 1
    assert heard.retries() == [(None, None)] * 2


async def test_a_command_is_posted_once(sandbox: Sandbox) -> None:
    """A refused command is `dispatch_failed`, a late one `operation_timeout`; no retry."""
    async with endpoint(sandbox) as heard:

        async def refuse() -> Response:
            return Response(status_code=500)

        heard.says = refuse
        assert (await sandbox.command("one"))["error"] == "dispatch_failed"
        heard.says = _nothing
        await sandbox.faults(drop_ack=1)
        assert (await sandbox.command("two"))["error"] == "operation_timeout"
        assert (await sandbox.command("three"))["ok"]
    forms = [parse_qs(body.decode()) for _, body in heard.seen]
    assert [form["text"] for form in forms] == [["one"], ["two"], ["three"]]
    assert heard.seen[0][0]["content-type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize("kind", ["interactive", "events_api"])
def test_encodings(kind: str) -> None:
    """What is clicked comes as JSON in the form field `payload`, an event as JSON alone."""
    content_type, body = encoded(kind, {"type": "block_actions", "value": "a&b=ü"})
    text = parse_qs(body.decode())["payload"][0] if "form" in content_type else body.decode()
    assert ("form" in content_type) == (kind == "interactive")
    assert json.loads(text) == {"type": "block_actions", "value": "a&b=ü"}


async def test_back_to_sockets(sandbox: Sandbox) -> None:
    """Without a request URL events wait for a socket again."""
    async with endpoint(sandbox) as heard:
        assert (await sandbox.request_url(None))["ok"]
        await ask(sandbox, "no mention")
        assert [one["status"] for one in (await sandbox.state())["deliveries"]] == ["waiting"]
    assert heard.seen == []
