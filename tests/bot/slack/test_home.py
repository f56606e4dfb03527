"""The Home tab: what it shows by role, and what a press there does. The real bot, a local Slack."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import update
from sqlmodel import Session, col

from bot.slack import board, home_view
from bot.slack.commands import ADMINS_ONLY
from bot.slack.home import GONE, STAFF_ONLY
from bot.store.schema import (
    Answer,
    AnswerMode,
    Case,
    CaseStatus,
    Example,
    ExampleStatus,
    Feedback,
    FeedbackKind,
    InboxEvent,
    Rollout,
    Run,
    RunStatus,
    RunTrigger,
    Status,
    Team,
)
from tests.bot.slack import hands
from tests.bot.slack.house import HELP, House
from tests.bot.slack.test_commands import NAME, TEAM, promoted
from tests.deploy.sandbox.acts import control

View = dict[str, Any]
PRIVATE = "C0PRIV"


async def home(house: House, who: str) -> View:
    """Open the Home tab and wait for what is published, and until its event is done with: a bot
    that ends before has it published once more by the next one."""
    opened = await control(house.sandbox, "home", token=f"xoxp-{who}")
    view: View = opened["view"]
    assert view is not None, opened
    await house.quiet()
    return view


async def press(house: House, who: str, view: View, action_id: str, value: str = "") -> View:
    """Press a button and wait until everything came of it; the Home tab then."""
    block = next(
        block["block_id"]
        for block in view["blocks"]
        for element in block.get("elements", ())
        if element.get("action_id") == action_id and value in ("", element["value"])
    )
    pressed = await control(
        house.sandbox, "action", token=f"xoxp-{who}", view_id=view["id"], action_id=action_id,
        block_id=block,
    )  # fmt: skip
    assert pressed["ok"], pressed
    await house.quiet()
    return await shown(house, who)


async def shown(house: House, who: str) -> View:
    """The Home tab as it stands."""
    state = await house.sandbox.state(parts="views")
    view: View = state["views"]["homes"][f"U0{who.upper()}"]
    return view


def words(view: View) -> str:
    """All that stands on the tab."""
    return json.dumps(view["blocks"], ensure_ascii=False)


def buttons(view: View) -> list[tuple[str, str]]:
    """The action id and value of each button."""
    elements = [one for block in view["blocks"] for one in block.get("elements", ())]
    return [(one["action_id"], one["value"]) for one in elements if one["type"] == "button"]


def headers(view: View) -> list[str]:
    """The parts of the tab."""
    return [block["text"]["text"] for block in view["blocks"] if block["type"] == "header"]


async def test_what_is_shown_depends_on_the_role(house: House) -> None:
    """Everybody sees their own answers, staff the queue besides, admins the dashboard."""
    async with house.bot():
        ts = await house.ask("Which port?")
        answer = await house.answer(ts)
        await house.quiet()
        asker, guest = await home(house, "asker"), await home(house, "guest")
        staff, admin = await home(house, "staff"), await home(house, "admin")
    assert headers(asker) == headers(guest) == ["Your last answers"]
    assert headers(staff) == ["Waiting for review", "Your last answers"]
    assert headers(admin) == ["How I am doing", "Your last answers"]
    link = answer["ts"].replace(".", "")
    assert "Which port?" in words(asker)
    assert f"/archives/{HELP}/p{link}" in words(asker)
    assert "Which port?" not in words(guest) + words(admin)
    assert buttons(asker) == buttons(guest) == []
    assert buttons(staff) == [("home:right", "1"), ("home:wrong", "1"), ("open:correct", "1")]
    assert [action for action, _ in buttons(admin)] == [
        "admin:train", "admin:pause",
    ]  # fmt: skip
    assert f"p{link}" in words(staff)
    assert "closed book · fairly sure" in words(staff)
    assert house.failed() == []


async def test_a_press_rates_as_a_reaction_does(house: House) -> None:
    """👍 teaches, 👎 does not, the queue is published anew without what was rated, and two
    deliveries count once."""
    house.vllm.script = lambda messages, model: "It is port 9443, since version 2."
    async with house.bot():
        first = await house.asked("Which port does the console listen on?")
        await house.asked("Which host does the console run on?")
        await house.quiet()
        view = await home(house, "staff")
        await house.sandbox.faults(duplicate=20)
        view = await press(house, "staff", view, home_view.RIGHT, "1")
        assert "Noted as right" in words(view)
        assert ("home:right", "1") not in buttons(view)
        view = await press(house, "staff", view, home_view.WRONG, "2")
        assert "Nothing waits for you" in words(view)
        again = await house.asked("Which port does the console listen on?")
    given = [(row.kind, row.user, row.target_ts, row.answer_id) for row in house.rows(Feedback)]
    assert given[0] == (FeedbackKind.APPROVE, "U0STAFF", first["ts"], 1)
    assert [kind for kind, *_ in given] == [FeedbackKind.APPROVE, FeedbackKind.REJECT]
    assert again["metadata"]["event_payload"]["mode"] == "quoted"
    assert house.failed() == []


async def test_what_waits_is_corrected_from_the_tab(house: House) -> None:
    """What Mynah wrote, and what it was not sure of: the form opens, the answer changes in its
    thread, is learned, settles the case, and waits no longer."""
    async with house.bot(MYNAH_ONCALL="S0STAFF"):
        wrong = await house.asked("Which host does the console run on?")
        house.vllm.logprob = -3.0
        asked = await house.ask("Which port does the console listen on?")
        unsure = await house.answer(asked)
        await house.quiet()
        view = await home(house, "staff")
        for number, message in (("2", unsure), ("1", wrong)):
            view = await press(house, "staff", view, home_view.CORRECT, number)
            form = await hands.modal(house, "staff")
            right = f"The right answer {number}."
            await hands.submit(house, "staff", form, answer=right, reason="incomplete")
            await house.quiet()
            assert (await hands.said(house, message["ts"]))["text"] == right
            view = await shown(house, "staff")
            assert (home_view.CORRECT, number) not in buttons(view)
        assert "Nothing waits for you" in words(view)
        again = await house.asked("Which port does the console listen on?", who="asker2")
    assert again["text"] == "The right answer 2."
    assert [row.reason for row in house.rows(Feedback)] == ["incomplete"] * 2
    assert [row.status for row in house.rows(Case)] == [CaseStatus.RESOLVED]
    assert house.failed() == []


async def test_the_form_opens_for_who_may_read_the_answer(house: House) -> None:
    """An old button, of an answer that one cannot read any more or that changed, says so."""
    async with house.bot():
        await house.asked("Where is the secret door?", channel=PRIVATE)
        await house.quiet()
        view = await home(house, "staff")
        await house.client("staff").conversations_leave(channel=PRIVATE)
        view = await press(house, "staff", view, home_view.CORRECT, "1")
        assert GONE in words(view)
        assert await hands.modals(house) == {}


async def test_the_dashboard_tells_how_mynah_is_doing(house: House) -> None:
    """Answers, right ones by release, what nobody has taught yet, runs with the gate's reasons,
    what is live and what is tried out; private questions for their readers alone."""
    house.vllm.adapters[NAME] = "/nowhere"
    await house.sandbox.seed(
        channels=[{"id": PRIVATE, "private": True, "members": ["U0ASKER", "U0MYNAH"]}]
    )
    async with house.bot(MYNAH_ONCALL="S0STAFF"):
        house.write(promoted)
        for number, mark in enumerate(["white_check_mark"] * 4 + ["x"]):
            said = await house.asked(f"Question number {number}?", who="asker2")
            await house.react("staff", mark, said["ts"])
        house.vllm.logprob = -3.0
        for who in ("asker", "asker2"):
            await house.asked("How do I reset the flux?", who=who)
        await house.asked("Where is the secret door?", channel=PRIVATE)
        await house.quiet()
        house.write(tried_out)
        admin = words(await home(house, "admin"))
    for part in (
        f"*Live:* v2 ({NAME})",
        "*Canary:* v3 (mynah-canary), 10% of new threads",
        "*Answers:* 5 in 7 days, 5 in 30 days",
        "*Open cases:* 3",
        f"v2 ({NAME}): 80% (4 right, 1 wrong, 0 corrected)",
        "3, kept: it forgot too much",
        "How do I reset the flux?",
        "(asked 2 times)",
    ):
        assert part in admin
    assert "secret" not in admin


def tried_out(session: Session) -> None:
    """A canary, and a run that the gate did not like."""
    promoted(session, "mynah-canary", share=0.1)
    session.add(
        Run(
            team_id=TEAM, trigger=RunTrigger.SCHEDULE, status=RunStatus.KEPT,
            reasons=["it forgot too much"],
        )
    )  # fmt: skip


async def test_only_what_one_may_read_waits_for_one(house: House) -> None:
    """A private channel's answers wait for its members alone, also when the button is old."""
    await house.sandbox.seed(
        channels=[{"id": PRIVATE, "private": True, "members": ["U0ASKER", "U0STAFF", "U0MYNAH"]}]
    )
    async with house.bot():
        await house.asked("Where is the secret door?", channel=PRIVATE)
        opened = await house.sandbox.client("xoxp-asker").conversations_open(users="U0MYNAH")
        direct = opened["channel"]["id"]
        ts = await house.say("asker", "And my own door?", channel=direct)
        await house.answer(ts, direct)
        await house.quiet()
        view = await home(house, "staff")
        assert buttons(view)[0] == ("home:right", "1")
        assert "secret door" in words(view)
        assert "secret" not in words(await home(house, "staff2"))
        assert "my own" not in words(view)
        await house.client("staff").conversations_leave(channel=PRIVATE)
        view = await press(house, "staff", view, home_view.RIGHT, "1")
        assert GONE in words(view)
        assert "secret" not in words(view)
    assert house.rows(Feedback) == []


