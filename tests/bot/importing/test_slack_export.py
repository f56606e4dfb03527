"""A Slack export: what staff marked counts as it does in Slack, and nothing else does."""

from __future__ import annotations

import stat
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest

from bot.importing import archive
from bot.importing.pairs import BadFile, Pair
from bot.importing.slack_export import EDITED, House
from tests.bot.importing.exports import (
    ANSWER,
    HOUSE,
    QUESTION,
    TEAM,
    USERS,
    answered,
    approved,
    read,
    said,
    ts,
    written,
)

DAY = "help/2023-11-14.json"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "export.zip"


def of(path: Path, messages: Any, day: str = DAY) -> list[Pair]:
    """What an export of one day holds."""
    return list(read(written(path, {day: messages})).pairs)


def test_an_approved_reply_answers_the_threads_first_message(path: Path) -> None:
    """With its sources, so that deleting one of them forgets it."""
    [one] = of(path, answered())
    assert (one.question, one.answer) == (QUESTION, ANSWER)
    assert one.sources == (("C0HELP", ts(0)), ("C0HELP", ts(1)))
    assert (one.scope, one.approver, one.refusal) == (None, "U0STAFF", None)
    assert one.place == f"export.zip: {DAY}, message {ts(1)}"


def test_an_answer_is_its_authors_messages_joined_over_days(path: Path) -> None:
    """As in Slack: without questions asked back, and without other people's words."""
    days = {
        DAY: [said(0, "U0ASKER", QUESTION), said(1, "U0HELPER", "Which version?")],
        "help/2023-11-15.json": [
            said(2, "U0ASKER", "7"),
            said(3, "U0HELPER", "Port 7411."),
            said(4, "U0OTHER", "I think so, too."),
            said(5, "U0HELPER", "It can be changed.", **approved("U0STAFF")),
            said(6, "U0HELPER", "Later."),
        ],
    }
    [one] = read(written(path, days)).pairs
    assert one.answer == "Port 7411.\nIt can be changed."
    assert one.question == f"{QUESTION}\n7"  # with what the asker added before the answer
    assert [message for _, message in one.sources] == [ts(0), ts(2), ts(3), ts(5)]


def test_a_memo_counts_on_ones_own_reply(path: Path) -> None:
    """📝 by its author takes what they wrote in a row; by anybody else it says nothing."""
    messages = [
        said(0, "U0ASKER", QUESTION),
        said(1, "U0STAFF", "It is not the old one any more."),
        said(2, "U0HELPER", "Really?"),
        said(3, "U0STAFF", "Hm."),
        said(4, "U0STAFF", "Since release 5:"),
        said(5, "U0STAFF", ANSWER, **approved("U0STAFF", name="memo")),
        said(6, "U0HELPER", "Or so.", **approved("U0STAFF", name="memo")),
    ]
    found = read(written(path, {DAY: messages}))
    assert [(one.answer, one.mark and one.mark.kind) for one in found.pairs] == [
        (f"Since release 5:\n{ANSWER}", "correct")
    ]
    assert "not counted: 1 × a 📝 on somebody else's message" in found.notes


@pytest.mark.parametrize(
    ("messages", "note"),
    [
        (answered(**approved("U0ASKER")), "a mark by somebody who is not staff"),
        (answered(**approved("U0STAFF2")), "a mark by somebody who is not staff"),
        (answered(**approved("U0NOBODY")), "a mark by somebody who is not staff"),
        (answered(bot_id="B0X"), "a mark on the words of a bot"),
        (answered(user="U0MYNAH"), "a mark on the words of a bot"),
        (answered(subtype="channel_join"), "a mark on the words of a bot"),
        ([said(0, "U0ASKER", QUESTION, **approved("U0STAFF"))], "a mark on what is no reply"),
        ([said(0, "U0A", QUESTION, thread=None, **approved("U0STAFF"))], "on what is no reply"),
        (answered()[1:], "a mark in a thread whose first message is not there"),
        (
            [answered()[0] | {"subtype": "tombstone", "user": "USLACKBOT"}, answered()[1]],
            "a mark in a thread whose first message is not there",
        ),
    ],
)
def test_what_does_not_count_in_slack_does_not_count(path: Path, messages: Any, note: str) -> None:
    """It is passed over, and said."""
    found = read(written(path, {DAY: messages}))
    assert found.pairs == []
    assert any(note in one for one in found.notes)


def test_other_reactions_say_nothing(path: Path) -> None:
    """Nor are they worth a line."""
    found = read(written(path, {DAY: answered(**approved("U0STAFF", name="thumbsup"))}))
    assert found.pairs == []
    assert not any("not counted" in one for one in found.notes)


