"""`/mynah …`: admins train, look, roll back, pause and resume; `why` and `help` are for all."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine
from sqlmodel import Session, select

from bot import outbox, pausing, releases, run_message
from bot.mrkdwn import escape
from bot.slack import reports, versions
from bot.slack.blocks import HELP, note
from bot.slack.roles import Roles
from bot.slack.why import Why
from bot.store import runs
from bot.store.database import transaction
from bot.store.schema import (
    InboxEvent,
    OutboxKind,
    Release,
    RunStatus,
    RunTrigger,
)

ADMINS_ONLY = (
    "Only Mynah's admins can do that. Ask one of them, or see `/mynah help` for what you can do."
)


@dataclass(frozen=True)
class Call:
    """One typed command, or a pressed button that does the same."""

    team_id: str
    user: str
    channel: str
    words: list[str]


@dataclass(frozen=True)
class Outcome:
    """What the caller reads, and what the admins' channel should know, both mrkdwn."""

    reply: str
    news: str | None = None
    blocks: Sequence[Mapping[str, Any]] = ()  # of the reply, where it is more than text

    def response(self, response_url: str | None, *, replace: bool = False) -> dict[str, Any]:
        """The reply for the caller alone, as a `response_url` takes it.

        Args:
            replace: put it in the place of the message whose button was pressed.
        """
        shown = {"text": self.reply} | ({"blocks": self.blocks} if self.blocks else {})
        how = {"response_type": "ephemeral", "replace_original": replace}
        return {"response_url": response_url, **how, **shown}


Act = Callable[[Session, Call], Outcome]
RESTING = (
    "While it trains, {minutes:g} minutes at most, no model answers: approved answers are given "
    "where one fits, and the other questions wait."
)


class Commands:
    """Runs a command and stores its reply in one transaction: each takes effect once."""

    def __init__(
        self,
        engine: Engine,
        roles: Roles,
        why: Why,
        *,
        admin_channel: str,
        said: Callable[[], None],
        more: Mapping[str, Act] | None = None,
        rest_minutes: float = 0,
    ) -> None:
        """
        Args:
            rest_minutes: for so long at most no model answers while a run trains; 0: they all do.
        """
        self._engine = engine
        self._roles = roles
        self._why = why
        self._admin_channel = admin_channel
        self._said = said
        self._rest_minutes = rest_minutes
        self._acts: Mapping[str, Act] = {
            "train": self._train,
            "status": _status,
            "releases": _releases,
            "rollback": roll_back,
            "pause": _pause,
            "resume": _resume,
            **(more or {}),
        }

    async def handle(self, row: InboxEvent) -> None:
        """Handle an inbox row of kind "command"."""
        body = row.payload
        words = body.get("text", "").split()
        call = Call(row.team_id, body["user_id"], body["channel_id"], words[1:])
        act = await self._choose(words[0].lower() if words else "help", call)
        await asyncio.to_thread(self._run, row, call, act)
        self._said()

    def act(self, name: str) -> Act:
        """What a command does, for whoever else lets admins ask for it."""
        return self._acts[name]

    def carry_out(self, session: Session, event_id: str, call: Call, act: Act) -> Outcome:
        """Do it, and tell the admins' channel."""
        return carry_out(session, event_id, call, act, admin_channel=self._admin_channel)

    async def _choose(self, name: str, call: Call) -> Act:
        if name == "help":
            return _say(HELP)
        if name == "why":
            why = self._why.explain(call.team_id, call.user, call.channel, call.words)
            return _say(await why)
        if name not in self._acts:
            return _say(f"I do not know `{name[:40].replace('`', '')}`.\n{HELP}")
        return self._acts[name] if await self._roles.is_admin(call.user) else _say(ADMINS_ONLY)

    def _run(self, row: InboxEvent, call: Call, act: Act) -> None:
        key = f"command:{row.event_id}"
        with transaction(self._engine) as session:
            if outbox.said(session, call.team_id, key) is not None:
                return
            outcome = self.carry_out(session, row.event_id, call, act)
            outbox.say(
                session, team_id=call.team_id, key=key, channel=call.channel,
                kind=OutboxKind.RESPOND, payload=outcome.response(row.payload["response_url"]),
            )  # fmt: skip

    def _train(self, session: Session, call: Call) -> Outcome:
        if (pause := pausing.standing(session, call.team_id)) is not None:
            return Outcome(
                f"Mynah is {reports.paused(pause)}, so nothing was queued. `/mynah resume` goes on."
            )
        # No recipe: the worker's own setting decides.
        run, created = runs.request_run(
            session, team_id=call.team_id, trigger=RunTrigger.COMMAND, requested_by=call.user,
            report_channel=self._admin_channel or call.channel, recipe={},
        )  # fmt: skip
        waits = "".join(f"\n{line}" for line in reports.no_worker(session))
        if not created:
            where = escape(reports.where(run))
            return Outcome(f"Run {run.id} is {where} already. `/mynah status` tells more.{waits}")
        # The one message of this run: from here on the worker keeps it up to date.
        run_message.tell(session, run, step="queued", admin_channel=self._admin_channel)
        text = f"Run {run.id} is queued. <#{run.report_channel}> tells how far it is."
        if self._rest_minutes:
            text += f" {RESTING.format(minutes=self._rest_minutes)}"
        return Outcome(text + waits)


