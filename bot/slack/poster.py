"""The poster: says in Slack what lies in the outbox, each message once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackRequestError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, select

from bot import outbox
from bot.dispatcher import Later
from bot.pump import LostClaim
from bot.slack.app import CALL_S
from bot.slack.metadata import marked, outbox_id
from bot.slack.pacing import Pacing, retry_after
from bot.slack.workspace import (
    LOCKED_OUT,
    LOCKED_OUT_S,
    NO_REPLY,
    Message,
    Workspace,
    error_of,
    is_trouble,
)
from bot.store.database import reading, transaction
from bot.store.schema import Answer, Evaluation, OutboxKind, OutboxMessage, Question, Status, now
from bot.watching import DONE, Watch

log = logging.getLogger(__name__)
LONGEST_WAIT_S = 60.0
CLOCKS_DIFFER = timedelta(seconds=60)
# A response_url is good for so long (https://docs.slack.dev/interactivity/handling-user-interaction).
URL_LIVES = timedelta(minutes=30)


# A stream that ended by itself, or by somebody's word, can be changed like any message.
ENDED = frozenset({"message_not_in_streaming_state", "stopped_by_user"})
# There is no message to change; the second one where replies keep its empty place.
GONE = frozenset({"message_not_found", "cant_update_message"})


class NotSent(Exception):
    """Slack will never take it; the message is the reason, and `code` Slack's own word for it."""

    def __init__(self, reason: str, code: str = "") -> None:
        super().__init__(reason)
        self.code = code


class NotYet(Later):
    """Slack said that it did nothing: whoever tries again need not look whether it came."""