@pytest.mark.parametrize(
    ("day", "scope"),
    [
        (DAY, None),
        ("secret/2023-11-14.json", "C0PRIV"),
        ("mpdm-a--b-1/2023-11-14.json", "C0MPIM"),
        ("D0DIRECT/2023-11-14.json", "D0DIRECT"),
    ],
)
def test_walls_stay(path: Path, day: str, scope: str | None) -> None:
    """What was said where not everybody reads is used there alone."""
    [one] = of(path, answered(), day)
    assert one.scope == scope


def test_a_widened_channel_has_no_wall(path: Path) -> None:
    """MYNAH_WIDEN_CHANNELS counts as in Slack."""
    house = House(TEAM, "U0MYNAH", ("U0STAFF",), ("C0PRIV",))
    [one] = read(written(path, {"secret/2023-11-14.json": answered()}), house).pairs
    assert one.scope is None


def test_a_folder_that_nobody_names_is_passed_over(path: Path) -> None:
    """Whether it is private is not known: a canvas's comments, or two channels of one name."""
    twice = [{"id": "C0HELP", "name": "help"}, {"id": "C0ELSE", "name": "help"}]
    found = read(written(path, {DAY: answered(), "FC:F0X:y/2023-11-14.json": []}, channels=twice))
    assert found.pairs == []
    assert "not counted: 2 × a folder that no list of conversations names" in found.notes


@pytest.mark.parametrize(
    ("edited", "refusal"),
    [
        ({"user": "U0HELPER", "ts": ts(9)}, EDITED),
        ({"user": "U0HELPER", "ts": ts(1)}, None),
        ({"user": "U0STAFF", "ts": ts(9)}, None),
    ],
)
def test_words_that_may_have_changed_after_the_mark(
    path: Path, edited: dict[str, str], refusal: str | None
) -> None:
    """Only staff's own edits are theirs for sure."""
    [one] = of(path, answered(edited=edited))
    assert one.refusal == refusal


def test_nobody_answers_themselves(path: Path) -> None:
    """As in Slack, where it is refused with this reason."""
    [one] = of(path, answered(user="U0ASKER"))
    assert one.refusal == "the answer is by the person who asked"


def test_groups_cannot_be_looked_up_and_that_is_said(path: Path) -> None:
    """One line, with what to do."""
    notes = read(written(path, {DAY: answered()})).notes
    assert sum("who is in S0TEAM: name the people in MYNAH_STAFF" in one for one in notes) == 1


def test_a_folder_around_the_export_does_not_matter(path: Path) -> None:
    """Who unpacks it and packs it again leaves one."""
    assert len(read(written(path, {DAY: answered()}, inside="My export/")).pairs) == 1


def test_an_org_lists_its_people_under_another_name(path: Path) -> None:
    """`org_users.json` of an Enterprise Grid."""
    found = read(written(path, {DAY: answered(), "org_users.json": USERS}, users=None))
    assert len(found.pairs) == 1


