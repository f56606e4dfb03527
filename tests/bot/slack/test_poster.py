"""The poster: each outbox row is one message in Slack, also when two processes hold it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse
from sqlalchemy import Connection, Engine, event, update
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlmodel import Session, col, select

from bot import outbox, releases
from bot.pump import Pump
from bot.slack import blocks
from bot.slack.app import web_client
from bot.slack.metadata import marked
from bot.slack.pacing import Pacing
from bot.slack.poster import Poster
from bot.slack.workspace import Identity, Workspace
from bot.store.database import open_engine, reading, transaction
from bot.store.schema import (
    Answer,
    AnswerMode,
    OutboxKind,
    OutboxMessage,
    Question,
    Release,
    Status,
    now,
)
from tests.bot.slack.house import HELP, House, Message, free_port, until
from tests.bot.slack.waiting import passed

ME = Identity("T0MYNAH", "U0MYNAH", "B0MYNAH")


def poster(
    house: House,
    owner: str,
    lease_s: float = 5,
    client: AsyncWebClient | None = None,
    engine: Engine | None = None,
) -> Poster:
    """A poster in this house."""
    settings = house.settings()
    workspace = Workspace(web_client(settings, patient=True), ME)
    client = client or web_client(settings, patient=False)
    engine = engine or house.engine
    return Poster(engine, client, workspace, Pacing(), owner=owner, lease_s=lease_s)


class Interrupted(AsyncWebClient):
    """A client that does something of its own before its first post."""

    def __init__(self, house: House, first: Callable[[], None]) -> None:
        super().__init__(token="xoxb-mynah", base_url=house.sandbox.api_url, retry_handlers=[])
        self.proxy = None
        self._first: Callable[[], None] | None = first

    async def chat_postMessage(self, **arguments: Any) -> AsyncSlackResponse:
        first, self._first = self._first, None
        if first is not None:
            first()
        return await super().chat_postMessage(**arguments)


def say(engine: Engine, text: str, **more: object) -> OutboxMessage:
    """Queue a message to the help channel."""
    with transaction(engine) as session:
        return outbox.say(
            session, team_id=ME.team_id, key=text, channel=HELP, payload=blocks.note(text),
            **more,  # type: ignore[arg-type]
        )  # fmt: skip


def row(engine: Engine) -> OutboxMessage:
    """The one row."""
    with reading(engine) as session:
        return session.exec(select(OutboxMessage)).one()


async def said(house: House) -> list[Message]:
    """What stands in the help channel."""
    return [one for one in await house.sandbox.messages() if not one.get("deleted")]


@asynccontextmanager
async def running(house: House, one: Poster, owner: str, lease_s: float = 5) -> AsyncIterator[None]:
    """A poster at work."""

    def claim() -> OutboxMessage | None:
        with transaction(house.engine) as session:
            return outbox.claim(session, owner, lease_s)

    pump = Pump(claim, one.deliver, asyncio.Event(), at_once=8)
    task = asyncio.create_task(pump.run())
    try:
        yield
    finally:
        pump.stop()
        await task


async def test_message_to_a_channel_is_adopted(house: House) -> None:
    """A message outside of threads, posted by a process that died, is found in the history."""
    made = say(house.engine, "hello")
    assert made.id is not None
    bot = house.sandbox.client("xoxb-mynah")
    sent = await bot.chat_postMessage(channel=HELP, **marked(made.payload, made.id))
    with transaction(house.engine) as session:
        outbox.claim(session, "dead", lease_s=-1)
    async with running(house, poster(house, "heir"), "heir"):
        await until(lambda: row(house.engine).status is Status.DONE)
    assert row(house.engine).ts == sent["ts"]
    assert len(await said(house)) == 1


async def test_twins_are_deleted(house: House) -> None:
    """Two messages of one row, left by processes that died, become one."""
    made = say(house.engine, "hello")
    assert made.id is not None
    bot = house.sandbox.client("xoxb-mynah")
    for _ in range(2):
        await bot.chat_postMessage(channel=HELP, **marked(made.payload, made.id))
    with transaction(house.engine) as session:
        outbox.claim(session, "dead", lease_s=-1)
    async with running(house, poster(house, "heir"), "heir"):
        await until(lambda: row(house.engine).status is Status.DONE)
    assert [one["ts"] for one in await said(house)] == [row(house.engine).ts]


async def test_answer_that_was_posted_before_its_question_was_deleted(house: House) -> None:
    """Who posted it died before saying so: it is found, so that the deletion finds it too."""
    with transaction(house.engine) as session:
        answer = add_deleted(session)
    made = say(house.engine, "hello", answer_id=answer.id)
    bot = house.sandbox.client("xoxb-mynah")
    await bot.chat_postMessage(channel=HELP, **marked(made.payload, made.id or 0))
    with transaction(house.engine) as session:
        outbox.claim(session, "dead", lease_s=-1)
        outbox.take_back(session, made, key="deleted")
    async with running(house, poster(house, "heir"), "heir"):
        await until(lambda: house.open_rows() == [])
    assert await said(house) == []
    assert house.failed() == []


def add_deleted(session: Session) -> Answer:
    """An answer to a question that was deleted meanwhile."""
    releases.ensure_team(session, ME.team_id)
    question = Question(
        team_id=ME.team_id, channel=HELP, thread_ts="1.0", ts="1.0", user="U0ASKER",
        deleted_at=now(),
    )  # fmt: skip
    session.add(question)
    session.flush()
    release = session.exec(select(Release.id)).one()
    answer = Answer(
        team_id=ME.team_id, question_id=question.id or 0, channel=HELP,
        mode=AnswerMode.CLOSED_BOOK, release_id=release or 0,
    )  # fmt: skip
    session.add(answer)
    session.flush()
    return answer


async def test_late_holder_deletes_what_it_posted(house: House) -> None:
    """Who posted after its claim was lost takes its message back, once the other's stands."""
    made = say(house.engine, "hello")
    bot = house.sandbox.client("xoxb-mynah")
    late = poster(house, "late")
    with transaction(house.engine) as session:
        claimed = outbox.claim(session, "late", lease_s=60)
        session.execute(update(OutboxMessage).values(lease_owner="other"))
    assert claimed is not None
    ending = asyncio.create_task(late.deliver(claimed))
    await asyncio.sleep(0.5)
    assert len(await said(house)) == 1
    theirs = await bot.chat_postMessage(channel=HELP, **marked(made.payload, made.id or 0))
    with transaction(house.engine) as session:
        session.execute(update(OutboxMessage).values(status=Status.DONE, ts=theirs["ts"]))
    await ending
    assert [one["ts"] for one in await said(house)] == [theirs["ts"]]


