"""What the demo found: `reports/demo.json`, a picture beside it, and a table to read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LABELS = {
    "base": "base model, nothing learned",
    "memory": "memory alone (generated)",
    "weights": "weights alone (memory off)",
    "both": "weights and memory (generated)",
    "quoted": "as users see it (quoting on)",
}


def write(figures: dict[str, Any], folder: Path) -> tuple[Path, Path]:
    """Write the figures and the picture; returns both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = folder / "demo.json"
    facts.write_text(json.dumps(figures, indent=2) + "\n")
    picture = folder / "demo.png"
    draw(figures, picture)
    return facts, picture


def draw(figures: dict[str, Any], path: Path) -> None:
    """Draw the rates as bars, from the base to what users see."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rates = {name: figures["rates"][name] for name in LABELS if name in figures["rates"]}
    figure, axes = pyplot.subplots(figsize=(8, 3.6))
    bars = axes.barh(
        [LABELS[name] for name in rates], list(rates.values()), color=_colours(len(rates))
    )
    axes.bar_label(bars, [f"{rate:.0%}" for rate in rates.values()], padding=4)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.1)
    axes.xaxis.set_visible(False)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_title(f"Right answers to {figures['questions']} wordings nobody had used before")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _colours(count: int) -> list[str]:
    return ["#b8bcc4", *["#2f7d6b"] * (count - 1)]


def table(figures: dict[str, Any]) -> str:
    """The before/after table, one figure a line."""
    rates, swap, back = figures["rates"], figures["swap"], figures["rollback"]
    events = figures["events"]
    rows = [
        *((LABELS[name], f"{rates[name]:.0%}") for name in LABELS if name in rates),
        ("facts leaked into other questions, weights", f"{figures['leak']:.0%}"),
        ("facts leaked into other questions, both", f"{figures['leak_both']:.0%}"),
        ("drift from the base (KL per token)", f"{figures['kl']:.3f}"),
        ("asked while the release changed", f"{swap['asked']}, {swap['failed']} failed"),
        ("adapter loaded / answering", f"{swap['load_s']:.2f} s / {swap['switch_s']:.2f} s"),
        ("rolled back in", f"{back['s']:.2f} s, {'as' if back['as_before'] else 'NOT as'} before"),
        (
            "events delivered / lost / duplicated",
            f"{events['delivered']} / {events['lost']} / {events['duplicated']}",
        ),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows)
