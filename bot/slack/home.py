"""The Home tab: what Mynah shows each person by their role, and what they press there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Engine
from sqlmodel import Session

from bot import gaps, outbox, pausing, releases
from bot.dispatcher import Elsewhere
from bot.gaps import Gap
from bot.memory import Memory
from bot.slack import board, home_view, modals, reports
from bot.slack.board import Board, Rate
from bot.slack.commands import ADMINS_ONLY, Call, Commands
from bot.slack.correcting import TOO_LATE
from bot.slack.delivery import lane
from bot.slack.home_view import Review, Shown
from bot.slack.interactions import Listeners, Press, Submission
from bot.slack.pieces import Linked
from bot.slack.roles import Roles
from bot.slack.teaching import Teaching, Unread
from bot.slack.windows import Windows
from bot.slack.workspace import Message, Workspace
from bot.store import review, runs, tallies
from bot.store.callers import is_caller
from bot.store.database import reading, transaction
from bot.store.schema import Answer, AnswerMode, FeedbackKind, InboxEvent, Question

P = ParamSpec("P")
Found = TypeVar("Found")
OWN = 5  # questions
LOOKED_AT = 20  # so many of the newest questions are looked at for OWN that may be read
CHANNELS = 20  # of so many Slack is asked whether the person may read them
DAYS = (7, 30)  # the dashboard counts answers over so many
RATED, RUNS, GAPS = 5, 5, 5  # releases, runs and gaps on the dashboard
GONE = "That answer has changed, is gone, or you cannot read it. Nothing was noted."
STAFF_ONLY = "Only staff can rate and correct answers."
_KINDS = {home_view.RIGHT: FeedbackKind.APPROVE, home_view.WRONG: FeedbackKind.REJECT}
_SAID = {
    FeedbackKind.APPROVE: "Noted as right.",
    FeedbackKind.REJECT: "Noted as wrong.",
}


class Home:
    """Shows people their Home tab, anew after each press.

    Roles are asked anew each time: whoever lost one sees the tab without it, and changes nothing.
    """

    def __init__(
        self,
        engine: Engine,
        workspace: Workspace,
        roles: Roles,
        teaching: Teaching,
        memory: Memory,
        commands: Commands,
        windows: Windows,
        *,
        correct: Callable[[Submission], Awaitable[None]],
        said: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._workspace = workspace
        self._roles = roles
        self._teaching = teaching
        self._memory = memory
        self._commands = commands
        self._windows = windows
        self._correct = correct
        self._said = said
        self._team_id = workspace.identity.team_id

    def register(self, listeners: Listeners) -> None:
        """Take the presses on the tab, and the form that one of them opens."""
        listeners.actions[home_view.MORE] = self._turn
        for action_id in _KINDS:
            listeners.actions[action_id] = self._rate
        for action_id in board.LEVERS:
            listeners.actions[action_id] = self._command
        listeners.actions[home_view.CORRECT] = self._open
        listeners.views[home_view.CORRECT] = self._filled_in

    async def opened(self, row: InboxEvent) -> None:
        """Handle an `app_home_opened` event of the Home tab."""
        event = row.payload["event"]
        await self._show(event["user"], {"channel": event["channel"]})

    async def _turn(self, press: Press) -> None:
        await self._show(press.user, {**press.about, "skip": int(press.value)})

    async def _rate(self, press: Press) -> None:
        notice = await self._rated(press, _KINDS[press.action_id])
        await self._show(press.user, press.about, notice)

    async def _rated(self, press: Press, kind: FeedbackKind) -> str:
        """Teach what the person said of an answer, as a reaction on it would."""
        if not await self._roles.is_staff(press.user):
            return STAFF_ONLY
        answer = await self._readable_answer(press)
        if answer is None or answer.mode is AnswerMode.UNSURE:
            return GONE
        message = await self._message(answer)
        if message is None:
            return GONE
        right = lane(answer.channel, message.get("thread_ts") or message["ts"])
        if press.lane != right:  # in turn with the reactions there
            raise Elsewhere(right)
        try:
            rated = await self._teaching.teach(
                kind, answer.channel, message, press.user, at=press.at
            )
        except Unread:
            return GONE
        return _SAID[kind] if rated else GONE

    async def _message(self, answer: Answer) -> Message | None:
        """The message that shows an answer; another system's has none, so it is as if."""
        if not is_caller(answer.channel):
            return await self._workspace.message(answer.channel, answer.ts or "")
        question = await self._read(review.question_of, answer)
        bot = self._workspace.identity.user_id
        return {"user": bot, "ts": answer.ts, "thread_ts": question.thread_ts}

    async def _open(self, press: Press) -> None:
        """Open the correction of an answer; where it does not open, the tab says why."""
        if notice := await self._opened(press):
            await self._show(press.user, press.about, notice)

    async def _opened(self, press: Press) -> str:
        if not await self._roles.is_staff(press.user):
            return STAFF_ONLY
        answer = await self._readable_answer(press)
        if answer is None:
            return GONE
        question = await self._read(review.question_of, answer)
        form = modals.correction(
            question, answer, callback_id=home_view.CORRECT, home=dict(press.about)
        )
        return "" if await self._windows.open(press.trigger_id, form) else TOO_LATE

    async def _filled_in(self, form: Submission) -> None:
        """Correct the answer as the same form does in its thread: it waits no longer."""
        await self._correct(form)
        await self._show(form.user, form.about["home"])

    async def _readable_answer(self, press: Press) -> Answer | None:
        """The answer that a button is about, if it stands and the person may read it."""
        answer: Answer | None = await self._read(review.standing, int(press.value))
        if answer is None or not await self._roles.may_read(press.user, answer.channel):
            return None
        return answer

    async def _command(self, press: Press) -> None:
        notice = ADMINS_ONLY
        if await self._roles.is_admin(press.user):
            notice = await asyncio.to_thread(self._carry_out, press)
            self._said()
        await self._show(press.user, press.about, notice)

    def _carry_out(self, press: Press) -> str:
        """Do what the button's command does, once for each press; the reply is kept."""
        name, *words = press.value.split()
        act, key = self._commands.act(name), f"home:{press.event_id}"
        call = Call(self._team_id, press.user, str(press.about.get("channel", "")), words)
        with transaction(self._engine) as session:
            if (said := outbox.said(session, self._team_id, key)) is not None:
                return str(said.payload["text"])
            outcome = self._commands.carry_out(session, press.event_id, call, act)
            outbox.keep(session, team_id=self._team_id, key=key, payload={"text": outcome.reply})
            return outcome.reply

    async def _show(self, user: str, about: Mapping[str, Any], notice: str = "") -> None:
        staff, admin = await self._roles.is_staff(user), await self._roles.is_admin(user)
        skip = int(about.get("skip", 0))
        shown = Shown(
            about={"channel": about.get("channel", ""), "skip": skip},
            own=await self._own(user),
            review=await self._review(user, skip) if staff else None,
            board=await self._board(user) if admin else None,
            notice=notice,
        )
        await self._windows.publish(user, home_view.view(shown))

    async def _board(self, user: str) -> Board:
        """The dashboard, with those gaps that the admin may read."""
        channels = await self._read(gaps.gap_channels, user, CHANNELS)
        readable = await self._readable(user, channels)
        found = await self._read(gaps.gaps, readable, self._memory.embedder)
        shown = [
            (Linked(gap.newest.text, await self._workspace.link(*_place(gap))), gap.count)
            for gap in found[:GAPS]
        ]
        return await self._read(_facts, shown)

    async def _own(self, user: str) -> Sequence[Linked]:
        rows = await self._read(review.own, user, LOOKED_AT)
        readable = await self._readable(user, [answer.channel for _, answer in rows])
        here = [row for row in rows if row[1].channel in readable][:OWN]
        return await asyncio.gather(*(self._linked(*row) for row in here))

    async def _review(self, user: str, skip: int) -> Review:
        readable = await self._readable(user, await self._read(review.channels, user, CHANNELS))
        most = home_view.PAGE + 1  # one more says whether there is another page
        rows = await self._read(review.queue, readable, skip=skip, most=most) if readable else []
        page = rows[: home_view.PAGE]
        links = await asyncio.gather(*(self._link(waiting.answer) for waiting in page))
        return Review(list(zip(page, links, strict=True)), skip, len(rows) > len(page))

    async def _readable(self, user: str, channels: Sequence[str]) -> list[str]:
        """Those of the channels that the person may read."""
        names = list(dict.fromkeys(channels))
        answers = await asyncio.gather(*(self._roles.may_read(user, name) for name in names))
        return [name for name, may_read in zip(names, answers, strict=True) if may_read]

    async def _linked(self, question: Question, answer: Answer) -> Linked:
        return Linked(question.text, await self._link(answer))

    async def _link(self, answer: Answer) -> str | None:
        return await self._workspace.link(answer.channel, answer.ts or "")

    async def _read(
        self, query: Callable[Concatenate[Session, str, P], Found], *arguments: P.args,
        **options: P.kwargs,
    ) -> Found:  # fmt: skip
        """What a query finds in this workspace."""

        def read() -> Found:
            with reading(self._engine) as session:
                return query(session, self._team_id, *arguments, **options)

        return await asyncio.to_thread(read)


def _place(gap: Gap) -> tuple[str, str]:
    return gap.newest.channel, gap.newest.ts


def _facts(session: Session, team_id: str, found: Sequence[tuple[Linked, int]]) -> Board:
    back = releases.fallback(session, team_id)
    views = releases.history(session, team_id)
    rated = tallies.ratings(session, team_id, [view.number for view in views[:RATED]])
    pause = pausing.standing(session, team_id)
    state = [f":double_vertical_bar: *{reports.paused(pause)}*"] if pause else []
    state += [f"*Live:* {reports.name(view)}" for view in views if view.live]
    state += reports.learned(session, team_id, next((view for view in views if view.live), None))
    state += reports.canary_line(session, team_id)
    state += reports.shadow_line(session, team_id)
    return Board(
        answered={days: tallies.answered(session, team_id, days) for days in DAYS},
        rates=[Rate(reports.name(view), rated[view.number]) for view in views[:RATED]],
        cases=tallies.open_cases(session, team_id),
        gaps=found,
        state=[*state, f"*Servers:* {reports.servers(session)}"],
        runs=[reports.run(row) for row in runs.newest(session, team_id, RUNS)],
        paused=pause is not None,
        back=back.number if back else None,
    )
