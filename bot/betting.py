"""Whether one of two streams of good and bad outcomes is better, asked anew after each outcome.

An e-process by betting: somebody who starts with 1 and bets, again and again, that one stream is
better than the other cannot hope to gain while it is not. By Ville's inequality the chance that
they *ever* have 1 / error or more is at most `error`, however often one looks and whenever one
stops.

The outcomes are taken in blocks that hold some of both streams, in the order in which they came.
With n_b of n outcomes from the stream that is to be better, w = n_b / n, and any bet lambda and
centre c that are fixed before the block is looked at, the block's factor is

    product over b of (1 + (1 - w) lambda (y - c))  x  product over a of (1 - w lambda (y - c)).

Its expectation is at most 1 where b's mean is not above a's *in this block*: the mean of the
factors' expectations is then at most 1, and so is, by the inequality of the arithmetic and the
geometric mean, their product. So the chance of a good outcome may change from hour to hour, as long
as it does for both streams alike: what is compared happened at about the same time.

Sources: blocks of two streams are from Turner, Ly and Grünwald, "Generic E-variables for exact
sequential k-sample tests that allow for optional stopping" (arXiv:2106.02693); betting on means of
bounded outcomes from Waudby-Smith and Ramdas, "Estimating means of bounded random variables by
betting" (arXiv:2010.09686).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# Half of the stake each is bet on a difference of so much. It wins soonest where the difference is
# near one of them, and is right whatever the difference is.
DIFFERENCES = (0.12, 0.25)
LEAST = 8  # outcomes in a block: smaller ones waste more of what they hold, larger ones wait
_MOST = 0.5  # of the stake may be lost on one outcome: more loses too much where nearly all is good
_GOOD, _ALL = 2, 3  # what is guessed before the first block: two of three are good


def blocks(is_b: Sequence[bool], good: Sequence[bool]) -> tuple[Floats, list[int]]:
    """Cut outcomes, in the order in which they came, into blocks that hold some of both streams.

    Returns the blocks, shape (k, 4): how many of a, how many of these good, the same of b; and for
    each with how many outcomes it was full. What is left at the end waits for more.
    """
    rows, ends = [], []
    now = [0.0, 0.0, 0.0, 0.0]
    for place, (of_b, well) in enumerate(zip(is_b, good, strict=True)):
        now[2 * of_b] += 1
        now[2 * of_b + 1] += well
        if now[0] and now[2] and now[0] + now[2] >= LEAST:
            rows.append(now)
            ends.append(place + 1)
            now = [0.0, 0.0, 0.0, 0.0]
    return np.array(rows, dtype=np.float64).reshape(-1, 4), ends


def swapped(rows: Floats) -> Floats:
    """The blocks with a and b exchanged."""
    return rows[:, [2, 3, 0, 1]]


def evidence(rows: Floats, margin: float = 0.0) -> Floats:
    """The logarithm of the e-value after each block, shape (k,), that b's chance of a good outcome
    is more than a's less `margin`.

    Where it is not, the chance that this is ever log(1 / error) or more is at most `error`.
    """
    n_a, good_a, n_b, good_b = rows.T
    n = n_a + n_b
    w = n_b / n
    before = (_before(good_a + good_b) + _GOOD) / (_before(n) + _ALL)
    centre = before + (1 - w) * margin
    wanted = np.array(DIFFERENCES)[:, None] / (before * (1 - before))
    bad = (1 - w) * np.maximum(centre - margin, 0)  # what a bad outcome of b costs, for a bet of 1
    bet = np.minimum(wanted, _MOST / np.maximum(bad, w * (1 - centre)))
    gain = (
        good_b * np.log1p((1 - w) * bet * (1 + margin - centre))
        + (n_b - good_b) * np.log1p((1 - w) * bet * (margin - centre))
        + good_a * np.log1p(-w * bet * (1 - centre))
        + (n_a - good_a) * np.log1p(w * bet * centre)
    )
    stakes: Floats = np.logaddexp.reduce(np.cumsum(gain, axis=1), axis=0)
    stakes -= np.log(len(DIFFERENCES))
    return stakes


def _before(counts: Floats) -> Floats:
    """How many there were in the blocks before each."""
    before: Floats = np.cumsum(counts) - counts
    return before
