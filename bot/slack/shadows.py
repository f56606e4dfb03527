"""`/mynah shadow`: an admin lets a release answer for the record alone, and reads how it does."""

from __future__ import annotations

from sqlmodel import Session

from bot import releases, shadow_report
from bot.mrkdwn import escape
from bot.run_words import person
from bot.shadow_report import Pair, Report
from bot.slack.blocks import fitting
from bot.slack.commands import Act, Call, Outcome, number_in

LONGEST = 300  # characters of a text beside another one


def command(admin_channel: str) -> Act:
    """The command; it shows texts in the admins' channel alone."""

    def act(session: Session, call: Call) -> Outcome:
        if not call.words:
            return Outcome(_report(session, call, admin_channel))
        try:
            return _end(session, call) if call.words == ["off"] else _start(session, call)
        except ValueError:
            return Outcome("Name a release as in `/mynah shadow v3`, or say `/mynah shadow off`.")
        except releases.ReleaseError as error:
            return Outcome(f"Nothing changed: {error}.")

    return act


def _start(session: Session, call: Call) -> Outcome:
    if (number := number_in(call.words)) is None:
        raise ValueError("no release was named")
    releases.start_shadow(session, call.team_id, number, by=call.user)
    return Outcome(
        f"v{number} is the shadow: it answers what people ask, too, when no question waits, and "
        "nobody is shown it. `/mynah shadow` compares, `/mynah shadow off` ends it.",
        f"<@{call.user}> made v{number} the shadow: its answers are recorded, and never shown.",
    )


def _end(session: Session, call: Call) -> Outcome:
    left = releases.end_shadow(session, call.team_id, by=call.user)
    return Outcome(
        f"v{left.number} is no shadow any more. `/mynah shadow` still tells how it did.",
        f"<@{call.user}> ended the shadow of v{left.number}.",
    )


def _report(session: Session, call: Call, admin_channel: str) -> str:
    found = shadow_report.read(session, call.team_id)
    if found is None:
        return "No release is the shadow. `/mynah shadow v3` lets one answer for the record alone."
    told = [_head(found), *map(escape, shadow_report.lines(found))]
    if call.channel == admin_channel:
        told += [_pair(f"v{found.number}", one) for one in found.pairs]
    elif found.pairs:
        told.append("In the admins' channel this shows answers that differ.")
    return "\n".join(told)


def _head(found: Report) -> str:
    what = "was the last shadow" if found.over else "is the shadow"
    name = f"v{found.number} ({found.adapter or 'the base model'})"
    since = f"since {found.since:%Y-%m-%d %H:%M} UTC by {person(escape(found.by))}"
    return f"*{name} {what}*, {since}."


def _pair(name: str, one: Pair) -> str:
    asked, shown, shadow = (
        fitting(" ".join(text.split()), LONGEST) for text in (one.question, one.shown, one.shadow)
    )
    return f"• {asked}\n    shown: {shown}\n    {name}: {shadow}"
