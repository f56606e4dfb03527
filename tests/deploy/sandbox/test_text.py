"""What Slack does to a text on its way in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.sandbox.text import incoming, mentions


@pytest.mark.parametrize(
    ("raw", "stored"),
    [
        ("a < b & c > d", "a &lt; b &amp; c &gt; d"),
        ("what is <code>?", "what is &lt;code&gt;?"),
        ("already &lt;so&gt; &amp; fine", "already &lt;so&gt; &amp; fine"),
        ("<@U0MYNAH> and <#C0HELP|help> and <!here>", "<@U0MYNAH> and <#C0HELP|help> and <!here>"),
        ("see https://example.com/a?b=1&c=2.", "see <https://example.com/a?b=1&amp;c=2>."),
        ("<https://example.com|here>", "<https://example.com|here>"),
        ("write jo@example.com!", "write <mailto:jo@example.com|jo@example.com>!"),
        ("`http://localhost:1 < 2`", "`http://localhost:1 &lt; 2`"),
    ],
)
def test_text_is_stored_as_slack_does(raw: str, stored: str) -> None:
    """Stray specials are escaped, bare links wrapped, tokens and code left alone."""
    assert incoming(raw) == stored


@given(st.text(alphabet="ab<>&;`@U0.:/ |amplt#!\n"))
def test_what_is_stored_goes_in_again_unchanged(raw: str) -> None:
    """A bot that posts what it read posts the same text."""
    assert incoming(incoming(raw)) == incoming(raw)


def test_a_mention_names_one_user() -> None:
    """A user id that only begins alike is no mention."""
    assert mentions("hey <@U0MYNAH|mynah>!", "U0MYNAH")
    assert not mentions("hey <@U0MYNAH2>!", "U0MYNAH")
