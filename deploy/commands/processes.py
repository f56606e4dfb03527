"""The commands that run a process, or several."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.commands.console import say, store_settings

if TYPE_CHECKING:
    from bot.settings import StoreSettings
    from deploy.sandbox.state_file import StateFile


def serve() -> None:
    """Run one vLLM server, with Mynah's guard inside it."""
    import asyncio

    from serving.engine import serve as serve_engine
    from serving.settings import ServerSettings, read

    settings = read(ServerSettings)
    model = settings.base_model or str(_small_base_model())

    async def until_told() -> None:
        await serve_engine(settings, model, say=say, stop=_told_to_stop())

    asyncio.run(until_told())


def bot() -> None:
    """Run one bot: it listens and answers in Slack."""
    import asyncio

    from bot.settings import BotSettings
    from serving.settings import read

    settings = read(BotSettings)
    _prepare(settings)
    from bot.run import run

    asyncio.run(run(settings))


def worker() -> None:
    """Run one worker: it trains, evaluates, releases, and keeps the servers in step."""
    import asyncio

    from serving.base import locate
    from serving.settings import read
    from training.settings import WorkerSettings

    settings = read(WorkerSettings)
    base = locate(settings.base_model) if settings.base_model else _small_base_model()
    _prepare(settings)
    from training.worker import run

    asyncio.run(run(settings.model_copy(update={"base_model": str(base)})))


def sandbox(
    host: Annotated[str, typer.Option(envvar="MYNAH_HOST")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="MYNAH_PORT", min=1, max=65535)] = 3100,
    reset: Annotated[bool, typer.Option("--reset", help="Forget what was said before.")] = False,
    empty: Annotated[
        bool, typer.Option("--empty", help="Nothing was said yet, and nothing is kept.")
    ] = False,
) -> None:
    """Run a local Slack, to try things out: a help desk with a past, kept in MYNAH_DATA_DIR."""
    import asyncio

    from deploy.behind import looking
    from deploy.sandbox.app import listen
    from deploy.sandbox.app import serve as serve_sandbox

    settings = store_settings()
    with listen(host, port) as taken, _kept(settings.data_dir, reset=reset, empty=empty) as keep:
        at = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        say(f"A local Slack: open http://{at}/ (Web API under /api/, control under /_control/)")
        asyncio.run(serve_sandbox(taken, keep=keep, behind=looking(settings.database_url)))


def upgrade() -> None:
    """Create or migrate the tables."""
    from deploy import migrate

    migrate.upgrade(store_settings().database_url)
    say("the database is up to date")


def demo(
    facts: Annotated[int | None, typer.Option(min=8, help="Use only so many facts.")] = None,
    home: Annotated[Path, typer.Option(help="Where its data goes.")] = Path(".mynah/demo"),
) -> None:
    """Play the whole loop with a local Slack, real vLLM and real training."""
    from deploy.demo import demo as play_demo

    play_demo(facts=facts, home=home)


def play(
    home: Annotated[Path, typer.Option(help="Where its data goes.")] = Path(".mynah/play"),
    reset: Annotated[
        bool, typer.Option("--reset", help="Forget what was said and learned before.")
    ] = False,
) -> None:
    """Start the same set of processes as the demo, with a page to try it, and leave it up."""
    from deploy.play import play as start_play

    start_play(home=home, reset=reset)


@contextmanager
def _kept(directory: Path, *, reset: bool, empty: bool) -> Iterator[StateFile | None]:
    """Where the sandbox's state lies, if it is to stay."""
    from deploy import lived_in
    from deploy.sandbox import state_file

    if empty:
        yield None
        return
    with state_file.StateFile(
        directory / state_file.NAME, reset=reset, plant=lived_in.plant
    ) as kept:
        yield kept


def _prepare(settings: StoreSettings) -> None:
    """Logging, and a database with this version's tables."""
    from deploy import migrate
    from serving import logs

    logs.set_up(settings.log, settings)
    if settings.database_url.startswith("sqlite"):
        migrate.upgrade(settings.database_url)  # one machine: nobody else has to be asked
    else:
        migrate.check(settings.database_url)


def _small_base_model() -> Path:
    from deploy.base_model import small_base_model

    return small_base_model(say)


def _told_to_stop() -> Any:
    import asyncio
    import signal

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
