"""Puts the page's one dependency, Preact, beside the page.

`python -m deploy.sandbox.vendor` (needs npm). Nobody who runs the sandbox has to: the files are
part of the package. They are npm's own but for two things: modules are imported by their path,
because a browser knows no package names, and source maps, which are not shipped, are not named.
Why Preact: a virtual DOM that is small, has no dependencies and needs no build step.
"""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "preact@11.2.0"
SHA512 = "/HfHI/7N84e6GrWBJ3J280z3mLaRJiDcSvj/A+y/4AbLnND/1UlGHe1sR6oYuTGwId0nP7dqDU9OnLxMPZ7xBg=="
DIRECTORY = Path(__file__).with_name("page") / "vendor"
FILES = {
    "package/dist/preact.mjs": "preact.mjs",
    "package/hooks/dist/hooks.mjs": "hooks.mjs",
    "package/LICENSE": "LICENSE",
}

# Of the files as they are kept: what is changed by hand is found by a test.
SHA256 = {
    "preact.mjs": "225d7a773766e6fb2cfcc45274fe41d2059f5782f3f2c4569aa5132a2d3a2902",
    "hooks.mjs": "13518e8899847145604866b14612f994ed70d894a423b64694b6e764d7b956c9",
    "LICENSE": "1fe6958409c8c257a70c587a18b6f7f412b179b456630790d30b2ec9a8e4b7d4",
}


def in_browser(source: str) -> str:
    """A module as a browser takes it."""
    source = re.sub(r'(from\s*)"preact"', r'\1"./preact.mjs"', source)
    return re.sub(r"\n?//# sourceMappingURL=\S+\s*$", "\n", source)


def main() -> None:
    """Replace the files by those of `PACKAGE`."""
    with tempfile.TemporaryDirectory() as home:
        subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=home, check=True)
        (archive,) = Path(home).glob("*.tgz")
        found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if found != SHA512:
            raise SystemExit(f"{PACKAGE} is not what it was: sha512-{found}")
        with tarfile.open(archive) as packed:
            for name, kept in FILES.items():
                content = packed.extractfile(name)
                assert content is not None
                (DIRECTORY / kept).write_text(in_browser(content.read().decode()))


if __name__ == "__main__":
    main()
