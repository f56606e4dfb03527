"""The message of a run as a plan: its steps with what came of each, and what an admin may decide.

Pure functions. The worker and the bot both draw it, so it is plain Block Kit without Slack's SDK.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from bot import run_words
from bot.store.run_view import RunView
from bot.store.schema import RunStatus

# https://docs.slack.dev/reference/block-kit/blocks/plan-block/ and …/task-card-block/
Block = dict[str, Any]
STEPS = ("Choose examples", "Train", "Load the candidate", "Measure it", "Gate", "Release")
FREEZE, TRAIN, LOAD, EVALUATE, GATE, RELEASE = range(6)
LOADING = "loading the candidate"  # the phase of the step between training and measuring
PROMOTE, DISCARD = "admin:promote", "admin:discard"
LINE_CHARS = 600
CONFIRM_CHARS = 300  # …/composition-objects/confirmation-dialog-object/
_MARKS = re.compile(rf"`([^`]+)`|<@([UW][A-Z0-9]+)>|{run_words.CHANNEL.pattern}")
_AT_ITS_STEP = {
    RunStatus.QUEUED: "pending",
    RunStatus.RUNNING: "in_progress",
    RunStatus.RELEASED: "complete",
    RunStatus.PROVEN: "pending",
    RunStatus.REFUSED: "complete",
    RunStatus.KEPT: "error",
    RunStatus.UNCLEAR: "complete",
    RunStatus.FAILED: "error",
}
_TITLES = {
    RunStatus.QUEUED: "Run {run} is queued",
    RunStatus.RUNNING: "Run {run} is under way",
    RunStatus.RELEASED: "Run {run}: v{number} is live",
    RunStatus.PROVEN: "Run {run} passed: v{number} waits for an admin",
    RunStatus.KEPT: "Run {run}: trained, but not released",
    RunStatus.UNCLEAR: "Run {run}: trained, but not enough to tell",
    RunStatus.REFUSED: "Run {run}: nothing was trained",
    RunStatus.FAILED: "Run {run} failed",
}
_CANARY = "Run {run}: v{number} answers {share:.0%} of new threads"


def payload(run: RunView) -> dict[str, Any]:
    """`chat.postMessage` and `chat.update` arguments of the run's message."""
    words = _CANARY if run_words.is_canary(run) else _TITLES[run.status]
    title = words.format(run=run.id, number=run.number, share=run.share)
    plan: Block = {"type": "plan", "title": title, "tasks": list(_tasks(run))}
    actions = [buttons(run)] if run.status is RunStatus.PROVEN else []
    return {"text": run_words.text(run), "blocks": [plan, *actions]}


def _tasks(run: RunView) -> Iterator[Block]:
    """The steps; what a run that is over never came to is not shown."""
    here = _step(run)
    over = run.status not in (RunStatus.QUEUED, RunStatus.RUNNING)
    for step, title in enumerate(STEPS[: here + 1] if over else STEPS):
        state = "complete" if step < here else "pending"
        task: Block = {"type": "task_card", "task_id": f"run-{run.id}-{step}", "title": title}
        if step == here:
            state = _state(run)
            if run.status is RunStatus.RUNNING:
                task["details"] = _rich([run_words.progress(run)])
        if lines := _output(run, step, here):
            task["output"] = _rich(lines)
        yield task | {"status": state}


def _step(run: RunView) -> int:
    """The step that the run is at, or that it ended with."""
    if run.counts is None:
        return FREEZE
    if not run.trained:
        return TRAIN
    if run.passed is None:
        return LOAD if run.phase == LOADING else EVALUATE
    return RELEASE if run.passed else GATE


def _state(run: RunView) -> str:
    discarded = run.status is RunStatus.KEPT and run.by  # somebody's will, and no mishap
    return "complete" if discarded else _AT_ITS_STEP[run.status]


def _output(run: RunView, step: int, here: int) -> list[str]:
    """What came of a step, in lines."""
    lines = {
        FREEZE: run_words.examples(run.counts),
        EVALUATE: run_words.before_after(run.figures),
        GATE: [*run.verdict, *run_words.tried(run.tried)],
    }.get(step, [])
    if step != here or run.status in (RunStatus.QUEUED, RunStatus.RUNNING):
        return lines
    outcome = [_outcome(run)] if step == RELEASE else []
    return [*lines, *outcome, *(one for one in run.reasons if one not in run.verdict)]


def _outcome(run: RunView) -> str:
    by = f" by {run_words.person(run.by)}" if run.by else ""
    if run_words.is_canary(run):
        return f"v{run.number} answers {run.share:.0%} of new threads{by and ', promoted' + by}"
    if run.by == run_words.CANARY and run.status is RunStatus.KEPT:
        return f"v{run.number} was rolled back"
    return {
        RunStatus.RELEASED: f"v{run.number} is live{by and ', promoted' + by}",
        RunStatus.PROVEN: f"v{run.number} is loaded and answers nobody until an admin promotes it",
        RunStatus.KEPT: f"v{run.number} was discarded{by}" if by else "not released",
    }.get(run.status, "")


def buttons(run: RunView) -> Block:
    """Promote and Discard, for what waits for an admin."""
    name = f"v{run.number}"
    figures = ". ".join([*run_words.before_after(run.figures), *run.verdict]) or "It passed."
    promote = _button(PROMOTE, "Promote", run.id, "primary")
    instead = f" instead of v{run.live}" if run.live else ""
    promote["confirm"] = _confirm(
        f"Let {name} answer{instead}?", figures[:CONFIRM_CHARS], f"Promote {name}"
    )
    discard = _button(DISCARD, "Discard", run.id, "danger")
    what = f"{name} is taken off the servers. What is live stays."
    discard["confirm"] = _confirm(f"Discard {name}?", what, f"Discard {name}")
    elements = [promote, discard]
    return {"type": "actions", "block_id": f"run:{run.id}", "elements": elements}


def _button(action_id: str, text: str, run_id: int, style: str) -> Block:
    label = _plain(text)
    return {"type": "button", "action_id": action_id, "text": label, "value": str(run_id)} | {
        "style": style
    }


def _confirm(title: str, text: str, yes: str) -> Block:
    return {
        "title": _plain(title),
        "text": _plain(text),
        "confirm": _plain(yes),
        "deny": _plain("Not now"),
    }


def _plain(text: str) -> Block:
    return {"type": "plain_text", "text": text}


def _rich(lines: Sequence[str]) -> Block:
    """Lines as rich text: a bullet each where there are several."""
    sections = [{"type": "rich_text_section", "elements": list(_pieces(line))} for line in lines]
    if len(sections) == 1:
        return {"type": "rich_text", "elements": sections}
    bullets = {"type": "rich_text_list", "style": "bullet", "elements": sections}
    return {"type": "rich_text", "elements": [bullets]}


def _pieces(line: str) -> Iterator[Block]:
    """A line with its `code`, mentions and channels; an empty one would be refused."""
    shown, at = line[:LINE_CHARS] or "-", 0
    for match in _MARKS.finditer(shown):
        if match.start() > at:
            yield {"type": "text", "text": shown[at : match.start()]}
        yield _piece(*match.groups())
        at = match.end()
    if at < len(shown):
        yield {"type": "text", "text": shown[at:]}


def _piece(code: str | None, user: str | None, channel: str | None) -> Block:
    if code:
        return {"type": "text", "text": code, "style": {"code": True}}
    if user:
        return {"type": "user", "user_id": user}
    return {"type": "channel", "channel_id": channel}
