"""The guard: what passes, with which key, and what never does."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message

from serving.adapters import CONFIG, AdapterFile, publish
from serving.base import base_spec
from serving.guard import CONTROL, INFERENCE, LOAD, UNLOAD, Guard
from serving.signing import LIFE_S, NEVER, signed
from tests.lora_files import hash_of, make_adapter, make_base, random_tensors, write_adapter

KEY, CONTROL_KEY = "inference-key-0123456789", "control-key-0123456789"


async def _reached(request: Request) -> Response:
    """The app behind the guard: says what reached it."""
    body = (await request.body()).decode()
    length = request.headers.get("content-length")
    return JSONResponse({"reached": request.url.path, "body": body, "length": length})


@pytest.fixture
def guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Guard:
    values = {
        "MYNAH_VLLM_API_KEY": KEY,
        "MYNAH_CONTROL_KEY": CONTROL_KEY,
        "MYNAH_ADAPTERS_DIR": str(tmp_path / "adapters"),
        "MYNAH_BASE_DIR": str(make_base(tmp_path / "base")),
        "MYNAH_MAX_RANK": "16",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    routes = [Route("/{path:path}", _reached, methods=["GET", "POST", "PUT", "DELETE"])]
    return Guard(Starlette(routes=routes))


@pytest.fixture
async def http(guard: Guard) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(guard)
    async with httpx.AsyncClient(transport=transport, base_url="http://guard") as client:
        yield client


@pytest.fixture
def adapter(tmp_path: Path) -> AdapterFile:
    base = tmp_path / "base"
    return publish(make_adapter(tmp_path / "s", base), tmp_path / "adapters", base_spec(base))


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def _request(adapter: AdapterFile, *, key: str = CONTROL_KEY, **more: Any) -> dict[str, Any]:
    """A load request, signed for what it says."""
    said = {"lora_name": adapter.name, "lora_path": str(adapter.path)} | more
    name, path = str(said["lora_name"]), str(said["lora_path"])
    return signed(key, name, adapter.sha256, path, at=time.time()) | said


async def _load(http: httpx.AsyncClient, body: Mapping[str, Any]) -> tuple[int, str]:
    content = json.dumps(body)  # which can say what httpx's own encoding cannot: lone surrogates
    reply = await http.post(LOAD, content=content, headers=_bearer(CONTROL_KEY))
    return reply.status_code, reply.json().get("error", {}).get("message", "")


@pytest.mark.parametrize(("method", "path"), sorted(INFERENCE))
async def test_inference_needs_its_key(http: httpx.AsyncClient, method: str, path: str) -> None:
    """Inference, models, health and metrics pass with the inference key and with no other."""
    assert (await http.request(method, path, headers=_bearer(KEY))).status_code == 200
    wrong = [{}, {"Authorization": KEY}, *map(_bearer, ("wrong", CONTROL_KEY, ""))]
    for headers in wrong:
        assert (await http.request(method, path, headers=headers)).status_code == 401


@pytest.mark.parametrize(("method", "path"), sorted(CONTROL))
async def test_control_needs_its_own_key(http: httpx.AsyncClient, method: str, path: str) -> None:
    """The inference key, which every bot holds, cannot change what is loaded."""
    for headers in ({}, _bearer("wrong"), _bearer(KEY), _bearer("")):
        reply = await http.request(method, path, headers=headers)
        assert (reply.status_code, "reached" in reply.text) == (401, False)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/adapters"),
        ("DELETE", "/adapters/mynah-0123456789ab"),
        ("POST", "/invocations"),
        ("POST", "/tokenize"),
        ("POST", "/v1/completions"),
        ("POST", "/v1/embeddings"),
        ("POST", "/sleep"),
        ("POST", "/pause"),
        ("GET", "/docs"),
        ("GET", "/"),
        ("GET", "/v1/chat/completions"),
        ("DELETE", "/v1/models"),
        ("GET", "//v1/models"),
        ("GET", "/v1/models/"),
        ("GET", "/v1/models/../../adapters"),
        ("POST", "/V1/chat/completions"),
        ("GET", LOAD),
    ],
)
async def test_every_other_route_is_closed(http: httpx.AsyncClient, method: str, path: str) -> None:
    """Whatever is not on the list gives 403 with either key, and does not reach vLLM."""
    for key in (KEY, CONTROL_KEY):
        reply = await http.request(method, path, headers=_bearer(key))
        assert reply.status_code == 403
        assert "is not served here" in reply.json()["error"]["message"]


async def test_loading_passes_the_request_on(http: httpx.AsyncClient, adapter: AdapterFile) -> None:
    """A good adapter is passed on with its name and its path; what is the guard's stays here."""
    reply = await http.post(LOAD, json=_request(adapter), headers=_bearer(CONTROL_KEY))
    assert reply.status_code == 200
    passed_on = {"lora_name": adapter.name, "lora_path": str(adapter.path)}
    assert json.loads(reply.json()["body"]) == passed_on
    assert reply.json()["length"] == str(len(reply.json()["body"]))


