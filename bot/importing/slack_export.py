"""What staff marked in a Slack export, by the rules that count in Slack itself.

https://slack.com/help/articles/220556107: a list of people and of each kind of conversation, and
``CHANNEL/YYYY-MM-DD.json`` with the messages of a day. An export tells who reacted, but not when,
and nothing of user groups.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bot.importing.archive import Archive
from bot.importing.pairs import MOST_NAMED, BadFile, Contents, Mark, Pair, Tell, is_user, short
from bot.people import (
    Message,
    answers_up_to,
    asked_up_to,
    is_colleague,
    is_speech,
    joined,
    refuse_own,
    run_up_to,
)

_LISTS = {"channels.json": True, "groups.json": False, "mpims.json": False, "dms.json": False}
_PEOPLE = ("users.json", "org_users.json")
_MARKS: Mapping[str, Literal["approve", "correct"]] = {
    "white_check_mark": "approve",
    "memo": "correct",
}
EDITED = (
    "it was edited after it was answered, and an export does not tell whether the mark came later"
)


@dataclass(frozen=True)
class House:
    """The workspace that the export has to be of, and who counts in it."""

    team_id: str
    bot_user: str
    staff: Sequence[str]  # user ids; user groups (S…) cannot be looked up
    widen: Sequence[str] = ()  # private channels whose examples may be used everywhere


@dataclass(frozen=True)
class _Place:
    """One conversation."""

    channel: str
    public: bool


class _Reader:
    def __init__(self, archive: Archive, house: House, tell: Tell) -> None:
        self._archive = archive
        self._house = house
        self._tell = tell
        self._staff = _staff(archive, house)
        self._passed: Counter[str] = Counter()

    def read(self) -> Contents:
        folders = _folders(self._archive)
        days = self._days()
        pairs: list[Pair] = []
        done = 0
        for folder, names in days.items():
            if (place := folders.get(folder)) is None:
                self._passed["a folder that no list of conversations names"] += 1
            else:
                pairs += self._conversation(place, names)
            done += len(names)
            self._tell("reading", done, sum(map(len, days.values())))
        pairs.sort(key=lambda one: one.mark.ts if one.mark else "")
        return Contents("Slack export", pairs, self._notes())

    def _days(self) -> dict[str, list[str]]:
        days: dict[str, list[str]] = defaultdict(list)
        for name in self._archive.names():
            folder, _, day = name.rpartition("/")
            if folder and day[:4].isdigit():
                days[folder].append(name)
        return days

    def _conversation(self, place: _Place, names: Sequence[str]) -> Iterator[Pair]:
        threads: dict[str, dict[str, Message]] = defaultdict(dict)
        marked: dict[str, Message] = {}
        where: dict[str, str] = {}
        for name in names:
            for message in self._messages(name):
                ts, thread_ts = message["ts"], message.get("thread_ts")
                if thread_ts is not None:
                    threads[thread_ts][ts] = message
                if _MARKS.keys() & {one["name"] for one in message["reactions"]}:
                    marked[ts], where[ts] = message, self._archive.place(name)
        for ts, message in sorted(marked.items()):
            thread = [one for _, one in sorted(threads[message.get("thread_ts") or ""].items())]
            for mark in self._marks(place, message):
                at = f"{where[ts]}, message {ts}"
                yield from self._pair(place, mark, at, message, thread)

    def _messages(self, name: str) -> Iterator[Message]:
        found = self._archive.read(name)
        if not isinstance(found, list):
            raise BadFile(self._archive.place(name), "a list of messages belongs here")
        for number, one in enumerate(found, 1):
            yield _message(f"{self._archive.place(name)}, message {number}", one)

    def _marks(self, place: _Place, message: Message) -> Iterator[Mark]:
        """Who counts of those who marked the message: each person once, ✅ before 📝."""
        said: set[str] = set()
        for name, kind in _MARKS.items():
            users = [
                one
                for each in message["reactions"]
                if each["name"] == name
                for one in each["users"]
            ]
            for user in users:
                if user in said:
                    continue
                said.add(user)
                if user not in self._staff:
                    self._passed["a mark by somebody who is not staff"] += 1
                elif kind == "correct" and user != message.get("user"):
                    self._passed["a 📝 on somebody else's message"] += 1
                else:
                    yield Mark(kind, place.channel, message["ts"], user, message["text"])

    def _pair(
        self, place: _Place, mark: Mark, at: str, message: Message, thread: Sequence[Message]
    ) -> Iterator[Pair]:
        if not is_speech(message) or message["user"] == self._house.bot_user:
            self._passed["a mark on the words of a bot"] += 1
            return
        if message.get("thread_ts") in (None, message["ts"]):
            self._passed["a mark on what is no reply"] += 1
            return
        asked = thread[0]
        if asked["ts"] != message["thread_ts"] or asked.get("subtype") == "tombstone":
            self._passed["a mark in a thread whose first message is not there"] += 1
            return
        if mark.kind == "approve":
            answers = answers_up_to(message, thread[1:], self._house.bot_user)
        else:
            answers = run_up_to(message, thread[1:])
        yield self._answered(place, mark, at, asked_up_to(asked, thread[1:], answers[0]), answers)

    def _answered(
        self,
        place: _Place,
        mark: Mark,
        at: str,
        asked: Sequence[Message],
        answers: Sequence[Message],
    ) -> Pair:
        walled = not (place.public or place.channel in self._house.widen)
        refusal = refuse_own(asked[0], answers[-1])
        if any(self._is_edited(one, mark.ts) for one in (*asked, *answers)):
            refusal = refusal or EDITED
        return Pair(
            place=at, question=joined(asked), answer=joined(answers),
            scope=place.channel if walled else None, approver=mark.user,
            sources=tuple((place.channel, one["ts"]) for one in (*asked, *answers)),
            mark=mark, refusal=refusal,
        )  # fmt: skip

    def _is_edited(self, message: Message, marked: str) -> bool:
        """Whether somebody else than staff changed it, perhaps after it had been approved."""
        edited = message.get("edited") or {}
        return edited.get("ts", "") > marked and edited.get("user") not in self._staff

    def _notes(self) -> list[str]:
        groups = [name for name in self._house.staff if not is_user(name)]
        notes = [f"not counted: {count} × {what}" for what, count in self._passed.most_common()]
        if groups:
            notes.append(
                f"an export does not tell who is in {', '.join(groups)}: "
                "name the people in MYNAH_STAFF to have their marks counted"
            )
        return notes


def read_export(archive: Archive, house: House, tell: Tell) -> Contents:
    """Read an export.

    Raises:
        BadFile: it is none, or one of another workspace, or a file in it is malformed.
    """
    return _Reader(archive, house, tell).read()


def _staff(archive: Archive, house: House) -> set[str]:
    """The people whose marks count."""
    name = next((one for one in _PEOPLE if archive.read(one) is not None), None)
    if name is None:
        raise BadFile(archive.name, "there is no users.json: this is no Slack export")
    people = {one["id"]: one for one in _objects(archive, name, "id")}
    colleagues = {user for user, who in people.items() if _is_one_of_us(who, house)}
    if not colleagues:
        raise BadFile(archive.place(name), _nobody(people.values(), house.team_id))
    return colleagues & set(house.staff)


def _nobody(people: Iterable[Mapping[str, Any]], team_id: str) -> str:
    """Why nobody's marks can be counted."""
    teams = sorted({str(one["team_id"]) for one in people if one.get("team_id")})
    if not teams:
        return 'no person has a "team_id", so nobody can be told from a stranger'
    named = ", ".join(map(short, teams[:MOST_NAMED]))
    if team_id in teams:
        return f"nobody of the workspace {team_id} is a full member: no guest, bot or former one"
    return f"nobody is of the workspace {team_id}, but of {named}"


