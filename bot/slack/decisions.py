"""What admins decide with a button: promote or discard what passed, go back to a version.

The commands of the same names do the same; a press takes effect once, like a command.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from sqlalchemy import Engine
from sqlmodel import Session

from bot import deciding, outbox, pausing, promoting, releases, run_card, run_message
from bot.deciding import Decided, Waiting
from bot.promoting import Promoted
from bot.slack import reports, versions
from bot.slack.commands import ADMINS_ONLY, Act, Call, Outcome, carry_out, number_in, roll_back
from bot.slack.interactions import Listeners, Press
from bot.slack.roles import Roles
from bot.store.database import transaction
from bot.store.schema import OutboxKind


class Decide(Protocol):
    """`deciding.promote` or `deciding.discard`."""

    def __call__(self, session: Session, one: Waiting, *, by: str) -> None: ...


class Decisions:
    """Runs what an admin pressed and stores the reply in one transaction."""

    def __init__(
        self,
        engine: Engine,
        team_id: str,
        roles: Roles,
        *,
        admin_channel: str,
        said: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._team_id = team_id
        self._roles = roles
        self._admin_channel = admin_channel
        self._said = said
        self.commands: Mapping[str, Act] = {
            "promote": self._promote,
            "discard": partial(self._named, deciding.discard),
        }

    def register(self, listeners: Listeners) -> None:
        """Take the buttons."""
        for action_id, decide in (
            (run_card.PROMOTE, deciding.promote),
            (run_card.DISCARD, deciding.discard),
        ):
            act = partial(self._pressed, decide)
            listeners.actions[action_id] = partial(self._handle, act, replace=False)
        listeners.actions[versions.ROLL_BACK_TO] = partial(self._handle, _go_back, replace=True)

    async def _handle(self, act: Act, press: Press, *, replace: bool) -> None:
        if not await self._roles.is_admin(press.user):
            act, replace = _refuse, False
        await asyncio.to_thread(self._run, act, press, replace)
        self._said()

    def _run(self, act: Act, press: Press, replace: bool) -> None:
        key = f"press:{press.event_id}"
        call = Call(self._team_id, press.user, press.channel or "", [press.value])
        with transaction(self._engine) as session:
            if outbox.said(session, self._team_id, key) is not None:
                return
            outcome = carry_out(
                session, press.event_id, call, act, admin_channel=self._admin_channel
            )
            outbox.say(
                session, team_id=self._team_id, key=key, channel=call.channel,
                kind=OutboxKind.RESPOND,
                payload=outcome.response(press.response_url, replace=replace),
            )  # fmt: skip

    def _pressed(self, decide: Decide, session: Session, call: Call) -> Outcome:
        """A button under a run's message: its value is the run."""
        return self._try(
            decide, session, call, lambda: deciding.of_run(session, call.team_id, int(*call.words))
        )

    def _named(self, decide: Decide, session: Session, call: Call) -> Outcome:
        """A command that may name the release."""
        try:
            number = number_in(call.words)
        except ValueError:
            return Outcome("Name a release as in `/mynah promote v3`, or none: one waits at most.")
        return self._try(
            decide, session, call, lambda: deciding.find(session, call.team_id, number)
        )

    def _promote(self, session: Session, call: Call) -> Outcome:
        """A command that may name a release, and a share of new threads."""
        try:
            words, share = promoting.share_in(call.words)
            number = number_in(words)
        except promoting.BadShare:
            return Outcome("A share is above 0% and at most 100%: `/mynah promote v3 25%`.")
        except ValueError:
            return Outcome("Name a release as in `/mynah promote v3`, or none: one waits at most.")

        def act() -> Outcome:
            done = promoting.promote(
                session, call.team_id, by=call.user, number=number, share=share
            )
            return self._tell_promoted(session, call, done)

        return _refusing(session, call, act)

    def _try(
        self, decide: Decide, session: Session, call: Call, find: Callable[[], Waiting]
    ) -> Outcome:
        def act() -> Outcome:
            one = find()
            decide(session, one, by=call.user)
            return self._tell(session, call, one, live=decide is deciding.promote)

        return _refusing(session, call, act)

    def _tell(self, session: Session, call: Call, one: Waiting, *, live: bool) -> Outcome:
        """Change the run's message; the admins' channel reads it there, or else a line of it."""
        said = run_message.tell(
            session, one.run, step="decided", admin_channel=self._admin_channel, by=call.user
        )
        name = f"v{one.release.number}"
        reply = f"{name} is live. `/mynah rollback now` goes back." if live else f"{name} is gone."
        elsewhere = said is None or said.channel != self._admin_channel
        what = "promoted" if live else "discarded"
        news = f"<@{call.user}> {what} {name} of run {one.run.id}."
        return Outcome(reply, news if elsewhere else None)

    def _tell_promoted(self, session: Session, call: Call, done: Promoted) -> Outcome:
        """Change the run's message; a share, and what had its own message long ago, is news."""
        said = None
        if done.run is not None:
            said = run_message.tell(
                session, done.run, step=done.step, admin_channel=self._admin_channel, by=call.user
            )
        name = f"v{done.number}"
        if done.share < 1:
            some = f"{done.share:.0%} of new threads"
            return Outcome(
                f"{name} answers {some}, v{done.live} the others, until what people do there "
                "decides. `/mynah rollback now` ends that.",
                f"<@{call.user}> lets {name} answer {some}, v{done.live} the others.",
            )
        elsewhere = said is None or said.channel != self._admin_channel
        of_run = f" of run {done.run.id}" if done.run else ""
        return Outcome(
            f"{name} is live. `/mynah rollback now` goes back.",
            f"<@{call.user}> promoted {name}{of_run}." if elsewhere else None,
        )


def _refusing(session: Session, call: Call, act: Callable[[], Outcome]) -> Outcome:
    """What came of it, or why nothing changed."""
    try:
        return act()
    except Decided as error:
        return Outcome(f"Nothing changed: {reports.decided(error)}.")
    except releases.Paused:
        how = reports.paused(pausing.standing(session, call.team_id))
        return Outcome(f"Nothing changed: Mynah is {how}. `/mynah resume` goes on.")
    except releases.ReleaseError as error:
        return Outcome(f"Nothing changed: {error}.")


def _go_back(session: Session, call: Call) -> Outcome:
    """A version was chosen; from which one to go was confirmed, too."""
    leaving, target = versions.numbers(*call.words)
    now = versions.choice(session, call.team_id)
    if now is not None and now.leaving != leaving:
        text = f"v{now.leaving} answers by now, no longer v{leaving}. {now.text}"
        return Outcome(text, blocks=now.blocks)
    return roll_back(session, Call(call.team_id, call.user, call.channel, [f"v{target}"]))


def _refuse(session: Session, call: Call) -> Outcome:
    return Outcome(ADMINS_ONLY)
