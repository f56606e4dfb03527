"""How training ends badly, or has to pause."""

from __future__ import annotations


class TrainingFailed(Exception):
    """Training ended without a usable adapter; the message says why in an admin's words."""


class RestOver(Exception):
    """The maintenance window was over before what needs the device was done."""

    @classmethod
    def of(cls, minutes: float) -> RestOver:
        """With the window's length."""
        return cls(
            f"the maintenance window of {minutes:g} minutes (MYNAH_REST_MINUTES) was over before"
            " the training was"
        )


class GoOn(Exception):
    """What needed the device is done: this process ends to free it, and the next one goes on."""