async def test_late_holder_keeps_what_was_adopted(house: House) -> None:
    """When the other adopted the late holder's message, it stays."""
    say(house.engine, "hello")
    late = poster(house, "late")
    with transaction(house.engine) as session:
        claimed = outbox.claim(session, "late", lease_s=60)
        session.execute(update(OutboxMessage).values(lease_until=None, lease_owner="other"))
    assert claimed is not None
    ending = asyncio.create_task(late.deliver(claimed))
    await asyncio.sleep(0.5)
    [message] = await said(house)
    with transaction(house.engine) as session:
        session.execute(update(OutboxMessage).values(status=Status.DONE, ts=message["ts"]))
    await ending
    assert [one["ts"] for one in await said(house)] == [message["ts"]]


async def test_message_that_slack_will_never_take_is_given_up(house: House) -> None:
    """A channel that is gone does not block the rest; the reason is kept."""
    with transaction(house.engine) as session:
        outbox.say(session, team_id=ME.team_id, key="k", channel="C9GONE", payload={"text": "hi"})
    async with running(house, poster(house, "one"), "one"):
        await until(lambda: row(house.engine).status is Status.FAILED)
    assert row(house.engine).error == "Slack: channel_not_found"


@pytest.mark.parametrize(
    ("fault", "status", "why"),
    [
        ({"error": "not_in_channel"}, Status.FAILED, "Slack: not_in_channel"),
        ({"error": "missing_scope"}, Status.WAITING, "Slack: missing_scope"),
        ({"error": "invalid_auth"}, Status.WAITING, "Slack: invalid_auth"),
        ({"status": 404, "error": ""}, Status.WAITING, "Slack: HTTP 404"),
    ],
)
@pytest.mark.parametrize("thread_ts", [None, "1700000000.000100"])
async def test_refusal_to_look_for_a_message_is_taken_as_one_to_post_it(
    house: House, thread_ts: str | None, fault: dict[str, Any], status: Status, why: str
) -> None:
    """A row tried again whose channel cannot be read waits or is given up; the pump goes on."""
    say(house.engine, "hello", thread_ts=thread_ts)
    with transaction(house.engine) as session:
        outbox.claim(session, "dead", lease_s=-1)
    method = "conversations.replies" if thread_ts else "conversations.history"
    await house.sandbox.faults(fail={"method": method, "n": 9, **fault})
    async with running(house, poster(house, "heir"), "heir"):
        await until(lambda: row(house.engine).error == why)
    assert row(house.engine).status is status
    assert await said(house) == []


