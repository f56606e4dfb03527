"""What Slack's client knows of an app from its manifest: its commands and message shortcuts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PAIR = re.compile(r"""(?P<name>\w+):\s+(?P<value>"[^"]*"|'[^']*'|[^#]*?)\s*(?:\#.*)?""")

Item = dict[str, str]


@dataclass(frozen=True)
class AppManifest:
    """The commands and the shortcuts on messages; each as the client lists it."""

    commands: tuple[Item, ...] = ()  # command, description, usage_hint
    shortcuts: tuple[Item, ...] = ()  # name, callback_id

    @classmethod
    def read(cls, path: Path) -> AppManifest:
        """Read a manifest in YAML, of which two lists of plain pairs are all that counts here."""
        lines = path.read_text(encoding="utf-8").splitlines()
        commands = [
            _picked(item, "command", "description", "usage_hint")
            for item in _items(lines, "slash_commands")
        ]
        shortcuts = [
            _picked(item, "name", "callback_id")
            for item in _items(lines, "shortcuts")
            if item.get("type") == "message"
        ]
        return cls(tuple(commands), tuple(shortcuts))

    def knows(self, command: str) -> bool:
        """Whether the app has a command."""
        return any(item["command"] == command for item in self.commands)


def _picked(item: Item, *names: str) -> Item:
    return {name: item.get(name, "") for name in names}


def _items(lines: list[str], of: str) -> list[Item]:
    """The items of one list: what stands deeper than its name."""
    items: list[Item] = []
    for line in _under(lines, of):
        if line.startswith("- "):
            items.append({})
        pair = _PAIR.fullmatch(line.removeprefix("- ").strip())
        if items and pair:
            items[-1][pair["name"]] = pair["value"].strip("\"'")
    return items


def _under(lines: list[str], name: str) -> Iterator[str]:
    depth: int | None = None
    for line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        indent = len(line) - len(line.lstrip())
        if depth is not None and indent <= depth:
            return
        if depth is not None:
            yield text
        elif text == f"{name}:":
            depth = indent
