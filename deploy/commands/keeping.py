"""The commands that keep a copy of everything, and bring it back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.console import Json, show, store_settings


def backup(
    directory: Annotated[Path, typer.Argument(help="A new directory for it.")],
    json_: Json = False,
) -> None:
    """Copy the database, and the adapters and datasets that it names, while everything runs."""
    from deploy import backup as keeping
    from deploy import tables

    manifest = keeping.backup(store_settings().database_url, directory)
    found = manifest.model_dump(mode="json", exclude={"files"})
    show(found, json_, f"backed up to {directory}: {tables.backed_up(manifest)}")
    if manifest.lacking:
        typer.echo(f"mynah: not in the backup: {'; '.join(manifest.lacking)}", err=True)
        sys.exit(1)


def recover(
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
        settings = store_settings()
        manifest = keeping.recover(directory, settings.database_url, settings.data_dir)
        what = f"recovered to {settings.data_dir.resolve()}"
    found = manifest.model_dump(mode="json", exclude={"files"})
    show(found, json_, f"{what}: {tables.backed_up(manifest)}")
