"""Makes `page/emoji.json`, what Slack's names of emoji stand for, out of an npm package.

npm pack @emoji-mart/data@1.2.1
python -m deploy.sandbox.emoji_names emoji-mart-data-1.2.1.tgz
"""

from __future__ import annotations

import json
import sys
import tarfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).with_name("page") / "emoji.json"


def names(sets: dict[str, Any]) -> dict[str, str]:
    """Each name and alias with its character, in the order of the alphabet."""
    faces = {name: one["skins"][0]["native"] for name, one in sets["emojis"].items()}
    aliases = {alias: faces[name] for alias, name in sets["aliases"].items() if name in faces}
    return dict(sorted((aliases | faces).items()))


def _read(package: tarfile.TarFile, name: str) -> str:
    file = package.extractfile(f"package/{name}")
    assert file is not None, name
    return file.read().decode()


def main(tarball: str) -> None:
    """Write the file anew."""
    with tarfile.open(tarball) as package:
        about = json.loads(_read(package, "package.json"))
        made = {
            "from": f"{about['name']} {about['version']}",
            "license": _read(package, "LICENSE"),
            "names": names(json.loads(_read(package, "sets/15/native.json"))),
        }
    HERE.write_text(json.dumps(made, ensure_ascii=False, indent=0) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
