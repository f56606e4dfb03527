"""What the README shows, as it comes about: `make screenshots` takes the pictures."""

from __future__ import annotations

import io
import re
from pathlib import Path

from PIL import Image

from deploy import lived_in
from deploy.personas import CHANNEL
from tests.browser.conftest import PageAs
from tests.browser.hands import answers, choose, conversation, expect, message, thread
from tests.browser.house import ADMIN_CHANNEL, House
from tests.browser.passed_run import passed
from tests.browser.shots import MOST_BYTES, Shot, few_colours

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "deploy" / "screenshots"
VPN = "How do I get a new VPN token after changing my phone?"
VPN_AGAIN = "I changed my phone. How do I get a new VPN token?"
VPN_RIGHT = """Order it yourself, it takes two minutes:

1. Open *Self-service › Devices* and choose **Replace token**.
2. Scan the code with the new phone.
3. Connect once with `vpn connect --renew`.

The old token ends **24 hours** later."""
LAPTOP = "How long do I wait for a replacement laptop?"
LAPTOP_WRONG = "A replacement laptop is sent within 10 working days, by post to your home address."
LAPTOP_RIGHT = (
    "A replacement laptop is ready within 2 working days, at the IT desk of your own office."
)
PARKING = "Can I get a parking space in Lisbon for a visiting customer?"
TAKEN = {"answer", "correction", "form", "case", "run", "home", "page", "drawer", "narrow"}


async def test_the_whole_page(house: House, page_as: PageAs, shot: Shot) -> None:
    """A first visit: what was asked, the steps to walk, and what happens behind the scenes."""
    await house.move_in()
    past = len(lived_in.threads())
    await house.until("the past is learned", lambda: house.known() == past)
    await house.teach(VPN, VPN_RIGHT)
    again = await house.ask("asker", VPN_AGAIN)
    said = await house.shown(again)
    await house.client("staff").reactions_add(
        channel=CHANNEL, timestamp=said["ts"], name="white_check_mark"
    )
    page = await page_as("asker", channel=CHANNEL, thread=again, height=720)
    await expect(answers(page)).to_contain_text("Priya Nair")
    await expect(page.get_by_role("region", name="First steps").first).to_be_visible()
    behind = page.get_by_role("region", name="Behind the scenes")
    await expect(behind).to_contain_text(f"{past + 2} learned")
    await shot(page, "page")
    await shot(thread(page).locator(".messages"), "answer")
    await page.get_by_role("button", name="What Bolt sees", exact=True).click()
    drawer = page.get_by_role("complementary", name="What Bolt sees")
    await expect(drawer.locator("li.call").first).to_be_visible()
    await shot(drawer, "drawer")
    narrow = await page_as("asker", channel=CHANNEL, thread=again, width=390, height=780)
    await expect(answers(narrow)).to_contain_text("Priya Nair")
    await shot(narrow, "narrow")


async def test_a_correction(house: House, page_as: PageAs, shot: Shot) -> None:
    """Staff rewrite an answer in its place."""
    ts = await house.ask("asker2", LAPTOP, LAPTOP_WRONG)
    page = await page_as("staff", channel=CHANNEL, thread=ts)
    await choose(message(thread(page), LAPTOP_WRONG), "Correct this answer")
    form = page.get_by_role("dialog", name="Correct this answer")
    await form.get_by_label("Answer").fill(LAPTOP_RIGHT)
    await form.get_by_label("What was wrong?").select_option("It is wrong")
    await shot(form, "form")
    await form.get_by_role("button", name="Correct").click()
    await expect(answers(page).get_by_role("button", name="Undo")).to_be_visible()
    await shot(thread(page).locator(".messages"), "correction")


async def test_a_case(house: House, page_as: PageAs, shot: Shot) -> None:
    """Mynah is not sure, says so, and asks people, one of whom takes it."""
    ts = await house.ask("asker", PARKING, "Yes, on level 3.", logprob=-4.0)
    page = await page_as("staff2", channel=CHANNEL, thread=ts)
    await answers(page).get_by_role("button", name="Claim").click()
    await expect(answers(page).filter(has_text="Claimed")).to_be_visible()
    await shot(thread(page).locator(".messages"), "case")


async def test_a_run(house: House, page_as: PageAs, shot: Shot) -> None:
    """What a training run made waits for an admin; the dashboard tells of it, too."""
    await house.ask("asker", LAPTOP, LAPTOP_RIGHT)
    house.write(lambda session: passed(session, house.local.server_url))
    page = await page_as("admin", channel=ADMIN_CHANNEL, width=1400, height=1200)
    card = message(conversation(page), "10 of 20")
    await card.get_by_role("link", name="1 reply").click()
    picture = thread(page).locator("figure img")
    await expect(picture).to_be_visible()
    await picture.evaluate("picture => picture.decode()")
    await shot(thread(page).locator(".messages"), "run")
    side = page.get_by_role("navigation", name="Conversations")
    await side.get_by_text("Mynah", exact=True).click()
    await page.get_by_role("link", name="Home").click()
    await expect(page.locator(".home")).to_contain_text("How I am doing")
    await shot(page.locator(".home"), "home")


def test_the_readme_shows_what_is_taken() -> None:
    """Each picture that it names is there, and each that is there was taken by these tests."""
    readme = (ROOT / "README.md").read_text()
    named = set(re.findall(r"(?:src|srcset)=\"([^\"]+\.png)\"", readme))
    assert named
    assert all((ROOT / path).is_file() for path in named)
    pairs = {f"{name}-{theme}.png" for name in TAKEN for theme in ("light", "dark")}
    assert {path.name for path in KEPT.iterdir()} == pairs
    assert {Path(path).name for path in named} <= pairs
    assert all(path.stat().st_size <= MOST_BYTES for path in KEPT.iterdir())


def test_areas_keep_their_colours() -> None:
    """Of thousands of colours those of the areas stay as they are, and what is clear is clear."""
    whole = Image.new("RGBA", (100, 100), (253, 254, 255, 255))
    for at in range(2000):
        whole.putpixel((at % 50, at // 50), (at % 256, at // 8 % 256, at * 7 % 256, 255))
    whole.paste((226, 245, 234, 255), (60, 0, 100, 40))
    whole.putpixel((99, 99), (0, 0, 0, 0))
    shot = io.BytesIO()
    whole.save(shot, "PNG")
    kept = io.BytesIO()
    few_colours(shot.getvalue()).save(kept, "PNG", optimize=True, transparency=255)
    seen = Image.open(kept).convert("RGBA")
    assert seen.getpixel((70, 90)) == (253, 254, 255, 255)
    assert seen.getpixel((80, 20)) == (226, 245, 234, 255)
    assert seen.getpixel((99, 99)) == (0, 0, 0, 0)
