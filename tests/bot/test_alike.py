"""Which words set two questions apart that are close in meaning."""

from __future__ import annotations

import pytest

from bot.alike import contrasted

VPN = "How do I reset my VPN password?"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (VPN, "How do I reset my VPN password on Mac?"),  # narrower
        (VPN, "How do I reset my VPN password on Mac or Linux?"),
        (VPN, "Why can't I reset my VPN password?"),
        ("Darf ich das VPN nutzen?", "Darf ich das VPN nicht nutzen?"),
        ("Puis-je utiliser le VPN ?", "Puis-je ne pas utiliser le VPN ?"),
        ("What is the minimum length?", "What is the maximum length?"),
        ("How do I move it from Harbor to Meadow?", "How do I move it from Meadow to Harbor?"),
    ],
)
def test_a_word_that_only_one_has_sets_them_apart(one: str, other: str) -> None:
    """Whichever of the two has it, whatever the language."""
    assert contrasted(one, other)
    assert contrasted(other, one)


def test_small_words_do_not() -> None:
    """Greetings and how it is put are no other question."""
    assert not contrasted(VPN, "Hello! Please tell me: how can I reset our VPN password, thanks?")