class Poster:
    """Says the outbox rows of one team. `client` must not try again by itself."""

    def __init__(
        self,
        engine: Engine,
        client: AsyncWebClient,
        workspace: Workspace,
        pacing: Pacing,
        *,
        owner: str,
        lease_s: float = 15.0,
        watch: Watch | None = None,
    ) -> None:
        self._engine = engine
        self._client = client
        self._workspace = workspace
        self._pacing = pacing
        self._owner = owner
        self._lease_s = lease_s
        self._watch = watch or Watch()

    async def deliver(self, row: OutboxMessage) -> None:
        """Say one claimed row, and mark it; whatever goes wrong is left for the next try."""
        async with self._watch.handling(row) as seen:
            try:
                seen.outcome = await self._say(row)
            except LostClaim as lost:
                log.warning("%s", lost)
            except SQLAlchemyError as error:
                # Not marked: the lease runs out, and whoever takes over finds the message in Slack.
                log.error("cannot mark outbox row %s: %s", row.id, getattr(error, "orig", error))

    async def _say(self, row: OutboxMessage) -> str:
        """Say and mark it; what came of it, as `bot.figures.Figures.handled` has it."""
        try:
            await self._sent(row, await self._send(row))
            return DONE
        except (LostClaim, SQLAlchemyError):
            raise
        except NotSent as reason:
            log.error("outbox row %s was not sent: %s", row.id, reason)
            await self._mark(_fail(row, self._owner, str(reason)))
            return "given up"
        except Later as later:
            # As long as Slack asked for is long enough; else longer each time.
            told = isinstance(later, NotYet)
            delay_s = later.delay_s if told else max(later.delay_s, _backoff_s(row))
            why = _not_yet(row, later) if told and not _may_be_there(row) else str(later)
            await self._mark(_retry(row, self._owner, why, delay_s))
            return "waiting"
        except Exception as error:  # the last stop: a bug must not end the pump
            line = f"{type(error).__name__}: {error}"
            log.error("outbox row %s will be tried again: %s", row.id, line, exc_info=error)
            await self._mark(_retry(row, self._owner, line, _backoff_s(row)))
            return "error"

    async def _send(self, row: OutboxMessage) -> str | None:
        if await asyncio.to_thread(self._is_unwanted, row):
            # An earlier holder may have posted it: then what takes it away has to find it.
            posted = row.kind is OutboxKind.POST and (row.ts is not None or _may_be_there(row))
            if posted and (ts := row.ts or await self._adopt(row)) is not None:
                if "stream" in row.payload:
                    await self._stop_stream(row, ts)
                return ts
            raise NotSent("the question was deleted")
        if await asyncio.to_thread(self._is_overtaken, row):
            return None
        send = {
            OutboxKind.POST: self._post,
            OutboxKind.UPDATE: self._update,
            OutboxKind.DELETE: self._delete,
            OutboxKind.RESPOND: self._respond,
            OutboxKind.EPHEMERAL: self._whisper,
            OutboxKind.RENEW: self._renew,
            OutboxKind.PICTURE: self._upload,
        }
        return await send[row.kind](row)

    async def _post(self, row: OutboxMessage) -> str:
        ts = row.ts
        if ts is None and _may_be_there(row):
            if (ts := await self._adopt(row)) is not None and "stream" not in row.payload:
                return ts
            # The call must end before the lease does: after that somebody else would post.
            await self._mark(lambda session: outbox.renew(session, row, self._owner, self._lease_s))
        if ts is not None and await self._finish_stream(row, ts):
            return ts
        where = {"thread_ts": row.thread_ts} if row.thread_ts else {}
        reply = await self._call(
            "post", self._client.chat_postMessage, channel=row.channel, **where, **_content(row)
        )
        return str(reply["ts"])

    async def _finish_stream(self, row: OutboxMessage, ts: str) -> bool:
        """Make a stream with the answer's beginning the whole of it; False if it is gone."""
        try:
            await self._stop_stream(row, ts)
            await self._call(
                "update", self._client.chat_update, channel=row.channel, ts=ts, **_content(row)
            )
        except NotSent as reason:
            if reason.code != "message_not_found":
                raise
            return False
        return True

    async def _stop_stream(self, row: OutboxMessage, ts: str) -> None:
        mark = _content(row)["metadata"]
        try:
            await self._call(
                "stream", self._client.chat_stopStream, channel=row.channel, ts=ts, metadata=mark
            )
        except NotSent as reason:
            if reason.code not in ENDED:
                raise

    async def _adopt(self, row: OutboxMessage) -> str | None:
        """The ts under which an earlier holder posted the row, if one did; twins are deleted."""
        found = [one["ts"] for one in await self._said_since(row) if self._carries(one, row)]
        for twin in found[1:]:
            await self._take_away(row.channel, twin)
        return found[0] if found else None

    async def _said_since(self, row: OutboxMessage) -> list[Message]:
        oldest = (row.created_at - CLOCKS_DIFFER).timestamp()
        try:
            if row.thread_ts is None:
                return await self._workspace.since(row.channel, f"{oldest:.6f}")
            thread = await self._workspace.thread(row.channel, row.thread_ts)
        except SlackApiError as error:
            raise _refused(error) from error
        return [one for one in thread if float(one["ts"]) >= oldest]

    def _carries(self, message: Message, row: OutboxMessage) -> bool:
        own = message.get("user") == self._workspace.identity.user_id
        # A stream has no mark before it stops; in a thread there is one at a time.
        streamed = "stream" in row.payload and not message.get("metadata")
        return own and (streamed or outbox_id(message) == row.id)

    async def _update(self, row: OutboxMessage) -> str:
        ts = await self._followed(row)
        await self._call(
            "update", self._client.chat_update, channel=row.channel, ts=ts, **_content(row)
        )
        return ts

    async def _delete(self, row: OutboxMessage) -> str | None:
        if row.follows_id != row.id:
            await self._take_away(row.channel, await self._followed(row))
        elif ts := row.ts or await self._adopt(row):  # a stream that nobody needs any more
            await self._stop_stream(row, ts)
            await self._take_away(row.channel, ts)
        return None

    async def _followed(self, row: OutboxMessage) -> str:
        """The ts of the message that the row is about: its lane has said it before."""
        first = await asyncio.to_thread(self._read, row.follows_id)
        if first.ts is None:
            raise NotSent("there is no message to change", "message_not_found")
        return first.ts

    async def _renew(self, row: OutboxMessage) -> str:
        """Change a message, or say it anew where there is none: later changes follow that one."""
        try:
            return await self._update(row)
        except NotSent as reason:
            if reason.code not in GONE:
                raise
            log.info("outbox row %s is said anew: %s", row.id, reason)
        return await self._post(row)

    async def _upload(self, row: OutboxMessage) -> None:
        """Put an evaluation's picture and its page under the message that the row follows; once."""
        thread_ts = await self._followed(row)
        files = await asyncio.to_thread(self._drawn, row.payload)
        if _may_be_there(row) and await self._is_up(row.channel, thread_ts, files[0]["filename"]):
            return
        try:
            await self._call(
                "upload", self._put, channel=row.channel, thread_ts=thread_ts, file_uploads=files
            )
        except SlackRequestError as error:
            raise Later("Slack did not take the picture") from error

    async def _put(self, **arguments: Any) -> Any:
        """Upload a file. Without the scope it is left out: nothing else that is said waits."""
        try:
            return await self._client.files_upload_v2(**arguments)
        except SlackApiError as error:
            if error_of(error) == "missing_scope":
                raise NotSent("the app has no files:write: install its manifest anew") from error
            raise

    async def _is_up(self, channel: str, thread_ts: str, filename: str) -> bool:
        """Whether an earlier holder put a file of this name into the thread."""
        try:
            thread = await self._workspace.thread(channel, thread_ts)
        except SlackApiError as error:
            raise _refused(error) from error
        own = [one for one in thread if one.get("user") == self._workspace.identity.user_id]
        return any(file.get("name") == filename for one in own for file in one.get("files") or ())

    def _drawn(self, payload: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The picture that a row is about, and its page, in one message: both come, or neither."""
        names = ("filename", "title", "alt_txt")
        picture = {name: payload[name] for name in names if name in payload}
        with reading(self._engine) as session:
            found = session.get_one(Evaluation, payload["evaluation_id"])
        if found.picture is None:
            raise NotSent("the evaluation has no picture")
        files = [picture | {"content": found.picture}]
        if "page" in payload and found.page is not None:
            files.append(payload["page"] | {"content": found.page})
        return files

    async def _whisper(self, row: OutboxMessage) -> None:
        """Say it to one person. Slack cannot be asked whether it came: a crash may repeat it."""
        where = {"thread_ts": row.thread_ts} if row.thread_ts else {}
        await self._call(
            "post", self._client.chat_postEphemeral, channel=row.channel, **where, **row.payload
        )

    async def _respond(self, row: OutboxMessage) -> str | None:
        """Reply to a command. Slack cannot be asked whether it came: a crash may repeat it."""
        if now() - row.created_at > URL_LIVES:  # nothing else waits for it any longer
            raise NotSent("its response_url has expired")
        body = {key: value for key, value in row.payload.items() if key != "response_url"}
        hook = AsyncWebhookClient(row.payload["response_url"], timeout=CALL_S, retry_handlers=[])
        hook.proxy = self._client.proxy
        try:
            reply = await hook.send_dict(body)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Later(f"Slack cannot be reached: {type(error).__name__}") from error
        if reply.status_code == 429 or reply.status_code >= 500:
            raise Later(f"HTTP {reply.status_code}", retry_after(reply.headers))
        if reply.status_code != 200:
            raise NotSent(f"HTTP {reply.status_code}")
        return None

    async def _take_away(self, channel: str, ts: str) -> None:
        try:
            await self._call("delete", self._client.chat_delete, channel=channel, ts=ts)
        except NotSent as gone:
            log.info("%s was not deleted: %s", ts, gone)

    async def _call(
        self, kind: str, call: Callable[..., Any], *, channel: str, **arguments: Any
    ) -> Mapping[str, Any]:
        if wait_s := self._pacing.wait_s(kind, channel):
            raise NotYet("Slack asked to wait", wait_s)
        try:
            reply: Mapping[str, Any] = await call(channel=channel, **arguments)
        except SlackApiError as error:
            if error_of(error) == "ratelimited":
                wait_s = self._pacing.refused(kind, error, channel)
                raise NotYet("Slack: ratelimited", wait_s) from error
            raise _refused(error) from error
        except NO_REPLY as error:
            # It may have arrived: the next attempt looks for it first.
            raise Later(f"Slack cannot be reached: {type(error).__name__}") from error
        return reply

    async def _sent(self, row: OutboxMessage, ts: str | None) -> None:
        try:
            await self._mark(lambda session: outbox.sent(session, row, self._owner, ts))
        except LostClaim:
            if ts is not None and row.kind in (OutboxKind.POST, OutboxKind.RENEW):
                await self._withdraw(row, ts)

    async def _withdraw(self, row: OutboxMessage, ts: str) -> None:
        """Too late: another process has the row. Delete our message, unless it was adopted."""
        log.warning("outbox row %s was taken over while it was posted", row.id)
        for _ in range(240):
            other = await asyncio.to_thread(self._read, row.id)
            if other.status in (Status.DONE, Status.FAILED):
                # Of a renewal that came to nothing: it may be the message as it was before.
                if other.ts != ts and (other.ts or row.kind is OutboxKind.POST):
                    await self._take_away(row.channel, ts)
                return
            await asyncio.sleep(0.25)

    def _read(self, row_id: int | None) -> OutboxMessage:
        with reading(self._engine) as session:
            return session.get_one(OutboxMessage, row_id)

    def _is_overtaken(self, row: OutboxMessage) -> bool:
        if row.kind not in (OutboxKind.UPDATE, OutboxKind.RENEW):
            return False
        with reading(self._engine) as session:
            return outbox.overtaken(session, row)

    def _is_unwanted(self, row: OutboxMessage) -> bool:
        if row.answer_id is None:
            return False
        with reading(self._engine) as session:
            deleted = (
                select(Question.deleted_at)
                .join(Answer, Answer.question_id == Question.id)  # type: ignore[arg-type]
                .where(Answer.id == row.answer_id)
            )
            return session.exec(deleted).one() is not None

    async def _mark(self, change: Callable[[Session], None]) -> None:
        await asyncio.to_thread(self._mark_now, change)

    def _mark_now(self, change: Callable[[Session], None]) -> None:
        with transaction(self._engine) as session:
            change(session)


def _fail(row: OutboxMessage, owner: str, why: str) -> Callable[[Session], None]:
    return lambda session: outbox.fail(session, row, owner, error=why)


def _retry(row: OutboxMessage, owner: str, why: str, delay_s: float) -> Callable[[Session], None]:
    return lambda session: outbox.retry(session, row, owner, error=why, delay_s=delay_s)


def _backoff_s(row: OutboxMessage) -> float:
    # Bounded twice: a row that waited for a day was tried so often that the power overflows.
    return min(0.25 * 2.0 ** min(row.attempts, 16), LONGEST_WAIT_S)


def _content(row: OutboxMessage) -> dict[str, Any]:
    """What the message says, with its mark."""
    shown = {name: value for name, value in row.payload.items() if name != "stream"}
    return marked(shown, row.id or 0)


def _not_yet(row: OutboxMessage, why: Later) -> str:
    return f"not taken, try {row.attempts}: {why}"


def _may_be_there(row: OutboxMessage) -> bool:
    """Whether an earlier try may have posted it: not when Slack refused every one so far."""
    return row.attempts > 1 and not (row.error or "").startswith(
        f"not taken, try {row.attempts - 1}: "
    )


def _refused(error: SlackApiError) -> Later | NotSent:
    code = error_of(error)
    if is_trouble(code):
        return Later(f"Slack: {code}", retry_after(error.response.headers))
    if code in LOCKED_OUT:
        return Later(f"Slack: {code}", LOCKED_OUT_S)
    return NotSent(f"Slack: {code}", code)
