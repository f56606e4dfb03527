"""The rows that are known, the file that they are told in, and the table for the eye."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from deploy.bench.learning.systems import NAMES

Row = Mapping[str, Any]
Key = tuple[str, str, int, float]  # dataset, system, seed, budget
Group = tuple[str, str, float]  # the same without the seed
MEAN, EARLIER = "mean", "†"
FIGURES = (
    "checks", "checks_as_posted", "quoted", "wrong_on_never_trained", "kl", "leak", "general",
    "cpu_s", "rss_mb", "examples_per_s", "epochs", "train_s", "prepare_cpu_s",
)  # fmt: skip
COLUMNS = {
    "checks": "generated",
    "checks_as_posted": "as posted",
    "quoted": "quoted",
    "wrong_on_never_trained": "made up",
    "leak": "leak",
    "general": "general",
    "kl": "KL",
    "epochs": "epochs",
    "cpu_s": "CPU-s",
    "prepare_cpu_s": "prep. CPU-s",
    "rss_mb": "MB",
    "examples_per_s": "ex./CPU-s",
}
SHARES = ("checks", "checks_as_posted", "quoted", "wrong_on_never_trained", "leak", "general")


class Report:
    """The rows of `learning.json`, and those that lie one by one in the directory beside it.

    Args:
        fingerprint: of a row as it would be measured now; None where it could not be.
    """

    def __init__(self, path: Path, fingerprint: Callable[[Key], str | None]) -> None:
        self.path, self.kept = path, path.with_suffix("")
        self._fingerprint = fingerprint
        self._rows: dict[Key, Row] = {}
        for row in [*_told(path), *_kept(self.kept)]:
            # The directory holds rows of earlier code, too.
            if _key(row) not in self._rows or self.is_current(row):
                self._rows[_key(row)] = row

    def find(self, key: Key) -> Row | None:
        """The row of that key, unless it is of other code or lessons, or could not be measured."""
        row = self._rows.get(key)
        if row is None or not self.is_current(row) or row.get("reason"):
            return None
        return row

    def is_current(self, row: Row) -> bool:
        """Whether it is of today's code and lessons."""
        return bool(row["fingerprint"] == self._fingerprint(_key(row)))

    def add(self, row: Row) -> None:
        """Keep a row, and tell it beside the others at once."""
        self._rows[_key(row)] = row
        dataset, system, seed, budget = _key(row)
        name = f"{dataset}-{system}-s{seed}-{budget:g}-{row['fingerprint'][:8]}.json"
        _write(self.kept / name, row)
        self.tell()

    def tell(self) -> None:
        """Write all rows, in the table's order, and the means behind them."""
        _write(self.path, [*self.rows(), *self.means()])

    def rows(self) -> list[Row]:
        """One for each system, dataset and seed."""
        return sorted(self._rows.values(), key=_place)

    def means(self) -> list[dict[str, Any]]:
        """One for each system, dataset and budget: means over the seeds, and their range. Of
        current rows where there are any: a mean over two versions of the code would be of neither.
        Else of those of earlier code, marked by `current`."""
        groups: dict[Group, list[Row]] = {}
        for row in self.rows():
            if row.get("reason") is None:
                groups.setdefault(_group(row), []).append(row)
        return [self._mean(rows) for rows in groups.values()]

    def _mean(self, rows: Sequence[Row]) -> dict[str, Any]:
        if current := [row for row in rows if self.is_current(row)]:
            return _mean(current)
        return {**_mean(rows), "current": False}


def table(report: Report) -> str:
    """The means in Markdown, a table for each dataset and budget; shares in percent."""
    lines: list[str] = []
    means = report.means()
    for dataset, budget in dict.fromkeys((row["dataset"], row["budget_s"]) for row in means):
        lines += ["", f"{dataset}, {budget:g} CPU-seconds a training", ""]
        lines.append("| system | seeds | " + " | ".join(COLUMNS.values()) + " |")
        lines.append("| --- " * (len(COLUMNS) + 2) + "|")
        for row in means:
            if (row["dataset"], row["budget_s"]) == (dataset, budget):
                cells = " | ".join(_cell(row, name) for name in COLUMNS)
                mark = "" if row.get("current", True) else EARLIER
                lines.append(f"| {row['system']}{mark} | {row['seeds']} | {cells} |")
    if any(not row.get("current", True) for row in means):
        lines += ["", f"{EARLIER} of earlier code or lessons"]
    return "\n".join([*lines, *_left_out(report)])


def _left_out(report: Report) -> Iterator[str]:
    earlier = {_group(mean) for mean in report.means() if not mean.get("current", True)}
    for row in report.rows():
        name = f"{row['dataset']} {row['system']} {row['seed']}"
        if _group(row) in earlier and not row.get("reason"):
            continue  # the table has it, marked
        if not report.is_current(row):
            yield f"{name}: of other code or lessons, left out"
        elif row.get("reason"):
            yield f"{name}: {row['reason']}"


def _mean(rows: Sequence[Row]) -> dict[str, Any]:
    found = {name: [row[name] for row in rows if row.get(name) is not None] for name in FIGURES}
    return {
        **{name: rows[0][name] for name in ("system", "dataset", "budget_s")},
        "seed": MEAN,
        "seeds": len(rows),
        **{name: round(fmean(some), 4) if some else None for name, some in found.items()},
        "spread": {name: [min(some), max(some)] for name, some in found.items() if some},
    }


def _cell(row: Row, name: str) -> str:
    if row[name] is None:
        return "–"
    low, high = row["spread"][name]
    if name in SHARES:
        return _range(100 * row[name], 100 * low, 100 * high, 0)
    return _range(row[name], low, high, {"kl": 2, "epochs": 1, "examples_per_s": 1}.get(name, 0))


def _range(mean: float, low: float, high: float, digits: int) -> str:
    shown = [f"{value:.{digits}f}" for value in (mean, low, high)]
    return shown[0] if shown[1] == shown[2] else f"{shown[0]} ({shown[1]}–{shown[2]})"


def _key(row: Row) -> Key:
    return row["dataset"], row["system"], row["seed"], row["budget_s"]


def _group(row: Row) -> Group:
    return row["dataset"], row["system"], row["budget_s"]


def _place(row: Row) -> tuple[str, float, int, int]:
    known = NAMES.index(row["system"]) if row["system"] in NAMES else len(NAMES)
    return row["dataset"], row["budget_s"], known, row["seed"]


def _told(path: Path) -> Iterable[Row]:
    rows = json.loads(path.read_text("utf-8")) if path.exists() else []
    return [row for row in rows if row["seed"] != MEAN]


def _kept(directory: Path) -> Iterable[Row]:
    files = sorted(directory.glob("*.json"), key=lambda file: file.stat().st_mtime)
    return [json.loads(file.read_text("utf-8")) for file in files]


def _write(path: Path, found: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    beside.replace(path)
