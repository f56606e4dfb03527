"""The facts of `deploy.facts` in lines for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.importing.pairs import printable
from bot.redaction import PLACEHOLDER
from bot.run_words import NO_WORKER, before_after, tried
from bot.store.run_view import Tried
from deploy.copies import Manifest

SHOWN = 3  # answers of each kind


def status(found: Mapping[str, Any]) -> str:
    """`mynah status` for the eye."""
    live = found["live"]
    lines = [
        f"live      {live['release']} ({live['adapter'] or 'the base model'})",
        *_base(found["base"]),
        f"examples  {_counts(found['examples'])}",
        f"facts     {_facts(found['facts'])}",
        *([] if found["worker_alive"] else [f"worker    {NO_WORKER}"]),
        *[_replica(one) for one in found["replicas"]],
        *_run(found["run"]),
    ]
    if trial := found["canary"]:
        some = f"{trial['release']}, {trial['share']:.0%} of new threads: {trial['so_far']}"
        lines.insert(1, f"canary    {some}")
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


def queued(found: Mapping[str, Any]) -> str:
    """`mynah train` for the eye."""
    name = f"run {found['id']} is"
    line = f"{name} queued: `mynah status` shows how far it is"
    lines = [line if found["created"] else f"{name} {found['status']} already"]
    return "\n".join(lines + ([] if found["worker_alive"] else [NO_WORKER]))


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
    if 0 < one["share"] < 1:
        return f"canary, {one['share']:.0%}"
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


def taken_back(found: Mapping[str, Any]) -> str:
    """`mynah revoke` for the eye: what it changed, and what it did not."""
    number = found["example"]
    again, same, trained = (
        ", ".join(map(str, found[name]))
        for name in ("counts_again", "says_the_same", "trained_into")
    )
    lines = [f"example {number} counts no more: `mynah restore {number}` undoes it"]
    if again:
        lines.append(f"counts again in its place: example {again}")
    if same:
        lines.append(f"says the same, and still counts: example {same}")
    if trained:
        lines.append(f"until the next run or a rollback these have learned it: {trained}")
    return "\n".join(lines)


def given_back(found: Mapping[str, Any]) -> str:
    """`mynah restore` for the eye."""
    why = f", {found['status']}: {found['reason']}" if found["reason"] else ""
    return f"example {found['example']} {'does not count' if why else 'counts again'}{why}"


def imported(found: Mapping[str, Any]) -> str:
    """`mynah import` for the eye."""
    counts, dry = found["counts"], found["dry_run"]
    lines = [
        f"{found['kind']}: {found['read']} answers read, imported by {found['by']}"
        + (" (a dry run: nothing was stored)" if dry else ""),
        *[f"  {note}" for note in found["notes"]],
        *_fate("would learn" if dry else "learned", counts["learned"], found, "learned"),
        *_redacted(found),
        *_fate("would retire" if dry else "retired", counts["retired"], found, "retired"),
        *_fate("refused", counts["refused"], found, "refused"),
        *_fate("overruled", counts["overruled"], found, "overruled"),
        *_fate("known already", counts["known"], found, "known"),
        *_conflicts(found["answers"]["conflicts"]),
    ]
    return "\n".join(lines)


def _fate(title: str, count: int, found: Mapping[str, Any], name: str) -> list[str]:
    lines = [f"{title:<14}{count}"]
    if name == "refused":
        lines += [f"  {number} × {reason}" for reason, number in found["refused"].items()]
    for one in found["answers"][name][:SHOWN]:
        why = f" [{one['why']}]" if one["why"] else ""
        lines.append(f"  {_answer(one)}{why}")
    return lines + _more(count)


def _redacted(found: Mapping[str, Any]) -> list[str]:
    """What of all that is learned lacks what stood there; the words around that."""
    kinds, shown = found["redacted"], found["answers"]["redacted"]
    if not shown:
        return []
    lines = [f"{'… redacted':<14}{len(shown)}"]
    for kind, number in kinds.items():
        own = " (the house's own stay where MYNAH_KEEP_CONTACTS names them)"
        lines.append(f"  {number} × {kind}{own if kind in ('[email]', '[phone]') else ''}")
    lines += [
        f"  {one['place']}: {_around(one['question'], one['answer'])}" for one in shown[:SHOWN]
    ]
    return lines + _more(len(shown))


def _around(*texts: str) -> str:
    """The words around the first placeholder."""
    for text in texts:
        if (found := PLACEHOLDER.search(text)) is not None:
            start = max(0, found.start() - 40)
            return ("…" if start else "") + _line(text[start:], 70)
    return ""


def _conflicts(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Answers that contradict each other; staff are asked of each."""
    lines = [f"{'contradict':<14}{len(found)}"]
    for one in found[:SHOWN]:
        how = "takes the place of" if one["replaced"] else "counts beside"
        lines += [f"  {_answer(one['newer'])}", f"    {how} {_answer(one['older'])}"]
    return lines + _more(len(found))


def _more(count: int) -> list[str]:
    return [f"  … and {count - SHOWN} more: --json shows all"] if count > SHOWN else []


def _answer(one: Mapping[str, str]) -> str:
    return f"{one['place']}: {_line(one['question'], 44)} → {_line(one['answer'], 60)}"


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
