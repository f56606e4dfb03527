"""What Slack's client offers of an app comes from the app's manifest."""

from __future__ import annotations

from pathlib import Path

from deploy.sandbox.app_manifest import AppManifest
from tests.sandbox_server import Sandbox

STRANGE = """
features:
  slash_commands:
    # - command: /hidden
    - command: /one # the first
      usage_hint: "a # b: c"
      should_escape: false

    - description: 'Second: one'
      command: /two
  shortcuts:
    - {}
    - type: global
      name: Everywhere
      callback_id: everywhere
    - name: Look
      callback_id: look
      type: message
oauth_config:
  - command: /three
"""


def test_what_is_listed(tmp_path: Path) -> None:
    """Commands with what is said of them, and shortcuts on messages alone."""
    path = tmp_path / "manifest.yaml"
    path.write_text(STRANGE)
    found = AppManifest.read(path)
    assert found.commands == (
        {"command": "/one", "description": "", "usage_hint": "a # b: c"},
        {"command": "/two", "description": "Second: one", "usage_hint": ""},
    )
    assert found.shortcuts == ({"name": "Look", "callback_id": "look"},)
    assert found.knows("/two")
    assert not found.knows("/three")
    path.write_text("features: {}\n")
    assert AppManifest.read(path) == AppManifest()


async def test_a_command_that_no_app_has(sandbox: Sandbox) -> None:
    """The client says so itself: the app hears nothing."""
    assert await sandbox.command("", name="/nope") == {"ok": False, "error": "invalid_command"}
    assert (await sandbox.state())["deliveries"] == []
    assert (await sandbox.command("", name="/mynah"))["error"] == "dispatch_failed"
