"""Vectors that lie close together, found without comparing all with all once there are many."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

K = TypeVar("K")
Vectors = NDArray[np.float32]  # (n, d), unit rows
Numbers = NDArray[np.intp]
Pair = tuple[int, int]

BLOCK = 512  # rows compared at once: memory stays flat with many examples

# More rows than EXACT are compared inside of cells only: about one row in LEADER leads one, and
# each row is in those of its NEAREST leaders. Measured among 12,500 questions: of all pairs at a
# cosine of 0.90 or more it finds 99.9 % of made-up ones; and of pairs made to lie between 0.90 and
# 0.92 among mixtures of real ones (MiniLM), where it is hardest, as many.
EXACT = 2048
LEADER = 64
NEAREST = 6


def links(vectors: Vectors, least: float) -> Iterator[Pair]:
    """Pairs with a cosine of `least` or more, so many that they link whatever hangs together.

    Up to `EXACT` different rows no link is missing; beyond, a few in a thousand may be. The time
    grows in proportion to the rows. Rows of zeros and what is no number are close to nothing.
    """
    same = groups([row.tobytes() for row in vectors])
    firsts = np.array([alike[0] for alike in same.values()], dtype=np.intp)
    for first, *others in same.values():
        if others and vectors[first] @ vectors[first] >= least:
            yield from ((first, other) for other in others)
    different = vectors[firsts]
    for one, two in _all(different, least) if len(firsts) <= EXACT else _most(different, least):
        yield int(firsts[one]), int(firsts[two])


def close_to(chosen: Sequence[int], vectors: Vectors, least: float) -> Iterator[Pair]:
    """Each of the chosen rows with each row at a cosine of `least` or more, itself among them."""
    for start in range(0, len(chosen), BLOCK):
        part = chosen[start : start + BLOCK]
        for row, other in np.argwhere(vectors[part] @ vectors.T >= least):
            yield int(part[row]), int(other)


def groups(keys: Sequence[K]) -> dict[K, list[int]]:
    """The indices that share a key, by key, in order of appearance."""
    members: defaultdict[K, list[int]] = defaultdict(list)
    for at, key in enumerate(keys):
        members[key].append(at)
    return dict(members)


def _all(vectors: Vectors, least: float) -> Iterator[Pair]:
    pairs = close_to(range(len(vectors)), vectors, least)
    return ((one, two) for one, two in pairs if one < two)


def _most(vectors: Vectors, least: float) -> Iterator[Pair]:
    for leader, members in _cells(vectors):
        rows = vectors[members]
        # What is close to the leader hangs together already: a thousand near-copies of one question
        # are not compared with each other.
        close = rows @ vectors[leader] >= least
        yield from ((leader, int(member)) for member in members[close] if member != leader)
        for one, two in close_to(np.flatnonzero(~close).tolist(), rows, least):
            if one != two:
                yield int(members[one]), int(members[two])


def _cells(vectors: Vectors) -> Iterator[tuple[int, Numbers]]:
    """Leaders, and the rows of which each is one of the nearest leaders."""
    # By lot, so that where rows lie close together there are more leaders; and a row's own bytes
    # are its lot, so that the cells stay much the same when other rows come.
    lots = (zlib.crc32(row.tobytes()) for row in vectors)
    leaders = np.flatnonzero([lot % LEADER == 0 for lot in lots])
    parts = (vectors[start : start + BLOCK] for start in range(0, len(vectors), BLOCK))
    nearest = np.concatenate([_nearest(part @ vectors[leaders].T) for part in parts])
    by_leader = np.argsort(nearest, axis=None, kind="stable")
    ends = np.cumsum(np.bincount(nearest.ravel(), minlength=len(leaders)))
    for leader, cell in zip(leaders, np.split(by_leader // nearest.shape[1], ends), strict=False):
        yield int(leader), cell


def _nearest(cosines: Vectors) -> Numbers:
    count = min(NEAREST, cosines.shape[1])
    return np.argpartition(-cosines, count - 1, axis=1)[:, :count]
