"""One workspace's side of the bot: what handles its rows, and what speaks there."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import Engine
from sqlmodel import Session

from bot import shadowing
from bot.abstaining import Abstaining
from bot.answering import Answering
from bot.api.calls import Calls
from bot.cases import Cases
from bot.composing import Composing
from bot.knowing import Knowing
from bot.memory import Memory
from bot.prompt import Turn
from bot.recognising import Recognising
from bot.routing import Router
from bot.settings import BotSettings
from bot.shadowing import Shadowing
from bot.slack import blocks, case_card, shadows
from bot.slack.aftermath import Aftermath
from bot.slack.agent import Agent
from bot.slack.citing import Citing
from bot.slack.commands import Commands
from bot.slack.conflicting import Conflicting
from bot.slack.correcting import Correcting
from bot.slack.decisions import Decisions
from bot.slack.escalating import Escalating
from bot.slack.home import Home
from bot.slack.interactions import Listeners
from bot.slack.messages import Messages
from bot.slack.pacing import Pacing
from bot.slack.poster import Poster
from bot.slack.reactions import Reactions
from bot.slack.residence import Leaving
from bot.slack.reviewing import Reviewing
from bot.slack.roles import Roles
from bot.slack.streaming import Streams
from bot.slack.teaching import Teaching
from bot.slack.thumbs import Thumbs
from bot.slack.why import Why
from bot.slack.windows import Windows
from bot.slack.workspace import Identity, Workspace
from bot.sparing import SpareTime
from bot.store.callers import is_caller
from bot.store.schema import Case, InboxEvent, Question
from bot.waiting import Waiting
from bot.watching import Watch


@dataclass(frozen=True)
class Shared:
    """What all workspaces of a process share."""

    settings: BotSettings
    engine: Engine
    memory: Memory
    router: Router
    waiting: Waiting
    owner: str  # this process, in claims
    stored: Callable[[], None]  # something was stored for any queue
    said: Callable[[], None]  # something was stored for the outbox
    forget: Callable[[Session, str], None]  # erases a workspace's token
    watch: Watch = field(default_factory=Watch)
    spare: SpareTime = field(default_factory=SpareTime)


class Desk:
    """Who Mynah is in one workspace, and its handlers there.

    `patient` is the client that waits and tries again by itself; `client` must not: a post whose
    connection broke may have arrived.
    """

    def __init__(
        self, shared: Shared, identity: Identity, *, client: AsyncWebClient, patient: AsyncWebClient
    ) -> None:
        settings, engine = shared.settings.of(identity.team_id), shared.engine
        workspace = Workspace(patient, identity)
        pacing = Pacing()
        roles = Roles(workspace, staff=settings.staff, admins=settings.admins)
        self.identity = identity
        self.windows = Windows(client)
        review_channel = settings.review_channel or settings.admin_channel
        aftermath = Aftermath(review_channel, quorum=settings.quorum)
        keep = settings.keep_contacts
        self.messages = Messages(engine, workspace, aftermath, stored=shared.stored, keep=keep)
        cases = _cases(settings)
        conflicting = Conflicting(
            engine, workspace, roles, shared.memory.embedder, channel=review_channel,
            said=shared.said,
        )  # fmt: skip
        teaching = Teaching(
            engine, workspace, shared.memory, cases, aftermath, conflicting, said=shared.said,
            widen=settings.widen_channels, keep=keep, quorum=settings.quorum,
        )  # fmt: skip
        escalating = Escalating(engine, workspace, roles, cases, said=shared.said)
        reactions = Reactions(workspace, roles, teaching, escalating)
        why = Why(engine, workspace, roles, said=shared.said)
        decisions = Decisions(
            engine, identity.team_id, roles, admin_channel=settings.admin_channel, said=shared.said
        )
        self.commands = Commands(
            engine, roles, why, admin_channel=settings.admin_channel, said=shared.said,
            more={**decisions.commands, "shadow": shadows.command(settings.admin_channel)},
            rest_minutes=settings.longest_rest,
        )  # fmt: skip
        knowing = Knowing(engine)
        memory = shared.memory if settings.memory else None
        abstaining = Abstaining(engine) if settings.unsure == "auto" else None
        answering = partial(
            Answering, engine, memory, shared.router, abstaining=abstaining, knowing=knowing,
            recognising=Recognising(shared.memory, shared.router, knowing),
            quote=settings.quote, max_tokens=settings.max_tokens, spare=shared.spare,
        )  # fmt: skip
        # It recognises by itself: a server that is slow for it is not left alone for the answers.
        composing = Composing(
            engine, memory, shared.router, read_thread=self._read_again, abstaining=abstaining,
            promise=lambda _: "", knowing=knowing,
            recognising=Recognising(shared.memory, shared.router, knowing),
            quote=settings.quote, max_tokens=settings.max_tokens, patience_s=math.inf,
        )  # fmt: skip
        self.shadowing = Shadowing(engine, composing, shared.spare)
        citing = Citing(engine, workspace, roles)
        self.answering = answering(
            read_thread=self.messages.read_thread, render=blocks.answer, said=shared.said,
            cite=citing.link, show=Streams(engine, client, identity, pacing).of, cases=cases,
            waiting=shared.waiting, notice=blocks.notice,
        )  # fmt: skip
        self.calls = Calls(
            engine, identity.team_id, answering, citing.public_link, self.messages.forget,
            deadline_s=settings.api_deadline_s, lease_s=settings.lease_s,
            per_minute=settings.api_per_minute, watch=shared.watch,
        )  # fmt: skip
        self.poster = Poster(
            engine, client, workspace, pacing, owner=shared.owner, lease_s=settings.lease_s,
            watch=shared.watch,
        )  # fmt: skip
        self.listeners = Listeners()
        why.register(self.listeners)
        correcting = Correcting(
            engine, identity.team_id, roles, self.windows, teaching, aftermath, said=shared.said,
            keep=keep,
        )  # fmt: skip
        correcting.register(self.listeners)
        thumbs = Thumbs(engine, workspace, roles, teaching, correcting, stored=shared.stored)
        thumbs.register(self.listeners)
        conflicting.register(self.listeners)
        Reviewing(
            engine, identity.team_id, roles, aftermath, conflicting, said=shared.said
        ).register(self.listeners)
        self._home = Home(
            engine, workspace, roles, teaching, shared.memory, self.commands, self.windows,
            correct=correcting.on_submit, said=shared.said,
        )  # fmt: skip
        self._home.register(self.listeners)
        self._agent = Agent(engine, client, identity.team_id, roles)
        decisions.register(self.listeners)
        escalating.register(self.listeners)
        self._events = {
            "app_home_opened": self._opened,
            "message": self.messages.handle,
            "app_mention": self.messages.handle,
            "reaction_added": reactions.handle,
            "reaction_removed": reactions.handle,
            **Leaving(engine, workspace, forget=shared.forget).events(),
        }

    async def handle(self, row: InboxEvent) -> None:
        """Handle what Slack delivered."""
        if row.kind == "command":
            await self.commands.handle(row)
        elif row.kind == "question":
            async with self._agent.thinking(row):
                await self.answering.handle(row)
        elif row.kind == shadowing.KIND:
            await self.shadowing.handle(row)
        elif row.kind != "event":
            await self.listeners.handle(row)
        elif on_event := self._events.get(row.payload["event"]["type"]):
            await on_event(row)

    async def _read_again(self, question: Question) -> Sequence[Turn]:
        """The thread of an answered question; another system's was its caller's to keep."""
        return () if is_caller(question.channel) else await self.messages.read_thread(question)

    async def _opened(self, row: InboxEvent) -> None:
        tab = row.payload["event"].get("tab")
        await (self._home if tab == "home" else self._agent).opened(row)


def _cases(settings: BotSettings) -> Cases:
    """Cases whose cards ping whoever is on call."""

    def render(case: Case, *, asker: str, ping: bool) -> dict[str, Any]:
        oncall = case_card.mention(settings.oncall) if ping else ""
        return case_card.card(case, asker=asker, ping=oncall)

    return Cases(
        render, oncall=bool(settings.oncall),
        card_channel=settings.review_channel or settings.admin_channel,
    )  # fmt: skip