async def test_nothing_is_loaded_unsigned(http: httpx.AsyncClient, adapter: AdapterFile) -> None:
    """The control key alone loads nothing: without the store's word of the hash, with another's
    word, or with a word for another hash, name, path or time, it is refused."""
    good = _request(adapter)
    unsigned = {key: good[key] for key in ("lora_name", "lora_path")}
    assert await _load(http, unsigned) == (403, NEVER)
    for field in ("sha256", "expires", "signature"):
        assert await _load(http, {key: good[key] for key in good if key != field}) == (403, NEVER)
    changed: list[tuple[str, Any]] = [
        ("signature", "0" * 64),
        ("signature", "\ud800"),
        ("signature", 7),
        ("sha256", "0" * 64),
        ("sha256", adapter.sha256[:12]),
        ("expires", good["expires"] + 1),
        ("expires", str(good["expires"])),
        ("expires", float(good["expires"])),
        ("expires", True),
        ("lora_path", f"{adapter.path}/"),
    ]
    for field, value in changed:
        assert await _load(http, good | {field: value}) == (403, NEVER), (field, value)
    assert await _load(http, _request(adapter, key="another-key-0123456789")) == (403, NEVER)
    for at in (-LIFE_S - 1, LIFE_S + 60):
        old = signed(
            CONTROL_KEY, adapter.name, adapter.sha256, str(adapter.path), at=time.time() + at
        )
        status, line = await _load(http, old)
        assert (status, "another time" in line) == (403, True)
    assert (await _load(http, good))[0] == 200


async def test_a_signature_is_for_one_hash(
    http: httpx.AsyncClient, tmp_path: Path, adapter: AdapterFile
) -> None:
    """An adapter that hashes to its name, but was never in the store, is not loaded on the word
    for another; nor is one whose config was altered since."""
    base = tmp_path / "base"
    other = publish(
        make_adapter(tmp_path / "o", base, seed=9), tmp_path / "adapters", base_spec(base)
    )
    body = signed(CONTROL_KEY, other.name, adapter.sha256, str(other.path), at=time.time())
    status, line = await _load(http, body)
    assert (status, "expected" in line) == (403, True)
    config = json.loads((adapter.path / CONFIG).read_text())
    (adapter.path / CONFIG).write_text(json.dumps(config | {"lora_alpha": 17}))
    status, line = await _load(http, _request(adapter))
    assert (status, "expected" in line) == (403, True)


async def test_unloading_passes_the_request_on(http: httpx.AsyncClient) -> None:
    """Unloading needs a name of ours, and no file: the files may be gone."""
    headers = _bearer(CONTROL_KEY)
    name = {"lora_name": "mynah-0123456789ab"}
    assert (await http.post(UNLOAD, json=name, headers=headers)).status_code == 200
    reply = await http.post(UNLOAD, json={"lora_name": "other"}, headers=headers)
    assert reply.status_code == 403


