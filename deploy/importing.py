"""`mynah import`: what a file holds becomes examples, or shows what would become of it."""

from __future__ import annotations

import hashlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

from sqlalchemy import Engine
from sqlmodel import Session

from bot import conflicts, examples
from bot.embedder import Embedder, open_embedder
from bot.importing import judging, storing
from bot.importing.judging import Fate, Verdict
from bot.importing.pairs import BadFile, Contents, is_user
from bot.importing.reading import read
from bot.importing.slack_export import House
from bot.redaction import placeholders
from bot.slack import conflict_cards
from bot.store.database import reading, transaction
from bot.store.schema import ConflictStatus, Example, Team
from deploy import facts
from deploy.facts import BadInput
from deploy.settings import ImportSettings
from serving.settings import name_of, names_of

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


@dataclass(frozen=True)
class Import:
    """One import, on its way."""

    engine: Engine
    team_id: str
    path: Path
    by: str
    again: bool
    embedder: str  # as MYNAH_EMBEDDER names it
    channel: str  # where staff settle what contradicts itself; "" for nowhere
    tell: Progress

    @cached_property
    def sha256(self) -> str:
        """What the file is, to know it again."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @cached_property
    def opened(self) -> Embedder:
        """The embedder: opening it takes seconds."""
        return open_embedder(self.embedder)


def bring_in(
    engine: Engine,
    path: Path,
    settings: ImportSettings,
    *,
    team: str | None,
    by: str | None,
    dry_run: bool,
    again: bool = False,
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
    one = Import(
        engine, team_id, path, by, again, settings.embedder,
        name_of(team_id, settings.review_channel) or name_of(team_id, settings.admin_channel), tell,
    )  # fmt: skip
    try:
        contents = read(path, house, tell)
        if len(contents.pairs) > MOST:
            raise BadFile(path.name, f"more than {MOST} answers: import it in parts")
        keep = names_of(team_id, settings.keep_contacts)
        items = judging.drafted(contents.pairs, tell, keep)
        with reading(engine) as session:
            verdicts = judging.judge(session, team_id, items, sha256=one.sha256, again=again)
            retired = _retired(session, verdicts)
        if dry_run:
            found = _foresee(one, verdicts)
        else:
            verdicts = _store(one, verdicts)
            found = _compare(one, verdicts)
    finally:
        tell.end()
    return _facts(one, contents, verdicts, retired, found, dry_run=dry_run)


def _importer(by: str | None, admins: Sequence[str]) -> str:
    found = by or next((name for name in admins if is_user(name)), None)
    if found is None:
        raise BadInput("whose word is it? Name a person: --by U…, or one in MYNAH_ADMINS")
    if not is_user(found):
        raise BadInput(f"--by: {found!r} is no Slack user id (U… or W…)")
    return found


def _store(one: Import, verdicts: Sequence[Verdict]) -> list[Verdict]:
    vectors, name = _embedded(one, verdicts)
    origin = {"file": one.path.name, "sha256": one.sha256}
    items = [verdict.item for verdict in verdicts]
    with transaction(one.engine) as session:
        return storing.store(
            session, one.team_id, items, by=one.by, origin=origin, vectors=vectors, embedder=name,
            again=one.again,
        )  # fmt: skip


def _embedded(one: Import, verdicts: Sequence[Verdict]) -> tuple[dict[str, bytes], str]:
    """The vectors of what is new, and the name of what made them."""
    if not any(verdict.fate is Fate.LEARNED for verdict in verdicts):
        return {}, one.embedder
    return storing.embedded(verdicts, one.opened, one.tell), one.opened.name


def _foresee(one: Import, verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """What would contradict what, were this stored."""
    vectors, name = _embedded(one, verdicts)
    if not vectors:
        return []
    with reading(one.engine) as session:
        rows = storing.foreseen(
            session, one.team_id, verdicts, by=one.by, vectors=vectors, embedder=name
        )
    found = conflicts.foresee(
        one.engine, one.team_id, one.opened, [row for _, row in rows.values()],
        retired={key for verdict in verdicts for key in verdict.retires},
        replaces=bool(one.channel),
    )  # fmt: skip
    places = {key: verdict for key, (verdict, _) in rows.items()}
    with reading(one.engine) as session:
        return [_conflict(session, places, each.newer_id, each.older_id, replaced=each.sure)
                for each in found]  # fmt: skip


def _compare(one: Import, verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """What contradicts what, now that it is stored: found, settled and told as after a lesson."""
    places = {verdict.example_id: verdict for verdict in verdicts if verdict.example_id}
    with reading(one.engine) as session:
        is_due = conflicts.is_due(session, one.team_id)
    shown: dict[int | None, dict[str, Any]] = {}
    while is_due and (found := conflicts.compare(one.engine, one.team_id, one.opened)):
        with transaction(one.engine) as session:
            new = conflicts.note(session, one.team_id, found, replaces=bool(one.channel))
            conflict_cards.tell(session, one.team_id, new, one.channel, {})
            for each in conflicts.waiting(session, one.team_id, places.keys()):
                is_over = each.status is ConflictStatus.REPLACED
                shown[each.id] = _conflict(
                    session, places, each.newer_id, each.older_id, replaced=is_over
                )
    with transaction(one.engine) as session:
        conflict_cards.follow(session, one.team_id)
    return list(shown.values())


def _conflict(
    session: Session, places: Mapping[int, Verdict], newer: int, older: int, *, replaced: bool
) -> dict[str, Any]:
    def said(key: int) -> dict[str, str]:
        if (verdict := places.get(key)) is not None:
            draft = verdict.item.draft
            return _answer(verdict.item.pair.place, draft.question, draft.answer)
        example = session.get_one(Example, key)
        return _answer(f"example:{key}", example.question, example.answer)

    return {"newer": said(newer), "older": said(older), "replaced": replaced}


def _answer(place: str, question: str, answer: str) -> dict[str, str]:
    return {"place": place, "question": question, "answer": answer}


def _retired(session: Session, verdicts: Sequence[Verdict]) -> list[dict[str, str]]:
    """What stands and will be retired, with what takes its place."""
    older = storing.older(session, verdicts)
    return [
        _answer(f"example:{key}", older[key].question, older[key].answer)
        | {"why": f"{one.item.pair.place} answers the same question"}
        for one in verdicts
        for key in one.retires
    ]


def _facts(
    one: Import,
    contents: Contents,
    verdicts: Sequence[Verdict],
    retired: Sequence[dict[str, str]],
    found: Sequence[dict[str, Any]],
    *,
    dry_run: bool,
) -> dict[str, Any]:
    fates_of = {
        "learned": (Fate.LEARNED,),
        "refused": (Fate.REFUSED, Fate.FORGOTTEN),
        "overruled": (Fate.OVERRULED,),
        "known": (Fate.KNOWN,),
    }
    of_kind = {
        name: [each for each in verdicts if each.fate in fates] for name, fates in fates_of.items()
    }
    answers: dict[str, Sequence[Any]] = {
        name: [_shown(each) for each in ones] for name, ones in of_kind.items()
    }
    redacted = [each for each in answers["learned"] if _taken_out(each)]
    kinds = [kind for each in redacted for kind in _taken_out(each)]
    answers |= {"redacted": redacted, "retired": retired, "conflicts": found}
    return {
        "file": one.path.name,
        "kind": contents.kind,
        "by": one.by,
        "dry_run": dry_run,
        "read": len(verdicts),
        "notes": [*contents.notes, *_untold(one, found)],
        "counts": {name: len(ones) for name, ones in answers.items()},
        "refused": dict(Counter(each.why for each in of_kind["refused"]).most_common()),
        "redacted": dict(sorted(Counter(kinds).items())),
        "answers": answers,
    }


def _taken_out(shown: Mapping[str, str]) -> set[str]:
    """What stands in an answer, or its question, in the place of secrets and personal data."""
    return set(placeholders(shown["question"], shown["answer"]))


def _untold(one: Import, found: Sequence[dict[str, Any]]) -> list[str]:
    if one.channel or not found:
        return []
    return ["nobody is told of what contradicts itself: MYNAH_REVIEW_CHANNEL names a channel"]


def _shown(one: Verdict) -> dict[str, str]:
    gone = one.fate is Fate.FORGOTTEN
    draft = one.item.draft
    return _answer(
        one.item.pair.place, "" if gone else _asked(one), "" if gone else draft.answer
    ) | {"why": "" if one.fate is Fate.LEARNED else one.why}


def _asked(one: Verdict) -> str:
    """The question; also of what is too long, of which nothing is kept."""
    return one.item.draft.question or examples.draft(one.item.pair.question, "").question
