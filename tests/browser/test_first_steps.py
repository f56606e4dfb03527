"""The first three steps of a first visit, by hand: ask, correct as staff, ask again."""

from __future__ import annotations

from deploy.personas import CHANNEL
from tests.browser.conftest import PageAs
from tests.browser.hands import (
    act,
    ask,
    choose,
    conversation,
    expect,
    message,
    open_thread,
    reply,
    thread,
    write,
)
from tests.browser.house import House

QUESTION = "Which port does the Fernloft web page use?"
AGAIN = "Tell me which port the Fernloft web page uses."
WRONG = "It uses port 80, as every web page does."
RIGHT = "The Fernloft web page uses port 7411."


async def test_ask_correct_ask_again(house: House, page_as: PageAs) -> None:
    """An answer that staff correct in a form changes in place, and the next asker is quoted it."""
    house.lines[QUESTION] = WRONG
    asker = await page_as("asker", channel=CHANNEL)
    await ask(asker, QUESTION)
    await open_thread(asker, QUESTION)
    answer = message(thread(asker), WRONG)
    await expect(answer).to_be_visible()

    staff = await page_as("staff", channel=CHANNEL)
    await open_thread(staff, QUESTION)
    await choose(message(thread(staff), WRONG), "Correct this answer")
    form = staff.get_by_role("dialog", name="Correct this answer")
    await expect(form.get_by_label("Question")).to_have_value(QUESTION)
    await form.get_by_label("Answer").fill(RIGHT)
    await form.get_by_label("What was wrong?").select_option("It is wrong")
    await form.get_by_role("button", name="Correct").click()
    await expect(form).to_be_hidden()
    await expect(message(thread(asker), RIGHT)).to_be_visible()
    await expect(answer).to_be_hidden()

    other = await page_as("asker2", channel=CHANNEL)
    await ask(other, AGAIN)
    await open_thread(other, AGAIN)
    quoted = message(thread(other), RIGHT)
    await expect(quoted).to_contain_text("Priya Nair")


async def test_a_reply_that_staff_mark_is_learned(house: House, page_as: PageAs) -> None:
    """📝 on a reply in the thread teaches it, too, with the buttons over the message."""
    house.lines[QUESTION] = WRONG
    staff = await page_as("staff", channel=CHANNEL)
    await write(staff, f"@Mynah {QUESTION}")
    await open_thread(staff, QUESTION)
    await expect(message(thread(staff), WRONG)).to_be_visible()
    await reply(staff, RIGHT)
    right = message(thread(staff), RIGHT)
    await act(right, "React with 📝")
    await expect(right.get_by_role("button", name="📝 1")).to_have_attribute("aria-pressed", "true")
    await house.until("it is learned", lambda: house.known() == 1)

    asker = await page_as("asker", channel=CHANNEL)
    await write(asker, f"@Mynah {AGAIN}")
    await open_thread(asker, AGAIN)
    await expect(message(thread(asker), RIGHT)).to_contain_text("Priya Nair")
    await expect(message(conversation(asker), AGAIN)).to_be_visible()
