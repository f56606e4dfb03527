"""What goes wrong for a caller, in OpenAI's shape: its client makes an exception of each.

https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse, Response


class ApiError(Exception):
    """The request gets no answer.

    Args:
        code: a word for programs.
        param: the part of the request that is at fault.
        retry_s: after so many seconds it may go well.
    """

    def __init__(
        self, status: int, message: str, code: str | None = None, *,
        param: str | None = None, retry_s: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.retry_s = retry_s

    def body(self) -> dict[str, Any]:
        """As JSON says it."""
        error = {"message": str(self), "type": self._type, "param": self.param, "code": self.code}
        return {"error": error}

    def response(self) -> Response:
        """As HTTP says it."""
        return JSONResponse(self.body(), self.status, headers=self._headers())

    def event(self) -> str:
        """As a stream says it that has begun."""
        return f"data: {json.dumps(self.body())}\n\n"

    @property
    def _type(self) -> str:
        if self.status >= 500:
            return "server_error"
        return "rate_limit_error" if self.status == 429 else "invalid_request_error"

    def _headers(self) -> Mapping[str, str]:
        if self.status == 401:
            return {"WWW-Authenticate": "Bearer"}
        return {} if self.retry_s is None else {"Retry-After": f"{max(1, math.ceil(self.retry_s))}"}


def bad_key(code: str = "invalid_api_key") -> ApiError:
    """The key is missing, wrong or revoked."""
    words = {
        "invalid_api_key": "This is no API key of Mynah's. Send `Authorization: Bearer mk-…`.",
        "api_key_revoked": "This API key was revoked.",
    }
    return ApiError(401, words[code], code)


def unanswered(retry_s: float = 5) -> ApiError:
    """No model could answer in time: nothing of the question is kept."""
    words = "No model can answer at the moment. The question was not kept: please ask again."
    return ApiError(503, words, "no_model", retry_s=retry_s)
