"""The workspaces of the sandbox: each a world of its own, with the one app installed or not."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.sandbox.app_manifest import AppManifest
from deploy.sandbox.courier import Courier, Timing
from deploy.sandbox.errors import Impossible, SlackError
from deploy.sandbox.faults import Faults
from deploy.sandbox.feed import Feed
from deploy.sandbox.ledger import Ledger
from deploy.sandbox.oauth import Consents
from deploy.sandbox.people import User
from deploy.sandbox.personas import neighbour, workspace
from deploy.sandbox.world import World


class Worlds:
    """The workspace that most tests know, and its neighbour, who has not installed the app yet.

    They share the app's deliveries and sockets, the bad luck, and the count of calls.
    """

    def __init__(self, timing: Timing | None = None, manifest: AppManifest | None = None) -> None:
        self.manifest = manifest or AppManifest()
        self.feed = feed = Feed()
        self.ledger = Ledger(feed)
        faults = Faults(feed=feed)
        home = workspace()
        courier = Courier(home.app.id, faults, timing or Timing(), self.ledger)
        courier.changed = lambda delivery: feed.tell(delivery.team, "delivery", delivery.id)
        self.home = World(home, courier, faults, feed=feed)
        other = World(
            neighbour(), courier, faults, calls=self.home.calls, feed=feed, installed=False
        )
        self._by_team = {world.workspace.team: world for world in (self.home, other)}
        self.consents = Consents()

    def __iter__(self) -> Iterator[World]:
        return iter(self._by_team.values())

    def of_team(self, team: str) -> World:
        """A workspace by its id; the home of most tests when there is none."""
        if team and team not in self._by_team:
            raise Impossible(f"there is no workspace {team}")
        return self._by_team.get(team, self.home)

    def of_token(self, secret: str) -> World:
        """The workspace in which a token counts, or counted once; else the home."""
        for world in self:
            if secret in world.workspace.tokens or secret in world.workspace.revoked:
                return world
        return self.home

    def person(self, secret: str) -> tuple[World, User]:
        """Who acts with a token, and where; `invalid_auth`."""
        world = self.of_token(secret)
        if secret not in world.workspace.tokens:
            raise SlackError("invalid_auth")
        return world, world.workspace.users[world.workspace.tokens[secret].user_id]
