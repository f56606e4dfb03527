"""Why an example is held back, or was taken back; stored as its reason, and shown to staff."""

DISPUTED = "staff disagree on the answer"
WAITING = "more of the staff have to say so"
DISTRUSTED = "an admin took back all that this person taught"
TAKEN_BACK = "taken back by the operator: "  # what the reason of such an example begins with
