"""Where files go to and come from over HTTP."""

from __future__ import annotations

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from deploy.sandbox.worlds import Worlds


class FileEndpoints:
    """`POST /upload/{key}` and `GET /files/{file_id}/{name}`."""

    def __init__(self, worlds: Worlds) -> None:
        self._worlds = worlds

    async def upload(self, request: Request) -> Response:
        """Take a file, as raw bytes or as the one file of a form."""
        content = await _content(request)
        key = request.path_params["key"]
        if not any(world.files.take(key, content) for world in self._worlds):
            return PlainTextResponse("unknown upload, or not the announced length", 400)
        return PlainTextResponse(f"OK - {len(content)}")

    async def download(self, request: Request) -> Response:
        """Give a file to those who see it: its owner, and who is where it was shared.

        An app needs `files:read`. Slack sends the others to its login page; here they get 403.
        """
        secret = request.headers.get("authorization", "").removeprefix("Bearer ")
        world = self._worlds.of_token(secret)
        space = world.workspace
        token = space.tokens.get(secret)
        file = world.files.by_id.get(request.path_params["file_id"])
        if file is None or file.content is None:
            return PlainTextResponse("no such file", 404)
        if token is None or (token.scopes is not None and "files:read" not in token.scopes):
            return PlainTextResponse("this token may not read files", 403)
        shared = [space.channels[channel].members for channel in file.shares]
        if token.user_id != file.user and not any(token.user_id in there for there in shared):
            return PlainTextResponse("this file is not shared with you", 403)
        return Response(file.content, media_type=str(file.as_json("")["mimetype"]))


async def _content(request: Request) -> bytes:
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return await request.body()
    async with request.form() as form:
        for part in form.values():
            if isinstance(part, UploadFile):
                return await part.read()
    return b""
