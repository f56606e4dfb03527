"""The word of whoever reads the store that an adapter is one of ours: guards load nothing else.

A guard knows no SQL, so it cannot look up which adapters were ever published. Whoever asks it to
load one signs the name, the whole hash that the store has for it, and the path, and the guard
compares the files with that hash. A signature that somebody else sends once more loads the very
same bytes under the very same name, which is what the store wanted a moment ago; so it needs no
list of used ones, only an end, so that an adapter that was withdrawn stays so.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

LIFE_S = 300  # to cross a busy network and clocks that are a little apart
NEVER = "the signature is missing or wrong: only a worker that knows the adapter loads it"


class BadSignature(Exception):
    """One line: why an adapter may not be loaded on this word."""


def signed(key: str, name: str, sha256: str, path: str, *, at: float) -> dict[str, Any]:
    """The body of a load request.

    Args:
        key: the control key.
        sha256: the adapter's whole hash, as the store has it.
        at: now, in seconds since 1970.
    """
    expires = int(at) + LIFE_S
    return {
        "lora_name": name,
        "lora_path": path,
        "sha256": sha256,
        "expires": expires,
        "signature": _signature(key, name, sha256, path, expires),
    }


def check(key: str, request: Mapping[str, Any], *, at: float) -> str:
    """The hash that the adapter of a load request must have.

    Raises:
        BadSignature: it is unsigned, signed with another key or for something else, or too old.
    """
    name, path, sha256 = (request.get(field) for field in ("lora_name", "lora_path", "sha256"))
    expires, given = request.get("expires"), request.get("signature")
    if not isinstance(sha256, str) or not isinstance(given, str) or type(expires) is not int:
        raise BadSignature(NEVER)
    wanted = _signature(key, str(name), sha256, str(path), expires)
    if not hmac.compare_digest(_bytes(given), wanted.encode()):
        raise BadSignature(NEVER)
    # Both ways: a clock that was far ahead must not have signed for years.
    if not at <= expires <= at + 2 * LIFE_S:
        raise BadSignature("the signature is of another time: are the clocks apart?")
    return sha256


def _signature(key: str, name: str, sha256: str, path: str, expires: int) -> str:
    # NUL can stand in none of them, so that no two requests read the same.
    said = "\0".join(("mynah load", name, sha256, path, str(expires)))
    return hmac.new(key.encode(), _bytes(said), hashlib.sha256).hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")  # JSON may hold what UTF-8 does not
