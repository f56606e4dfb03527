"""Follow-ups: what somebody writes in a thread with Mynah and means for it, without a mention.

The rule: whoever asked there before goes on talking to Mynah while nobody else has written since
its last message, or since their own last mention. It keeps out of what people say to each other:
once another person wrote, only mentions count, until somebody mentions it again. A message that
names another person is for that person, and thanks are no question.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Engine

from bot.mrkdwn import plain
from bot.people import SPOKEN
from bot.slack.delivery import mentions
from bot.slack.metadata import is_aside, is_notice
from bot.slack.workspace import Message, Workspace
from bot.store import threads
from bot.store.database import reading

_NAMED = re.compile(r"<@[UW]|<!(?:subteam|here|channel|everyone)|^\s*@\w")
_EMOJI = re.compile(r":[\w+'-]+:(?::skin-tone-\d:)?")
_WORD = re.compile(r"\w+(?:'\w+)*")
# A message that has one of the first and nothing but words of both wants no answer.
_COURTEOUS = frozenset(
    {"awesome", "brilliant", "cheers", "cool", "excellent", "great", "nice", "ok", "okay",
     "perfect", "solved", "thank", "thanks", "thx", "tks", "understood", "wonderful", "worked",
     "works", "yay"}
)  # fmt: skip
_BESIDES = frozenset(
    {"a", "again", "all", "alright", "and", "did", "for", "good", "got", "help", "helping", "i",
     "it", "lot", "lots", "much", "now", "quick", "so", "super", "that", "that's", "the",
     "very", "you", "your"}
)  # fmt: skip


class FollowUps:
    """Tells follow-ups from what is said among people, by the thread as Slack shows it."""

    def __init__(self, engine: Engine, workspace: Workspace) -> None:
        self._engine = engine
        self._workspace = workspace

    async def find(self, event: Mapping[str, Any]) -> Message | None:
        """A reply without a mention as it reads now, when it is for Mynah and wants an answer."""
        if not await asyncio.to_thread(self._has_asked, event):
            return None
        channel, ts = event["channel"], event["ts"]
        thread = await self._workspace.thread(channel, event["thread_ts"])
        before = [message for message in thread if message["ts"] < ts]
        found = next((message for message in thread if message["ts"] == ts), None)
        if found is None:  # it was deleted since
            return None
        if not is_talking(before, event["user"], self._workspace.identity.user_id):
            return None
        text = found.get("text", "")
        wanted = not names_others(text) and not is_thanks(plain(text))
        return {**found, "channel": channel} if wanted else None

    def _has_asked(self, event: Mapping[str, Any]) -> bool:
        team_id = self._workspace.identity.team_id
        with reading(self._engine) as session:
            return threads.has_asked(
                session, team_id, event["channel"], event["thread_ts"], event["user"]
            )


def is_talking(before: Sequence[Message], user: str, bot: str) -> bool:
    """Whether the person was talking with the bot at the end of `before`, oldest first."""
    for message in reversed(before):
        if message.get("subtype") not in (*SPOKEN, "bot_message"):
            continue  # joins and the like are nobody's words
        if is_notice(message):
            continue  # whoever waits for an answer is still talking
        if message.get("user") == bot:
            return not is_aside(message)  # Mynah was not sure, and asked people
        if message.get("user") != user:
            return False
        if mentions(message.get("text", ""), bot):
            return True
    return False


def names_others(text: str) -> bool:
    """Whether a message without a mention of the bot calls somebody: a person, a group, all."""
    return _NAMED.search(text) is not None


def is_thanks(text: str) -> bool:
    """Whether there is nothing in it to answer: thanks, "ok", emoji, nothing at all."""
    words = set(_WORD.findall(_EMOJI.sub("", text).lower().replace("\u2019", "'")))
    if "?" in text:
        return False
    return not words or (bool(words & _COURTEOUS) and words <= _COURTEOUS | _BESIDES)