@pytest.mark.parametrize(
    ("days", "lists", "line"),
    [
        ({}, {"users": None}, "export.zip: there is no users.json: this is no Slack export"),
        ({}, {"users": {}}, "export.zip: users.json: a list belongs here"),
        ({}, {"users": [7]}, "export.zip: users.json: entry 1 is no object with id"),
        ({}, {"users": [{"id": "U0STAFF"}]}, 'export.zip: users.json: no person has a "team_id"'),
        (
            {},
            {"users": [{"id": "U0STAFF", "team_id": "T0MYNAH", "deleted": True}]},
            "users.json: nobody of the workspace T0MYNAH is a full member",
        ),
        (
            {},
            {"users": [{"id": "U0STAFF", "team_id": "T9OTHER"}]},
            "export.zip: users.json: nobody is of the workspace T0MYNAH, but of 'T9OTHER'",
        ),
        ({}, {"channels": [{"name": "help"}]}, "channels.json: entry 1 is no object with id"),
        ({DAY: {}}, {}, f"export.zip: {DAY}: a list of messages belongs here"),
        ({DAY: [{}]}, {}, f'export.zip: {DAY}, message 1: an object with "ts" belongs here'),
        (
            {DAY: [answered()[0] | {"ts": "NaN"}]},
            {},
            "\"ts\" is 'NaN', which is no time of Slack's",
        ),
        ({DAY: [answered()[0] | {"user": 7}]}, {}, f'{DAY}, message 1: "user" is no text'),
        ({DAY: [said(0, "U", "", reactions=[7])]}, {}, '"reactions" is no list of reactions'),
        ({DAY: [said(0, "U", "", reactions=7)]}, {}, '"reactions" is no list of reactions'),
        ({DAY: [said(0, "U", "", **approved(7))]}, {}, '"reactions" is no list of reactions'),
        ({DAY: [said(0, "U", "", **approved("U", name=[]))]}, {}, '"reactions" is no list'),
        ({DAY: [said(0, "U", "", edited={"ts": 1})]}, {}, '"edited" tells no time'),
        ({DAY: b"[\n{oops}"}, {}, f"export.zip: {DAY}: no JSON: Expecting property name"),
        ({DAY: b"[NaN]"}, {}, f"export.zip: {DAY}: no JSON: NaN is no number in JSON"),
        ({DAY: b"\xff\xff\xff"}, {}, f"export.zip: {DAY}: no JSON: "),
        ({DAY: b"[" * 100_000}, {}, f"export.zip: {DAY}: it is nested too deeply"),
        ({"../../etc/x.json": []}, {}, "'../../etc/x.json': a name that leads out of the archive"),
        ({"/etc/x.json": []}, {}, "a name that leads out of the archive"),
        ({"a\\..\\x.json": []}, {}, "a name that leads out of the archive"),
        ({DAY: b"[" + b" " * (3 << 20) + b"]"}, {}, "packed more than 200 to 1"),
    ],
)
def test_a_malformed_export_is_a_line_with_the_place(
    path: Path, days: dict[str, Any], lists: dict[str, Any], line: str
) -> None:
    """Which file in the zip, and what is wrong there."""
    with pytest.raises(BadFile) as caught:
        read(written(path, days, **lists))
    assert line in str(caught.value)


def test_a_name_cannot_steer_the_terminal(path: Path) -> None:
    """What a hostile zip names is shown without its escape codes."""
    with pytest.raises(BadFile) as caught:
        read(written(path, {"\x1b[2Jhelp/2023-11-14.json": b"x"}, channels=[
            {"id": "C0HELP", "name": "\x1b[2Jhelp"}]))  # fmt: skip
    assert "\x1b" not in str(caught.value)


def test_a_link_in_the_zip_is_refused(path: Path) -> None:
    """Whatever it points to."""
    link = zipfile.ZipInfo("help/2023-11-14.json")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(link, "/etc/passwd")
    with pytest.raises(BadFile, match="a link, where only files belong"):
        read(path)


def test_a_damaged_zip_is_a_clear_line(path: Path) -> None:
    """Cut off, or with a byte changed, or one that says it is smaller than it is."""
    whole = written(path, {DAY: answered()}).read_bytes()
    path.write_bytes(whole[:-30])
    with pytest.raises(BadFile, match=r"^export\.zip: the zip is damaged"):
        read(path)
    at = whole.index(b"users.json") + len("users.json") + 5
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
    with pytest.raises(BadFile, match=r"^export\.zip: users\.json: the zip is damaged"):
        read(path)


def test_a_zip_that_lies_about_its_size_is_not_believed(path: Path) -> None:
    """No more is unpacked than it says, and that does not fit its checksum."""
    written(path, {DAY: b"[" + b" " * (8 << 20) + b"]"})
    packed = bytearray(path.read_bytes())
    at = packed.rindex(b"PK\x01\x02", 0, packed.rindex(DAY.encode()))
    struct.pack_into("<L", packed, at + 24, 1000)
    path.write_bytes(packed)
    with pytest.raises(BadFile, match=f"{DAY}: "):
        read(path)


def test_all_files_together_are_limited(path: Path) -> None:
    """Also where none of them is too large by itself."""
    written(path, {f"help/2023-11-{day:02}.json": answered() for day in range(1, 9)})
    with (
        pytest.raises(BadFile, match=r"^export\.zip: more than 1000 bytes unpacked"),
        archive.opened(path, most=1000),
    ):
        pass


def test_a_mark_counts_once_a_person(path: Path) -> None:
    """✅ and 📝 by one person are one word; two of the staff are two."""
    both = [
        {"name": "memo", "users": ["U0STAFF"]},
        {"name": "white_check_mark", "users": ["U0STAFF", "U0STAFF2"]},
    ]
    staff = [one | {"is_restricted": False} for one in USERS]
    messages = [said(0, "U0ASKER", QUESTION), said(1, "U0STAFF", ANSWER, reactions=both)]
    found = read(written(path, {DAY: messages}, users=staff), HOUSE)
    assert [(one.mark.kind, one.mark.user) for one in found.pairs if one.mark] == [
        ("approve", "U0STAFF"), ("approve", "U0STAFF2"),
    ]  # fmt: skip
