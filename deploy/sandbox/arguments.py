"""A method's arguments, however they came: query, form, multipart or JSON."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request

from deploy.sandbox import sent
from deploy.sandbox.errors import SlackError


class Arguments(dict[str, Any]):
    """Arguments by name, with readers that know Slack's conventions."""

    def text(self, name: str) -> str:
        """A string; empty when it is not there."""
        value = self.get(name)
        return "" if value is None else str(value)

    def required(self, name: str) -> str:
        """A string that must be there: `invalid_arguments`."""
        if not self.text(name):
            message = f"[ERROR] missing required field: {name}"
            raise SlackError("invalid_arguments", response_metadata={"messages": [message]})
        return self.text(name)

    def flag(self, name: str) -> bool:
        """A truth value: true, "true", 1, "1"."""
        return self.text(name).lower() in ("true", "1")

    def number(self, name: str, default: int, most: int) -> int:
        """A count between 1 and `most`; `invalid_limit` when it is no number."""
        try:
            return max(1, min(int(self.text(name) or default), most))
        except ValueError:
            raise SlackError("invalid_limit") from None

    def names(self, name: str) -> list[str]:
        """A list given as JSON, as a JSON string, or separated by commas."""
        value = self.get(name)
        if isinstance(value, str) and value.startswith("["):
            value = self.nested(name, "invalid_arguments")
        if isinstance(value, list):
            return [str(item) for item in value]
        return [part.strip() for part in self.text(name).split(",") if part.strip()]

    def nested(self, name: str, error: str) -> Any:
        """A list or object, in a form given as a JSON string; None when it is not there."""
        value = self.get(name)
        if not isinstance(value, str):
            return value
        if not value:
            return None
        try:
            return sent.read(value)
        except ValueError:
            raise SlackError(error) from None


async def read(request: Request) -> Arguments:
    """The arguments of a request; the body wins over the query."""
    found = Arguments(dict(request.query_params))
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind == "application/json":
        found.update(_json(await request.body()))
    elif kind == "multipart/form-data":
        async with request.form() as form:
            found.update({name: value for name, value in form.items() if isinstance(value, str)})
    else:
        body = (await request.body()).decode("utf-8", errors="replace")
        found.update(parse_qsl(body, keep_blank_values=True))
    return found


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = sent.read(body or b"{}")
    except ValueError:
        raise SlackError("invalid_json") from None
    if not isinstance(found, dict):
        raise SlackError("json_not_object")
    return found
