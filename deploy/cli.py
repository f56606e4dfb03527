"""`mynah`: every way to run it, and what an operator asks.

Modules that take long to import (SQL, Bolt, torch) are imported by the command that needs them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlmodel import Session

    from bot.settings import StoreSettings
    from bot.store.schema import Example
    from deploy.sandbox.state_file import StateFile
    from deploy.settings import OperatorSettings

app = typer.Typer(
    help="A Slack support bot that learns from the answers staff mark as good.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
db = typer.Typer(help="The database.", no_args_is_help=True)
app.add_typer(db, name="db")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Team = Annotated[str | None, typer.Option(help="The workspace, where there are several.")]


def main() -> None:
    """The console script: what a person can mend is one line on stderr, without a traceback."""
    try:
        app()
    except Exception as error:
        from deploy.errors import explain

        explained = explain(error)
        if explained is None:
            raise
        typer.echo(f"mynah: {explained[0]}", err=True)
        sys.exit(explained[1])


@app.command()
def serve() -> None:
    """Run one vLLM server, with Mynah's guard inside it."""
    import asyncio

    from serving.engine import serve as serve_engine
    from serving.settings import ServerSettings, read

    settings = read(ServerSettings)
    model = settings.base_model or str(_small_base_model())

    async def until_told() -> None:
        await serve_engine(settings, model, say=_say, stop=_told_to_stop())

    asyncio.run(until_told())


@app.command()
def bot() -> None:
    """Run one bot: it listens and answers in Slack."""
    import asyncio

    from bot.settings import BotSettings
    from serving.settings import read

    settings = read(BotSettings)
    _prepare(settings)
    from bot.run import run

    asyncio.run(run(settings))


@app.command()
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


@app.command()
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

    settings = _store_settings()
    with listen(host, port) as taken, _kept(settings.data_dir, reset=reset, empty=empty) as keep:
        at = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        _say(f"A local Slack: open http://{at}/ (Web API under /api/, control under /_control/)")
        asyncio.run(serve_sandbox(taken, keep=keep, behind=looking(settings.database_url)))


@app.command()
def train(team: Team = None, json_: Json = False) -> None:
    """Queue a training run; a worker takes it up."""
    from bot import pausing
    from bot.releases import Paused
    from bot.store import runs
    from bot.store.schema import RunTrigger
    from deploy import facts

    with _store(write=True) as session:
        team_id = facts.one_team(session, team)
        if pausing.standing(session, team_id) is not None:
            raise Paused("Mynah is paused, so nothing was queued: `mynah resume` goes on")
        run, created = runs.request_run(
            session, team_id=team_id, trigger=RunTrigger.COMMAND, requested_by="operator", recipe={}
        )
        found = facts.run_facts(session, run) | {"created": created}
    queued = f"run {found['id']} is queued: `mynah status` shows how far it is"
    _show(found, json_, queued if created else f"run {found['id']} is {found['status']} already")


@app.command("import")
def import_(
    path: Annotated[
        Path, typer.Argument(help="A Slack export (zip), or a FAQ: Markdown, CSV, JSON Lines.")
    ],
    by: Annotated[
        str | None, typer.Option(help="Whose word it is, a user id; else the first admin's.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be learned.")
    ] = False,
    team: Team = None,
    json_: Json = False,
) -> None:
    """Learn approved questions and answers from a file; the same file again adds nothing."""
    from bot.store.database import open_engine
    from deploy import importing, migrate, tables
    from deploy.settings import ImportSettings
    from serving.settings import read

    settings = read(ImportSettings)
    migrate.check(settings.database_url)
    engine = open_engine(settings.database_url)
    try:
        found = importing.bring_in(engine, path, settings, team=team, by=by, dry_run=dry_run)
    finally:
        engine.dispose()
    _show(found, json_, tables.imported(found))


@app.command()
def status(team: Team = None, json_: Json = False) -> None:
    """Show what is live, the newest run and its figures, the servers, and what was learned."""
    from deploy import facts, tables

    with _store() as session:
        found = facts.status(session, facts.one_team(session, team))
    _show(found, json_, tables.status(found))