async def test_bug_is_a_stumble_of_one_row(house: House) -> None:
    """An error that nobody foresaw delays its own row, and the pump goes on."""

    def stumble() -> None:
        raise ValueError("broken")

    one = poster(house, "one", client=Interrupted(house, stumble))
    say(house.engine, "hello")
    async with running(house, one, "one"):
        await until(lambda: row(house.engine).error == "ValueError: broken")
        await until(lambda: row(house.engine).status is Status.DONE)
    assert len(await said(house)) == 1


async def test_full_pool_leaves_the_row_to_its_lease(house: House) -> None:
    """When no connection is free to mark a row, it is found again when the lease ran out."""
    engine = open_engine(house.engine.url.render_as_string(hide_password=False))

    def full(_: Connection) -> None:
        event.remove(engine, "begin", full)
        raise PoolTimeout("QueuePool limit reached")

    client = Interrupted(house, lambda: event.listen(engine, "begin", full))
    one = poster(house, "one", lease_s=0.5, client=client, engine=engine)
    say(house.engine, "hello")
    async with running(house, one, "one"):
        await until(lambda: row(house.engine).status is Status.DONE)
    engine.dispose()
    assert not event.contains(engine, "begin", full)
    assert len(await said(house)) == 1


async def test_update_and_delete(house: House) -> None:
    """A row can change or delete a message; a message that is gone already is no trouble."""
    first = say(house.engine, "old")
    async with running(house, poster(house, "one"), "one"):
        await until(lambda: house.open_rows() == [])
        with transaction(house.engine) as session:
            outbox.change(session, first, key="u", payload={"text": "new"})
        await until(lambda: house.open_rows() == [])
        assert [one["text"] for one in await said(house)] == ["new"]
        with transaction(house.engine) as session:
            for key in ("d1", "d2"):
                outbox.take_back(session, first, key=key)
        await until(lambda: house.open_rows() == [])
    assert await said(house) == []
    assert house.failed() == []


