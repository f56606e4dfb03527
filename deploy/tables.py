"""The facts of `deploy.facts` in lines for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.importing.pairs import printable
from bot.run_words import before_after, tried
from bot.store.run_view import Tried
from deploy.copies import Manifest


def status(found: Mapping[str, Any]) -> str:
    """`mynah status` for the eye."""
    live = found["live"]
    lines = [
        f"live      {live['release']} ({live['adapter'] or 'the base model'})",
        *_base(found["base"]),
        f"examples  {_counts(found['examples'])}",
        f"facts     {_facts(found['facts'])}",
        *[_replica(one) for one in found["replicas"]],
        *_run(found["run"]),
    ]
    if waits := found["waiting"]:
        how = "`mynah promote` or `mynah discard`"
        lines.insert(1, f"waiting   {waits['release']} of run {waits['run']} passed: {how}")
    if pause := found["paused"]:
        since = f" since {pause['since'][:19]}" if pause["since"] else ""
        lines.insert(0, f"paused    by {pause['by']}{since}")
    return "\n".join(lines)


def _base(base: Mapping[str, Any] | None) -> list[str]:
    """None before a worker has run."""
    return [f"base      {base['model']}@{base['sha256'][:12]}"] if base else []


def releases(found: Sequence[Mapping[str, Any]]) -> str:
    """`mynah releases` for the eye."""
    rows = [
        (
            one["release"],
            _state(one),
            one["adapter"] or "base model",
            "" if one["score"] is None else f"score {one['score']:.2f}",
            f"by {one['by']}",
            one["at"][:19],
        )
        for one in found
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(6)] if rows else []
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _state(one: Mapping[str, Any]) -> str:
    if one["other_base"]:
        return "for another base"
    return "live" if one["live"] else "rolled back" if one["rolled_back"] else str(one["action"])


def backed_up(found: Manifest) -> str:
    """What a backup holds, in one line."""
    adapters, datasets = found.count("adapters"), found.count("datasets")
    base = f"; the base model was {found.base}" if found.base else ""
    return (
        f"the database ({found.kind}) of {found.made_at:%Y-%m-%d %H:%M} UTC, "
        f"{adapters} adapter{'' if adapters == 1 else 's'}, "
        f"{datasets} dataset{'' if datasets == 1 else 's'}{base}"
    )


def imported(found: Mapping[str, Any]) -> str:
    """`mynah import` for the eye."""
    counts, dry = found["counts"], found["dry_run"]
    lines = [
        f"{found['kind']}: {found['read']} answers read, imported by {found['by']}"
        + (" (a dry run: nothing was stored)" if dry else ""),
        *[f"  {note}" for note in found["notes"]],
        *_fate("would learn" if dry else "learned", counts["learned"], found, "learned"),
        *_fate("would retire" if dry else "retired", counts["retired"], found, "retired"),
        *_fate("refused", counts["refused"], found, "refused"),
        *_fate("overruled", counts["overruled"], found, "overruled"),
        *_fate("known already", counts["known"], found, "known"),
    ]
    return "\n".join(lines)


def _fate(title: str, count: int, found: Mapping[str, Any], name: str) -> list[str]:
    lines = [f"{title:<14}{count}"]
    if name == "refused":
        lines += [f"  {number} × {reason}" for reason, number in found["refused"].items()]
    for one in found["preview"][name]:
        why = f" [{one['why']}]" if one["why"] else ""
        lines.append(
            f"  {one['place']}: {_line(one['question'], 44)} → {_line(one['answer'], 60)}{why}"
        )
    return lines


def _line(text: str, width: int) -> str:
    """A text cut to one line, of characters that a terminal shows."""
    flat = " ".join(printable(text[: 4 * width]).split())
    return flat if len(flat) <= width else flat[: width - 1] + "…"


def _replica(one: Mapping[str, Any]) -> str:
    if one["stale"]:
        return f"server    {one['url']} last seen {one['seen_at'][:19]}: is the worker running?"
    if not one["healthy"]:
        return f"server    {one['url']} down: {one['error'] or 'no answer'}"
    ready = [f"{name} (loaded in {ready['load_s']} s)" for name, ready in one["adapters"].items()]
    return f"server    {one['url']} up: {', '.join(ready) or 'no adapters'}"


def _run(run: Mapping[str, Any] | None) -> list[str]:
    if run is None:
        return ["run       none yet"]
    how = f"{run['phase']} {run['progress']:.0%}" if run["status"] == "running" else ""
    lines = [f"run       {run['id']} {run['status']} ({run['trigger']}) {how}".rstrip()]
    lines += [f"          {reason}" for reason in run["reasons"]]
    if run["evaluation"]:
        lines += [f"          {line}" for line in before_after(run["evaluation"])]
    lines += [f"          {line}" for line in tried([Tried(**one) for one in run["tried"]])]
    return lines


def _facts(found: Mapping[str, int]) -> str:
    known, rest = found["known_by_live"], found["memory_only"]
    return f"learned by the live adapter: {known} of {known + rest}; in memory only: {rest}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items()) or "none yet"
