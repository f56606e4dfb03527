"""JSON as somebody sent it: read so that whatever was read can be written again.

One message that cannot be written would keep everybody from all of its channel.
"""

from __future__ import annotations

import json
import math
from typing import Any

MOST_DEEP = 100  # levels; blocks need a dozen


def read(text: str | bytes) -> Any:
    """What a JSON text says; half a character, as cutting one in two leaves it, becomes "�".

    Raises:
        ValueError: it is no JSON, holds a number that JSON has not, or is nested without end.
    """
    try:
        found = json.loads(text, parse_constant=_number, parse_float=_number)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if _deep(found):
        raise ValueError("nested too deep")
    if (b"\\ud" if isinstance(text, bytes) else "\\ud") not in text.lower():  # type: ignore[operator]
        return found
    halves = json.dumps(found, ensure_ascii=False).encode("utf-16-le", "surrogatepass")
    return json.loads(halves.decode("utf-16-le", "replace"))


def _number(written: str) -> float:
    number = float(written)
    if not math.isfinite(number):
        raise ValueError(f"no number of JSON: {written}")
    return number


def _deep(found: Any) -> bool:
    level = [found]
    for _ in range(MOST_DEEP):
        level = [part for one in level for part in _parts(one)]
        if not level:
            return False
    return True


def _parts(one: Any) -> Any:
    return one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