async def test_of_many_changes_the_last_is_made(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changes that pile up behind a message cost one call."""
    made: list[str] = []
    update = AsyncWebClient.chat_update

    async def chat_update(self: AsyncWebClient, **arguments: Any) -> AsyncSlackResponse:
        made.append(arguments["text"])
        return await update(self, **arguments)

    monkeypatch.setattr(AsyncWebClient, "chat_update", chat_update)
    first = say(house.engine, "0 %")
    with transaction(house.engine) as session:
        for number in range(1, 9):
            outbox.change(session, first, key=f"u{number}", payload={"text": f"{number}0 %"})
    async with running(house, poster(house, "one"), "one"):
        await until(lambda: house.open_rows() == [])
    assert [one["text"] for one in await said(house)] == ["80 %"]
    assert made == ["80 %"]


async def test_change_of_what_was_never_said_is_given_up(house: House) -> None:
    """Without a message there is nothing to change: one line says so, and the lane goes on."""
    first = say(house.engine, "x" * 50_000)  # more than Slack takes
    with transaction(house.engine) as session:
        outbox.change(session, first, key="u", payload={"text": "new"})
    async with running(house, poster(house, "one"), "one"):
        await until(lambda: house.open_rows() == [])
    assert house.failed() == ["Slack: msg_too_long", "there is no message to change"]


async def test_what_must_not_get_lost_is_said_anew(house: House) -> None:
    """Its message was deleted, or never came: it is posted, and later changes follow that one."""
    first = say(house.engine, "x" * 50_000)  # more than Slack takes
    async with running(house, poster(house, "one"), "one"):
        await change_and_wait(house, first, "verdict", anew=True)
        [posted] = await said(house)
        await change_and_wait(house, first, "decided")
        [same] = await said(house)
        assert (same["ts"], same["text"]) == (posted["ts"], "decided")
        await house.client("admin").chat_delete(channel=HELP, ts=posted["ts"])
        await change_and_wait(house, first, "late")
        assert await said(house) == []
        await change_and_wait(house, first, "end", anew=True)
    assert [one["text"] for one in await said(house)] == ["end"]
    assert house.failed() == ["Slack: msg_too_long", "Slack: message_not_found"]


async def change_and_wait(
    house: House, first: OutboxMessage, text: str, *, anew: bool = False
) -> None:
    """Queue new words for a message, and wait until they are said or given up."""
    with transaction(house.engine) as session:
        outbox.change(session, first, key=text, payload={"text": text}, anew=anew)
    await until(lambda: house.open_rows() == [])


async def test_what_was_said_anew_is_adopted(house: House) -> None:
    """A process that died after it posted anew has said it: its heir does not say it again."""
    first = say(house.engine, "hello")
    one = poster(house, "one")
    async with running(house, one, "one"):
        await until(lambda: house.open_rows() == [])
    await house.client("admin").chat_delete(channel=HELP, ts=(await said(house))[0]["ts"])
    with transaction(house.engine) as session:
        outbox.change(session, first, key="end", payload={"text": "end"}, anew=True)
        dying = outbox.claim(session, "dead", lease_s=-1)
    assert dying is not None
    bot = house.sandbox.client("xoxb-mynah")
    sent = await bot.chat_postMessage(channel=HELP, **marked(dying.payload, dying.id or 0))
    async with running(house, poster(house, "heir"), "heir"):
        await until(lambda: house.open_rows() == [])
    assert [one["ts"] for one in await said(house)] == [sent["ts"]]
    assert {one.ts for one in house.rows(OutboxMessage)} == {sent["ts"]}


PNG = b"\x89PNG\r\n\x1a\n picture"


async def test_reply_to_a_press_of_long_ago_holds_up_nobody(house: House) -> None:
    """A response_url that never answers is let go when Slack has: its channel goes on."""
    old = say(house.engine, "late", kind=OutboxKind.RESPOND)
    payload = {"response_url": f"http://127.0.0.1:{free_port()}/", "text": "late"}
    asked_at = now() - timedelta(minutes=31)
    with transaction(house.engine) as session:
        of_old = update(OutboxMessage).where(col(OutboxMessage.id) == old.id)
        session.execute(of_old.values(payload=payload, created_at=asked_at))
    say(house.engine, "and then?")
    async with running(house, poster(house, "one"), "one"):
        await until(lambda: house.open_rows() == [], within_s=20)
    assert house.failed() == ["its response_url has expired"]
    assert [one["text"] for one in await said(house)] == ["and then?"]


async def test_a_picture_comes_once(house: House) -> None:
    """It stands under the run's message; a process that died after the upload has done it."""
    with transaction(house.engine) as session:
        releases.ensure_team(session, ME.team_id)
        passed(session, channel=HELP, picture=PNG)
    async with running(house, poster(house, "one"), "one"):
        await until(lambda: house.open_rows() == [])
        assert await pictures(house) == ["run-1.png"]
        with transaction(house.engine) as session:
            again = update(OutboxMessage).where(col(OutboxMessage.kind) == OutboxKind.PICTURE)
            session.execute(again.values(status=Status.WAITING, lease_until=None))
        await until(lambda: house.open_rows() == [])
    assert await pictures(house) == ["run-1.png"]
    [uploaded] = [one for one in await said(house) if one.get("files")]
    [root] = [one for one in await said(house) if not one.get("files")]
    assert uploaded["thread_ts"] == root["ts"]
    token = {"Authorization": "Bearer xoxp-admin"}
    async with httpx.AsyncClient() as http:
        got = await http.get(uploaded["files"][0]["url_private"], headers=token)
    assert got.content == PNG
    assert house.failed() == []


async def test_the_page_comes_with_the_picture(house: House) -> None:
    """Both are in one message, so that one can come no more often than the other."""
    with transaction(house.engine) as session:
        releases.ensure_team(session, ME.team_id)
        passed(session, channel=HELP, picture=PNG, page="<h1>Run 1 \N{BIRD}</h1>")
    async with running(house, poster(house, "one"), "one"):
        await until(lambda: house.open_rows() == [])
    assert await pictures(house) == ["run-1.png", "run-1.html"]
    [uploaded] = [one for one in await said(house) if one.get("files")]
    token = {"Authorization": "Bearer xoxp-admin"}
    async with httpx.AsyncClient() as http:
        got = await http.get(uploaded["files"][1]["url_private"], headers=token)
    assert got.content.decode() == "<h1>Run 1 \N{BIRD}</h1>"
    assert house.failed() == []


async def test_a_missing_scope_leaves_only_the_picture_out(house: House) -> None:
    """An app that was installed before pictures: what is said after it does not wait."""
    await house.sandbox.seed(bot_scopes=["chat:write", "channels:history"])
    with transaction(house.engine) as session:
        releases.ensure_team(session, ME.team_id)
        passed(session, channel=HELP, picture=PNG)
    say(house.engine, "and then?")
    async with running(house, poster(house, "one"), "one"):
        await until(lambda: house.open_rows() == [])
    assert house.failed() == ["the app has no files:write: install its manifest anew"]
    assert [one["text"] for one in await said(house)][-1] == "and then?"


@pytest.mark.parametrize("applied", [False, True])
async def test_a_picture_whose_upload_failed_comes_once(house: House, applied: bool) -> None:
    """Slack is in trouble, before or after it has taken the picture: it comes, and once."""
    with transaction(house.engine) as session:
        releases.ensure_team(session, ME.team_id)
        passed(session, channel=HELP, picture=PNG)
    trouble = {"method": "files.completeUploadExternal", "error": "internal_error"}
    ordered = await house.sandbox.faults(fail=trouble | {"applied": applied})
    assert ordered["ok"], ordered
    async with running(house, poster(house, "one"), "one"):
        await until(lambda: house.open_rows() == [])
    assert await pictures(house) == ["run-1.png"]
    assert max(one.attempts for one in house.rows(OutboxMessage)) == 2
    assert house.failed() == []


async def pictures(house: House) -> list[str]:
    """The names of the files in the help channel."""
    return [file["name"] for one in await said(house) for file in one.get("files", [])]