async def test_who_lost_the_role_changes_nothing(house: House) -> None:
    """A press by somebody who was staff or admin yesterday is refused and shows the plain tab."""
    async with house.bot(MYNAH_ADMINS="S0STAFF"):
        await house.asked("Which port?")
        await house.quiet()
        staff, admin = await home(house, "staff"), await home(house, "staff2")
        await house.sandbox.seed(
            users=[{"id": "U0STAFF2", "name": "staff2", "is_restricted": True}]
        )
    await house.sandbox.seed(usergroups=[{"id": "S0STAFF", "users": ["U0STAFF2"]}])
    async with house.bot(MYNAH_ADMINS="S0STAFF"):
        for who, view, action_id, refusal in (
            ("staff", staff, home_view.RIGHT, STAFF_ONLY),
            ("staff2", admin, board.PAUSE, ADMINS_ONLY.split(".")[0]),
        ):
            plain = await press(house, who, view, action_id)
            assert refusal in words(plain)
            assert headers(plain) == ["Your last answers"]
    assert house.rows(Feedback) == []
    assert [team.paused for team in house.rows(Team)] == [False]


async def test_levers_do_what_the_commands_do(house: House) -> None:
    """Train, pause, resume and roll back: the command's reply on the tab, its news in the admins'
    channel, once for each press however often it is delivered."""
    async with house.bot():
        house.write(promoted)
        await house.sandbox.faults(duplicate=50)
        view = await home(house, "admin")
        assert f"*Live:* v2 ({NAME})" in words(view)
        replies = {
            board.TRAIN: "Run 2 is queued. <#C0ADMIN> tells how far it is.",
            board.PAUSE: "Paused: nothing is trained",
            board.RESUME: "Resumed. If a time to train was missed",
            board.ROLL_BACK: "Rolled back from v2 to v1.",
        }
        for action_id, reply in replies.items():
            view = await press(house, "admin", view, action_id)
            assert f":bell: {reply}" in words(view)
        assert ":bell:" not in words(await home(house, "admin"))  # shown once
        told = [one["text"] for one in await house.sandbox.messages("C0ADMIN")]
    assert told == [
        ":hourglass_flowing_sand: Run 2: queued by <@U0ADMIN>.",
        "<@U0ADMIN> paused Mynah: nothing is trained or goes live until `/mynah resume`.",
        "<@U0ADMIN> resumed Mynah.",
        "<@U0ADMIN> rolled back from v2 to v1.",
    ]
    assert len(house.rows(Run)) == 2
    assert len(house.rows(Rollout)) == 4
    assert house.failed() == []


