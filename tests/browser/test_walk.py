"""The first steps: they lead, they never send, and they are ticked off by what really happened."""

from __future__ import annotations

from typing import Any

from tests.browser.conftest import PageAs
from tests.sandbox_server import Sandbox

HELP = "C0HELP"
QUESTION = "Which port does the Fernloft web interface listen on?"
ANSWER = "The Fernloft web interface listens on port 7411"
AGAIN = "what port do I type in the browser to open fernloft?"
REACHED = """async ([walk, state]) => {
  const { reached } = await import("/page/progress.js");
  return reached(walk, { ...state, messages: { C0HELP: new Map(state.said.map(m => [m.ts, m])) } });
}"""
Json = dict[str, Any]


def walk_of(page: Any) -> Any:
    """The card."""
    return page.get_by_role("region", name="First steps")


async def done(page: Any, title: str) -> None:
    """A step is ticked off."""
    await walk_of(page).get_by_role("button", name=f"{title} (done)", exact=True).wait_for()


async def do_it(page: Any) -> str:
    """Let the page prepare the step; what stands in the focused box then."""
    await walk_of(page).get_by_role("button", name="Do it for me").click()
    filled = page.locator("textarea:focus:not(:placeholder-shown)")
    await filled.wait_for()
    return str(await filled.input_value())


async def test_three_steps_from_a_question_to_its_answer(page_as: PageAs, sandbox: Sandbox) -> None:
    """Each prepares what to send as the right person, and goes on when it has happened."""
    bot = sandbox.client("xoxb-mynah")
    page = await page_as("guest", channel=HELP)
    assert await do_it(page) == f"@Mynah {QUESTION}"
    assert await sandbox.messages() == []  # nothing is sent by itself
    await page.keyboard.press("Enter")
    asked = await said(page, QUESTION)
    await bot.chat_postMessage(channel=HELP, thread_ts=asked["ts"], text="I am not sure.")
    await done(page, "Ask")

    assert (await do_it(page)).startswith(ANSWER)
    await page.keyboard.press("Enter")
    reply = await said(page, ANSWER)
    assert (reply["user"], reply["thread_ts"]) == ("U0STAFF", asked["ts"])
    await sandbox.client("xoxp-staff").reactions_add(
        channel=HELP, timestamp=reply["ts"], name="memo"
    )
    await done(page, "Correct it as staff")

    assert await do_it(page) == f"@Mynah {AGAIN}"
    await page.keyboard.press("Enter")
    again = await said(page, AGAIN)
    assert again["user"] == "U0ASKER2"
    await bot.chat_postMessage(channel=HELP, thread_ts=again["ts"], text=f"{ANSWER}.")
    await done(page, "Ask again in other words")


async def said(page: Any, text: str) -> Json:
    """The message with these words, once it is there."""
    shown = page.locator("li.message", has_text=text).first
    await shown.wait_for()
    ts, user = await shown.get_attribute("data-ts"), await shown.get_attribute("data-user")
    in_thread = await page.locator(f'#thread li[data-ts="{ts}"]').count()
    thread = page.url.split("thread=")[1] if in_thread else ""
    return {"ts": ts, "user": user, "thread_ts": thread}


async def test_hidden_stays_hidden_and_comes_back(page_as: PageAs) -> None:
    """Also on the next visit; what was reached is kept, and starting over forgets it."""
    page = await page_as("asker", channel=HELP)
    await walk_of(page).get_by_role("button", name="Hide").click()
    await page.reload()
    await page.wait_for_selector("body[data-ready]")
    back = page.get_by_role("button", name="First steps")
    await back.wait_for()
    assert await walk_of(page).count() == 0
    await back.click()
    await walk_of(page).get_by_role("button", name="Do it for me").wait_for()


async def test_without_a_bot_it_says_so(page_as: PageAs) -> None:
    """Nobody waits for an answer that cannot come."""
    page = await page_as("asker", channel=HELP)
    await walk_of(page).get_by_text("make play").wait_for()


