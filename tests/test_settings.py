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
    contacts = "help@house.example,house.example,T0A:@other.example,+49 30 1234567"
    monkeypatch.setenv("MYNAH_KEEP_CONTACTS", contacts)
    settings = read(BotSettings)
    assert settings.of("T0A").keep_contacts[0] == "@other.example"
    assert settings.of("T0B").keep_contacts[0] == "help@house.example"
    assert len(settings.of("T0B").keep_contacts) == 3
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
        (WorkerSettings, "MYNAH_RECIPE", "sft,magic"),
        (WorkerSettings, "MYNAH_TRAIN_MINUTES", "-5"),
        (BotSettings, "MYNAH_QUORUM", "-17"),
        (BotSettings, "MYNAH_KEEP_CONTACTS", "help@house.example,everybody"),
        (WorkerSettings, "MYNAH_MOST_SHARE", "1.75"),
        (WorkerSettings, "MYNAH_RELEASE", "maybe"),
        (WorkerSettings, "MYNAH_CANARY", "1.25"),
        (WorkerSettings, "MYNAH_CANARY_DAYS", "-7.5"),
        (WorkerSettings, "MYNAH_CANARY_ERROR", "0.75"),
        (WorkerSettings, "MYNAH_JUDGE_URL", "judge.example.com"),
        (WorkerSettings, "MYNAH_JUDGE_URL", "https://me:hunter2@judge.example.com"),
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


MANY = {"SLACK_BOT_TOKEN": "", "SLACK_CLIENT_ID": "1.2", "SLACK_CLIENT_SECRET": "client-secret"}


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({}, ""),
        ({"SLACK_CLIENT_SECRET": ""}, "SLACK_CLIENT_SECRET: set this and SLACK_CLIENT_ID"),
        ({"SLACK_CLIENT_ID": ""}, "SLACK_CLIENT_SECRET: set this and SLACK_CLIENT_ID"),
        ({"SLACK_BOT_TOKEN": "xoxb-1"}, "SLACK_BOT_TOKEN: set this .* or SLACK_CLIENT_ID"),
    ],
)
def test_many_workspaces_or_one(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], complaint: str
) -> None:
    """A client id and its secret in the place of a bot token; a half or a mixture is refused."""
    for name, value in (MANY | changed).items():
        monkeypatch.setenv(name, value)
    if not complaint:
        assert read(BotSettings).many_workspaces
        return
    with pytest.raises(BadSettings, match=complaint) as caught:
        read(BotSettings)
    assert "client-secret" not in str(caught.value)


def test_names_may_be_of_one_workspace_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare name counts everywhere, `T…:name` there alone; so each has its own admin channel."""
    monkeypatch.setenv("MYNAH_STAFF", "U1,T1:S2,T2:S3")
    monkeypatch.setenv("MYNAH_ADMIN_CHANNEL", "C0,T2:C2")
    settings = read(BotSettings)
    assert set(settings.of("T1").staff) == {"U1", "S2"}
    assert [settings.of(team).admin_channel for team in ("T1", "T2")] == ["C0", "C2"]
    assert settings.of("T1").of("T1") == settings.of("T1")
    monkeypatch.setenv("MYNAH_ADMIN_CHANNEL", "T2:C2")
    assert read(BotSettings).of("T1").admin_channel == ""


def test_every_missing_setting_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sets up Mynah learns of all that is missing in one go."""
    for name in GOOD:
        monkeypatch.delenv(name)
    with pytest.raises(BadSettings, match=r"(?s)VLLM_API_KEY.*BOT_TOKEN.*APP_TOKEN"):
        read(BotSettings)


def test_a_judge_is_a_url_and_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody judges unless both are set; its key is shown nowhere."""
    assert read(WorkerSettings).judging is None
    monkeypatch.setenv("MYNAH_JUDGE_URL", "https://judge.example.com/v1/")
    with pytest.raises(BadSettings, match="MYNAH_JUDGE_MODEL"):
        read(WorkerSettings)
    monkeypatch.setenv("MYNAH_JUDGE_MODEL", "wise")
    monkeypatch.setenv("MYNAH_JUDGE_KEY", "hunter2")
    settings = read(WorkerSettings)
    assert settings.judging is not None
    assert (settings.judging.url, settings.judging.model) == (
        "https://judge.example.com/v1",
        "wise",
    )
    assert "hunter2" not in repr(settings) + repr(settings.judging)
    assert settings.judging.key.get_secret_value() == "hunter2"
