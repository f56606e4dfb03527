"""The local set starts what an operator starts, and nothing of the caller's leaks in."""

from pathlib import Path

import httpx
import pytest

from deploy.local import LocalSet, Ports, SetFailed
from tests.lora_files import make_base


def local_set(home: Path) -> LocalSet:
    return LocalSet(home, base_model=home / "nowhere", ports=Ports.free(), say=lambda _: None)


def test_ports_are_free_and_different() -> None:
    """Four processes get four ports."""
    ports = Ports.free()
    assert len({ports.sandbox, ports.server, ports.worker, ports.bot}) == 4


async def test_a_process_that_ends_at_start_is_named_with_its_last_words(tmp_path: Path) -> None:
    """A bot with a wrong token: the error says which process, what it said and where its log is."""
    with local_set(tmp_path) as local:
        local.start("bot", local.ports.bot, SLACK_BOT_TOKEN="nonsense")
        with pytest.raises(SetFailed, match=r"mynah bot ended.*SLACK_BOT_TOKEN.*bot\.log"):
            await local.ready("bot", "http://127.0.0.1:9/", within_s=60)


async def test_the_callers_own_settings_do_not_reach_the_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Someone with a real token in the environment must not have the demo post with it."""
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-real")
    monkeypatch.setenv("MYNAH_TRAIN_CRON", "not a cron")
    local = LocalSet(tmp_path, make_base(tmp_path / "base"), Ports.free(), say=lambda _: None)
    with local:
        local.start("worker", local.ports.worker)
        await local.ready("worker", f"http://127.0.0.1:{local.ports.worker}/healthz", within_s=60)
        assert local.env["SLACK_BOT_TOKEN"] == "xoxb-mynah"


@pytest.mark.parametrize("lived_in", [False, True])
async def test_only_where_people_play_the_local_slack_has_a_past(
    tmp_path: Path, lived_in: bool
) -> None:
    """What is measured begins with nothing said and leaves nothing; the other keeps all of it."""
    local = LocalSet(tmp_path, tmp_path, Ports.free(), say=lambda _: None, lived_in=lived_in)
    with local:
        await local.start_sandbox()
        async with httpx.AsyncClient(trust_env=False) as http:
            state = (await http.get(f"{local.sandbox_url}/_control/state")).json()
    assert bool(state["messages"]["C0HELP"]) == lived_in
    assert (tmp_path / "sandbox.db").exists() == lived_in
