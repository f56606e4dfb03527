"""Trigger ids: three seconds, and once."""

from __future__ import annotations

import pytest

from deploy.sandbox.errors import SlackError
from deploy.sandbox.triggers import Triggers


def test_a_trigger_id_lives_three_seconds() -> None:
    """Just before they are over it is exchanged, and no second time; then it is too late."""
    now = 100.0
    triggers = Triggers(time_s=lambda: now)
    early, late = triggers.give("U0STAFF", "V1"), triggers.give("U0STAFF")
    now += 2.9
    trigger = triggers.exchange(early)
    assert (trigger.user, trigger.view) == ("U0STAFF", "V1")
    with pytest.raises(SlackError, match="exchanged_trigger_id"):
        triggers.exchange(early)
    now += 0.1
    with pytest.raises(SlackError, match="expired_trigger_id"):
        triggers.exchange(late)
