"""A run on a machine whose device holds its servers or a training, but not both.

All that needs the device is done while the servers rest: each recipe is trained, and torch compares
what came of it. Whatever is asked of a server for it is asked before. Then the process ends, and
with it what it holds of the device; the next one finds all that done, and measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bot.store import runs
from bot.store.schema import Adapter, Dataset, Trial, now
from serving import resting
from serving.adapters import AdapterFile
from serving.client import BASE, VllmClient
from serving.resting import NoRest, Rest
from training import comparing
from training.failures import GoOn, RestOver
from training.held import Held
from training.measuring import Measuring
from training.recipe import Recipe
from training.replay import Reply
from training.rows import read
from training.servers import Servers
from training.trying import Trying

ASKED = "making room on the device"


class Alone:
    """Has the device once for all that a run needs it for."""

    def __init__(
        self, held: Held, servers: Servers, frozen: Dataset, trying: Trying, measuring: Measuring
    ) -> None:
        self._held, self._servers, self._frozen = held, servers, frozen
        self._trying, self._measuring = trying, measuring

    async def work(self) -> None:
        """Train and compare what is not yet; nothing happens where nothing is left.

        Raises:
            GoOn: it is done, and another process has to go on.
            RestOver: the maintenance window is over.
            NoRest: the servers did not make room.
            TrainingFailed, BadAdapter: as `Trying.train`.
        """
        if not self._trying.open() and not self._uncompared():
            return
        await self._trying.ask()
        forgetting, cache = self._held.parts.forgetting, self._held.cache("forgetting")
        replies = await self._servers.ask(BASE, lambda client: forgetting(client, cache))
        await self._have_device()
        await self._trying.train()
        for trial in self._uncompared():
            self._compare(trial, replies)
        raise GoOn(GoOn.__doc__)

    async def _have_device(self) -> None:
        settings, run = self._held.settings, self._held.run()
        until = runs.rest_until(run, settings.rest_minutes)
        if now() >= until:
            raise RestOver.of(settings.rest_minutes)
        self._held.say(ASKED, 0.0)
        rest = Rest(f"run {run.id} trains", until)
        self._held.device = await resting.alone(self._held.data_dir, rest)
        self._held.rests_until = until
        await self._see_that_they_rest()

    async def _see_that_they_rest(self) -> None:
        """A server that was not told to rest would keep its memory."""
        settings = self._held.settings
        key = settings.vllm_api_key.get_secret_value()
        for url in settings.vllm_urls:
            async with VllmClient(url, api_key=key) as client:
                if not await client.healthy():
                    return
        raise NoRest(
            f"MYNAH_TRAIN_ALONE: {', '.join(settings.vllm_urls)} did not rest; `mynah serve` there"
            f" needs it, too, and this MYNAH_DATA_DIR ({self._held.data_dir})"
        )

    def _uncompared(self) -> list[Trial]:
        """What is to be measured, and torch has not looked at beside what is live now."""
        trained = [one for one in self._held.trials() if one.adapter_id is not None]
        return [one for one in trained if self._measuring.lacks_comparison(one)]

    def _compare(self, trial: Trial, replies: Sequence[Reply]) -> None:
        adapter, live = self._held.get(Adapter, trial.adapter_id), self._measuring.live()
        file = AdapterFile(adapter.name, adapter.sha256, Path(adapter.path), adapter.rank)
        found = self._held.parts.compare(
            str(self._held.parts.base()), file, live, read(Path(self._frozen.path)),
            replies, Recipe.model_validate(trial.recipe), self._held.say,
        )  # fmt: skip
        comparing.keep(self._held.work_dir, adapter.name, live, found)
