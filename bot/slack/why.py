"""`/mynah why [link]`, and the message shortcut for it: where an answer came from, told to whoever
can read the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from bot import confidence, permalink
from bot.mrkdwn import approver, escape
from bot.slack import ephemeral
from bot.slack.interactions import Listeners, Shortcut
from bot.slack.roles import Roles
from bot.slack.workspace import Workspace
from bot.store import receipts
from bot.store.database import reading, transaction
from bot.store.receipts import MessageId, Receipt, Used
from bot.store.schema import AnswerMode, Dataset, ExampleStatus, Run

SHORTCUT = "why_answer"
USAGE = (
    "Give me the link to one answer of mine (*⋮ → Copy link*), as in `/mynah why https://…`, or "
    "none for the newest one that I gave you here."
)
# The same for what is not there and for what the person cannot read.
NOTHING = "I find no answer of mine there that you can read."
NONE_YET = "I have not answered a question of yours here."
_WORDS = {
    AnswerMode.QUOTED: "quoted, word for word, from an approved answer",
    AnswerMode.QUOTED_AWAY: (
        "quoted, word for word, from the approved answer that came nearest, as the model was away"
    ),
    AnswerMode.OPEN_BOOK: "written from an approved answer",
    AnswerMode.CLOSED_BOOK: "from the weights alone; no approved answer was used",
    AnswerMode.KNOWN: (
        "from the weights, which have proved to know this approved answer; it was not in the prompt"
    ),
    AnswerMode.UNSURE: "none: Mynah was not sure, and did not show what it would have said",
    AnswerMode.CORRECTED: "by staff, in the place of an answer that was wrong",
}


@dataclass(frozen=True)
class Seen:
    """An example as one person may see it."""

    used: Used
    readable: bool
    link: str | None = None  # to the message that was approved


class Why:
    """Finds receipts, and shows of them what the person may read."""

    def __init__(
        self, engine: Engine, workspace: Workspace, roles: Roles, *, said: Callable[[], None]
    ) -> None:
        self._engine = engine
        self._workspace = workspace
        self._roles = roles
        self._said = said

    def register(self, listeners: Listeners) -> None:
        """Answer the message shortcut."""
        listeners.shortcuts[SHORTCUT] = self.tell

    async def explain(self, team_id: str, user: str, channel: str, words: Sequence[str]) -> str:
        """The receipt in mrkdwn: of the message that is linked, or of the user's newest answer."""
        link = permalink.message(words[0]) if len(words) == 1 else None
        if words and link is None:
            return USAGE
        receipt = await asyncio.to_thread(self._find, team_id, user, channel, link)
        return await self._written(receipt, user) or (NOTHING if link else NONE_YET)

    async def tell(self, used: Shortcut) -> None:
        """Tell who used the shortcut on a message, and nobody else."""
        receipt = await asyncio.to_thread(self._of_message, used.channel, used.message["ts"])
        text = await self._written(receipt, used.user) or NOTHING
        await asyncio.to_thread(self._reply, used, text)
        self._said()

    async def _written(self, receipt: Receipt | None, user: str) -> str | None:
        """The receipt as the person may see it; None for what is not there or not theirs."""
        if receipt is None or not await self._roles.may_read(user, receipt.answer.channel):
            return None
        return written(receipt, [await self._seen(used, user) for used in receipt.used])

    def _of_message(self, channel: str, ts: str) -> Receipt | None:
        with reading(self._engine) as session:
            return receipts.of_message(session, self._workspace.identity.team_id, channel, ts)

    def _reply(self, used: Shortcut, text: str) -> None:
        with transaction(self._engine) as session:
            ephemeral.reply(session, self._workspace.identity.team_id, used, text)

    def _find(
        self, team_id: str, user: str, channel: str, link: MessageId | None
    ) -> Receipt | None:
        with reading(self._engine) as session:
            if link is None:
                return receipts.newest_of(session, team_id, channel, user)
            return receipts.of_message(session, team_id, *link)

    async def _seen(self, used: Used, user: str) -> Seen:
        for channel in used.channels:
            if not await self._roles.may_read(user, channel):
                return Seen(used, readable=False)
        link = await self._workspace.link(*used.message) if used.message else None
        return Seen(used, readable=True, link=link)


def written(receipt: Receipt, seen: Sequence[Seen]) -> str:
    """A receipt in mrkdwn."""
    answer = receipt.answer
    lines = [
        f"*Release:* v{receipt.release} ({answer.adapter or 'the base model'})",
        f"*Words:* {_WORDS[answer.mode]}",
        f"*Confidence:* {confidence.explained(answer.mode, answer.confidence, answer.threshold)}",
        *[line for one in seen for line in (_example(one), *_recognised(answer.mode, one.used))],
    ]
    if receipt.run is not None:
        lines.append(f"*Adapter:* trained by {_training(receipt.run, receipt.dataset)}")
    return "\n".join(lines)


def _example(seen: Seen) -> str:
    example = seen.used.example
    if not seen.readable:
        return "*Example:* an approved answer from a channel that you cannot read"
    if example.status is ExampleStatus.REVOKED:
        return "*Example:* an approved answer that was taken back since"
    if example.status is ExampleStatus.HELD:
        return f"*Example:* an approved answer that is held back: {example.reason}"
    message = f", <{seen.link}|see the message>" if seen.link else ""
    return (
        f"*Example:* “{escape(example.question)}”, approved by {approver(example.approved_by)}, "
        f"similarity {seen.used.similarity:.2f}{message}"
    )


def _recognised(mode: AnswerMode, used: Used) -> list[str]:
    """A line where weights recognised the example: whoever finds the answer wrong needs it, also
    once the example was taken back."""
    if used.recognised_logprob is None:
        return []
    return [f"*Recognised:* {confidence.recognised(mode, used.recognised_logprob)}"]


def _training(run: Run, dataset: Dataset | None) -> str:
    if dataset is None:
        return f"run {run.id}"
    learned = dataset.counts.get("train")
    count = f", {learned} examples" if learned is not None else ""
    return f"run {run.id} on dataset {dataset.content_hash[:12]}{count}"
