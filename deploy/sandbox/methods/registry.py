"""Every method by its name."""

from __future__ import annotations

from collections.abc import Mapping

from deploy.sandbox.methods import (
    apps,
    assistant,
    chat,
    conversations,
    files,
    history,
    reactions,
    streams,
    users,
    views,
)
from deploy.sandbox.methods.method import Method

_FAMILIES = (apps, assistant, chat, conversations, files, history, reactions, streams, users, views)
METHODS: Mapping[str, Method] = {
    method.name: method for family in _FAMILIES for method in family.METHODS
}
