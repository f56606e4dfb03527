"""A run as a picture for Slack: right answers before and after, the loss, and what it forgot.

It is seen some 360 pixels wide, on a phone too: few words, and large ones. No text of a person or
of a model is in it; those are on the page (training/report.py).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from training import findings
from training.asked import Model
from training.findings import Budget, Compared
from training.run_report import RunReport

TEXT, QUIET, LINE, ROOM = "#1f2328", "#59636e", "#d9dee3", "#eceff2"
COLOURS = {"base": "#b0b6be", "live": "#7fb3a7", "candidate": "#2f7d6b"}
TONES = {"good": "#22664f", "bad": "#a4262c", "open": "#7a5900"}
WIDE, DPI = 6.0, 200  # inches, and pixels each
HEAD, BAR, GAP, FOOT = 0.5, 0.27, 0.46, 1.8  # heights in inches
THICK = 0.82  # of a bar's room


def draw(report: RunReport) -> bytes | None:
    """A PNG; None where no right answers were counted."""
    parts = findings.compared(report)
    if not parts:
        return None
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"font.size": 11, "text.color": TEXT, "text.parse_math": False}):
        high = HEAD + sum(GAP + BAR * len(part.marks) for part in parts) + FOOT
        figure = Figure(figsize=(WIDE, high), facecolor="white")
        _head(figure, report, high)
        top = high - HEAD
        for part in parts:
            tall = BAR * len(part.marks)
            top -= GAP + tall
            _bars(figure.add_axes((0.15, top / high, 0.64, tall / high)), part)
        _loss(figure.add_axes((0.085, 0.4 / high, 0.385, 0.85 / high)), report)
        _budgets(figure.add_axes((0.56, 0.4 / high, 0.4, 0.85 / high)), findings.budgets(report))
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png", dpi=DPI)
    return drawn.getvalue()


def _head(figure: Any, report: RunReport, high: float) -> None:
    """The run and its verdict."""
    words, kind = findings.badge(report)
    at = 1 - 0.34 / high
    figure.text(0.04, at, f"Run {report.id}", size=16, weight="bold", va="center")
    pill = {"boxstyle": "round,pad=0.4,rounding_size=0.9", "fc": TONES[kind], "ec": "none"}
    figure.text(
        0.95, at, words, size=12, weight="bold", color="white", va="center", ha="right", bbox=pill
    )


def _bars(axes: Any, part: Compared) -> None:
    """A bar for each model with its interval, and in words how many were right."""
    for row, (model, count) in enumerate(part.marks.items()):
        axes.barh(row, 1, height=THICK, color=ROOM)
        axes.barh(row, count.rate, height=THICK, color=COLOURS[model])
        if within := part.within[model]:
            axes.plot([within.low, within.high], [row, row], color=TEXT, lw=1.4, marker="|", ms=7)
        weight = "bold" if model == "candidate" else "normal"
        axes.text(1.03, row, f"{count.hits} of {count.of}", va="center", weight=weight)
        axes.text(-0.03, row, _named(model), va="center", ha="right", weight=weight)
    axes.set_title(part.what, loc="left", size=12, weight="bold", x=-0.172, pad=5)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(part.marks) - 0.5, -0.5)
    axes.axis("off")


def _named(model: Model) -> str:
    return "new" if model == "candidate" else model


def _loss(axes: Any, report: RunReport) -> None:
    """The loss of the training, step by step."""
    axes.set_title("Loss of the training", loc="left", size=11, weight="bold", pad=6, x=-0.117)
    lines = findings.lines(report)
    if not lines:
        axes.text(0, 0.5, findings.NOT_MEASURED, color=QUIET, va="center")
        axes.axis("off")
        return
    for line in lines:
        axes.plot(*zip(*line, strict=True), color=COLOURS["candidate"], lw=1.6)
    axes.set_ylim(bottom=0)
    axes.locator_params(nbins=3)
    axes.tick_params(colors=QUIET, length=0, labelsize=9.5)
    axes.grid(axis="y", color=LINE)
    axes.spines[:].set_visible(False)
    axes.set_axisbelow(True)


def _budgets(axes: Any, budgets: Sequence[Budget]) -> None:
    """How much of each budget is spent; the mark is where it ends."""
    axes.set_title("What it forgot", loc="left", size=11, weight="bold", pad=6)
    for row, one in enumerate(budgets):
        over = one.kept is False
        axes.barh(row, 1.25, height=0.3, color=ROOM)
        if one.share is not None:
            colour = TONES["bad"] if over else COLOURS["candidate"]
            axes.barh(row, min(one.share, 1.25), height=0.3, color=colour)
        axes.plot([1, 1], [row - 0.15, row + 0.15], color=TEXT, lw=1.4)
        words = f"{one.short} {one.spent}"
        axes.text(0, row - 0.27, words, color=TONES["bad"] if over else TEXT, size=10)
        axes.text(1.25, row - 0.27, one.limit, ha="right", color=QUIET, size=9.5)
    axes.set_xlim(0, 1.25)
    axes.set_ylim(len(budgets) - 0.6, -0.75)
    axes.axis("off")
