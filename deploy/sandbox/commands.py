"""Slash commands: typed by a person, answered by the app in its ack or through a response URL."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from deploy.sandbox import sent
from deploy.sandbox.blocks import check_blocks
from deploy.sandbox.errors import SlackError
from deploy.sandbox.messages import Message
from deploy.sandbox.people import Channel, User
from deploy.sandbox.request_url import TOKEN
from deploy.sandbox.responses import ResponseUrl
from deploy.sandbox.world import Content, World
from deploy.sandbox.worlds import Worlds


async def run(
    world: World, *, user: User, channel: Channel, command: str, text: str, base_url: str
) -> dict[str, Any]:
    """Deliver a command and show the app's answer, as a client would.

    Raises:
        SlackError: what the person would read: `dispatch_failed` while nobody can be reached or the
            app refuses, `operation_timeout` when no acknowledgement comes in time.
    """
    payload = _payload(world, user, channel, command, text, base_url)
    trigger_id = payload["trigger_id"]
    answer = await world.ask("slash_commands", trigger_id, payload)
    shown = None
    if isinstance(answer, dict) and answer:
        shown = _show(world, channel, user, answer)
    return {
        "trigger_id": trigger_id,
        "response": answer,
        **({"ts": shown.ts} if shown else {}),
    }


class ResponseUrlEndpoint:
    """`POST /commands/{key}`: what a response URL takes."""

    def __init__(self, worlds: Worlds) -> None:
        self._worlds = worlds

    async def endpoint(self, request: Request) -> Response:
        """Show the posted answer to the person, or to the channel when it is `in_channel`."""
        key = request.path_params["key"]
        found = ((world, world.responses.use(key)) for world in self._worlds)
        world, given = next((pair for pair in found if pair[1]), (self._worlds.home, None))
        if given is None:
            return PlainTextResponse("expired_url", 404)
        space = world.workspace
        try:
            answer = sent.read(await request.body())
            if not isinstance(answer, dict):
                raise SlackError("invalid_payload")
            channel, user = space.channels[given.channel], space.users[given.user]
            if answer.get("replace_original") or answer.get("delete_original"):
                _replace(world, channel, given, answer)
            else:
                _show(world, channel, user, answer)
        except ValueError:
            return PlainTextResponse("invalid_payload", 400)
        except SlackError as error:
            return PlainTextResponse(error.code, 400)
        return PlainTextResponse("ok")


def _show(world: World, channel: Channel, user: User, answer: dict[str, Any]) -> Message | None:
    blocks = check_blocks(answer.get("blocks") or [])
    text = str(answer.get("text") or "")
    if not text and not blocks:
        return None
    bot = world.workspace.users[world.workspace.app.user_id]
    alone = answer.get("response_type", "ephemeral") != "in_channel"
    root = None
    if answer.get("thread_ts"):
        root = world.workspace.message(channel, str(answer["thread_ts"]), "thread_not_found")
    content = Content(text, blocks)
    return world.post(bot, channel, content, root=root, ephemeral_to=user.id if alone else None)


def _replace(world: World, channel: Channel, given: ResponseUrl, answer: dict[str, Any]) -> None:
    """Change or delete the message whose element was used, also one that no method reaches."""
    message = world.workspace.messages[channel.id].get(given.message)
    if message is None or message.deleted or message.user != world.workspace.app.user_id:
        raise SlackError("message_not_found")
    if answer.get("delete_original"):
        world.delete(channel, message)
        return
    blocks, text = check_blocks(answer.get("blocks") or []), str(answer.get("text") or "")
    if not text and not blocks:
        raise SlackError("no_text")
    content = Content(text, blocks, metadata=message.metadata)
    world.edit(channel, message, content, mark=False)


def _payload(
    world: World, user: User, channel: Channel, command: str, text: str, base_url: str
) -> dict[str, Any]:
    space = world.workspace
    return {
        "token": TOKEN,
        "team_id": space.team,
        "team_domain": space.domain,
        "channel_id": channel.id,
        "channel_name": channel.name or "directmessage",
        "user_id": user.id,
        "user_name": user.name,
        "command": command,
        "text": text,
        "api_app_id": space.app.id,
        "is_enterprise_install": "false",
        "response_url": base_url + world.responses.give(channel.id, user.id),
        "trigger_id": world.triggers.give(user.id),
    }
