"""The sandbox in a browser: the page's own files, what it shows, and pictures that were posted."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from deploy.sandbox.markdown import to_blocks
from deploy.sandbox.report import report
from deploy.sandbox.world import World

DIRECTORY = Path(__file__).with_name("page")
PARTS = ("users", "channels", "groups", "messages", "statuses", "views")
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
Json = dict[str, Any]


class Pages:
    """`GET /`, `/page/FILE`, `/page/state` and `/page/file/ID`; all of it only looks."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[BaseRoute]:
        """The routes, in the order in which they have to be tried."""
        return [
            Route("/", self.index, methods=["GET"]),
            Route("/page/state", self.state, methods=["GET"]),
            Route("/page/file/{file_id}", self.file, methods=["GET"]),
            Mount("/page", app=_Files(directory=DIRECTORY)),
        ]

    async def index(self, _request: Request) -> Response:
        """The page."""
        return FileResponse(DIRECTORY / "index.html", headers=_GUARDED)

    async def state(self, request: Request) -> Response:
        """What `GET /_control/state` tells of people, channels, messages and views, for drawing.

        Markdown has become blocks. `?since=` (a ts) leaves out the messages that are older.
        """
        found = report(self._world, since=request.query_params.get("since", ""), parts=PARTS)
        found["messages"] = {
            channel: [drawable(message) for message in there]
            for channel, there in found["messages"].items()
        }
        space = self._world.workspace
        names = {group.id: group.handle for group in space.groups.values()}
        return JSONResponse(found | {"groups": names, "app": space.app.user_id}, headers=_GUARDED)

    async def file(self, request: Request) -> Response:
        """A picture that somebody uploaded. Other files are not for a browser to show."""
        file = self._world.files.by_id.get(request.path_params["file_id"])
        kind = mimetypes.guess_type(file.name)[0] if file else None
        if file is None or file.content is None or kind not in ("image/png", "image/jpeg"):
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
