"""What Bolt sees, written down: each event, acknowledgement, call and socket, the newest kept."""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from deploy.sandbox import sent
from deploy.sandbox.feed import Feed

MOST = 1_000  # entries
MOST_CHARS = 64_000  # of a payload; the rest of it is not kept
_SECRET_NAMES = ("token", "access_token", "refresh_token", "client_secret", "code")
_SECRET = re.compile(r"\b(xox[a-z](?:\.xox[a-z])?-|xapp-|ticket=)[\w-]+")
_NAMED = re.compile(rf'"({"|".join(_SECRET_NAMES)})": "[^"]*"?')
_HIDDEN = "…"


class Carried(Protocol):
    """What the ledger reads of a delivery."""

    id: str
    kind: str
    payload: dict[str, Any]
    envelopes: list[str]
    failure: str


@dataclass(frozen=True)
class Entry:
    """One thing that passed between Slack and the app."""

    n: int
    at: float  # seconds since the epoch
    kind: str  # event, retry, ack, gave_up, call or socket
    title: str  # an event's type, a command, an interaction's type, a method, what a socket did
    ok: bool = True
    detail: str | None = None  # a subtype, a command's text, which element, which callback
    channel: str | None = None
    ts: str | None = None
    id: str | None = None  # the delivery's: an event id, or a trigger id
    envelope: str | None = None
    attempt: int | None = None  # counts from 1
    copy: bool | None = None  # the same attempt once more, by a fault
    reason: str | None = None  # why there is a further attempt
    answered: bool | None = None  # whether the acknowledgement brought a payload
    error: str | None = None
    status: int | None = None  # of HTTP
    retry_after: int | None = None  # seconds
    connection: int | None = None  # a socket's number
    ms: float | None = None  # an acknowledgement's since the handing over, a call's own
    payload: str | None = None  # JSON, cut where it is too long
    answer: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The entry as a list shows it: what it has, without what was sent and answered."""
        left_out = ("payload", "answer")
        return {k: v for k, v in vars(self).items() if v is not None and k not in left_out}

    def whole_json(self) -> dict[str, Any]:
        """The entry with what was sent and answered; a text where it had to be cut."""
        return {**self.as_json(), "payload": _read(self.payload), "answer": _read(self.answer)}


class Ledger:
    """The last entries, numbered from 1; each is told to the feed."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._entries: deque[Entry] = deque(maxlen=MOST)
        self._handed: dict[str, Entry] = {}  # envelope id → how it left, while that is kept
        self._last = 0

    @property
    def last(self) -> int:
        """The number of the newest entry; 0 before there is one."""
        return self._last

    def since(self, n: int) -> list[Entry]:
        """What was written after entry `n`, as far as it is still kept."""
        new = min(self._last - n, len(self._entries))
        return list(self._entries)[-new:] if new > 0 else []

    def entry(self, n: int) -> Entry | None:
        """An entry by its number; None when it is not kept any more, or was never there."""
        return next((entry for entry in self.since(n - 1)[:1] if entry.n == n), None)

    def handed(
        self, delivery: Carried, envelope: str, *, number: int = 0, reason: str = ""
    ) -> None:
        """An envelope leaves for the app: the first time, or as retry `number` for a reason."""
        again = bool(reason)
        self._write(
            "retry" if again else "event",
            **_about(delivery),
            envelope=envelope,
            attempt=number + 1,
            copy=True if not again and len(delivery.envelopes) > 1 else None,
            reason=reason or None,
            payload=_kept(delivery.payload),
        )

    def acked(self, envelope: str, answer: Any, error: str = "") -> None:
        """The app answered an envelope; with an error it does not count, or is no good answer."""
        handed = self._handed.get(envelope)
        if handed is None:
            return
        self._write(
            "ack",
            handed.title,
            ok=not error,
            detail=handed.detail,
            channel=handed.channel,
            ts=handed.ts,
            id=handed.id,
            envelope=envelope,
            attempt=handed.attempt,
            answered=bool(answer),
            error=error or None,
            ms=round((time.time() - handed.at) * 1000, 1),
            answer=_kept(answer) if answer else None,
        )

    def gave_up(self, delivery: Carried) -> None:
        """Nobody took a delivery, and it will not be tried again."""
        self._write(
            "gave_up",
            **_about(delivery),
            ok=False,
            attempt=len(delivery.envelopes),
            error=delivery.failure or "nobody is connected",
        )

    def called(
        self,
        method: str,
        arguments: dict[str, Any],
        answer: Any,
        *,
        status: int = 200,
        retry_after: int | None = None,
        ms: float = 0,
    ) -> None:
        """A call of the Web API by the app."""
        said = answer if isinstance(answer, dict) else {}
        error = said.get("error") or (f"HTTP {status}" if status != 200 else None)
        self._write(
            "call",
            method,
            ok=not error,
            channel=_text(arguments, "channel", "channel_id") or _text(said, "channel"),
            ts=_text(arguments, "ts", "timestamp", "message_ts") or _text(said, "ts", "message_ts"),
            error=error,
            status=status,
            retry_after=retry_after,
            ms=round(ms, 1),
            payload=_kept({name: _unfolded(value) for name, value in arguments.items()}),
            answer=_kept(answer),
        )

    def socket(self, title: str, connection: int | None = None, error: str = "") -> None:
        """A connection was opened, closed, refused, or asked to come anew."""
        self._write("socket", title, ok=not error, connection=connection, error=error or None)
        self._feed.tell("", "sockets")

    def _write(self, kind: str, title: str, **more: Any) -> None:
        self._last += 1
        entry = Entry(self._last, round(time.time(), 4), kind, title, **more)
        if len(self._entries) == MOST:
            self._handed.pop(self._entries[0].envelope or "", None)
        self._entries.append(entry)
        if kind in ("event", "retry") and entry.envelope:
            self._handed[entry.envelope] = entry
        self._feed.tell("", "log")


