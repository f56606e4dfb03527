"""Putting texts that ask for much the same together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def clusters(vectors: NDArray[np.float32], alike: float) -> list[list[int]]:
    """Groups of row numbers, greedily: each row joins the group whose first row is closest to it,
    if that is at least `alike` (cosine), and else begins a group of its own.

    Args:
        vectors: rows of unit length; a row of zeros is like nothing, not even itself.
    """
    groups: list[list[int]] = []
    for row in range(len(vectors)):
        firsts = [group[0] for group in groups]
        closeness = vectors[firsts] @ vectors[row]
        if firsts and closeness.max() >= alike:
            groups[int(closeness.argmax())].append(row)
        else:
            groups.append([row])
    return groups