@app.command()
def report(
    run: Annotated[int | None, typer.Argument(help="Its number; else the newest run.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to write it; else run-NUMBER.html here.")
    ] = None,
    team: Team = None,
    json_: Json = False,
) -> None:
    """Write the report of a run as a page: what went in, what changed, and why it may answer."""
    from deploy import facts

    with _store() as session:
        number, page = facts.report(session, facts.one_team(session, team), run)
    path = out or Path(f"run-{number}.html")
    try:
        path.write_text(page, "utf-8")
    except OSError as error:
        raise facts.BadInput(f"{path} cannot be written: {error.strerror}") from error
    _show({"run": number, "report": str(path)}, json_, f"the report of run {number} is in {path}")


@app.command()
def releases(team: Team = None, json_: Json = False) -> None:
    """List the releases, newest first."""
    from deploy import facts, tables

    with _store() as session:
        found = facts.release_facts(session, facts.one_team(session, team))
    _show(found, json_, tables.releases(found))


@app.command()
def rollback(
    release: Annotated[str | None, typer.Argument(help="E.g. v2; else the one before.")] = None,
    team: Team = None,
    json_: Json = False,
) -> None:
    """Let an earlier release answer, at once."""
    from bot import releases as changes
    from deploy import facts

    number = _number(release)
    with _store(write=True) as session:
        team_id = facts.one_team(session, team)
        left = changes.live(session, team_id)
        changes.roll_back(session, team_id, by="operator", number=number)
        live = changes.live(session, team_id)
        _tell_admins(session, team_id, f"rolled back from v{left.number} to v{live.number}")
    _show({"live": f"v{live.number}"}, json_, f"v{live.number} is live")


@app.command()
def promote(
    release: Annotated[str | None, typer.Argument(help="E.g. v3; one waits at most.")] = None,
    team: Team = None,
    json_: Json = False,
) -> None:
    """Let what passed and waits for an admin answer (MYNAH_RELEASE=ask)."""
    from bot import deciding

    name = _decide(deciding.promote, release, team)
    _show({"live": name}, json_, f"{name} is live")


@app.command()
def discard(
    release: Annotated[str | None, typer.Argument(help="E.g. v3; one waits at most.")] = None,
    team: Team = None,
    json_: Json = False,
) -> None:
    """Take what passed and waits for an admin off the servers (MYNAH_RELEASE=ask)."""
    from bot import deciding

    name = _decide(deciding.discard, release, team)
    _show({"discarded": name}, json_, f"{name} was discarded")


@app.command()
def trace(
    what: Annotated[
        str,
        typer.Argument(
            metavar="ANSWER|ADAPTER|MESSAGE",
            help="An answer's id, a message's link or CHANNEL:TS, an adapter's name, or e.g. v3.",
        ),
    ],
    team: Team = None,
    json_: Json = False,
) -> None:
    """Show what an answer or adapter was made from, or all that came of a message."""
    from deploy import facts, trace_tables, tracing

    with _store() as session:
        found = tracing.trace(session, facts.one_team(session, team), what)
    _show(found, json_, trace_tables.trace(found))


@app.command()
def bisect(
    answer: Annotated[str, typer.Argument(help="An answer's id, its link, or CHANNEL:TS.")],
    team: Team = None,
    json_: Json = False,
) -> None:
    """Find the examples behind a bad answer, and since which release it is given."""
    import asyncio

    from bot.embedder import open_embedder
    from bot.store.database import reading
    from deploy import bisecting, facts, trace_tables, tracing
    from serving.settings import read

    settings = read(bisecting.BisectSettings)
    with _engine() as engine:
        with reading(engine) as session:
            one = tracing.answer(session, facts.one_team(session, team), answer)
        looking = bisecting.bisect(engine, one, settings, lambda: open_embedder(settings.embedder))
        found = asyncio.run(looking)
    _show(found, json_, trace_tables.bisect(found))


@app.command()
def pin(
    question: Annotated[str, typer.Argument(help="What every candidate is asked.")],
    must: Annotated[str, typer.Option(help="What its answer must hold, e.g. a number.")],
    team: Team = None,
    json_: Json = False,
) -> None:
    """Pin a question: what no longer answers it with the text does not go live."""
    from bot.store import pins as pinned
    from deploy import facts

    with _store(write=True) as session:
        team_id = facts.one_team(session, team)
        found = facts.pin_facts(pinned.pin(session, team_id, question, must, by="operator"))
        _tell_admins(session, team_id, f"pinned a question: {_quoted(found)}")
    _show(found, json_, f"pin {found['pin']}: {_quoted(found)}")


