"""The settings that every process shares, read once at start from the environment or `.env`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Names = Annotated[tuple[str, ...], NoDecode]  # a comma-separated list in the environment
S = TypeVar("S", bound=BaseSettings)


class BadSettings(Exception):
    """One line that names each missing or wrong setting, and never its value."""


def split_names(value: Any) -> Any:
    """Turn ``"a, b"`` into ``("a", "b")``; anything else is left to the validator."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def names_of(team_id: str, names: str | Names) -> Names:
    """The names that count in a workspace: ``T…:name`` in that one alone, and a bare one in all."""
    given = split_names(names)
    mark = f"{team_id}:"
    own = [name.removeprefix(mark) for name in given if name.startswith(mark)]
    return (*own, *(name for name in given if ":" not in name))


def name_of(team_id: str, names: str) -> str:
    """The first name that counts in a workspace; empty when none does."""
    return next(iter(names_of(team_id, names)), "")


class ServingSettings(BaseSettings):
    """Where models and data lie, and how vLLM is reached."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", populate_by_name=True)

    data_dir: Path = Field(Path(".mynah"), alias="MYNAH_DATA_DIR")
    base_model: str = Field("", alias="MYNAH_BASE_MODEL")  # "": the small packaged model
    vllm_urls: Names = Field(("http://127.0.0.1:8000",), alias="MYNAH_VLLM_URLS")
    vllm_api_key: SecretStr = Field(alias="MYNAH_VLLM_API_KEY")
    # Worker and servers are on one machine, and trainings have its device to themselves.
    train_alone: bool = Field(False, alias="MYNAH_TRAIN_ALONE")
    log: Literal["text", "json"] = Field("text", alias="MYNAH_LOG")
    # Where traces go by OTLP over HTTP; "": nowhere.
    otlp_endpoint: str = Field("", alias="OTEL_EXPORTER_OTLP_ENDPOINT")

    @field_validator("vllm_urls", mode="before")
    @classmethod
    def _split_urls(cls, value: Any) -> Any:
        return split_names(value)

    @field_validator("vllm_urls")
    @classmethod
    def _http_urls(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        if not urls or not all(url.startswith(("http://", "https://")) for url in urls):
            raise ValueError("must be http:// or https:// URLs, separated by commas")
        return tuple(url.rstrip("/") for url in urls)

    @field_validator("vllm_api_key", "control_key", check_fields=False)
    @classmethod
    def _long_enough(cls, key: SecretStr) -> SecretStr:
        if len(key.get_secret_value()) < 16:
            raise ValueError("must be a random secret of at least 16 characters")
        return key

    @field_validator("otlp_endpoint")
    @classmethod
    def _otlp_url(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("must be an http:// or https:// URL")
        return url.rstrip("/")

    @property
    def adapters_dir(self) -> Path:
        """Where published adapters lie, one directory each."""
        return self.data_dir.resolve() / "adapters"


class ServerSettings(ServingSettings):
    """What `mynah serve` needs besides."""

    control_key: SecretStr = Field(alias="MYNAH_CONTROL_KEY")
    host: str = Field("127.0.0.1", alias="MYNAH_HOST")
    port: int = Field(8000, alias="MYNAH_PORT", ge=1, le=65535)


def read(kind: type[S]) -> S:
    """Read the settings of one process.

    Raises:
        BadSettings: with one line naming every setting that is missing or wrong.
    """
    try:
        return kind()
    except ValidationError as error:
        raise BadSettings("; ".join(_complaint(kind, item) for item in error.errors())) from None


def _complaint(kind: type[BaseSettings], item: Any) -> str:
    name = str(item["loc"][0]) if item["loc"] else "settings"
    if name in kind.model_fields:  # pydantic names a wrong default by its field
        name = kind.model_fields[name].alias or name
    if item["type"] == "missing":
        return f"{name} is not set"
    return f"{name}: {item['msg'].removeprefix('Value error, ')}"