def carry_out(
    session: Session, event_id: str, call: Call, act: Act, *, admin_channel: str
) -> Outcome:
    """Do what an admin asked for by a command or a press, and tell the admins' channel."""
    outcome = act(session, call)
    if outcome.news and admin_channel:
        outbox.say(
            session, team_id=call.team_id, key=f"news:{event_id}", channel=admin_channel,
            payload=note(outcome.news),
        )  # fmt: skip
    return outcome


def _status(session: Session, call: Call) -> Outcome:
    return Outcome(reports.status(session, call.team_id))


def _releases(session: Session, call: Call) -> Outcome:
    return Outcome(reports.releases(session, call.team_id))


def roll_back(session: Session, call: Call) -> Outcome:
    """Go back to the named release, with "now" to the one before; without either, ask which."""
    if not call.words and (choice := versions.choice(session, call.team_id)) is not None:
        return Outcome(choice.text, blocks=choice.blocks)
    try:
        number = number_in([] if call.words[:1] == ["now"] else call.words)
    except ValueError:
        return Outcome("Name a release as in `/mynah rollback v2`, or say `/mynah rollback now`.")
    try:
        row = releases.roll_back(session, call.team_id, by=call.user, number=number)
    except releases.ReleaseError as error:
        return Outcome(f"Nothing was rolled back: {error}.{_others(session, call)}")
    back = session.exec(select(Release.number).where(Release.id == row.release_id)).one()
    left = session.exec(select(Release.number).where(Release.id == row.replaces_id)).one()
    others = _others(session, call) if number is None else ""
    return Outcome(
        f"Rolled back from v{left} to v{back}. From now on v{back} answers.{others}",
        f"<@{call.user}> rolled back from v{left} to v{back}.",
    )


def _others(session: Session, call: Call) -> str:
    others = reports.others(session, call.team_id)
    return f"\n`/mynah rollback VERSION` goes to another one: {others}." if others else ""


def _pause(session: Session, call: Call) -> Outcome:
    if not pausing.pause(session, call.team_id, by=call.user):
        how = reports.paused(pausing.standing(session, call.team_id))
        return Outcome(f"Mynah is {how} already.")
    return Outcome(
        "Paused: nothing is trained and nothing goes live until `/mynah resume`. Questions are "
        f"answered, and `/mynah rollback` works.{_left_standing(session, call.team_id)}",
        f"<@{call.user}> paused Mynah: nothing is trained or goes live until `/mynah resume`.",
    )


def _resume(session: Session, call: Call) -> Outcome:
    if not pausing.resume(session, call.team_id, by=call.user):
        return Outcome("Mynah is not paused.")
    return Outcome(
        "Resumed. If a time to train was missed, that is caught up now, once.",
        f"<@{call.user}> resumed Mynah.",
    )


def _left_standing(session: Session, team_id: str) -> str:
    """What becomes of the run that waits or runs, if there is one."""
    newest = runs.newest(session, team_id, 1)
    if not newest or newest[0].status in runs.ENDS:
        return ""
    if newest[0].status is RunStatus.QUEUED:
        return f" Run {newest[0].id} waits until then."
    return f" Run {newest[0].id} goes on to its evaluation, but does not go live."


def number_in(words: Sequence[str]) -> int | None:
    """The release that was named, as "v3" or "3"; None when none was.

    Raises:
        ValueError: the words name something else.
    """
    if not words:
        return None
    match = re.fullmatch(r"v?(\d{1,9})", " ".join(words).lower())
    if match is None:
        raise ValueError(f"not a release: {' '.join(words)}")
    return int(match[1])


def _say(text: str) -> Act:
    return lambda session, call: Outcome(text)