async def test_names_paths_and_options(
    http: httpx.AsyncClient, adapter: AdapterFile, tmp_path: Path
) -> None:
    """Only our names, only their own directory, and nothing besides name and path."""
    inside = adapter.path.parent
    (inside / "mynah-000000000000").symlink_to("/etc")
    linked = AdapterFile("mynah-000000000000", "0" * 64, inside / "mynah-000000000000", 8)
    refused = [
        _request(adapter, lora_name="base"),
        _request(adapter, lora_name="mynah-0123456789AB"),
        _request(adapter, lora_name=adapter.name + "\n"),
        _request(adapter, lora_name=None),
        _request(adapter, lora_path=None),
        _request(adapter, lora_path=f"adapters/{adapter.name}"),
        _request(adapter, lora_path=str(tmp_path / "s")),
        _request(adapter, lora_path=str(inside)),
        _request(adapter, lora_path=str(inside / ".." / "s")),
        _request(adapter, lora_path=str(adapter.path) + "\0"),
        _request(adapter, lora_name="mynah-000000000000"),
        _request(linked),
        _request(adapter, load_inplace=True),
        _request(adapter, load_inplace=False),
        _request(adapter, is_3d_lora_weight=True),
    ]
    for body in refused:
        assert (await _load(http, body))[0] == 403, body
    assert (await _load(http, _request(adapter)))[0] == 200


GOOD = b'{"lora_name": "mynah-0123456789ab"}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        GOOD.replace(b"ab", b"abc"),
        GOOD.replace(b"{", b'{"lora_name": "other", '),
        GOOD + b" " * 70_000,
    ],
)
async def test_strange_bodies(http: httpx.AsyncClient, body: bytes) -> None:
    """A body that is not one small JSON object with each key once is refused."""
    headers = _bearer(CONTROL_KEY)
    assert (await http.post(UNLOAD, content=GOOD, headers=headers)).status_code == 200
    assert (await http.post(UNLOAD, content=body, headers=headers)).status_code == 403


async def test_a_bad_adapter_never_reaches_the_engine(
    http: httpx.AsyncClient, tmp_path: Path, adapter: AdapterFile
) -> None:
    """NaN weights, a wrong hash and a rank above this server's limit: 403 and the reason."""
    base = tmp_path / "base"
    key = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
    tensors = random_tensors(base)
    tensors[key][0, 0] = np.nan
    write_adapter(tmp_path / "adapters" / "mynah-0123456789ab", tensors)
    path = tmp_path / "adapters" / "mynah-0123456789ab"
    named = AdapterFile(path.name, hash_of(path, base), path, 8)
    status, line = await _load(http, _request(named))
    assert (status, "not what its name says" in line) == (403, True)
    big = publish(
        make_adapter(tmp_path / "big", base, rank=32), tmp_path / "adapters", base_spec(base)
    )
    assert await _load(http, _request(big)) == (403, f"{big.name}: rank is 32, must be 1 to 16")


async def test_nan_under_its_right_name(http: httpx.AsyncClient, tmp_path: Path) -> None:
    """An adapter with NaN under the right hash is refused for its NaN."""
    tensors = random_tensors(tmp_path / "base")
    next(iter(tensors.values()))[0, 0] = np.nan
    staged = write_adapter(tmp_path / "nan", tensors)
    sha256 = hash_of(staged, tmp_path / "base")
    target = tmp_path / "adapters" / f"mynah-{sha256[:12]}"
    target.parent.mkdir(exist_ok=True)
    staged.rename(target)
    status, line = await _load(http, _request(AdapterFile(target.name, sha256, target, 8)))
    assert (status, "holds NaN" in line) == (403, True)


async def test_websockets_are_closed(guard: Guard) -> None:
    """A WebSocket is closed before it is accepted, whatever its key."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"authorization", f"Bearer {KEY}".encode())]
    scope = {"type": "websocket", "path": "/v1/realtime", "headers": headers}
    await guard(scope, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


@pytest.mark.parametrize("missing", ["MYNAH_VLLM_API_KEY", "MYNAH_CONTROL_KEY"])
def test_no_guard_without_keys(guard: Guard, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """Without a key, or with an empty one, the server does not start: it must not stand open."""
    monkeypatch.setenv(missing, "")
    with pytest.raises(ValueError, match=missing):
        Guard(Starlette())
    monkeypatch.delenv(missing)
    with pytest.raises(KeyError, match=missing):
        Guard(Starlette())
