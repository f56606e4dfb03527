"""The page's files and what it is told: our own alone, and nothing from elsewhere."""

from __future__ import annotations

import hashlib
import json
import re
import socket
from graphlib import TopologicalSorter

import httpx
import pytest

from deploy.sandbox import vendor
from deploy.sandbox.pages import DIRECTORY
from tests.sandbox_server import Sandbox

FILES = sorted(path for path in DIRECTORY.rglob("*") if path.is_file() and path.suffix)
TYPES = {".js": "javascript", ".mjs": "javascript", ".css": "text/css", ".json": "application/json"}
NAMESPACES = tuple(
    f"http://www.w3.org/{name}" for name in ("2000/svg", "1998/Math/MathML", "1999/xhtml")
)
TYPES |= {".html": "text/html", ".svg": "image/svg+xml"}


async def get(sandbox: Sandbox, path: str) -> httpx.Response:
    """One request."""
    async with httpx.AsyncClient(trust_env=False) as http:
        return await http.get(sandbox.url + path)


def raw(sandbox: Sandbox, target: str) -> str:
    """The answer to a request whose path no client has tidied up."""
    host, port = sandbox.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(
            f"GET {target} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode()
        )
        return b"".join(iter(lambda: line.recv(65536), b"")).decode(errors="replace")


async def test_the_page_is_served_with_everything_it_names(sandbox: Sandbox) -> None:
    """`/` is HTML, and each of its files comes with its type and may load from here alone."""
    index = await get(sandbox, "/")
    assert index.status_code == 200
    assert index.headers["content-type"].startswith("text/html")
    for name in re.findall(r'(?:href|src)="(/[^"]+)"', index.text):
        assert (await get(sandbox, name)).status_code == 200, name
    for path in FILES:
        found = await get(sandbox, f"/page/{path.relative_to(DIRECTORY)}")
        assert found.status_code == 200, path
        assert TYPES[path.suffix] in found.headers["content-type"], path
        assert found.content == path.read_bytes()
        assert "script-src 'self'" in found.headers["content-security-policy"]
        assert found.headers["x-content-type-options"] == "nosniff"


def test_modules_import_one_way() -> None:
    """Every import of the page's modules names a file of ours, and none leads back to its start."""
    imports = {
        path: [path.parent / name for name in re.findall(r'from\s*"\./([^"]+)"', path.read_text())]
        for path in FILES
        if path.suffix in (".js", ".mjs")
    }
    assert {found for named in imports.values() for found in named} <= set(FILES)
    TopologicalSorter(imports).prepare()


def test_nothing_of_the_page_is_left_over() -> None:
    """Each export is imported elsewhere, and each class of a style sheet is given to something."""
    modules = {path: path.read_text() for path in FILES if path.suffix == ".js"}
    for path, text in modules.items():
        imported = re.findall(
            rf'import {{([^}}]+)}} from "\./{path.name}"', "".join(modules.values())
        )
        offered = re.findall(
            r"^export (?:async )?(?:function|class|const) (\w+)", text, re.MULTILINE
        )
        assert set(offered) <= set(re.findall(r"\w+", " ".join(imported))), path.name
    texts = " ".join(re.findall(r'"[^"\n]*"|`[^`]*`', "".join(modules.values())))
    given = set(re.findall(r"[\w-]+", texts))  # `hue-${…}` gives "hue-"
    for path in (path for path in FILES if path.suffix == ".css"):
        selectors = re.sub(r"\{[^{}]*\}|/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
        for name in re.findall(r"\.([a-z][\w-]*)", selectors):
            assert name in given or f"{name.rpartition('-')[0]}-" in given, f"{path.name}: .{name}"


def test_what_is_not_ours_is_as_it_was_published() -> None:
    """Preact's files are those that `deploy.sandbox.vendor` made of the package."""
    for path in vendor.DIRECTORY.iterdir():
        text = path.read_text()
        assert hashlib.sha256(text.encode()).hexdigest() == vendor.SHA256[path.name], path
        assert vendor.in_browser(text) == text


@pytest.mark.parametrize(
    "target",
    [
        "/page/../app.py",
        "/page/%2e%2e/app.py",
        "/page/..%2fapp.py",
        "/page/..%5capp.py",
        "/page//etc/passwd",
        "/page/%2fetc/passwd",
        "/page/",
        "/page/../../../requirements-cpu.lock",
    ],
)
async def test_no_other_file_can_be_had(sandbox: Sandbox, target: str) -> None:
    """A path that leads out of the folder finds nothing."""
    answer = raw(sandbox, target)
    assert answer.startswith(("HTTP/1.1 404", "HTTP/1.1 405")), answer[:200]
    assert "import" not in answer
    assert "root:" not in answer


def test_nothing_is_loaded_from_other_hosts() -> None:
    """No file names an address, but in comments that cite and in the names of XML."""
    for path in FILES:
        text = path.read_text()
        if path.suffix in (".js", ".css"):
            text = re.sub(r"/\*.*?\*/|^\s*//.*?$", "", text, flags=re.DOTALL | re.MULTILINE)
        for name in NAMESPACES:
            text = text.replace(f'"{name}"', "")
        if path.suffix == ".json":
            text = json.dumps(json.loads(text)["names"])
        assert not re.search(r"https?://\w|(?:src|href)=\"//|url\(|@import", text), path


def test_texts_never_become_markup() -> None:
    """No module writes HTML, or runs text as a program."""
    for path in DIRECTORY.glob("*.js"):
        text = path.read_text()
        assert not re.search(r"(inner|outer)HTML|insertAdjacent|document\.write|eval\(", text), path


async def test_only_pictures_are_shown(sandbox: Sandbox) -> None:
    """Whatever else was uploaded is saved and never opened: a page with a script in it, say."""
    script = b"<script>alert(1)</script>"
    for name, shown in (("chart.png", True), ("page.html", False), ("drawing.svg", False)):
        bot = sandbox.client("xoxb-mynah")
        announced = await bot.files_getUploadURLExternal(filename=name, length=len(script))
        async with httpx.AsyncClient(trust_env=False) as http:
            await http.post(announced["upload_url"], content=script)
        found = await get(sandbox, f"/page/file/{announced['file_id']}?as=asker")
        assert (found.status_code, found.content) == (200, script)
        assert found.headers["x-content-type-options"] == "nosniff"
        if shown:
            assert found.headers["content-type"] == "image/png"
            continue
        assert found.headers["content-disposition"] == "attachment"
        assert found.headers["content-type"] == "application/octet-stream"
        assert found.headers["content-security-policy"] == "sandbox"
    for path in ("F0NONE?as=asker", f"{announced['file_id']}?as=asker&team=T0NONE"):
        assert (await get(sandbox, f"/page/file/{path}")).status_code == 404


async def test_a_picture_is_for_those_who_see_it(sandbox: Sandbox) -> None:
    """One of a private channel is there for its members, and for nobody who asks by its number."""
    staff = sandbox.client("xoxp-staff")
    shared = await staff.files_upload_v2(filename="chart.png", content=b"abc", channel="C0PRIV")
    path = f"/page/file/{shared['file']['id']}"
    for name, status in (("staff", 200), ("asker", 200), ("asker2", 404), ("guest", 404)):
        assert (await get(sandbox, f"{path}?as={name}")).status_code == status, name
    assert (await get(sandbox, path)).status_code == 404
