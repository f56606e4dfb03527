"""One look at a server, as the worker's fleet takes it every few seconds."""

from __future__ import annotations

from collections.abc import Sequence

from serving.adapters import AdapterFile
from serving.client import VllmClient
from serving.replicas import Keeping, ReplicaState


async def reconcile(
    client: VllmClient, desired: Sequence[AdapterFile], before: ReplicaState | None
) -> ReplicaState:
    """Make the server hold exactly `desired`; what it holds then."""
    return await Keeping(client, before).look(desired)
