"""Modals and Home tabs: what people have open, and the limits of what an app may show there."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from deploy.sandbox.blocks import HOME, MODAL, faults_of, with_ids
from deploy.sandbox.elements import Json, check_length, check_text_object, kind_of
from deploy.sandbox.errors import Impossible, SlackError
from deploy.sandbox.state import App, numbers_after
from deploy.sandbox.widgets import Values, states

MOST_BYTES = 250_000
MOST_STACKED = 3
_FIELDS = ("title", "submit", "close")


@dataclass
class View:
    """One view as somebody sees it; `body` is what the app gave, checked and with ids."""

    id: str
    user: str
    body: Json
    values: Values
    root: str
    previous: str | None = None
    hash: str = ""

    @property
    def blocks(self) -> list[Json]:
        """Its blocks."""
        return list(self.body["blocks"])

    @property
    def is_home(self) -> bool:
        """Whether it is a Home tab."""
        return bool(self.body["type"] == HOME)

    def show(self, body: Json) -> None:
        """Replace what it says; what was chosen stays where both ids stay."""
        self.body = {**body, "blocks": with_ids(body["blocks"])}
        self.values = states(self.blocks, self.values)
        self.hash = f"{int(time.time())}.{secrets.token_hex(4)}"

    def as_json(self, team: str, app: App) -> Json:
        """The view object."""
        return {
            "id": self.id,
            "team_id": team,
            "type": self.body["type"],
            "blocks": self.body["blocks"],
            "private_metadata": self.body.get("private_metadata") or "",
            "callback_id": self.body.get("callback_id") or "",
            "external_id": self.body.get("external_id") or "",
            "state": {"values": self.values},
            "hash": self.hash,
            **{name: self.body.get(name) for name in _FIELDS},
            "clear_on_close": bool(self.body.get("clear_on_close")),
            "notify_on_close": bool(self.body.get("notify_on_close")),
            "root_view_id": self.root,
            "previous_view_id": self.previous,
            "app_id": app.id,
            "app_installed_team_id": team,
            "bot_id": app.bot_id,
        }


@dataclass
class Views:
    """Every view: a stack of modals for each person, the one in front last, and a Home tab."""

    changed: Callable[[str], None] = lambda _user: None  # is told whose views are not as they were
    _stacks: dict[str, list[View]] = field(default_factory=dict)
    _homes: dict[str, View] = field(default_factory=dict)
    _published: dict[str, asyncio.Event] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def restore(self, homes: Iterable[View]) -> None:
        """Put back the Home tabs that were there before a restart."""
        self._homes.update((view.user, view) for view in homes)
        self._numbers = numbers_after(view.id for view in self.all_homes())

    def open(self, user: str, body: Json) -> View:
        """Show a modal, in the place of what was open."""
        self._check_external_id(body)
        view = self._new(user, body)
        self._stacks[user] = [view]
        self.changed(user)
        return view

    def push(self, user: str, body: Json) -> View:
        """Show a modal over the one in front; `push_limit_reached` over three."""
        stack = self._stacks.get(user, [])
        if not stack:
            raise SlackError("not_found")
        if len(stack) >= MOST_STACKED:
            raise SlackError("push_limit_reached")
        self._check_external_id(body)
        view = self._new(user, body, root=stack[0].id, previous=stack[-1].id)
        stack.append(view)
        self.changed(user)
        return view

    def update(self, view: View, body: Json, expected: str = "") -> View:
        """Replace what a view says; `hash_conflict` when it is not the `expected` one any more."""
        if expected and expected != view.hash:
            raise SlackError("hash_conflict")
        self._check_external_id(body, view)
        view.show(body)
        self.changed(view.user)
        return view

    def publish(self, user: str, body: Json, expected: str = "") -> View:
        """Put a Home tab in place."""
        view = self._homes.get(user)
        if view is None:
            if expected:
                raise SlackError("hash_conflict")
            self._check_external_id(body)
            view = self._homes[user] = self._new(user, body)
        else:
            self.update(view, body, expected)
        self._published.setdefault(user, asyncio.Event()).set()
        self.changed(user)
        return view

    def find(self, *, view_id: str = "", external_id: str = "") -> View:
        """A view that somebody has open, or a Home tab; `not_found`."""
        for view in self._all():
            if view_id == view.id or (external_id and external_id == view.body.get("external_id")):
                return view
        raise SlackError("not_found")

    def seen_by(self, user: str, view_id: str) -> View:
        """The view that a person sees: the modal in front, or the Home tab.

        Raises:
            Impossible: somebody else's, covered by another one, or closed.
        """
        front = self.front(user)
        for view in (front, self.home(user)):
            if view is not None and view.id == view_id:
                return view
        raise Impossible(f"{user} does not see a view {view_id}")

    def front(self, user: str) -> View | None:
        """The modal in front of a person."""
        stack = self._stacks.get(user)
        return stack[-1] if stack else None

    def home(self, user: str) -> View | None:
        """A person's Home tab."""
        return self._homes.get(user)

    def close(self, user: str, *, whole: bool = False) -> None:
        """Close the modal in front of a person, or all of them."""
        stack = self._stacks.get(user, [])
        del stack[0 if whole else -1 :]
        self.changed(user)

    async def until_published(self, user: str, within_s: float) -> View | None:
        """The Home tab once it is published anew, or as it is when the time is up."""
        event = self._published[user] = asyncio.Event()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), within_s)
        return self.home(user)

    def stack(self, user: str) -> list[View]:
        """The modals of a person, the one in front last."""
        return list(self._stacks.get(user, ()))

    def all_open(self) -> list[View]:
        """Every modal that somebody has open."""
        return [view for stack in self._stacks.values() for view in stack]

    def all_homes(self) -> list[View]:
        """Every Home tab."""
        return list(self._homes.values())

    def _all(self) -> Iterable[View]:
        return (*self.all_open(), *self.all_homes())

    def _new(self, user: str, body: Json, root: str = "", previous: str | None = None) -> View:
        view_id = f"V0{next(self._numbers):08d}"
        view = View(view_id, user, body, {}, root or view_id, previous)
        view.show(body)
        return view

    def _check_external_id(self, body: Json, own: View | None = None) -> None:
        wanted = body.get("external_id")
        if wanted and any(v.body.get("external_id") == wanted for v in self._all() if v is not own):
            raise SlackError("duplicate_external_id")


