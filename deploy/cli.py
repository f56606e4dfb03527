"""`mynah`: every way to run it, and what an operator asks.

The commands are in `deploy.commands`. Modules that take long to import (SQL, Bolt, torch) are
imported by the command that needs them.
"""

from __future__ import annotations

import sys

import typer

from deploy.commands import api_keys
from deploy.commands.doctor import doctor
from deploy.commands.keeping import backup, recover
from deploy.commands.lineage import bisect, distrust, import_, restore, revoke, trace, trust
from deploy.commands.processes import bot, demo, play, sandbox, serve, upgrade, worker
from deploy.commands.releases import (
    discard,
    pause,
    pin,
    pins,
    promote,
    releases,
    resume,
    rollback,
    shadow,
    unpin,
)
from deploy.commands.runs import report, status, train

app = typer.Typer(
    help="A Slack support bot that learns from the answers staff mark as good.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
db = typer.Typer(help="The database.", no_args_is_help=True)
app.add_typer(db, name="db")
app.add_typer(api_keys.app, name="api-key")
db.command()(upgrade)
for command in (  # as `mynah --help` lists them
    serve, bot, worker, sandbox, train, import_, status, doctor, report, releases, rollback,
    promote, discard, shadow, trace, bisect, pin, pins, unpin, pause, resume, distrust, trust,
    revoke, restore, backup, recover, demo, play,
):  # fmt: skip
    app.command(command.__name__.rstrip("_"))(command)


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
