"""What one bot process counts and times, for Prometheus. Of several bots these are added up.

What keeps the number of series bounded: an adapter has its own while a release in use is answered
by it, and is `older` afterwards; a workspace has its own if it is one of the first TEAMS that this
process hears of, and is `other` else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from bot.timing import Generated
from serving.client import BASE

TEAMS = 20
OLDER = "older"
OTHER = "other"
WHOLE_S = (0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 900)
FIRST_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 6, 12, 30)


class Figures:
    """Counters and histograms, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._teams: set[str] = set()
        self._labelled: set[str] = set()
        self._retired: frozenset[str] = frozenset()
        self._answer_s = self._histogram(
            "answer_seconds", "From the question's row to its answer's", WHOLE_S, "team", "mode"
        )
        self._post_s = self._histogram(
            "post_seconds", "From a message's row until Slack has taken it", WHOLE_S, "team"
        )
        self._first_s = self._histogram(
            "first_token_seconds", "From the request to vLLM to its first token", FIRST_S, "adapter"
        )
        self._generation_s = self._histogram(
            "generation_seconds", "From the request to vLLM to its last token", WHOLE_S, "adapter"
        )
        self._tokens = self._counter("tokens", "Tokens that vLLM generated", "adapter")
        self._recalls = self._counter("recalls", "Answers by what memory was good for", "use")
        self._handled = self._counter(
            "handled", "Rows of a queue that were worked on, by what came of it", "queue", "outcome"
        )
        self._room = self._gauge(
            "server_room", "Questions that a server may be asked at a time; 0: left alone", "url"
        )

    def follow(self, rooms: Callable[[], Mapping[str, int]]) -> None:
        """Tell how many questions each server may be asked at a time, by its URL."""
        for url in rooms():
            self._room.labels(url).set_function(partial(_room, rooms, url))

    def answered(self, team: str, mode: str, seconds: float) -> None:
        """A question was answered, so many seconds after it was stored."""
        self._answer_s.labels(self._team(team), mode).observe(seconds)

    def posted(self, team: str, seconds: float) -> None:
        """Slack has a message, so many seconds after it was stored."""
        self._post_s.labels(self._team(team)).observe(seconds)

    def generated(self, one: Generated) -> None:
        """vLLM has generated an answer, for whomever."""
        adapter = OLDER if one.model in self._retired else one.model
        self._labelled.add(adapter)
        self._first_s.labels(adapter).observe(one.first_s)
        self._generation_s.labels(adapter).observe(one.whole_s)
        self._tokens.labels(adapter).inc(one.tokens)

    def recalled(self, use: str) -> None:
        """An answer was made, and memory was good for this: see `Memory.decide`."""
        self._recalls.labels(use).inc()

    def handled(self, queue: str, outcome: str) -> None:
        """A row was worked on: "done", "waiting" (for a server, or Slack), "moved", "error" (to be
        tried again), "given up" or "lost" (another process has it)."""
        self._handled.labels(queue, outcome).inc()

    def retire(self, in_use: Collection[str]) -> None:
        """Drop the series of adapters that are in no release in use; what they still say is
        `older`."""
        kept = {*in_use, BASE, OLDER}
        gone = self._labelled - kept
        for adapter in gone:
            for metric in (self._first_s, self._generation_s, self._tokens):
                metric.remove(adapter)
        self._labelled -= gone
        self._retired = (self._retired | gone) - kept

    def _team(self, team: str) -> str:
        if len(self._teams) < TEAMS:
            self._teams.add(team)
        return team if team in self._teams else OTHER

    def _histogram(self, name: str, what: str, buckets: Any, *labels: str) -> Histogram:
        about = f"{what} (of this process)"
        return Histogram(f"mynah_{name}", about, labels, buckets=buckets, registry=self.registry)

    def _gauge(self, name: str, what: str, *labels: str) -> Gauge:
        return Gauge(f"mynah_{name}", f"{what} (of this process)", labels, registry=self.registry)

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        about = f"{what} (of this process)"
        return Counter(f"mynah_{name}", about, labels, registry=self.registry)


def _room(rooms: Callable[[], Mapping[str, int]], url: str) -> float:
    return rooms()[url]