async def test_without_an_admin_channel_the_run_is_told_to_who_asked(house: House) -> None:
    """The conversation with the admin stands in for it, as the channel does for a command."""
    async with house.bot(MYNAH_ADMIN_CHANNEL=""):
        view = await press(house, "admin", await home(house, "admin"), board.TRAIN)
        [run] = house.rows(Run)
        assert f"<#{run.report_channel}> tells how far it is." in words(view)
        told = await house.sandbox.messages(run.report_channel or "")
    assert (run.report_channel or "").startswith("D")
    assert [one["text"] for one in told] == [
        ":hourglass_flowing_sand: Run 1: queued by <@U0ADMIN>."
    ]


async def test_a_press_that_was_cut_off_counts_once(house: House) -> None:
    """Handled again after a crash, a press does nothing more and shows the same reply."""
    async with house.bot():
        house.write(promoted)
        house.write(lambda session: promoted(session, "mynah-second"))
        view = await press(house, "admin", await home(house, "admin"), board.ROLL_BACK)
        assert "Rolled back from v3 to v2." in words(view)
        pressed = next(row for row in house.rows(InboxEvent) if row.kind == "action")

    def undone(session: Session) -> None:
        again = {"status": Status.WAITING, "finished_at": None}
        session.execute(update(InboxEvent).where(col(InboxEvent.id) == pressed.id).values(again))

    house.write(undone)
    rollouts = len(house.rows(Rollout))
    async with house.bot():
        await house.quiet()
        assert "Rolled back from v3 to v2." in words(await shown(house, "admin"))
    assert len(house.rows(Rollout)) == rollouts


