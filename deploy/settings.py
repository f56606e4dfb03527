"""The settings of an operator's commands."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from bot.settings import StoreSettings


class OperatorSettings(StoreSettings):
    """Asking and changing the store needs no key of the servers."""

    model_config = SettingsConfigDict(validate_default=False)

    vllm_api_key: SecretStr = SecretStr("")
    admin_channel: str = Field("", alias="MYNAH_ADMIN_CHANNEL")
