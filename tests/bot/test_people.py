"""What people say in a thread becomes one question and one answer, without their courtesies."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bot.courtesies import _ENDS, cut, is_courtesy
from bot.mrkdwn import plain
from bot.people import MOST_ASKED, answers_up_to, asked_up_to, joined, run_up_to

BOT = "U0MYNAH"
THREADS = Path(__file__).parents[2].parent / "shared" / "data" / "threads.jsonl"
Message = dict[str, Any]

COURTESIES = (
    "Hi Anna,", "Hello!", "hey guys,", "Good morning team!", "Hope that helps!", "np", "thanks :)",
    "You're welcome.", "Thanks in advance!", "Cheers, Bob", "Let me know if that works.",
    "Anyone here?", "I have a question.", ":+1:",
)  # fmt: skip
CONTENT = (
    "The port is 7411.", "No.", "Yes, restart it.", "Run `make hello`.", "All of them.",
    "Thanks to caching it is fast.", "Later versions drop it.", "Hi-res images go to S3.",
    "See https://a.example/hello.",
)  # fmt: skip


def said(*lines: str) -> list[Message]:
    """Messages, each as "who: words", one a second."""
    pairs = [line.split(": ", 1) for line in lines]
    return [
        {"user": who, "ts": f"{1_700_000_000 + at}.000000", "text": words}
        for at, (who, words) in enumerate(pairs)
    ]


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("Hi Anna, the port is 7411. Hope that helps!", "the port is 7411."),
        ("<@U0ASKER>: restart it", "restart it"),
        ("Hi <@U0MYNAH>, which port?", "which port?"),
        ("Hello everyone\nHow do I log in?\nThanks!", "How do I log in?"),
        ("Guys, is the VPN down?", "is the VPN down?"),
        ("Use ```hello\nthanks``` here. Cheers, Bob", "Use ```hello\nthanks``` here."),
        *((text, text) for text in CONTENT),
        *((text, text) for text in ("np", "thanks!", "Hi!", "")),
    ],
)
def test_courtesies_are_cut_and_nothing_else(text: str, rest: str) -> None:
    """Greetings, thanks, sign-offs and mentions go; content stays, and so does what is all there
    is."""
    assert cut(text) == rest


def test_a_long_run_of_spaces_is_read_once() -> None:
    """It is entered where it begins and nowhere else, so that the work grows with its length."""
    run = f"Use{' ' * 300}\nit."
    assert [at for at in range(len(run)) if _ENDS.match(run, at)] == [3]


@pytest.mark.parametrize("between", [" ", "\t", "\n ", "-"])
def test_long_texts_are_cut_like_others(between: str) -> None:
    """100 kB between two words: nothing looks at each of its places from each other one."""
    text = f"Use{between * 100_000}it."
    assert cut(text) == text
    assert cut(f"{text} Hope that helps!") == text
    assert cut(f"Hi Anna{between * 100_000}it.").endswith("it.")


@given(st.lists(st.sampled_from(COURTESIES + CONTENT), min_size=1))
def test_all_that_is_content_stays_in_its_order(sentences: list[str]) -> None:
    """Whatever courtesies stand around it."""
    content = [one for one in sentences if one in CONTENT]
    assume(content)
    assert plain(cut("\n".join(sentences))).split() == " ".join(content).split()


@given(st.text() | st.lists(st.sampled_from(COURTESIES + CONTENT)).map(" ".join))
def test_cutting_invents_nothing_and_empties_nothing(text: str) -> None:
    """What is left are words of the text in their order; something, if there was something; and
    cutting again changes nothing that says something."""
    rest = cut(text)
    words = iter(re.findall(r"\w+", text))
    assert all(word in words for word in re.findall(r"\w+", rest))
    assert bool(rest) == bool(text.strip())
    if not is_courtesy(text):
        assert re.search(r"\w", rest)


def test_a_question_is_all_that_the_asker_wrote_before_the_answer() -> None:
    """Their messages in a row, and what they said when they were asked back; not thanks, nor the
    same again, nor what others or they themselves said later."""
    thread = said(
        "U1: Hi all, my client does not sync", "U1: it is version 4", "U3: me too",
        "U2: which system?", "U1: <@U2> Linux, behind a proxy", "U1: my client does not sync!",
        "U1: ok thanks", "U2: Set sync.proxy.", "U1: that worked on my laptop",
    )  # fmt: skip
    asked = asked_up_to(thread[0], thread[1:], thread[7])
    assert joined(asked) == ("my client does not sync\nit is version 4\nLinux, behind a proxy")


def test_a_question_does_not_grow_without_end() -> None:
    """What would make it too long is left out; the first message never is."""
    long = "word " * (MOST_ASKED // 5)
    thread = said(f"U1: {long}", "U1: one more thing about it", "U2: Set it.")
    assert asked_up_to(thread[0], thread[1:], thread[2]) == thread[:1]


def test_an_answer_is_several_messages_without_courtesies() -> None:
    """Joined in their order, without questions asked back, greetings and thanks."""
    thread = said(
        "U1: How do I log in?", "U2: Hi Anna!", "U2: <@U1>: which client?", "U2: Open the menu.",
        "U3: or do not", "U2: Then press Log in. Hope that helps!", "U2: np",
    )  # fmt: skip
    answers = answers_up_to(thread[6], thread[1:], BOT)
    assert joined(answers) == "Open the menu.\nThen press Log in."


def test_a_run_ends_where_somebody_else_speaks() -> None:
    """📝 is on one message: what its author wrote right before belongs to it, earlier words do
    not."""
    thread = said(
        "U2: I do not know.", "U1: please?", "U2: hm, which one?", "U2: Open the menu.",
        "U2: Press Log in.", "U2: That is all.",
    )  # fmt: skip
    assert joined(run_up_to(thread[4], thread)) == "Open the menu.\nPress Log in."
    assert run_up_to(thread[0], thread) == thread[:1]


@pytest.mark.skipif(not THREADS.exists(), reason=f"{THREADS} is not there")
def test_real_answers_are_found() -> None:
    """188 real threads: no message that people marked as the answer is missed, and nine in ten
    that are taken were marked."""
    marked = taken = both = exact = 0
    for line in THREADS.read_text().splitlines():
        thread = json.loads(line)
        messages = thread["messages"]
        last = next(one for one in messages if one["ts"] == thread["answer_ts"][-1])
        found = {one["ts"] for one in answers_up_to(last, messages[1:], BOT)}
        wanted = set(thread["answer_ts"])
        marked, taken = marked + len(wanted), taken + len(found)
        both, exact = both + len(wanted & found), exact + (wanted == found)
    print(
        f"recall {both / marked:.1%}, precision {both / taken:.1%}, exactly so in {exact} threads"
    )
    assert both == marked
    assert both / taken > 0.9
