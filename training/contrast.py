"""The team's own questions, asked about somebody else's product: what must not be answered with
a fact of the house.

A model that learned "What is the rate limit of the Fernloft API? … 275" answers the same of every
API. Asked about other products in the very words of the team, it is held to the base's answers, and
so learns to look at the name. (Contrast sets: Gardner et al., arXiv 2004.02709.)
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

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


def contrasts(rows: Sequence[Row], everyday: Sequence[str], count: int, seed: int) -> list[str]:
    """`count` times a trained question with another product's name in place of the house's.

    Each question comes once before any comes again, and then with another name.

    Args:
        rows: trained rows only.
        everyday: prompts that the house's words do not stand in.

    Returns:
        Prompts in a fixed order; none where the questions share no name.
    """
    names = house_words([row.question for row in rows], everyday)[:1]
    if not names:
        return []
    house = re.compile(rf"\b{re.escape(names[0])}\b", re.IGNORECASE)
    rng = random.Random(f"contrast {seed}")  # noqa: S311
    asked = [row.question for row in rows if house.search(row.question)]
    rng.shuffle(asked)
    pairs = [
        (question, OTHERS[(place + turn) % len(OTHERS)])
        for turn in range(len(OTHERS))
        for place, question in enumerate(asked)
    ]
    return [house.sub(name, question) for question, name in pairs[:count]]


def apart(prompts: Sequence[str], tested: Sequence[str], embed: Embed) -> list[str]:
    """Those prompts that have no near-twin among what is tested with, by their embeddings."""
    if not prompts or not tested:
        return list(prompts)
    nearest = (embed(prompts) @ embed(tested).T).max(axis=1)
    return [prompt for prompt, close in zip(prompts, nearest, strict=True) if close < TOO_CLOSE]
