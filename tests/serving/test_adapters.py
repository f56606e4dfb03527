"""Adapters as files: what is refused, and what publishing leaves."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from serving.adapters import CONFIG, WEIGHTS, BadAdapter, publish, validate
from serving.base import BaseSpec, NoBaseModel, base_spec, locate
from tests.lora_files import (
    Tensors,
    hash_of,
    make_adapter,
    make_base,
    random_tensors,
    write_adapter,
)

Q = "base_model.model.model.layers.0.self_attn.q_proj"


@pytest.fixture
def base_dir(tmp_path: Path) -> Path:
    return make_base(tmp_path / "tiny-base")


@pytest.fixture
def base(base_dir: Path) -> BaseSpec:
    return base_spec(base_dir)


def test_good_adapter_is_named_by_its_hash(tmp_path: Path, base_dir: Path, base: BaseSpec) -> None:
    """An adapter that PEFT wrote passes; its name is the start of its SHA-256."""
    found = validate(make_adapter(tmp_path / "a", base_dir, rank=4), base)
    digest = hash_of(tmp_path / "a", base_dir)
    assert (found.name, found.sha256, found.rank) == (f"mynah-{digest[:12]}", digest, 4)


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        (f"{Q}.lora_A.weight", np.full((8, 8), np.nan), "NaN or infinite"),
        (f"{Q}.lora_B.weight", np.full((8, 8), -np.inf), "NaN or infinite"),
        (f"{Q}.lora_B.weight", np.full((8, 8), 1e6), "up to 1e+06"),
        (f"{Q}.lora_A.weight", np.ones((8, 9)), "has shape (8, 9), must be (8, 8)"),
        (f"{Q}.lora_A.weight", np.ones((4, 8)), "has shape (4, 8)"),
        (f"{Q}x.lora_A.weight", np.ones((8, 8)), "no such linear layer"),
        (Q.replace("0", "7") + ".lora_A.weight", np.ones((8, 8)), "no such linear layer"),
        ("base_model.model.lm_head.lora_A.weight", np.ones((8, 8)), "no such linear layer"),
        (f"{Q}.lora_magnitude_vector", np.ones(8), "unexpected tensor"),
        (f"{Q}.weight", np.ones((8, 8)), "unexpected tensor"),
    ],
)
def test_bad_tensors(
    tmp_path: Path, base_dir: Path, base: BaseSpec, key: str, value: Any, line: str
) -> None:
    """One tensor that is wrong in any way that vLLM would swallow is refused, by name."""
    tensors: Tensors = random_tensors(base_dir) | {key: value.astype(np.float32)}
    write_adapter(tmp_path / "bad", tensors)
    with pytest.raises(BadAdapter) as caught:
        validate(tmp_path / "bad", base)
    assert line in str(caught.value)
    assert key in str(caught.value)
    assert str(caught.value).startswith("bad: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({"use_dora": True}, "use_dora is set"),
        ({"use_rslora": True}, "use_rslora is set"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save is set"),
        ({"alpha_pattern": {"q_proj": 4}}, "alpha_pattern is set"),
        ({"bias": "all"}, "bias is 'all'"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights 'pissa'"),
        ({"peft_type": "IA3"}, "peft_type is 'IA3'"),
        ({"r": 128}, "rank is 128, must be 1 to 64"),
        ({"r": 0}, "rank is 0"),
        ({"r": "8"}, "rank is '8'"),
        ({"r": 16}, "has shape"),
        ({"lora_alpha": float("nan")}, "lora_alpha is nan"),
        ({"lora_alpha": None}, "lora_alpha is None"),
    ],
)
def test_bad_config(
    tmp_path: Path, base_dir: Path, base: BaseSpec, config: Mapping[str, Any], line: str
) -> None:
    """What PEFT can do and vLLM cannot is refused, and so is a config that does not fit."""
    write_adapter(tmp_path / "bad", random_tensors(base_dir), config=config)
    with pytest.raises(BadAdapter, match=r"^bad: ") as caught:
        validate(tmp_path / "bad", base)
    assert line in str(caught.value)


def _cut(directory: Path) -> None:
    file = directory / WEIGHTS
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:-100])


def _not_json(directory: Path) -> None:
    (directory / "adapter_config.json").write_text("{")


def _a_list(directory: Path) -> None:
    (directory / "adapter_config.json").write_text("[]")


def _half(directory: Path) -> None:
    save_file({f"{Q}.lora_A.weight": np.ones((8, 8), np.float32)}, directory / WEIGHTS)


def _integers(directory: Path) -> None:
    save_file({f"{Q}.lora_A.weight": np.ones((8, 8), np.int32)}, directory / WEIGHTS)


def _empty(directory: Path) -> None:
    save_file({}, directory / WEIGHTS)


@pytest.mark.parametrize(
    ("harm", "line"),
    [
        (_cut, "is broken"),
        (_not_json, "adapter_config.json is not JSON"),
        (_a_list, "is not an object"),
        (_half, "has lora_A alone"),
        (_integers, "is of type I32"),
        (_empty, "holds no tensors"),
        (lambda d: (d / WEIGHTS).unlink(), f"cannot read {WEIGHTS}: No such file"),
        (lambda d: (d / "adapter_config.json").unlink(), "cannot read adapter_config.json"),
    ],
)
def test_bad_files(
    tmp_path: Path, base_dir: Path, base: BaseSpec, harm: Callable[[Path], None], line: str
) -> None:
    """Truncated, missing or broken files are one line, not a traceback."""
    harm(make_adapter(tmp_path / "bad", base_dir))
    with pytest.raises(BadAdapter, match=r"^bad: ") as caught:
        validate(tmp_path / "bad", base)
    assert line in str(caught.value)


def test_wrong_hash(tmp_path: Path, base_dir: Path, base: BaseSpec) -> None:
    """Weights that are not the promised ones are refused: by argument, and by directory name."""
    good = publish(make_adapter(tmp_path / "a", base_dir), tmp_path / "adapters", base)
    with pytest.raises(BadAdapter, match=r"expected 000000000000…"):
        validate(good.path, base, sha256="0" * 64)
    make_adapter(tmp_path / "b", base_dir, seed=1)
    os.replace(tmp_path / "b" / WEIGHTS, good.path / WEIGHTS)
    with pytest.raises(BadAdapter, match="which is not what its name says"):
        validate(good.path, base)


@pytest.mark.parametrize(
    "change", [{"lora_alpha": 17}, {"target_modules": ["q_proj"]}, {"use_mora": False}]
)
def test_a_changed_config_is_noticed(
    tmp_path: Path, base_dir: Path, base: BaseSpec, change: Mapping[str, Any]
) -> None:
    """The same weights scaled or placed in another way are another adapter."""
    good = publish(make_adapter(tmp_path / "a", base_dir), tmp_path / "adapters", base)
    config = json.loads((good.path / CONFIG).read_text())
    (good.path / CONFIG).write_text(json.dumps(config | dict(change)))
    with pytest.raises(BadAdapter, match="which is not what its name says"):
        validate(good.path, base)


def test_another_base_is_refused(tmp_path: Path, base_dir: Path, base: BaseSpec) -> None:
    """An adapter stays with the weights that it was trained on; where they lie does not matter."""
    good = publish(make_adapter(tmp_path / "a", base_dir), tmp_path / "adapters", base)
    moved = base_spec(base_dir.rename(tmp_path / "moved-base"))
    assert validate(good.path, moved, sha256=good.sha256) == good
    other = base_spec(make_base(tmp_path / "other-base", seed=1))
    with pytest.raises(BadAdapter, match=r"it was trained on another base model: tiny-base@"):
        validate(good.path, other)
    config = json.loads((good.path / CONFIG).read_text())
    (good.path / CONFIG).write_text(json.dumps(config | {"base_model_name_or_path": "/tiny-base"}))
    with pytest.raises(BadAdapter, match="which is not what its name says"):
        validate(good.path, other)


def test_the_order_of_the_targets_does_not_matter(
    tmp_path: Path, base_dir: Path, base: BaseSpec
) -> None:
    """PEFT writes the target modules in another order each time; the name stays the same."""
    tensors = random_tensors(base_dir)
    names = {
        validate(
            write_adapter(tmp_path / "a", tensors, config={"target_modules": modules}), base
        ).name
        for modules in (["q_proj", "v_proj"], ["v_proj", "q_proj"])
    }
    assert len(names) == 1


@settings(max_examples=60)
@given(position=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_any_flipped_byte_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, position: int, byte: int
) -> None:
    """Whatever byte of a published adapter changes, loading it is refused."""
    directory = tmp_path_factory.mktemp("flip")
    base_dir = make_base(directory / "base")
    base = base_spec(base_dir)
    good = publish(make_adapter(directory / "a", base_dir), directory / "adapters", base)
    content = bytearray((good.path / WEIGHTS).read_bytes())
    position %= len(content)
    content[position] = byte if byte != content[position] else byte ^ 1
    (good.path / WEIGHTS).write_bytes(content)
    with pytest.raises(BadAdapter):
        validate(good.path, base)


def test_sixteen_bit_weights(tmp_path: Path, base_dir: Path, base: BaseSpec) -> None:
    """float16 and bfloat16 are understood; a NaN in either is found."""
    key = f"{Q}.lora_A.weight"
    tensors = random_tensors(base_dir)
    halves = {name: values.astype(np.float16) for name, values in tensors.items()}
    write_adapter(tmp_path / "half", halves)  # type: ignore[arg-type]
    validate(tmp_path / "half", base)
    halves[key][0, 0] = np.nan
    write_adapter(tmp_path / "half", halves)  # type: ignore[arg-type]
    with pytest.raises(BadAdapter, match="NaN"):
        validate(tmp_path / "half", base)
    for first, bad in ((0x3F80, False), (0x7FC0, True)):  # 1.0, NaN
        _write_bfloat16(write_adapter(tmp_path / "bf", tensors), tensors, first)
        if bad:
            with pytest.raises(BadAdapter, match="NaN"):
                validate(tmp_path / "bf", base)
        else:
            validate(tmp_path / "bf", base)


def _write_bfloat16(directory: Path, tensors: Tensors, first: int) -> None:
    bits = {key: (values.view(np.uint32) >> 16).astype("<u2") for key, values in tensors.items()}
    bits[f"{Q}.lora_A.weight"][0, 0] = first
    header: dict[str, Any] = {}
    start = 0
    for key, values in bits.items():
        end = start + values.nbytes
        header[key] = {"dtype": "BF16", "shape": values.shape, "data_offsets": [start, end]}
        start = end
    raw = json.dumps(header).encode()
    body = b"".join(values.tobytes() for values in bits.values())
    (directory / WEIGHTS).write_bytes(len(raw).to_bytes(8, "little") + raw + body)


def test_publish_leaves_only_what_serving_needs(
    tmp_path: Path, base_dir: Path, base: BaseSpec
) -> None:
    """Two readable files, no path of this machine, no pickle; the staging directory stays."""
    staging = make_adapter(tmp_path / "staging", base_dir)
    (staging / "ref").mkdir()
    before = os.umask(0o077)
    try:
        good = publish(staging, tmp_path / "adapters", base)
    finally:
        os.umask(before)
    assert {file.name for file in good.path.iterdir()} == {"adapter_config.json", WEIGHTS}
    assert {oct(file.stat().st_mode & 0o777) for file in good.path.iterdir()} == {"0o644"}
    assert good.path.stat().st_mode & 0o777 == 0o755
    config = json.loads((good.path / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == f"tiny-base@{base.sha256[:12]}"
    assert "/somewhere" not in json.dumps(config)
    assert (staging / "ref").is_dir()


def test_publish_twice_and_at_once(tmp_path: Path, base_dir: Path, base: BaseSpec) -> None:
    """The same weights, published again or by several at once, are one directory."""
    staging = make_adapter(tmp_path / "staging", base_dir)
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(publish, staging, tmp_path / "adapters", base) for _ in range(8)]
    names = {job.result().name for job in jobs}
    assert {entry.name for entry in (tmp_path / "adapters").iterdir()} == names
    assert len(names) == 1


def test_bad_adapter_is_not_published(tmp_path: Path, base: BaseSpec, base_dir: Path) -> None:
    """Nothing is written for an adapter that does not pass."""
    tensors = random_tensors(base_dir)
    tensors[f"{Q}.lora_A.weight"][0, 0] = np.nan
    write_adapter(tmp_path / "bad", tensors)
    with pytest.raises(BadAdapter):
        publish(tmp_path / "bad", tmp_path / "adapters", base)
    assert not (tmp_path / "adapters").exists()


def test_fingerprint_tells_models_apart(tmp_path: Path) -> None:
    """Two models of one architecture differ; a copy elsewhere does not."""
    one, two = make_base(tmp_path / "1" / "m"), make_base(tmp_path / "2" / "m", seed=1)
    copy = make_base(tmp_path / "3" / "m")
    assert base_spec(one).sha256 != base_spec(two).sha256
    assert base_spec(one) == base_spec(copy)


def test_linear_layers_only(base: BaseSpec) -> None:
    """Embeddings and norms are no LoRA targets."""
    assert len(base.shapes) == 14
    assert all(".layers." in module for module in base.shapes)


@pytest.mark.parametrize("model", ["/nowhere/at/all", "./nowhere", "nowhere", "a/b/c"])
def test_missing_model(model: str) -> None:
    """A path that does not exist is one line with the setting's name."""
    with pytest.raises(NoBaseModel, match=r"^MYNAH_BASE_MODEL: there is no directory "):
        locate(model)


def test_directory_without_a_model(tmp_path: Path) -> None:
    """A directory that is no model says what it lacks."""
    with pytest.raises(NoBaseModel, match=r"holds no config\.json"):
        locate(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(NoBaseModel, match=r"holds no \*\.safetensors"):
        locate(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"rubbish, not weights")
    with pytest.raises(NoBaseModel, match="is not a safetensors file"):
        base_spec(locate(str(tmp_path)))


def test_hub_cache_keeps_the_models_name(tmp_path: Path) -> None:
    """A model in the Hugging Face cache is called by its id, not by its revision."""
    directory = make_base(tmp_path / "models--org--name" / "snapshots" / "abc123")
    assert base_spec(directory).model == "org/name"
