"""The sandbox in a browser: the page's own files, what was said, and files that were posted."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from deploy.sandbox.errors import Impossible
from deploy.sandbox.live import Behind, Live
from deploy.sandbox.viewer import Viewer
from deploy.sandbox.worlds import Worlds

DIRECTORY = Path(__file__).with_name("page")
AT_ONCE = 60
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
# The page says by which name it is saved, as whoever uploaded it could break out of a header.
_SAVED = _GUARDED | {"Content-Security-Policy": "sandbox", "Content-Disposition": "attachment"}


class Pages:
    """`GET /` and `/page/…`: all of it only looks. What people do goes through the Web API."""

    def __init__(self, worlds: Worlds, behind: Behind | None = None) -> None:
        self._worlds = worlds
        self._live = Live(worlds, behind)

    def routes(self) -> list[BaseRoute]:
        """The routes, in the order in which they have to be tried."""
        return [
            Route("/", self.index, methods=["GET"]),
            WebSocketRoute("/page/live", self._live.endpoint),
            Route("/page/history", self.history, methods=["GET"]),
            Route("/page/thread", self.thread, methods=["GET"]),
            Route("/page/log/{n:int}", self.log, methods=["GET"]),
            Route("/page/file/{file_id}", self.file, methods=["GET"]),
            Mount("/page", app=_Files(directory=DIRECTORY)),
        ]

    async def index(self, _request: Request) -> Response:
        """The page."""
        return FileResponse(DIRECTORY / "index.html", headers=_GUARDED)

    async def history(self, request: Request) -> Response:
        """`?as=&team=&channel=&before=&limit=`: a channel's messages, the oldest first."""
        query = request.query_params
        try:
            limit = int(query.get("limit", AT_ONCE))
            found = self._viewer(request).history(
                query.get("channel", ""), query.get("before", ""), limit
            )
        except (Impossible, ValueError) as error:
            return PlainTextResponse(str(error), 404)
        return JSONResponse(found, headers=_GUARDED)

    async def thread(self, request: Request) -> Response:
        """`?as=&team=&channel=&ts=`: a message and its replies."""
        query = request.query_params
        try:
            found = self._viewer(request).thread(query.get("channel", ""), query.get("ts", ""))
        except Impossible as error:
            return PlainTextResponse(str(error), 404)
        return JSONResponse(found, headers=_GUARDED)

    async def log(self, request: Request) -> Response:
        """One entry of what the app saw, with what was sent and answered."""
        entry = self._worlds.ledger.entry(request.path_params["n"])
        if entry is None:
            return PlainTextResponse("no such entry, or not any more", 404)
        return JSONResponse(entry.whole_json(), headers=_GUARDED)

    async def file(self, request: Request) -> Response:
        """A file for those who see it. Only pictures are for a browser to show: whatever else
        was uploaded, a page with a script in it say, is only to be saved."""
        try:
            file = self._viewer(request).file(request.path_params["file_id"])
        except Impossible as error:
            return PlainTextResponse(str(error), 404)
        if file.content is None:
            return PlainTextResponse("no such file", 404)
        kind = mimetypes.guess_type(file.name)[0]
        if kind in ("image/png", "image/jpeg"):
            return Response(file.content, media_type=kind, headers=_GUARDED)
        return Response(file.content, media_type="application/octet-stream", headers=_SAVED)

    def _viewer(self, request: Request) -> Viewer:
        query = request.query_params
        return Viewer(self._worlds.of_team(query.get("team", "")), query.get("as", ""))


class _Files(StaticFiles):
    def file_response(self, *args: Any, **options: Any) -> Response:
        response = super().file_response(*args, **options)
        response.headers.update(_GUARDED)
        return response
