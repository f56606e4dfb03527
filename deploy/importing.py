"""`mynah import`: what a file holds becomes examples, or shows what would become of it."""

from __future__ import annotations

import hashlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from sqlalchemy import Engine
from sqlmodel import Session

from bot.embedder import open_embedder
from bot.importing import storing
from bot.importing.pairs import BadFile, Contents, is_user
from bot.importing.reading import read
from bot.importing.slack_export import House
from bot.importing.storing import Fate, Verdict
from bot.store.database import reading, transaction
from bot.store.schema import Example, Team
from deploy import facts
from deploy.facts import BadInput
from deploy.settings import ImportSettings
from serving.settings import names_of

SHOWN = 3  # of each kind in the preview
# All of a file is stored in one transaction, at some 3,000 answers a second. A bot on SQLite waits
# for it, and memory looks back a minute for what was committed late.
MOST = 50_000


class Progress:
    """How far it is: in place on a terminal, else a line every few seconds."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._terminal = stream.isatty()
        self._every = 0.2 if self._terminal else 5.0
        self._next = clock() + self._every

    def __call__(self, what: str, done: int, of: int) -> None:
        if self._clock() < self._next:
            return
        self._next = self._clock() + self._every
        start, end = ("\r\x1b[K", "") if self._terminal else ("", "\n")
        self._stream.write(f"{start}{what} {done} of {of}{end}")
        self._stream.flush()

    def end(self) -> None:
        """Leave the terminal's line clean for what follows."""
        if self._terminal:
            self._stream.write("\r\x1b[K")


def bring_in(
    engine: Engine,
    path: Path,
    settings: ImportSettings,
    *,
    team: str | None,
    by: str | None,
    dry_run: bool,
) -> dict[str, Any]:
    """Import a file, all of it or nothing, and return what became of each answer.

    Raises:
        BadFile: it is malformed; nothing was stored.
        BadInput: the team or the importer is none.
    """
    with reading(engine) as session:
        team_id = facts.one_team(session, team)
        bot_user = session.get_one(Team, team_id).bot_user_id
    by = _importer(by, names_of(team_id, settings.admins))
    house = House(
        team_id, bot_user, names_of(team_id, settings.staff),
        names_of(team_id, settings.widen_channels),
    )  # fmt: skip
    tell = Progress(sys.stderr)
    try:
        contents = read(path, house, tell)
        if len(contents.pairs) > MOST:
            raise BadFile(path.name, f"more than {MOST} answers: import it in parts")
        items = storing.drafted(contents.pairs, tell)
        with reading(engine) as session:
            verdicts = storing.judge(session, team_id, items)
            retired = _retired(session, verdicts)
        if not dry_run:
            verdicts = _store(engine, team_id, path, by, settings, verdicts, tell)
    finally:
        tell.end()
    return _facts(path, contents, verdicts, retired, by=by, dry_run=dry_run)


def _importer(by: str | None, admins: Sequence[str]) -> str:
    found = by or next((name for name in admins if is_user(name)), None)
    if found is None:
        raise BadInput("whose word is it? Name a person: --by U…, or one in MYNAH_ADMINS")
    if not is_user(found):
        raise BadInput(f"--by: {found!r} is no Slack user id (U… or W…)")
    return found


def _store(
    engine: Engine,
    team_id: str,
    path: Path,
    by: str,
    settings: ImportSettings,
    verdicts: Sequence[Verdict],
    tell: Progress,
) -> list[Verdict]:
    vectors: dict[str, bytes] = {}
    name = settings.embedder
    if any(one.fate is Fate.LEARNED for one in verdicts):
        embedder = open_embedder(settings.embedder)
        name, vectors = embedder.name, storing.embedded(verdicts, embedder, tell)
    with path.open("rb") as file:
        origin = {"file": path.name, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    items = [one.item for one in verdicts]
    with transaction(engine) as session:
        return storing.store(
            session, team_id, items, by=by, origin=origin, vectors=vectors, embedder=name
        )


def _retired(session: Session, verdicts: Sequence[Verdict]) -> list[dict[str, str]]:
    """The first of what stands and will be retired, with what takes its place."""
    replaced = ((key, one) for one in verdicts for key in one.retires)
    return [
        {
            "place": f"example:{key}",
            "question": older.question,
            "answer": older.answer,
            "why": f"{one.item.pair.place} answers the same question",
        }
        for key, one in islice(replaced, SHOWN)
        for older in [session.get_one(Example, key)]
    ]


def _facts(
    path: Path,
    contents: Contents,
    verdicts: Sequence[Verdict],
    retired: Sequence[dict[str, str]],
    *,
    by: str,
    dry_run: bool,
) -> dict[str, Any]:
    kinds = {
        "learned": (Fate.LEARNED,),
        "refused": (Fate.REFUSED, Fate.FORGOTTEN),
        "overruled": (Fate.OVERRULED,),
        "known": (Fate.KNOWN,),
    }
    found = {name: [one for one in verdicts if one.fate in fates] for name, fates in kinds.items()}
    return {
        "file": path.name,
        "kind": contents.kind,
        "by": by,
        "dry_run": dry_run,
        "read": len(verdicts),
        "notes": list(contents.notes),
        "counts": {name: len(ones) for name, ones in found.items()}
        | {"retired": sum(len(one.retires) for one in verdicts)},
        "refused": dict(Counter(one.why for one in found["refused"]).most_common()),
        "preview": {name: [_preview(one) for one in ones[:SHOWN]] for name, ones in found.items()}
        | {"retired": list(retired)},
    }


def _preview(one: Verdict) -> dict[str, str]:
    gone = one.fate is Fate.FORGOTTEN
    return {
        "place": one.item.pair.place,
        "question": "" if gone else one.item.draft.question,
        "answer": "" if gone else one.item.draft.answer,
        "why": "" if one.fate is Fate.LEARNED else one.why,
    }
