"""Which words set two questions apart that are close in meaning, and which numbers two answers."""

from __future__ import annotations

import pytest

from bot.alike import contrasted, same_answers
from bot.embedder import LexicalEmbedder

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


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Fifty chairs fit into the great hall.", "Sixty chairs fit into the great hall.", False),
        ("Fifty chairs fit into the hall.", "50 chairs fit into the hall.", True),
        ("Two hundred and six chairs fit in.", "Two hundred and seven chairs fit in.", False),
        ("One chair is left over there.", "Two chairs are left over there.", False),
        ("One chair is left over there.", "1 chair is left over there.", True),
        ("Take the left one over there.", "Take the left over there.", True),
    ],
)
def test_numbers_in_words_are_claims_like_digits(one: str, other: str, same: bool) -> None:
    """But for "one", which mostly is no number: it only is where the other answer says 1."""
    assert same_answers([(one, other), (other, one)], LexicalEmbedder()) == [same, same]