@app.command()
def pins(team: Team = None, json_: Json = False) -> None:
    """List the pinned questions."""
    from bot.store import pins as pinned
    from deploy import facts

    with _store() as session:
        rows = pinned.pinned(session, facts.one_team(session, team))
        found = [facts.pin_facts(row) for row in rows]
    lines = [f"{one['pin']}  {_quoted(one)}, by {one['by']}" for one in found]
    _show(found, json_, "\n".join(lines) or 'none yet: `mynah pin "question" --must "text"`')


@app.command()
def unpin(
    number: Annotated[int, typer.Argument(help="As `mynah pins` lists it.")],
    team: Team = None,
    json_: Json = False,
) -> None:
    """Take a pinned question away."""
    from bot.store import pins as pinned
    from deploy import facts

    with _store(write=True) as session:
        team_id = facts.one_team(session, team)
        found = facts.pin_facts(pinned.unpin(session, team_id, number, by="operator"))
        _tell_admins(session, team_id, f"unpinned a question: {_quoted(found)}")
    _show(found, json_, f"no longer pinned: {_quoted(found)}")


@app.command()
def pause(team: Team = None, json_: Json = False) -> None:
    """Train nothing and let nothing go live until `mynah resume`; questions are answered."""
    from bot import pausing
    from deploy import facts

    with _store(write=True) as session:
        team_id = facts.one_team(session, team)
        changed = pausing.pause(session, team_id, by="operator")
        if changed:
            _tell_admins(session, team_id, "paused Mynah: nothing is trained or goes live")
    _show({"paused": True, "changed": changed}, json_, "paused" if changed else "paused already")


@app.command()
def resume(team: Team = None, json_: Json = False) -> None:
    """Go on after `mynah pause`; a time to train that was missed is caught up once."""
    from bot import pausing
    from deploy import facts

    with _store(write=True) as session:
        team_id = facts.one_team(session, team)
        changed = pausing.resume(session, team_id, by="operator")
        if changed:
            _tell_admins(session, team_id, "resumed Mynah")
    _show({"paused": False, "changed": changed}, json_, "resumed" if changed else "not paused")


@app.command()
def distrust(
    user: Annotated[str, typer.Argument(help="A user id, as `mynah trace` shows it.")],
    team: Team = None,
    json_: Json = False,
) -> None:
    """Take back all that one person taught, at once; `mynah trust` gives it back."""
    from bot import examples

    _judge(examples.distrust, user, team, json_, "no longer counts", "distrusted")


@app.command()
def trust(
    user: Annotated[str, typer.Argument(help="As it was distrusted.")],
    team: Team = None,
    json_: Json = False,
) -> None:
    """Undo `mynah distrust`."""
    from bot import examples

    _judge(examples.trust, user, team, json_, "counts again", "trusted")


@db.command()
def upgrade() -> None:
    """Create or migrate the tables."""
    from deploy import migrate

    migrate.upgrade(_store_settings().database_url)
    _say("the database is up to date")


@app.command()
def backup(
    directory: Annotated[Path, typer.Argument(help="A new directory for it.")],
    json_: Json = False,
) -> None:
    """Copy the database, and the adapters and datasets that it names, while everything runs."""
    from deploy import backup as keeping
    from deploy import tables

    manifest = keeping.backup(_store_settings().database_url, directory)
    found = manifest.model_dump(mode="json", exclude={"files"})
    _show(found, json_, f"backed up to {directory}: {tables.backed_up(manifest)}")
    if manifest.lacking:
        typer.echo(f"mynah: not in the backup: {'; '.join(manifest.lacking)}", err=True)
        sys.exit(1)


