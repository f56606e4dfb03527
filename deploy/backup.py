"""`mynah backup` and `mynah recover`: everything that cannot be made again, while it is in use.

The database is copied first, and then the adapters and datasets that the copy names: their files
were there before their rows, and are never changed. What else lies in the data directory (logs,
runs under way, the base model's own answers) is made again.
"""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from deploy import copies, dumps, migrate
from deploy.copies import DATABASE, MANIFEST, BadBackup, Manifest
from deploy.dumps import AdapterRow, Named
from serving.adapters import CONFIG, WEIGHTS, BadAdapter, fingerprint
from serving.base import BaseSpec


def backup(url: str, directory: Path) -> Manifest:
    """Copy the database at `url`, and what it names, to the new directory.

    What the database names and is missing, or is not what it was, is not copied, and is named in
    the manifest: a backup without an old adapter is worth more than none.

    Raises:
        BadBackup: the directory is not empty or cannot be written, or the database not be read.
        BadDatabaseUrl: not a SQLite or PostgreSQL URL.
    """
    directory = directory.resolve()
    kind = dumps.kind_of(url)
    with copies.appearing(directory, "partial") as beside:
        named = dumps.dump(url, beside / DATABASE[kind])
        files = {DATABASE[kind]: copies.hash_of(beside / DATABASE[kind])}
        lacking: list[str] = []
        for adapter in named.adapters:
            if adapter.name in named.removed and not adapter.path.exists():
                continue
            files |= _keep_adapter(adapter, beside, lacking)
        files |= _keep_datasets(named, beside, lacking)
        manifest = Manifest(
            kind=kind, db_schema=named.db_schema, revision=named.revision, base=named.base,
            made_at=datetime.now(UTC), files=files, lacking=lacking,
        )  # fmt: skip
        (beside / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", "utf-8")
    return manifest


def recover(directory: Path, url: str, data_dir: Path) -> Manifest:
    """Bring a backup to an empty data directory and an empty database, and check each file.

    Killed at any moment, it leaves no data directory that looks whole; on PostgreSQL the database
    comes last, in one transaction.

    Raises:
        BadBackup: a file is not what was backed up, or the target is not empty; nothing was
            changed.
        BadDatabaseUrl: not a SQLite or PostgreSQL URL.
    """
    directory, data_dir = directory.resolve(), data_dir.resolve()
    manifest = copies.check(directory)
    _refuse_other(manifest, url)
    dumps.refuse_full(url)
    database = None
    with copies.appearing(data_dir, "recovering") as beside:
        for name, sha256 in manifest.files.items():
            if name == DATABASE["postgresql"]:
                continue
            if copies.copy(directory / name, beside / name) != sha256:
                raise BadBackup(f"{directory / name} changed while it was read")
        _make_readable(beside)
        if manifest.kind == "sqlite":
            database = _stage_sqlite(beside, dumps.sqlite_file(url), data_dir)
    # The database comes last: without it nobody takes the data directory for a whole one.
    if database is not None:
        os.rename(*database)
    if manifest.kind == "postgresql":
        dump = directory / DATABASE["postgresql"]
        dumps.load_postgresql(url, dump, manifest.db_schema, data_dir)
    return manifest


def _keep_adapter(adapter: AdapterRow, beside: Path, lacking: list[str]) -> dict[str, str]:
    """Copy an adapter and check that the copy is what the database names; its files and hashes."""
    target = beside / "adapters" / adapter.name
    try:
        found = {
            f"adapters/{adapter.name}/{name}": copies.copy(adapter.path / name, target / name)
            for name in (CONFIG, WEIGHTS)
        }
        trained_on = BaseSpec(adapter.base_model, adapter.base_sha256, {})
        config = json.loads((target / CONFIG).read_bytes())
        if fingerprint((target / WEIGHTS).read_bytes(), config, trained_on) == adapter.sha256:
            return found
        why = "its files are not what was published"
    except (BadAdapter, ValueError, AttributeError):
        why = "its files are not what was published"
    except FileNotFoundError:
        why = "its files are missing"
    shutil.rmtree(target, ignore_errors=True)
    lacking.append(f"{adapter.name}: {why}")
    return {}


def _keep_datasets(named: Named, beside: Path, lacking: list[str]) -> dict[str, str]:
    found = {}
    for content_hash, path in named.datasets.items():
        name = f"datasets/dataset-{content_hash[:12]}.jsonl"
        try:
            copied = copies.copy(path, beside / name)
        except FileNotFoundError:
            copied = None
        if copied == content_hash:
            found[name] = copied
        else:
            (beside / name).unlink(missing_ok=True)
            why = "its file is missing" if copied is None else "its file was changed"
            lacking.append(f"dataset {content_hash[:12]}: {why}")
    return found


def _refuse_other(manifest: Manifest, url: str) -> None:
    if dumps.kind_of(url) != manifest.kind:
        raise BadBackup(f"DATABASE_URL: the backup is of {manifest.kind}, so recover it to that")
    if not migrate.is_known(manifest.revision):
        raise BadBackup(f"it was made by a newer Mynah (revision {manifest.revision})")


def _make_readable(beside: Path) -> None:
    """A server under another user reads the adapters, as it could before."""
    beside.chmod(0o755)
    for path in (beside / "adapters").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _stage_sqlite(beside: Path, file: Path, data_dir: Path) -> tuple[Path, Path] | None:
    """Put the database where `file` is to be, or, outside of the data directory, beside that; then
    from where to where it has to be renamed."""
    staged = beside / DATABASE["sqlite"]
    dumps.set_paths(staged, data_dir)
    staged.chmod(0o600)
    inside = file.is_relative_to(data_dir)
    target = beside / file.relative_to(data_dir) if inside else Path(f"{file}.recovering")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(staged, target)
    return None if inside else (target, file)
