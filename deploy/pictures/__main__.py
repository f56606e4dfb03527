"""`make pictures`: play the scenes and take their pictures, light and dark."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

from deploy.errors import in_one_line
from deploy.pictures.camera import Camera, browser_path, camera
from deploy.pictures.house import House, house
from deploy.pictures.scenes import SCENES, Scene

HERE = Path(__file__).parent


async def _take_all(home: Path) -> None:
    async with house(home) as playing, camera(playing.url, HERE) as taking:
        for scene in SCENES:
            await _play(scene, playing, taking)


async def _play(scene: Scene, playing: House, taking: Camera) -> None:
    before = len(taking.taken)
    await scene(playing, taking)
    for path in taking.taken[before:]:
        print(f"  {path.name:<28}{path.stat().st_size / 1000:6.0f} kB", flush=True)


def main() -> None:
    """Take them all, or end with what is missing."""
    browser_path()  # or it would be missed only when everything is up
    home = Path(tempfile.mkdtemp(prefix="mynah-pictures-"))
    print(f"▶ pictures into {HERE}", flush=True)
    asyncio.run(_take_all(home))
    shutil.rmtree(home)  # after trouble it stays: its logs say why


if __name__ == "__main__":
    with in_one_line("pictures"):
        main()