def masked(value: Any) -> Any:
    """A copy of a payload without the secrets in it: tokens, codes, tickets."""
    if isinstance(value, dict):
        return {
            name: _HIDDEN if name in _SECRET_NAMES and isinstance(part, str) else masked(part)
            for name, part in value.items()
        }
    if isinstance(value, list):
        return [masked(part) for part in value]
    return _SECRET.sub(rf"\1{_HIDDEN}", value) if isinstance(value, str) else value


def _about(delivery: Carried) -> dict[str, Any]:
    """What a delivery is, and where: the words of its entry."""
    payload = delivery.payload
    if delivery.kind == "events_api":
        event = payload["event"]
        item = event.get("item") or {}
        return {
            "title": event["type"],
            "detail": event.get("subtype") or event.get("reaction") or event.get("tab"),
            "channel": _text(event, "channel") or _text(item, "channel"),
            "ts": _text(item, "ts") or _text(event, "ts"),
            "id": delivery.id,
        }
    if delivery.kind == "slash_commands":
        names = {"title": payload["command"], "detail": payload["text"] or None}
        return {**names, "channel": payload["channel_id"], "id": delivery.id}
    return {"title": payload["type"], **_of_interaction(payload), "id": delivery.id}


def _of_interaction(payload: dict[str, Any]) -> dict[str, Any]:
    used = [action["action_id"] for action in payload.get("actions") or ()]
    callback = payload.get("callback_id") or (payload.get("view") or {}).get("callback_id")
    return {
        "detail": ", ".join(used) or callback or None,
        "channel": (payload.get("channel") or {}).get("id"),
        "ts": payload.get("message_ts") or (payload.get("container") or {}).get("message_ts"),
    }


def _text(found: dict[str, Any], *names: str) -> str | None:
    """The first of some names that holds a text."""
    texts: Iterable[Any] = (found.get(name) for name in names)
    return next((text for text in texts if isinstance(text, str) and text), None)


def _unfolded(value: Any) -> Any:
    """What a form carries as JSON in a string."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return sent.read(value)
        except ValueError:
            return value
    return value


def _kept(value: Any) -> str:
    """What is kept of a payload, as it is now: nothing that changes later changes it."""
    text = json.dumps(value, ensure_ascii=False)
    if len(text) <= MOST_CHARS:
        return text
    return f"{text[:MOST_CHARS]}… (cut: {len(text):,} characters)"


def _read(kept: str | None) -> Any:
    """What was kept, for somebody's eyes: masked here, for few entries are ever looked at."""
    if kept is None:
        return None
    try:
        return masked(json.loads(kept))
    except ValueError:  # it was cut
        return _NAMED.sub(rf'"\1": "{_HIDDEN}"', str(masked(kept)))
