"""The command `mynah doctor`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from deploy.checkups.process import Process


def doctor(
    processes: Annotated[
        list[Process] | None, typer.Argument(help="What runs on this machine; else all of it.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check everything that commonly goes wrong, and say how to mend it; nothing is changed."""
    from deploy import doctor as checks

    found = checks.examine(processes or list(Process))
    told = checks.facts(found)
    typer.echo(json.dumps(told, indent=2, ensure_ascii=False) if json_ else checks.lines(found))
    if not told["healthy"]:
        raise typer.Exit(1)
