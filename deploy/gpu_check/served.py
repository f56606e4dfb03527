"""The steps that need a server: Mynah's own engine with its guard, on the base model."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import httpx

from bot.prompt import build
from deploy.gpu_check.steps import Failed, Steps, Told, needed
from deploy.local import Ports
from serving.adapters import AdapterFile
from serving.client import BASE, ModelMissing, VllmClient
from serving.engine import Engine
from serving.probes import NOISE, Probe, distance, measured, prove
from serving.settings import ServerSettings

QUESTIONS = (
    "Which port does the web page use?",
    "How do I reset my password?",
    "Where are the backups kept?",
    "Who may delete a space?",
)
TOKENS, MANY_TOKENS = 64, 256  # of an answer; of one that is still being written at an unload
NO_SERVER = "there is no server"
NOT_PROBED = "torch did not say what to expect"


class Served:
    """A server under way, and what its steps share.

    Args:
        made: three adapters of random weights, as many as there are places.
        trained: the one that was trained here; None: that did not work.
    """

    def __init__(
        self, home: Path, base: Path, made: Sequence[AdapterFile], trained: AdapterFile | None
    ) -> None:
        key, control = (secrets.token_hex(16) for _ in range(2))
        named = {
            "MYNAH_DATA_DIR": home, "MYNAH_VLLM_API_KEY": key, "MYNAH_CONTROL_KEY": control,
            "MYNAH_HOST": "127.0.0.1", "MYNAH_PORT": Ports.free().server,
            "OTEL_EXPORTER_OTLP_ENDPOINT": "",
        }  # fmt: skip
        self.settings = ServerSettings.model_validate(named)
        self.base, self.made, self.trained = base, made, trained
        self.client: VllmClient | None = None

    async def run(self, steps: Steps) -> None:
        """Start the server, take every step, and stop it."""
        engine = Engine(self.settings, self.base, say=steps.say)

        async def start(told: Told) -> VllmClient:
            await engine.start()
            told["start_s"] = round(engine.start_s or 0, 1)
            return VllmClient(
                engine.url, api_key=self.settings.vllm_api_key.get_secret_value(),
                control_key=self.settings.control_key.get_secret_value(),
            )  # fmt: skip

        try:
            self.client = await steps.take("vLLM starts, guarded", start)
            await steps.take("the guard refuses", self.refuses)
            await steps.take("an adapter, loaded and proved", self.loads)
            await steps.take("another one, beside questions", self.swaps)
            await steps.take("the one that was trained here", self.serves_trained)
            await steps.take("the base beside adapters", self.stays_base)
            await steps.take("an adapter leaves, beside its answer", self.unloads)
        finally:
            if self.client is not None:
                await self.client.aclose()
            await engine.stop()

    async def refuses(self, told: Told) -> None:
        """No key, a route of vLLM's own, an adapter that nobody has signed for."""
        client, one = needed(self.client, NO_SERVER), self.made[0]
        key = {"Authorization": f"Bearer {self.settings.vllm_api_key.get_secret_value()}"}
        control = {"Authorization": f"Bearer {self.settings.control_key.get_secret_value()}"}
        unsigned = {"lora_name": one.name, "lora_path": str(one.path)}
        async with httpx.AsyncClient(base_url=client.url, trust_env=False) as http:
            for path, headers, body, status in (
                ("/v1/chat/completions", {}, {}, 401),
                ("/tokenize", key, {"prompt": "x"}, 403),
                ("/v1/load_lora_adapter", key, unsigned, 401),
                ("/v1/load_lora_adapter", control, unsigned, 403),
            ):
                given = (await http.post(path, headers=headers, json=body)).status_code
                if given != status:
                    raise Failed(f"{path} is answered with {given}, not {status}")

    async def loads(self, told: Told) -> None:
        """The first adapter answers as torch says."""
        await self._load(self.made[0], told)

    async def swaps(self, told: Told) -> None:
        """Questions to one adapter are answered while another one is loaded and proved."""
        client = needed(self.client, NO_SERVER)
        began = time.monotonic()
        first = self.made[0].name
        asked = [asyncio.create_task(_say(client, first, one, TOKENS)) for one in QUESTIONS]
        try:
            await self._load(self.made[1], told)
            tokens = sum([await one for one in asked])
        finally:
            for one in asked:
                one.cancel()
        told["tokens_per_s"] = round(tokens / (time.monotonic() - began), 1)
        await _say(client, self.made[1].name, QUESTIONS[0], TOKENS)

    async def serves_trained(self, told: Told) -> None:
        """What the trainer wrote is what the server answers by."""
        await self._load(needed(self.trained, "the training did not work"), told)

    async def stays_base(self, told: Told) -> None:
        """With every place taken, who asks the base beside adapters' readers gets the base."""
        client = needed(self.client, NO_SERVER)
        probe = _probe(self.made[0])
        for one in self.made:
            await self._load(one, {})
        measuring = asyncio.Event()
        measuring.set()

        async def talk(name: str) -> None:
            while measuring.is_set():
                await _say(client, name, QUESTIONS[0], TOKENS)

        others = [asyncio.create_task(talk(one.name)) for one in self.made]
        try:
            alone = replace(probe, logprobs=probe.base)
            found = [await measured(client, BASE, probe) for _ in range(4)]
            told["apart"] = round(max(distance(one, probe.base) for one in found), 3)
            if told["apart"] > NOISE:
                raise Failed("the base does not answer as itself beside adapters")
            await prove(client, BASE, alone, self._rivals())
            measuring.clear()
            await asyncio.gather(*others)
        finally:
            for other in others:
                other.cancel()

    async def unloads(self, told: Told) -> None:
        """Its answer is finished, a new question finds it missing, and the others stay right."""
        client, (first, second, _) = needed(self.client, NO_SERVER), self.made
        await self._load(first, {})
        begun = asyncio.Event()
        answer = asyncio.create_task(_say(client, first.name, QUESTIONS[1], MANY_TOKENS, begun))
        try:
            await begun.wait()
            began = time.monotonic()
            await client.unload_adapter(first.name)
            told["unload_s"] = round(time.monotonic() - began, 3)
            if answer.done():
                raise Failed("the answer was finished before the adapter left: nothing is proved")
            told["answer_tokens"] = await answer
        finally:
            answer.cancel()
        try:
            await _say(client, first.name, QUESTIONS[0], 1)
        except ModelMissing:
            await prove(client, second.name, _probe(second), self._rivals())
        else:
            raise Failed(f"{first.name} still answers")

    async def _load(self, adapter: AdapterFile, told: Told) -> None:
        client, probe = needed(self.client, NO_SERVER), _probe(adapter)
        if distance(probe.logprobs, probe.base) <= 2 * NOISE:
            raise Failed(f"{adapter.name} cannot be told from the base: the probe proves nothing")
        began = time.monotonic()
        await client.load_adapter(adapter.name, adapter.path, adapter.sha256)
        await prove(client, adapter.name, probe, self._rivals())
        told["load_s"] = round(time.monotonic() - began, 3)
        found = await measured(client, adapter.name, probe)
        told["apart"] = round(distance(found, probe.logprobs), 3)
        told["from_base"] = round(distance(found, probe.base), 3)

    def _rivals(self) -> Mapping[str, Probe]:
        all_of_them = [*self.made, *([self.trained] if self.trained else [])]
        return {one.name: one.probe for one in all_of_them if one.probe is not None}


def _probe(adapter: AdapterFile) -> Probe:
    return needed(adapter.probe, NOT_PROBED)


async def _say(
    client: VllmClient, name: str, question: str, tokens: int, begun: asyncio.Event | None = None
) -> int:
    """Read a whole answer; its tokens."""
    read = 0
    async for piece in client.stream(build(question), model=name, max_tokens=tokens):
        read += len(piece.logprobs)
        if begun is not None:
            begun.set()
    if not read:
        raise Failed(f"{name} answers without a word")
    return read