@app.command()
def restore(
    directory: Annotated[Path, typer.Argument(help="What `mynah backup` made.")],
    check: Annotated[
        bool, typer.Option("--check", help="Only compare each file with its hash.")
    ] = False,
    json_: Json = False,
) -> None:
    """Bring a backup to an empty MYNAH_DATA_DIR and an empty database, after checking all of it."""
    from deploy import backup as keeping
    from deploy import copies, tables

    if check:
        manifest, what = copies.check(directory), f"{directory} is whole"
    else:
        settings = _store_settings()
        manifest = keeping.restore(directory, settings.database_url, settings.data_dir)
        what = f"restored to {settings.data_dir.resolve()}"
    found = manifest.model_dump(mode="json", exclude={"files"})
    _show(found, json_, f"{what}: {tables.backed_up(manifest)}")


@app.command()
def demo(
    facts: Annotated[int | None, typer.Option(min=8, help="Use only so many facts.")] = None,
    home: Annotated[Path, typer.Option(help="Where its data goes.")] = Path(".mynah/demo"),
) -> None:
    """Play the whole loop with a local Slack, real vLLM and real training."""
    from deploy.demo import demo as play_demo

    play_demo(facts=facts, home=home)


@app.command()
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
    import logging

    from deploy import migrate

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for chatty in ("httpx", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    if settings.database_url.startswith("sqlite"):
        migrate.upgrade(settings.database_url)  # one machine: nobody else has to be asked
    else:
        migrate.check(settings.database_url)


@contextmanager
def _store(*, write: bool = False) -> Iterator[Session]:
    from bot.store.database import reading, transaction

    with _engine() as engine, (transaction if write else reading)(engine) as session:
        yield session


@contextmanager
def _engine() -> Iterator[Engine]:
    from bot.store.database import open_engine
    from deploy import migrate

    url = _store_settings().database_url
    migrate.check(url)
    engine = open_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def _decide(decide: Callable[..., None], release: str | None, team: str | None) -> str:
    from bot import deciding, run_message
    from deploy import facts

    number = _number(release)
    channel = _store_settings().admin_channel
    with _store(write=True) as session:
        one = deciding.find(session, facts.one_team(session, team), number)
        decide(session, one, by="operator")
        run_message.tell(session, one.run, step="decided", admin_channel=channel, by="operator")
        return f"v{one.release.number}"


def _judge(
    change: Callable[[Session, str, str, str], list[Example]],
    user: str, team: str | None, json_: bool, what: str, verb: str,
) -> None:  # fmt: skip
    from bot.slack import conflict_cards
    from deploy import facts

    with _store(write=True) as session:
        team_id = facts.one_team(session, team)
        # Where it is 0, too: what they say of others' answers counts no more, or again.
        count = len(change(session, team_id, user, "operator"))
        conflict_cards.follow(session, team_id)
        _tell_admins(session, team_id, f"{verb} {user}: {count} examples")
    _show({"user": user, "examples": count}, json_, f"what {user} taught {what}: {count} examples")


def _quoted(pin: Mapping[str, Any]) -> str:
    return f"“{pin['question']}” must be answered with “{pin['must']}”"


def _tell_admins(session: Session, team_id: str, what: str) -> None:
    """What the operator did, for the admins' channel, where there is one; a bot posts it."""
    import secrets

    from bot import outbox

    if channel := _store_settings().admin_channel:
        payload = {"text": f"The operator {what}."}
        key = f"news:operator:{secrets.token_hex(8)}"
        outbox.say(session, team_id=team_id, key=key, channel=channel, payload=payload)


def _store_settings() -> OperatorSettings:
    from deploy.settings import OperatorSettings
    from serving.settings import read

    return read(OperatorSettings)


def _small_base_model() -> Path:
    from deploy.base_model import small_base_model

    return small_base_model(_say)


def _told_to_stop() -> Any:
    import asyncio
    import signal

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _number(release: str | None) -> int | None:
    if release is None:
        return None
    digits = release.removeprefix("v")
    if not digits.isdecimal():
        from deploy.facts import BadInput

        raise BadInput(f"{release!r} is no release; they are called v1, v2 …")
    return int(digits)


def _say(text: str) -> None:
    typer.echo(text)
    sys.stdout.flush()


def _show(found: Any, as_json: bool, text: str) -> None:
    typer.echo(json.dumps(found, indent=2, ensure_ascii=False) if as_json else text)
