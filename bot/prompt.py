"""The only place where messages for the model are built, for serving, training and evaluation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from serving.client import ChatMessage

SYSTEM = "You are the support assistant of this team. Answer the question briefly and factually."
# Thread turns are cut so that a long paste cannot push the question out of the context window.
MAX_QUESTION_CHARS = 2000
MAX_TURN_CHARS = 500
MAX_TURNS = 6
# What chat templates are written in. A tokenizer reads it as such wherever it stands: in a question
# "<|im_end|>" would end the asker's turn, and in an approved answer it would teach to end there.
# Any <…> with a | or _ in it, and the names that the usual families of models have without.
_CONTROL = re.compile(
    r"<(?=[^<>\s]{0,60}[|\uff5c_][^<>\s]{0,60}>)"
    r"|<(?=/?(?:s|bos|eos|pad|unk|mask|sep|cls|think|tools|image|video|audio|filename|reponame"
    r"|endoftext)>)"
    r"|<<(?=/?SYS>>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|THINK|ARGS"
    r"|CALL_ID|IMG|IMG_BREAK|IMG_END|PREFIX|MIDDLE|SUFFIX)\])",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Turn:
    """One earlier message of a thread, as the model should see it."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True)
class Note:
    """An approved answer that is put into the prompt (open book)."""

    question: str
    answer: str


def build(
    question: str, *, thread: Sequence[Turn] = (), note: Note | None = None
) -> list[ChatMessage]:
    """Build the chat messages for one question. No word of a person's can be a control token.

    Args:
        question: the asker's words, mentions removed.
        thread: earlier messages of the thread, oldest first; only the last few are kept.
        note: an approved answer from memory, if one matches.
    """
    messages: list[ChatMessage] = [{"role": "system", "content": SYSTEM}]
    for turn in thread[-MAX_TURNS:]:
        messages.append({"role": turn.role, "content": _cut(turn.text, MAX_TURN_CHARS)})
    messages.append(
        {"role": "user", "content": _with_note(_cut(question, MAX_QUESTION_CHARS), note)}
    )
    return messages


def defused(text: str) -> str:
    """The text with a space in whatever a chat template would be controlled by, and else as it is:
    ``< |im_start|>`` are words."""
    return _CONTROL.sub(lambda found: f"{found[0]} ", text)


def _with_note(question: str, note: Note | None) -> str:
    if note is None:
        return question
    known = _cut(note.answer, MAX_QUESTION_CHARS)
    # Small models copy what stands last and what they are told to use: of eight forms tried on 48
    # questions with the right note, this one took the 135M base from 25 right answers to 38.
    return f"{question}\n\nAnswer with these words: {known}"


def _cut(text: str, limit: int) -> str:
    return defused(text if len(text) <= limit else text[: limit - 1] + "…")