def check_view(view: Any, kind: str) -> Json:
    """Return a view when it may be shown as a `kind`; else `invalid_arguments` and where."""
    if not isinstance(view, dict):
        raise _invalid(["must be an object [json-pointer:/view]"])
    if len(json.dumps(view)) > MOST_BYTES:
        raise SlackError("view_too_large")
    if faults := list(_faults(view, kind)):
        raise _invalid(faults)
    return view


def _invalid(faults: list[str]) -> SlackError:
    messages = [f"[ERROR] {fault}" for fault in faults]
    return SlackError("invalid_arguments", response_metadata={"messages": messages})


def _faults(view: Json, kind: str) -> Iterable[str]:
    if view.get("type") != kind:
        yield f"must be of type {kind} [json-pointer:/view/type]"
    blocks = view.get("blocks")
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        yield "missing required field: blocks [json-pointer:/view]"
    else:
        yield from faults_of(blocks, kind, "/view/blocks")
        if kind == MODAL and not view.get("submit") and any(kind_of(b) == "input" for b in blocks):
            yield "missing required field: submit [json-pointer:/view]"
    yield from _outside(view, kind)


def _outside(view: Json, kind: str) -> Iterable[str]:
    """What is wrong around the blocks."""
    if kind == MODAL and not view.get("title"):
        yield "missing required field: title [json-pointer:/view]"
    found = []
    for name in _FIELDS:
        if view.get(name) is not None:
            if kind == HOME and name != "title":
                yield f"not allowed in a home view [json-pointer:/view/{name}]"
            found += check_text_object(f"/{name}", view[name], 24, plain=True)
    for name, most in (("private_metadata", 3000), ("callback_id", 255), ("external_id", 255)):
        found += check_length(f"/{name}", str(view.get(name) or ""), most)
    for where, what in found:
        yield f"{what} [json-pointer:/view{where}]"
