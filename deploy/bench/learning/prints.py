"""Fingerprints: what changes with the code and the values that something was made from."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


def digest(*parts: Any) -> str:
    """Sixteen hexadecimal digits that change with any of the parts."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def sources(*paths: str) -> list[str]:
    """The code without its comments and layout, which change nothing."""
    return [_dumped(path) for path in paths]


@cache
def behind(*paths: str, without: str = "") -> list[str]:
    """These files and all of the project's that they import, directly or not, in order.

    Args:
        without: a file that is left out, with what it alone imports.
    """
    found: set[str] = set()
    waiting = [*paths]
    while waiting:
        path = waiting.pop()
        if path not in found and path != without:
            found.add(path)
            waiting += _imported(path)
    return sorted(found)


@cache
def _dumped(path: str) -> str:
    return ast.dump(_parsed(path))


@cache
def _parsed(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text("utf-8"))


def _imported(path: str) -> list[str]:
    files = [name.replace(".", "/") + ".py" for name in _names(_parsed(path))]
    return [file for file in files if (ROOT / file).exists()]


def _names(tree: ast.Module) -> Iterator[str]:
    """Every dotted name that may be a module's."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (str(node.module), *(f"{node.module}.{one.name}" for one in node.names))
