"""How long work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str, float], None]  # the phase in words, and its progress from 0 to 1
