"""Pictures: what a machine without a browser is told, and what few colours keep."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

from PIL import Image

from deploy import pictures
from deploy.pictures.camera import MOST_BYTES, few_colours


def test_without_a_browser_it_says_what_to_install(tmp_path: Path) -> None:
    """One line, before anything is started, and no traceback."""
    ended = subprocess.run(
        [sys.executable, "-m", "deploy.pictures"], capture_output=True, text=True, check=False,
        timeout=60, env={**os.environ, "PATH": str(tmp_path)},
    )  # fmt: skip
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert "install" in ended.stderr


def test_areas_keep_their_colours() -> None:
    """Of thousands of colours those of the areas stay as they are, and what is clear is clear."""
    whole = Image.new("RGBA", (100, 100), (253, 254, 255, 255))
    for at in range(2000):
        whole.putpixel((at % 50, at // 50), (at % 256, at // 8 % 256, at * 7 % 256, 255))
    whole.paste((226, 245, 234, 255), (60, 0, 100, 40))
    whole.putpixel((99, 99), (0, 0, 0, 0))
    shot = io.BytesIO()
    whole.save(shot, "PNG")
    kept = io.BytesIO()
    few_colours(shot.getvalue()).save(kept, "PNG", optimize=True, transparency=255)
    seen = Image.open(kept).convert("RGBA")
    assert seen.getpixel((70, 90)) == (253, 254, 255, 255)
    assert seen.getpixel((80, 20)) == (226, 245, 234, 255)
    assert seen.getpixel((99, 99)) == (0, 0, 0, 0)


def test_the_pictures_are_there_in_both_themes() -> None:
    """Each tracked picture has its pair, and is small enough for a README."""
    there = sorted(Path(pictures.__file__).parent.glob("*.png"))
    names = {path.stem.rsplit("-", 1)[0] for path in there}
    pairs = {f"{name}-{theme}" for name in names for theme in ("light", "dark")}
    assert {path.stem for path in there} == pairs
    assert all(path.stat().st_size <= MOST_BYTES for path in there)
    assert "answer" in names
