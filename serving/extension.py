"""What vLLM's CPU worker imports (`--worker-extension-cls serving.extension.Extension`)."""

from __future__ import annotations

from serving.unadapted import mend

mend()


class Extension:
    """Adds nothing to the worker: naming it has this module imported where the kernels run."""
