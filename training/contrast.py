"""The team's own questions, asked about somebody else's product: what must not be answered with
a fact of the house.

A model that learned "What is the rate limit of the Fernloft API? … 275" answers the same of every
API. Asked about other products in the very words of the team, it is held to the base, and so learns
to look at the name. (Contrast sets: Gardner et al., arXiv 2004.02709.)
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.rows import Row
from training.variation import house_words

# None of them is in a prompt that tests forgetting or leak.
OTHERS = (
    "Nextcloud", "Confluence", "Mattermost", "Bitwarden", "Salesforce", "Splunk", "Odoo",
    "Drupal", "Zabbix", "Keycloak", "Proxmox", "Moodle", "Redmine", "Shopify", "Zendesk",
    "Evernote", "Gerrit", "Tableau", "Nagios", "VMware", "WordPress", "Figma", "Asana", "Okta",
    "Joomla", "Plex", "Sentry", "Terraform", "Ansible", "Firefox",
)  # fmt: skip
TOO_CLOSE = 0.60  # cosine, between what is replayed and what is tested with

Embed = Callable[[Sequence[str]], NDArray[np.float32]]


@dataclass(frozen=True)
class Contrast:
    """A trained exchange as it would be about somebody else's product: untrue, and tempting."""

    question: str
    answer: str


def contrasts(
    rows: Sequence[Row], everyday: Sequence[str], count: int, seed: int
) -> list[Contrast]:
    """`count` times a trained row with another product's name in place of the house's.

    Each row comes once before any comes again, and then with another name.

    Args:
        rows: trained rows only.
        everyday: prompts that the house's words do not stand in.

    Returns:
        In a fixed order; none where the questions share no name.
    """
    names = house_words([row.question for row in rows], everyday)[:1]
    if not names:
        return []
    house = re.compile(rf"\b{re.escape(names[0])}\b", re.IGNORECASE)
    rng = random.Random(f"contrast {seed}")  # noqa: S311
    named = [row for row in rows if house.search(row.question)]
    rng.shuffle(named)
    pairs = [
        (row, OTHERS[(place + turn) % len(OTHERS)])
        for turn in range(len(OTHERS))
        for place, row in enumerate(named)
    ]
    return [
        Contrast(house.sub(name, row.question), house.sub(name, row.answer))
        for row, name in pairs[:count]
    ]


def apart(made: Sequence[Contrast], tested: Sequence[str], embed: Embed) -> list[Contrast]:
    """Those whose question has no near-twin among what is tested with, by their embeddings."""
    if not made or not tested:
        return list(made)
    nearest = (embed([one.question for one in made]) @ embed(tested).T).max(axis=1)
    return [one for one, close in zip(made, nearest, strict=True) if close < TOO_CLOSE]
