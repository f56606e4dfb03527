"""What Slack's client knows of an app from its manifest: its commands and message shortcuts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Item = dict[str, str]


@dataclass(frozen=True)
class AppManifest:
    """The commands and the shortcuts on messages; each as the client lists it."""

    commands: tuple[Item, ...] = ()  # command, description, usage_hint
    shortcuts: tuple[Item, ...] = ()  # name, callback_id

    @classmethod
    def read(cls, path: Path) -> AppManifest:
        """Read a manifest in YAML."""
        features = yaml.safe_load(path.read_text(encoding="utf-8"))["features"]
        shortcuts = (one for one in features.get("shortcuts", ()) if one.get("type") == "message")
        return cls(
            _picked(features.get("slash_commands", ()), "command", "description", "usage_hint"),
            _picked(shortcuts, "name", "callback_id"),
        )

    def knows(self, command: str) -> bool:
        """Whether the app has a command."""
        return any(item["command"] == command for item in self.commands)


def _picked(items: Iterable[dict[str, Any]], *names: str) -> tuple[Item, ...]:
    return tuple({name: str(item.get(name, "")) for name in names} for item in items)
