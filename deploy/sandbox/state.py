"""The workspace as data: who is there, what was said. Nothing here sends anything."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from deploy.sandbox.errors import SlackError
from deploy.sandbox.messages import Message
from deploy.sandbox.people import Channel, Token, User, UserGroup


def numbers_after(ids: Iterable[str]) -> Iterator[int]:
    """Numbers for new ids, greater than those in `ids`: after ``D000000007`` comes 8."""
    return itertools.count(1 + max((int(i[2:]) for i in ids if i[2:].isdecimal()), default=0))


class Clock:
    """Gives Slack timestamps, each greater than all before: ``1700000000.000100``."""

    def __init__(self, time_s: Callable[[], float] = time.time) -> None:
        self._time_s = time_s
        self._last_us = 0

    def ts(self) -> str:
        """The next timestamp."""
        self._last_us = max(self._last_us + 1, int(self._time_s() * 1_000_000))
        return f"{self._last_us // 1_000_000}.{self._last_us % 1_000_000:06d}"

    def not_before(self, ts: str) -> None:
        """Give none that is `ts` or less, whatever the time."""
        seconds, _, micro = ts.partition(".")
        self._last_us = max(self._last_us, int(seconds) * 1_000_000 + int(micro))

    def seconds(self) -> int:
        """The time in whole seconds since the epoch."""
        return int(self._time_s())


@dataclass(frozen=True)
class App:
    """The one app that is installed in the workspace."""

    id: str
    user_id: str
    bot_id: str
    name: str


@dataclass
class Workspace:
    """One Slack workspace."""

    team: str
    domain: str
    app: App
    clock: Clock = field(default_factory=Clock)
    users: dict[str, User] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    groups: dict[str, UserGroup] = field(default_factory=dict)
    revoked: dict[str, str] = field(default_factory=dict)  # token → the error of its calls
    messages: dict[str, dict[str, Message]] = field(default_factory=dict)  # channel → ts → message
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def add_channel(self, channel: Channel) -> Channel:
        """Put a channel in place; its messages, if it was there before, stay."""
        channel.created = channel.created or self.clock.seconds()
        self.channels[channel.id] = channel
        self.messages.setdefault(channel.id, {})
        return channel

    def restore(self, channels: Iterable[Channel], messages: Iterable[Message]) -> None:
        """Put back what was there before a restart."""
        for channel in channels:
            self.add_channel(channel)
        for message in sorted(messages, key=lambda one: one.ts):
            self.messages[message.channel][message.ts] = message
            self.clock.not_before(max(message.ts, message.touched))
        self._numbers = numbers_after(c.id for c in self.channels.values() if c.im)

    def revoke(self, secret: str, error: str) -> Token:
        """End a token; its calls are answered with `error` from now on."""
        self.revoked[secret] = error
        return self.tokens.pop(secret)

    def user(self, user_id: str) -> User:
        """A user by id; `user_not_found`."""
        if user_id not in self.users:
            raise SlackError("user_not_found")
        return self.users[user_id]

    def visible_channel(self, channel_id: str, viewer: str) -> Channel:
        """A channel that `viewer` may know of: public, or a member of it; `channel_not_found`."""
        channel = self.channels.get(channel_id) or self._channel_named(channel_id)
        if channel is None or (channel.type != "channel" and viewer not in channel.members):
            raise SlackError("channel_not_found")
        return channel

    def joined_channel(self, channel_id: str, member: str) -> Channel:
        """A channel that `member` is in; `not_in_channel` for a public one."""
        channel = self.visible_channel(channel_id, member)
        if member not in channel.members:
            raise SlackError("not_in_channel")
        return channel

    def direct(self, one: str, other: str) -> tuple[Channel, bool]:
        """The direct conversation of two, and whether it was there already."""
        for channel in self.channels.values():
            if channel.im and set(channel.members) == {one, other}:
                return channel, True
        channel_id = f"D0{next(self._numbers):08d}"
        members = list(dict.fromkeys((one, other)))
        return self.add_channel(Channel(channel_id, "", im=True, members=members)), False

    def message(self, channel: Channel, ts: str, error: str = "message_not_found") -> Message:
        """A message that is still there and that all members see."""
        found = self.messages[channel.id].get(ts)
        if found is None or found.deleted or found.ephemeral_to:
            raise SlackError(error)
        return found

    def add_message(self, message: Message) -> Message:
        """Append a message, and count it as a reply where it is one."""
        if message.is_reply:
            self._reply(message)
        self.messages[message.channel][message.ts] = message
        return message

    def remove_message(self, message: Message) -> bool:
        """Delete a message; False when replies keep its place, and a tombstone stands there now.

        The text goes for good: nothing can read it afterwards, in the state neither.
        """
        message.text, message.blocks, message.attachments, message.files = "", [], [], []
        message.metadata, message.reactions = None, {}
        message.touched = self.clock.ts()
        if message.replies:
            message.subtype, message.user = "tombstone", "USLACKBOT"
            message.text = "This message was deleted."
            return False
        message.deleted = True
        if message.is_reply and message.thread_ts:
            self._forget_reply(message, message.thread_ts)
        return True

    def thread(self, channel: Channel, root: Message) -> list[Message]:
        """The root and its replies, the oldest first."""
        there = self.messages[channel.id]
        return [root, *(there[ts] for ts in root.replies)]

    def _reply(self, message: Message) -> None:
        root = self.messages[message.channel][str(message.thread_ts)]
        root.thread_ts, root.touched = root.ts, message.ts
        root.replies.append(message.ts)
        if message.user not in root.reply_users:
            root.reply_users.append(message.user)
        message.parent_user_id = root.user

    def _forget_reply(self, message: Message, root_ts: str) -> None:
        there = self.messages[message.channel]
        root = there[root_ts]
        root.replies.remove(message.ts)
        root.reply_users = list(dict.fromkeys(there[ts].user for ts in root.replies))
        root.touched = message.touched
        if not root.replies:
            root.thread_ts = None

    def _channel_named(self, name: str) -> Channel | None:
        wanted = name.removeprefix("#")
        return next((c for c in self.channels.values() if c.name == wanted and wanted), None)