async def test_the_queue_is_in_order_and_has_pages(house: House) -> None:
    """Disagreements first, then what was not sure, then by confidence; ten at a time."""
    async with house.bot():
        for number in range(12):
            await house.asked(f"Question number {number}?")
        await house.quiet()

        def shade(session: Session) -> None:
            for row in range(1, 13):
                values = {"confidence": -0.01 * row}
                session.execute(update(Answer).where(col(Answer.id) == row).values(values))
            unsure = {"mode": AnswerMode.UNSURE}
            session.execute(update(Answer).where(col(Answer.id) == 3).values(unsure))

        def hold(session: Session) -> None:
            session.execute(update(Example).values(status=ExampleStatus.HELD))

        house.write(shade)
        view = await home(house, "staff")
        await press(house, "staff", view, home_view.RIGHT, "5")
        house.write(hold)
        view = await home(house, "staff")
        first = [value for action, value in buttons(view) if action == home_view.CORRECT]
        view = await press(house, "staff", view, home_view.MORE)
        second = [value for action, value in buttons(view) if action == home_view.RIGHT]
        assert buttons(view)[-1] == (home_view.MORE, "0")
    assert first == ["5", "3", "12", "11", "10", "9", "8", "7", "6", "4"]
    assert second == ["2", "1"]


async def test_an_answer_that_changed_is_not_rated_unseen(house: House) -> None:
    """A button under the old words does not approve the new ones."""
    async with house.bot():
        ts = await house.ask("Which port?")
        await house.answer(ts)
        await house.quiet()
        view = await home(house, "staff")
        await house.client("asker").chat_update(channel=HELP, ts=ts, text="Which host?")
        await house.quiet()
        assert GONE in words(await press(house, "staff", view, home_view.RIGHT, "1"))
    assert house.rows(Feedback) == []


async def test_hostile_words_stay_words(house: House) -> None:
    """Markup, mentions and the longest message neither break the tab nor call anybody."""
    nasty = "&lt;!channel&gt; <https://evil.example|safe> ``` *x* \u202e " + "&amp;" * 5000
    house.vllm.script = lambda messages, model: "<@U0ADMIN> <!here> " + "`&<>" * 900
    async with house.bot():
        for _ in range(3):
            await house.asked(nasty)
        await house.quiet()
        for who in ("asker", "staff"):
            view = await home(house, who)
            mrkdwn = [one for one in words(view).split('"mrkdwn"') if "<!" in one]
            assert all("rich_text" in one for one in mrkdwn)
            assert not any(
                text in json.dumps(block)
                for block in view["blocks"]
                if block["type"] != "rich_text"
                for text in ("<!", "<@", "evil")
            )
    assert house.failed() == []