def _is_one_of_us(who: Mapping[str, Any], house: House) -> bool:
    try:
        return is_colleague(who, house.team_id)
    except (AttributeError, TypeError):  # not what Slack writes: default deny
        return False


def _folders(archive: Archive) -> dict[str, _Place]:
    """The conversations by the folders that they lie in; not those that share one."""
    places: dict[str, list[_Place]] = defaultdict(list)
    for name, public in _LISTS.items():
        for one in _objects(archive, name, "id"):
            folder = one["id"] if name == "dms.json" else one.get("name") or one["id"]
            walled = not public or one.get("is_private") or one.get("is_mpim") or one.get("is_im")
            places[str(folder)].append(_Place(one["id"], public=not walled))
    return {folder: found[0] for folder, found in places.items() if len(found) == 1}


def _objects(archive: Archive, name: str, *keys: str) -> list[dict[str, Any]]:
    """The objects of a list, each with text under `keys`; none when there is no such file."""
    found = archive.read(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise BadFile(archive.place(name), "a list belongs here")
    for number, one in enumerate(found, 1):
        if not isinstance(one, dict) or not all(isinstance(one.get(key), str) for key in keys):
            raise BadFile(archive.place(name), f"entry {number} is no object with {keys[0]}")
    return found


def _message(place: str, found: Any) -> Message:
    """A message as far as it matters; its parts are what they should be."""
    if not isinstance(found, dict) or not isinstance(found.get("ts"), str):
        raise BadFile(place, 'an object with "ts" belongs here')
    optional = ("user", "thread_ts", "subtype", "bot_id", "text")
    for key in optional:
        if not isinstance(found.get(key), str | None):
            raise BadFile(place, f'"{key}" is no text')
    for key in ("ts", "thread_ts"):
        if found.get(key) is not None and not _is_ts(found[key]):
            raise BadFile(place, f'"{key}" is {short(found[key])}, which is no time of Slack\'s')
    edited = found.get("edited")
    if edited is not None and not (isinstance(edited, dict) and _is_ts(edited.get("ts"))):
        raise BadFile(place, '"edited" tells no time')
    return {
        **{key: found.get(key) for key in ("ts", *optional)},
        "text": found.get("text") or "",
        "edited": edited,
        "reactions": list(_reactions(place, found.get("reactions") or [])),
    }


def _reactions(place: str, found: Any) -> Iterator[dict[str, Any]]:
    what = '"reactions" is no list of reactions'
    if not isinstance(found, list):
        raise BadFile(place, what)
    for one in found:
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            raise BadFile(place, what)
        users = one.get("users", [])
        if not isinstance(users, list) or not all(isinstance(user, str) for user in users):
            raise BadFile(place, what)
        yield {"name": one["name"], "users": users}


def _is_ts(found: Any) -> bool:
    if not isinstance(found, str) or len(found) != 17:
        return False
    seconds, _, rest = found.partition(".")
    return len(rest) == 6 and (seconds + rest).isdecimal() and found.isascii()
