"""What one person sees of a workspace, as JSON for a page: nothing of what is kept from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from deploy.sandbox.elements import Json
from deploy.sandbox.errors import Impossible
from deploy.sandbox.feed import Change
from deploy.sandbox.files import File
from deploy.sandbox.markdown import to_blocks
from deploy.sandbox.messages import Message
from deploy.sandbox.people import Channel, TokenKind, User
from deploy.sandbox.unread import unread
from deploy.sandbox.views import View
from deploy.sandbox.world import World

MOST_AT_ONCE = 200


class Viewer:
    """One person's view of a workspace."""

    def __init__(self, world: World, name: str) -> None:
        """Look as the person of that name.

        Raises:
            Impossible: nobody of that name can be played.
        """
        self.world = world
        found = next((pair for pair in _played(world) if pair[1].name == name), None)
        if found is None:
            known = ", ".join(user.name for _, user in _played(world))
            raise Impossible(f"nobody here is called {name!r}, only: {known}")
        self.token, self.user = found
        self._known: set[str] = set()  # the channels that were told of

    def everything(self) -> Json:
        """All but messages, which are asked for by channel and thread."""
        space = self.world.workspace
        fixed = {
            "team": space.team,
            "me": self.user.id,
            "token": self.token,
            "app": {"user": space.app.user_id, "id": space.app.id},
            "born": min(channel.created for channel in space.channels.values()),
        }
        channels = {channel.id: self._channel(channel) for channel in self._channels()}
        parts = [self._part(what) for what in ("people", "statuses", "prompts", "views")]
        return {**fixed, "channels": channels, **{k: v for part in parts for k, v in part.items()}}

    def of(self, changes: Iterable[Change]) -> Json:
        """What has changed for this person; empty where nothing has."""
        mine = [change for change in changes if change[0] == self.world.workspace.team]
        found: Json = {}
        for _, what, *which in mine:
            if what == "message":
                self._add_message(found, *which)
            elif what == "channel" or (what == "read" and which[0] == self.user.id):
                self._add_channel(found, which[-1])
            elif what == "typing":
                self._add_typing(found, *which)
            elif what != "views" or which[0] == self.user.id:
                found |= self._part(what)
        return found

    def history(self, channel_id: str, before: str, limit: int) -> Json:
        """The newest messages of a channel that are older than `before`, without replies."""
        there = self._messages(channel_id)
        roots = (m for m in reversed(there) if not m.is_reply or m.subtype == "thread_broadcast")
        older = [m for m in roots if self._sees(m) and (not before or m.ts < before)]
        limit = min(max(limit, 1), MOST_AT_ONCE)
        shown = [drawable(message) for message in reversed(older[:limit])]
        return {"messages": shown, "more": len(older) > limit}

    def thread(self, channel_id: str, ts: str) -> Json:
        """A message and its replies."""
        there = self._messages(channel_id)
        of_thread = (m for m in there if ts in (m.ts, m.thread_ts))
        return {"messages": [drawable(m) for m in of_thread if self._sees(m)]}

    def file(self, file_id: str) -> File:
        """A file of theirs, or one that was shared where they are, or may go.

        Raises:
            Impossible: there is none, or they do not see it.
        """
        file, channels = self.world.files.by_id.get(file_id), self.world.workspace.channels
        if file is not None:
            shared = any(self.sees_channel(channels[channel]) for channel in file.shares)
            # What the app shares nowhere is for its blocks, which name it.
            of_app = file.user == self.world.workspace.app.user_id and not file.shares
            if shared or of_app or file.user == self.user.id:
                return file
        raise Impossible(f"{self.user.name} does not see a file {file_id}")

    def sees_channel(self, channel: Channel) -> bool:
        """Whether it is in their list: theirs, or a public one for anybody but guests."""
        open_to_all = channel.type == "channel" and not self.user.is_restricted
        return open_to_all or self.user.id in channel.members

    def _channels(self) -> list[Channel]:
        return [c for c in self.world.workspace.channels.values() if self.sees_channel(c)]

    def _messages(self, channel_id: str) -> Sequence[Message]:
        channel = self.world.workspace.channels.get(channel_id)
        if channel is None or not self.sees_channel(channel):
            raise Impossible(f"{self.user.name} does not see a channel {channel_id}")
        return list(self.world.workspace.messages[channel.id].values())

    def _sees(self, message: Message) -> bool:
        return not message.deleted and message.ephemeral_to in (None, self.user.id)

    def _add_message(self, found: Json, channel_id: str, ts: str) -> None:
        channel = self.world.workspace.channels[channel_id]
        message = self.world.workspace.messages[channel_id].get(ts)
        if message is None or not self.sees_channel(channel):
            return
        if message.ephemeral_to not in (None, self.user.id):
            return
        gone = {"channel": channel_id, "ts": ts, "thread_ts": message.thread_ts, "gone": True}
        found.setdefault("messages", []).append(gone if message.deleted else drawable(message))
        self._add_channel(found, channel_id)

    def _add_channel(self, found: Json, channel_id: str) -> None:
        channel = self.world.workspace.channels[channel_id]
        if self.sees_channel(channel):
            found.setdefault("channels", {})[channel_id] = self._channel(channel)
        elif channel_id in self._known:  # of one that was always hidden not even the id is told
            self._known.remove(channel_id)
            found.setdefault("channels", {})[channel_id] = None

    def _add_typing(self, found: Json, channel_id: str, thread_ts: str, user: str) -> None:
        if user != self.user.id and self.sees_channel(self.world.workspace.channels[channel_id]):
            there = {"user": user, "channel": channel_id, "thread_ts": thread_ts}
            found.setdefault("typing", []).append(there)

    def _channel(self, channel: Channel) -> Json:
        self._known.add(channel.id)
        total, calling = unread(self.world, self.user.id, channel)
        return {
            "id": channel.id,
            "name": channel.name,
            "type": channel.type,
            "is_private": channel.private,
            "is_member": self.user.id in channel.members,
            "members": list(channel.members),
            "unread": total,
            "mentions": calling,
            "last_read": self.world.reads.get((self.user.id, channel.id), ""),
        }

    def _part(self, what: str) -> Json:
        tellers: dict[str, Callable[[], Json]] = {
            "people": self._people,
            "statuses": lambda: {"statuses": self._where_seen(self.world.statuses)},
            "prompts": lambda: {"prompts": self._where_seen(self.world.prompts)},
            "views": self._views,
        }
        return tellers[what]() if what in tellers else {}

    def _people(self) -> Json:
        space = self.world.workspace
        return {
            "users": [user.as_json(space.team) for user in space.users.values()],
            "groups": {group.id: group.handle for group in space.groups.values()},
            "personas": [{"name": u.name, "id": u.id} for _, u in _played(self.world)],
        }

    def _where_seen(self, by_place: dict[str, Any]) -> Json:
        """What belongs to channels and threads, `CHANNEL` or `CHANNEL:TS`, that they see."""
        seen = {channel.id for channel in self._channels()}
        return {place: it for place, it in by_place.items() if place.split(":")[0] in seen}

    def _views(self) -> Json:
        views, home = self.world.views, self.world.views.home(self.user.id)
        stack = [self._view(view) for view in views.stack(self.user.id)]
        return {"modals": stack, "home": self._view(home) if home else None}

    def _view(self, view: View) -> Json:
        shown = view.as_json(self.world.workspace.team, self.world.workspace.app)
        return {**shown, "blocks": _drawn(shown["blocks"])}


def drawable(message: Message) -> Json:
    """A message in blocks that a page can draw: Markdown as rich text, a stream as it is so far."""
    shown = message.state_json()
    given = list(shown.get("blocks") or ())
    if message.streaming:
        given.insert(0, {"type": "markdown", "text": message.text})
    return {**shown, "channel": message.channel, "blocks": _drawn(given)}


def _drawn(blocks: Iterable[Json]) -> list[Json]:
    return [
        part
        for block in blocks
        for part in (to_blocks(block["text"]) if block["type"] == "markdown" else [block])
    ]


def _played(world: World) -> list[tuple[str, User]]:
    """The people whom the page can play, with their tokens."""
    space = world.workspace
    people = (
        (secret, space.users[token.user_id])
        for secret, token in space.tokens.items()
        if token.kind is TokenKind.USER
    )
    return [(secret, user) for secret, user in people if not user.deleted]
