"""How training ends badly."""


class TrainingFailed(Exception):
    """Training ended without a usable adapter; the message says why in an admin's words."""
