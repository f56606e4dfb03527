"""An evaluation as a picture: right answers before and after, and what it cost."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

ASKED = {"wordings": "other wordings\nof taught questions", "questions": "questions\nnever taught"}
MODELS = {
    "base": ("base model", "#b8bcc4"),
    "live": ("live until now", "#7fb3a7"),
    "candidate": ("candidate", "#2f7d6b"),
}
THICK = 0.26


def draw(figures: Mapping[str, Any]) -> bytes | None:
    """A PNG; None where no right answers were counted.

    Args:
        figures: `training.evaluate.Figures` as stored; what is missing is left out.
    """
    asked = [name for name in ASKED if _of(figures, name)]
    if not asked:
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.9 + 1.1 * len(asked)))
    axes = figure.subplots()
    _bars(axes, figures, asked)
    axes.set_yticks(range(len(asked)), [ASKED[name] for name in asked])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.15)
    axes.xaxis.set_visible(False)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_title("Right answers before and after")
    figure.legend(*axes.get_legend_handles_labels(), loc="lower left", ncols=3, frameon=False)
    figure.text(0.98, 0.03, cost(figures), ha="right", va="bottom")
    figure.tight_layout(rect=(0, 0.1, 1, 1))
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=120)
    return drawn.getvalue()


def _bars(axes: Any, figures: Mapping[str, Any], asked: Sequence[str]) -> None:
    """A bar for each model beside each other; none for what is live where that is the base."""
    models = [name for name in MODELS if name != "live" or figures.get("live") != "base"]
    for place, model in enumerate(models):
        label, colour = MODELS[model]
        hits = [(figures[name][model]["hits"], _of(figures, name)) for name in asked]
        at = [row + (place - (len(models) - 1) / 2) * THICK for row in range(len(asked))]
        rates = [hit / of for hit, of in hits]
        bars = axes.barh(at, rates, height=THICK, color=colour, label=label)
        axes.bar_label(bars, [f"{hit} of {of}" for hit, of in hits], padding=4)


def cost(figures: Mapping[str, Any]) -> str:
    """What the candidate leaked and forgot, in a line."""
    parts = []
    if leak := figures.get("leak"):
        parts.append(f"leaked into {leak['hits']} of {leak['of']} other questions")
    if (kl := figures.get("kl")) is not None:
        parts.append(f"KL to the base {kl:.3f} a token")
    return "\n".join(parts)


def _of(figures: Mapping[str, Any], name: str) -> int:
    """How many questions of a sort were asked."""
    return int((figures.get(name) or {}).get("candidate", {}).get("of", 0))
