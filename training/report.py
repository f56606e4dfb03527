"""The report of a run as one page: HTML without scripts, and nothing from elsewhere.

Jinja2 writes it: it escapes every text by itself (questions and answers are anybody's words), and
it is there already, because torch brings it along.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from training import findings
from training.asked import Count
from training.intervals import Interval
from training.run_report import RunReport

WIDE, HIGH = 600, 160  # the loss is drawn in these units


def page(report: RunReport) -> str:
    """The whole page, to be stored or written as it is."""
    words, kind = findings.badge(report)
    html = _template().render(
        run=report, badge=words, kind=kind, headline=findings.headline(report),
        reasons=findings.reasons(report), compared=findings.compared(report),
        measures=findings.measures(report), better=findings.changed(report, better=True),
        worse=findings.changed(report, better=False), slices=findings.slices(report),
        loss=findings.loss(report), curve=_curve(report), budgets=findings.budgets(report),
        leaked=findings.leaked(report), costs=findings.costs(report), find=findings,
        pins=findings.answered(report, "pin"), tried=findings.tried(report),
    )  # fmt: skip
    # What a model said may hold half a character; a file cannot.
    return html.encode("utf-8", "replace").decode("utf-8")


def _curve(report: RunReport) -> dict[str, Any] | None:
    """The loss as lines in WIDE × HIGH units, with what stands at the ends of its axes."""
    drawn = findings.lines(report)
    if not drawn:
        return None
    top = max(loss for line in drawn for _, loss in line) or 1.0
    first = drawn[0][0][0]
    across = WIDE / max(1, report.curve.steps - first)

    def place(step: float, loss: float) -> str:
        return f"{(step - first) * across:.1f},{HIGH - loss / top * HIGH:.1f}"

    return {"top": top, "lines": [" ".join(place(*point) for point in line) for line in drawn]}


def _whisker(count: Count, within: Interval | None) -> dict[str, float]:
    """A bar and its interval, in per cent of the bar's room."""
    known = {"low": within.low * 100, "high": within.high * 100} if within else {}
    return {"rate": count.rate * 100} | known


def _paragraph(items: Sequence[str]) -> str:
    """Reasons as sentences."""
    return " ".join(
        f"{one[:1].upper()}{one[1:]}{'' if one.endswith('.') else '.'}" for one in items
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("training", "pages"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"paragraph": _paragraph}
    environment.globals |= {"whisker": _whisker, "WIDE": WIDE, "HIGH": HIGH}
    return environment.get_template("report.html")
