"""The workspace with what surrounds it: every change goes through here, and the app hears of it."""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from deploy.sandbox import events
from deploy.sandbox.blocks import with_ids
from deploy.sandbox.courier import Courier, Delivery, Status, Timing
from deploy.sandbox.errors import SlackError
from deploy.sandbox.faults import Faults
from deploy.sandbox.feed import Feed
from deploy.sandbox.files import Files
from deploy.sandbox.ledger import Ledger
from deploy.sandbox.limits import check_text
from deploy.sandbox.messages import Message
from deploy.sandbox.people import Channel, TokenKind, User
from deploy.sandbox.personas import workspace
from deploy.sandbox.responses import ResponseUrls
from deploy.sandbox.state import Workspace
from deploy.sandbox.text import incoming
from deploy.sandbox.triggers import Triggers
from deploy.sandbox.views import Views


@dataclass(frozen=True)
class Content:
    """What somebody wants to say; the text is raw, the rest is checked."""

    text: str
    blocks: list[dict[str, Any]] = field(default_factory=list)
    attachments: list[dict[str, Any]] = field(default_factory=list)
    metadata: dict[str, Any] | None = None
    files: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class World:
    """All that one sandbox holds."""

    workspace: Workspace
    courier: Courier
    faults: Faults
    responses: ResponseUrls = field(default_factory=ResponseUrls)
    triggers: Triggers = field(default_factory=Triggers)
    views: Views = field(default_factory=Views)
    calls: Counter[str] = field(default_factory=Counter)
    statuses: dict[str, str] = field(default_factory=dict)  # "channel:thread" → assistant status
    prompts: dict[str, dict[str, Any]] = field(default_factory=dict)  # … → suggested prompts
    reads: dict[tuple[str, str], str] = field(default_factory=dict)  # (user, channel) → last read
    files: Files = field(default_factory=Files)
    feed: Feed = field(default_factory=Feed)
    installed: bool = True

    def __post_init__(self) -> None:
        self.views.changed = lambda user: self.changed("views", user)
        self.files.changed = lambda file: self.changed("file", file.id)

    @classmethod
    def fresh(cls, timing: Timing | None = None) -> World:
        """A world with the personas in it."""
        space, faults, feed = workspace(), Faults(), Feed()
        courier = Courier(space.app.id, faults, timing or Timing(), Ledger(feed))
        return cls(space, courier, faults, feed=feed)

    def changed(self, what: str, *which: str) -> None:
        """Tell who watches that something is not as it was."""
        self.feed.tell(self.workspace.team, what, *which)

    def mark(self, user: str, channel: Channel, ts: str) -> None:
        """Somebody has read a channel up to `ts`; what is read stays read."""
        if ts > self.reads.get((user, channel.id), ""):
            self.reads[user, channel.id] = ts
            self.changed("read", user, channel.id)

    def say(self, channel: Channel, thread_ts: str, status: str) -> None:
        """Show a status under a thread; an empty one clears it."""
        key = f"{channel.id}:{thread_ts}"
        if status:
            self.statuses[key] = status
        else:
            self.statuses.pop(key, None)
        self.changed("statuses")

    def tell(self, channel: Channel, found: list[events.Event]) -> None:
        """Send events to the app, which hears only of channels that its bot is in."""
        if self.workspace.app.user_id not in channel.members:
            return
        for event in found:
            self.announce(event)

    def announce(self, event: events.Event) -> None:
        """Send an event to the app, whatever channels its bot is in."""
        if not self.installed:
            return
        payload = events.callback(self.workspace, event)
        self.courier.send(Delivery(payload["event_id"], "events_api", payload, event["event_ts"]))

    def inform(self, kind: str, trigger_id: str, payload: dict[str, Any]) -> None:
        """Send the app what a person did, once; nobody waits for its acknowledgement."""
        ts = self.workspace.clock.ts()
        self.courier.send_aside(Delivery(trigger_id, kind, payload, ts))

    async def ask(self, kind: str, trigger_id: str, payload: dict[str, Any]) -> Any:
        """Send the app what a person did, once, and return the payload of its acknowledgement.

        Raises:
            SlackError: what the person would read: `dispatch_failed` while nobody takes it,
                `operation_timeout` when no acknowledgement comes in time.
        """
        delivery = Delivery(trigger_id, kind, payload, self.workspace.clock.ts())
        await self.courier.send_once(delivery)
        if delivery.status is not Status.ACKED:
            late = delivery.failure in ("timeout", "http_timeout")
            why = "operation_timeout" if late else "dispatch_failed"
            raise SlackError(why, trigger_id=trigger_id)
        return delivery.answer

    def post(
        self,
        author: User,
        channel: Channel,
        content: Content,
        *,
        root: Message | None = None,
        broadcast: bool = False,
        ephemeral_to: str | None = None,
        streaming: bool = False,
    ) -> Message:
        """Add a message, in the thread of `root` if given, and tell the app of it."""
        message = self._message(author, channel, content)
        message.ephemeral_to, message.streaming = ephemeral_to, streaming
        if root is not None:
            message.thread_ts = root.ts
            message.subtype = "thread_broadcast" if broadcast else message.subtype
            if author.id == self.workspace.app.user_id:
                self.say(channel, root.ts, "")  # an answer ends the status
        if ephemeral_to:
            self.workspace.messages[channel.id][message.ts] = message
            self.touched(message)
            return message
        self.workspace.add_message(message)
        self.touched(message)
        self.tell(channel, events.posted(self.workspace, channel, message))
        return message

    def edit(self, channel: Channel, message: Message, content: Content, *, mark: bool) -> Message:
        """Replace what a message says; `mark` shows it as edited."""
        before = message.event_json()
        message.touched = ts = self.workspace.clock.ts()
        message.text = _text(content.text)
        message.blocks, message.attachments = with_ids(content.blocks), content.attachments
        message.metadata = content.metadata
        if mark:
            message.edited = {"user": message.user, "ts": ts}
        self.touched(message)
        if not message.ephemeral_to:
            self.tell(channel, events.changed(channel, before, message, ts))
        return message

    def delete(self, channel: Channel, message: Message) -> None:
        """Delete a message; under replies Slack leaves a tombstone and calls it an edit."""
        before = message.event_json()
        gone = self.workspace.remove_message(message)
        ts = message.touched
        self.touched(message)
        if message.ephemeral_to:
            return
        self.tell(
            channel,
            events.deleted(channel, before, ts)
            if gone
            else events.changed(channel, before, message, ts),
        )

    def react(self, user: str, channel: Channel, message: Message, name: str, *, add: bool) -> None:
        """Add or remove a reaction that is known to be absent or there."""
        users = message.reactions.setdefault(name, [])
        (users.append if add else users.remove)(user)
        if not users:
            del message.reactions[name]
        message.touched = ts = self.workspace.clock.ts()
        self.touched(message)
        kind = "reaction_added" if add else "reaction_removed"
        self.tell(channel, events.reaction(kind, user, name, message, ts))

    def join(self, channel: Channel, user: str, inviter: str | None = None) -> None:
        """Put somebody into a channel who is not in it."""
        channel.members.append(user)
        self.changed("channel", channel.id)
        self.tell(channel, events.joined(self.workspace, channel, user, inviter))

    def direct(self, one: str, other: str) -> tuple[Channel, bool]:
        """The direct conversation of two, and whether it was there already."""
        channel, known = self.workspace.direct(one, other)
        if not known:
            self.changed("channel", channel.id)
        return channel, known

    def revoke(self, secret: str) -> None:
        """End one token."""
        token = self.workspace.revoke(secret, "token_revoked")
        self.changed("people")
        kind = "bot" if token.kind is TokenKind.BOT else "oauth"
        self.announce(events.tokens_revoked(self.workspace, kind, [token.user_id]))

    def uninstall(self) -> None:
        """Take the app out of the workspace; these two events are the last that it hears."""
        space, bot = self.workspace, self.workspace.app.user_id
        for secret in [s for s, token in space.tokens.items() if token.kind is TokenKind.BOT]:
            if space.tokens[secret].user_id == bot:
                space.revoke(secret, "account_inactive")
        self.announce(events.tokens_revoked(space, "bot", [bot]))
        self.announce(events.app_uninstalled(space))
        self.installed = False
        self.changed("people")

    def touched(self, message: Message) -> None:
        """A message is new or not as it was; the count of replies on its thread's root, too."""
        self.changed("message", message.channel, message.ts)
        if message.is_reply and message.thread_ts:
            self.changed("message", message.channel, message.thread_ts)

    def _message(self, author: User, channel: Channel, content: Content) -> Message:
        ts = self.workspace.clock.ts()
        ours = author.id == self.workspace.app.user_id
        return Message(
            ts=ts,
            channel=channel.id,
            user=author.id,
            text=_text(content.text),
            team=author.team,
            touched=ts,
            bot_id=author.bot_id,
            app_id=self.workspace.app.id if ours else None,
            client_msg_id=None if author.is_bot else str(uuid.uuid4()),
            blocks=with_ids(content.blocks),
            attachments=content.attachments,
            metadata=content.metadata,
            files=content.files,
            subtype="file_share" if content.files else None,
        )


def _text(raw: str) -> str:
    check_text(raw)
    return incoming(raw)
