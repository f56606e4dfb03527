"""A missing or wrong setting is one line that names it, and never shows a secret."""

import pytest

from bot.settings import BotSettings
from serving.settings import BadSettings, ServerSettings, read
from training.settings import WorkerSettings

GOOD = {
    "SLACK_BOT_TOKEN": "xoxb-1",
    "SLACK_APP_TOKEN": "xapp-1",
    "MYNAH_VLLM_API_KEY": "k" * 20,
    "MYNAH_CONTROL_KEY": "c" * 20,
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.chdir(str(tmp_path))  # no .env of the caller's
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)


def test_lists_are_read_from_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are split, spaces and empty parts dropped, trailing slashes of URLs too."""
    monkeypatch.setenv("MYNAH_STAFF", "U1, S2,,")
    monkeypatch.setenv("MYNAH_VLLM_URLS", "http://a:1/,http://b:2")
    settings = read(BotSettings)
    assert settings.staff == ("U1", "S2")
    assert settings.vllm_urls == ("http://a:1", "http://b:2")


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (BotSettings, "SLACK_BOT_TOKEN", "xoxp-secret-of-a-person"),
        (BotSettings, "SLACK_APP_TOKEN", "secret"),
        (BotSettings, "SLACK_API_URL", "slack.com"),
        (BotSettings, "MYNAH_VLLM_URLS", "localhost:8000"),
        (BotSettings, "MYNAH_PORT", "99999999"),
        (WorkerSettings, "MYNAH_TRAIN_CRON", "every night"),
        (WorkerSettings, "MYNAH_TIMEZONE", "Mars/Olympus"),
        (WorkerSettings, "MYNAH_RECIPE", "magic"),
        (WorkerSettings, "MYNAH_RELEASE", "maybe"),
        (ServerSettings, "MYNAH_CONTROL_KEY", "hunter2"),
    ],
)
def test_a_wrong_setting_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, kind: type[BotSettings], name: str, value: str
) -> None:
    """One line, with the setting's name and without its value."""
    monkeypatch.setenv(name, value)
    with pytest.raises(BadSettings) as caught:
        read(kind)
    assert name in str(caught.value)
    assert value not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_missing_setting_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sets up Mynah learns of all that is missing in one go."""
    for name in GOOD:
        monkeypatch.delenv(name)
    with pytest.raises(BadSettings, match=r"(?s)VLLM_API_KEY.*BOT_TOKEN.*APP_TOKEN"):
        read(BotSettings)
