"""The vLLM servers, the base model, and the adapters."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bot import releases
from bot.store.database import reading
from bot.store.schema import Adapter
from deploy import base_model
from deploy.checkups.finding import NotLooked, Said, bad, fine, otherwise, warning
from deploy.checkups.patient import Patient
from deploy.checkups.store import opened
from serving import resting
from serving.adapters import BadAdapter, validate
from serving.base import BaseSpec, NoBaseModel, base_spec, locate
from serving.client import BASE, ServingError, VllmClient
from serving.settings import ServingSettings

ALONE = "set it to off, unless worker and server run on this machine"
KEY = "give bot, worker and server the same MYNAH_VLLM_API_KEY"
REBASED = (
    "set MYNAH_BASE_MODEL back to that model; or let v1 answer (`mynah rollback v1`) and train anew"
)


async def servers(patient: Patient) -> Sequence[Said]:
    """Whether each answers to the key."""
    settings = _serving(patient)
    misfits = resting.misfits(settings.vllm_urls) if settings.train_alone else []
    doubts = [warning(one, ALONE) for one in misfits]
    rest = resting.asked(settings.data_dir) if settings.train_alone else None
    if rest is not None and not rest.is_overdue:
        return otherwise(doubts, f"resting: {rest}")
    found = await asyncio.gather(*(_server(settings, url) for url in settings.vllm_urls))
    troubles = (trouble for _, trouble in found if trouble is not None)
    return otherwise([*doubts, *troubles], f"{', '.join(settings.vllm_urls)}: up")


async def loaded(patient: Patient) -> Sequence[Said]:
    """Whether each server that is up has what the releases need, from where it lies."""
    settings = _serving(patient)
    wanted = await asyncio.to_thread(_wanted, patient)
    found = await asyncio.gather(*(_server(settings, url) for url in settings.vllm_urls))
    up = {url: served for url, (served, _) in zip(settings.vllm_urls, found, strict=True) if served}
    if not up:
        raise NotLooked("no server is up")
    troubles = [one for url, served in up.items() for one in _missing(url, served, wanted)]
    return otherwise(troubles, f"{len(wanted)} adapters on each of {len(up)} servers")


def base(patient: Patient) -> Sequence[Said]:
    """Whether the base model is there, and is the one that the adapters in use were trained on."""
    spec = _base(_serving(patient))
    if isinstance(spec, Said):
        return [spec]
    found = f"{spec.model} ({spec.sha256[:12]})"
    try:
        wanted = _wanted(patient)
    except NotLooked:
        return fine(found)
    troubles = (
        bad(f"{one.name} was trained on {one.base_model} ({one.base_sha256[:12]}), not {found}",
            REBASED)
        for one in wanted
        if one.base_sha256 != spec.sha256
    )  # fmt: skip
    return otherwise(troubles, found)


def adapters(patient: Patient) -> Sequence[Said]:
    """Whether the files of the adapters in use are as they were made."""
    spec = _base(_serving(patient))
    if isinstance(spec, Said):
        raise NotLooked("base model")
    wanted = _wanted(patient)
    return otherwise(_altered(wanted, spec), f"{len(wanted)} in use, as they were made")


def _serving(patient: Patient) -> ServingSettings:
    if patient.serving is None:
        raise NotLooked("settings")
    return patient.serving


def _wanted(patient: Patient) -> Sequence[Adapter]:
    with opened(patient) as engine, reading(engine) as session:
        return releases.desired_adapters(session)


async def _server(
    settings: ServingSettings, url: str
) -> tuple[Mapping[str, str | None], Said | None]:
    """What a server serves by which path, or what is wrong with it."""
    async with VllmClient(url, api_key=settings.vllm_api_key.get_secret_value()) as client:
        try:
            served = await client.models()
        except ServingError as error:
            return {}, _refusing(url, str(error))
    if BASE not in served:
        return {}, bad(f"{url} serves no model called {BASE!r}", "start it with `mynah serve`")
    return served, None


def _refusing(url: str, why: str) -> Said:
    if ": 401 " in why or ": 403 " in why:
        return bad(f"{url} does not take the key", KEY)
    return bad(why, "start `mynah serve` there, or mend MYNAH_VLLM_URLS; it loads for a minute")


def _missing(
    url: str, served: Mapping[str, str | None], wanted: Sequence[Adapter]
) -> Iterator[Said]:
    mend = "`mynah worker` loads it within seconds; if not, `mynah status` says what is wrong"
    for one in wanted:
        if one.name not in served:
            yield bad(f"{url} has no {one.name}", mend)
        elif served[one.name] != one.path:
            yield bad(f"{url} has {one.name} from {served[one.name]}, not {one.path}", mend)


def _base(settings: ServingSettings) -> BaseSpec | Said:
    """The base model's fingerprint; nothing is downloaded or converted for it."""
    try:
        directory = _directory(settings.base_model)
        if directory is None:
            return warning("not there yet", "nothing has to be done: the first start gets it")
        return base_spec(directory)
    except NoBaseModel as error:
        return bad(str(error), "set MYNAH_BASE_MODEL to a model's directory or Hugging Face id")


def _directory(model: str) -> Path | None:
    if not model:
        made = base_model.cache_dir() / base_model.NAME
        return made if made.exists() else None
    if Path(model).expanduser().is_dir() or model.count("/") != 1 or model.startswith((".", "~")):
        return locate(model)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, local_files_only=True))
    except (LocalEntryNotFoundError, ValueError):
        return None


def _altered(wanted: Sequence[Adapter], spec: BaseSpec) -> Iterator[Said]:
    mend = "put its directory back from a backup; or `mynah rollback` to a release that is whole"
    for one in wanted:
        try:
            validate(Path(one.path), spec, sha256=one.sha256)
        except BadAdapter as error:
            yield bad(str(error), mend)
