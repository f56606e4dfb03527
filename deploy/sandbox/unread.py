"""What somebody has not read yet."""

from __future__ import annotations

from deploy.sandbox.messages import Message
from deploy.sandbox.people import Channel
from deploy.sandbox.text import mentions
from deploy.sandbox.world import World


def begin(world: World, user: str) -> None:
    """Who comes for the first time has read what was said in channels before, and nothing after."""
    for channel in world.workspace.channels.values():
        if user in channel.members and not channel.im and (user, channel.id) not in world.reads:
            newest = next(reversed(world.workspace.messages[channel.id]), "0")
            world.mark(user, channel, newest)


def unread(world: World, user: str, channel: Channel) -> tuple[int, int]:
    """How many messages somebody has not read in a channel, and how many of them call for them.

    Replies in threads, one's own words and what one person alone sees do not count. All of a direct
    conversation calls; elsewhere a mention does: of the person, of a group of theirs, of everybody.
    Who has marked nothing yet has read all of a channel, and nothing of a direct conversation.
    """
    last_read = world.reads.get((user, channel.id))
    if user not in channel.members or (last_read is None and not channel.im):
        return 0, 0
    total = calling = 0
    for message in reversed(world.workspace.messages[channel.id].values()):
        if last_read is not None and message.ts <= last_read:
            break
        if _counts(message, user):
            total += 1
            calling += channel.im or _calls(world, message.text, user)
    return total, calling


def _counts(message: Message, user: str) -> bool:
    if message.deleted or message.ephemeral_to or message.subtype == "tombstone":
        return False
    in_channel = not message.is_reply or message.subtype == "thread_broadcast"
    return in_channel and message.user != user


def _calls(world: World, text: str, user: str) -> bool:
    if "<" not in text:
        return False
    groups = (g.id for g in world.workspace.groups.values() if user in g.users)
    called = ("<!here", "<!channel", "<!everyone", *(f"<!subteam^{group}" for group in groups))
    return mentions(text, user) or any(name in text for name in called)
