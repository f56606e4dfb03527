"""The sandbox in a browser: the page's own files, what it shows, and pictures that were posted."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from deploy.sandbox.elements import Json
from deploy.sandbox.errors import Impossible
from deploy.sandbox.markdown import to_blocks
from deploy.sandbox.report import report
from deploy.sandbox.worlds import Worlds

DIRECTORY = Path(__file__).with_name("page")
PARTS = ("users", "channels", "messages", "statuses", "views")
# Nothing from elsewhere, whatever a message says, and no script but ours.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_GUARDED = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Pages:
    """`GET /` and, under `/page/`, FILE, `state`, `log/N` and `file/TEAM/ID`; all only look."""

    def __init__(self, worlds: Worlds) -> None:
        self._worlds = worlds

    def routes(self) -> list[BaseRoute]:
        """The routes, in the order in which they have to be tried."""
        return [
            Route("/", self.index, methods=["GET"]),
            Route("/page/state", self.state, methods=["GET"]),
            Route("/page/log/{n:int}", self.log, methods=["GET"]),
            Route("/page/file/{team}/{file_id}", self.file, methods=["GET"]),
            Mount("/page", app=_Files(directory=DIRECTORY)),
        ]

    async def index(self, _request: Request) -> Response:
        """The page."""
        return FileResponse(DIRECTORY / "index.html", headers=_GUARDED)

    async def state(self, request: Request) -> Response:
        """What `GET /_control/state` tells of people, channels, messages and views, for drawing.

        Markdown has become blocks. `?team=` names another workspace than the usual one.
        """
        try:
            world = self._worlds.of_team(request.query_params.get("team", ""))
        except Impossible as error:
            return PlainTextResponse(str(error), 404)
        space, found = world.workspace, report(world, parts=PARTS)
        found["messages"] = {
            channel: [drawable(message) for message in there]
            for channel, there in found["messages"].items()
        }
        groups = {group.id: group.handle for group in space.groups.values()}
        return JSONResponse(found | {"groups": groups, "app": space.app.user_id}, headers=_GUARDED)

    async def log(self, request: Request) -> Response:
        """One entry of what the app saw, with what was sent and answered."""
        entry = self._worlds.ledger.entry(request.path_params["n"])
        if entry is None:
            return PlainTextResponse("no such entry, or not any more", 404)
        return JSONResponse(entry.whole_json(), headers=_GUARDED)

    async def file(self, request: Request) -> Response:
        """A picture that somebody uploaded. Other files are not for a browser to show."""
        named = request.path_params
        try:
            file = self._worlds.of_team(named["team"]).files.by_id[named["file_id"]]
        except (Impossible, KeyError):
            return PlainTextResponse("no such picture", 404)
        kind = mimetypes.guess_type(file.name)[0]
        if file.content is None or kind not in ("image/png", "image/jpeg"):
            return PlainTextResponse("no such picture", 404)
        return Response(file.content, media_type=kind, headers=_GUARDED)


class _Files(StaticFiles):
    def file_response(self, *args: Any, **options: Any) -> Response:
        response = super().file_response(*args, **options)
        response.headers.update(_GUARDED)
        return response


def drawable(message: Json) -> Json:
    """A message in blocks that a page can draw: Markdown as rich text, a stream as it is so far."""
    given = list(message.get("blocks") or ())
    if message.get("streaming"):
        given.insert(0, {"type": "markdown", "text": message["text"]})
    shown: list[Json] = []
    for block in given:
        shown += to_blocks(block["text"]) if block["type"] == "markdown" else [block]
    return {**message, "blocks": shown} if shown else message
