"""The command that looks whether everything is well."""

from __future__ import annotations

from typing import Annotated

import typer

from deploy.checkups.process import Process
from deploy.commands.console import Json, show


def doctor(
    processes: Annotated[
        list[Process] | None, typer.Argument(help="What runs on this machine; else all of it.")
    ] = None,
    json_: Json = False,
) -> None:
    """Check everything that commonly goes wrong, and say how to mend it; nothing is changed."""
    from deploy import doctor as checks

    found = checks.examine(processes or list(Process))
    show(checks.facts(found), json_, checks.lines(found))
    if not checks.is_healthy(found):
        raise typer.Exit(1)