async def test_a_narrow_window_walks_too(page_as: PageAs) -> None:
    """One step stands over the conversation, and all of them at a press."""
    page = await page_as("asker", channel=HELP, width=390)
    await walk_of(page).get_by_role("listitem").wait_for()
    assert await walk_of(page).get_by_role("listitem").count() == 1
    await walk_of(page).get_by_role("button", name="More").click()
    assert await walk_of(page).get_by_role("listitem").count() == 5
    assert await do_it(page) == f"@Mynah {QUESTION}"
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390


def message(ts: int, user: str, text: str = "", thread: int = 0, **more: Any) -> Json:
    """A message as the page holds it."""
    shown = {"ts": f"{ts:03}.000000", "user": user, "text": text, "channel": HELP, **more}
    return shown | ({"thread_ts": f"{thread:03}.000000"} if thread else {})


async def reached(page: Any, *said: Json, walk: Json | None = None, **state: Any) -> list[str]:
    """The steps that are done, by the page's own rule, after a walk that began at 100."""
    begun: Json = {
        "since": "100.000000",
        "done": [],
        "question": None,
        "corrected": "",
        "gate": None,
    }
    fixed: Json = {
        "app": {"user": "U0MYNAH"},
        "channels": {},
        "users": [
            {"id": "U0STAFF", "name": "staff"},
            {"id": "U0GUEST", "name": "guest", "is_restricted": True},
        ],
        "behind": None,
    }
    given = [
        {**begun, "live": 0, "hidden": False, **(walk or {})},
        {**fixed, "said": said, **state},
    ]
    found = await page.evaluate(REACHED, given)
    return list(found["done"])


async def test_what_ticks_a_step_off(page_as: PageAs) -> None:
    """Only what happened since the walk began, by those who may."""
    page = await page_as("asker", channel=HELP)
    asked = message(200, "U0ASKER", "<@U0MYNAH> why?")
    answer = message(201, "U0MYNAH", "so", 200)
    reply = message(202, "U0STAFF", "really so", 200)

    def marked(by: str) -> Json:
        return {**reply, "reactions": [{"name": "memo", "users": [by], "count": 1}]}

    corrected = {**answer, "edited": {"user": "U0MYNAH", "ts": "300.000000"}}
    corrected |= {"metadata": {"event_payload": {"mode": "corrected"}}}
    old = message(50, "U0ASKER", "<@U0MYNAH> why?"), message(51, "U0MYNAH", "so", 50)
    later = message(301, "U0ASKER2", "<@U0MYNAH> how?"), message(302, "U0MYNAH", "so", 301)
    before = message(250, "U0ASKER2", "<@U0MYNAH> how?"), message(302, "U0MYNAH", "so", 250)
    assert await reached(page, *old) == []
    assert await reached(page, asked) == []
    assert await reached(page, {**asked, "reply_users": ["U0MYNAH"]}) == ["ask"]
    assert await reached(page, asked, answer, marked("U0GUEST")) == ["ask"]
    assert await reached(page, asked, answer, marked("U0STAFF")) == ["ask", "correct"]
    assert await reached(page, asked, corrected, *before) == ["ask", "correct"]
    assert await reached(page, asked, corrected, *later) == ["ask", "correct", "again"]
    assert await reached(page, walk={"done": ["ask"]}) == ["ask"]


async def test_training_and_rolling_back_are_ticked_off(page_as: PageAs) -> None:
    """A gate that is newer than the walk; a version older than the highest, or the words."""
    page = await page_as("asker", channel=HELP)

    def behind(run: int, live: str) -> Json:
        gate = {"run": run, "passed": True, "score": "10/20"}
        return {"live": live, "memory": 1, "run": None, "gate": gate, "paused": False}

    assert await reached(page, behind=behind(1, "v1")) == []
    assert await reached(page, walk={"gate": 1}, behind=behind(2, "v2")) == ["train"]
    assert await reached(page, walk={"gate": 2, "live": 2}, behind=behind(2, "v1")) == ["rollback"]
    news = message(200, "U0MYNAH", "<@U0ADMIN> rolled back from v2 to v1.")
    assert await reached(page, news) == ["rollback"]
