"""The facts of `deploy.tracing` and `deploy.bisecting` in lines for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot import confidence
from bot.mrkdwn import IMPORTED
from bot.store.schema import AnswerMode

Facts = Mapping[str, Any]
_DONE = {
    "live": "learned", "hold": "held", "free": "freed", "revoke": "revoked", "restore": "restored",
}  # fmt: skip
LONG = 100  # characters of a text that are shown


def trace(found: Facts) -> str:
    """`mynah trace` for the eye: each line's indent says what it belongs to."""
    lines: list[str] = []
    if answer := found.get("answer"):
        lines += _answer(answer)
    if adapter := found.get("adapter"):
        lines += _adapter(adapter)
    if release := found.get("release"):
        lines += [f"release   {_lived(release)}", "          the base model: nothing was trained"]
    if one := found.get("example"):
        lines += _example(one)
    if message := found.get("message"):
        lines += _message(message)
    return "\n".join(lines)


def bisect(found: Facts) -> str:
    """`mynah bisect` for the eye: what is proved, what is likely, and what to do."""
    by = found["adapter"] or "the base model"
    lines = [
        f"answer    {found['answer']} {short(found['text'])}",
        f"          to {short(found['question'])}, {found['mode']}, {found['release']} ({by})",
    ]
    if found["began"]:
        lines.append(f"began     with {found['began']}")
    for head in ("proved", "likely"):
        lines += [f"{head:<10}{line}" for line in found[head]]
    lines += [f"suspect   {example(one)}{_evidence(one)}" for one in found["suspects"]]
    return "\n".join(lines + [f"to do     {line}" for line in found["what_to_do"]])


def short(text: str) -> str:
    """The words on one line, cut where they are many."""
    line = " ".join(text.split())
    return f"“{line if len(line) <= LONG else line[: LONG - 1] + '…'}”"


def example(one: Facts) -> str:
    """One example on one line: its words, where it stands, and whose word it is."""
    state = "" if one["status"] == "live" else f" [{one['status']}: {one['reason']}]"
    words = short(one["question"]) if one["question"] else "(its words are gone)"
    return f"example {one['example']} {words}{state}, {_whose(one)}"


def _whose(one: Facts) -> str:
    given, file = one["feedback"], one["imported"]
    if given is None:
        who = f"by {one['approved_by'].removeprefix(IMPORTED)}"
        return f"{who}, from {file['place']}" if file else who
    back = f", taken back {_at(given['revoked_at'])}" if given["revoked_at"] else ""
    return f"{given['kind']} by {given['by']} {_at(given['at'])} on {given['message']}{back}"


def _evidence(one: Facts) -> str:
    if "evidence" not in one:
        return f", similarity {one['similarity']:.2f}"
    figures = ", ".join(f"{name} {value:.2f}" for name, value in one["evidence"].items())
    shared = f"; both say {', '.join(one['shared'])}" if one["shared"] else ""
    return f" (alike: {figures}{shared})"


def _answer(one: Facts) -> list[str]:
    lines = [
        f"answer    {one['id']} {short(one['text'])}",
        f"          to {short(one['question'])}, asked by {one['asked_by']}, {_at(one['at'])}",
        f"          {one['mode']}, confidence: {one['confidence']}",
    ]
    gone = {"replaced": one["replaced_at"], "deleted": one["deleted_at"]}
    lines += [f"          {how} {_at(at)}" for how, at in gone.items() if at]
    if one["others"]:
        numbers = ", ".join(map(str, one["others"]))
        lines.append(f"          other answers to this question: {numbers}")
    lines.append(f"release   {_lived(one['release'])}")
    for used in one["used"]:
        how, where = ("knew", "; not in the prompt") if one["mode"] == "known" else ("used", "")
        lines.append(f"{how:<10}{example(used)}, similarity {used['similarity']:.2f}{where}")
        lines += _recognised(one, used)
    if one["adapter"]:
        lines += _adapter(one["adapter"], wrote=one["weights_wrote_it"])
    else:
        lines.append("adapter   none: the base model")
    lines += [f"rated     {_rating(rating)}" for rating in one["ratings"]]
    return lines + _taught(one["taught"])


def _recognised(one: Facts, used: Facts) -> list[str]:
    if (logprob := used["recognised_logprob"]) is None:
        return []
    by = confidence.recognised(AnswerMode(one["mode"]), logprob)
    return [f"          recognised {by}"]


def _adapter(one: Facts, *, wrote: bool = True) -> list[str]:
    name = one["adapter"] if wrote else f"{one['adapter']} (it did not write this answer)"
    trained = one["trained"]
    lines = [f"adapter   {name}, of {one['base_model']}"]
    lines += [f"          {_lived(release)}" for release in one["releases"]]
    if run := one["run"]:
        lines.append(f"run       {_run(run)}")
    if trained["count"]:
        by = ", ".join(f"{who} {count}" for who, count in list(trained["by"].items())[:5])
        back = f", {trained['taken_back']} taken back since" if trained["taken_back"] else ""
        lines.append(f"trained   on {_count(trained['count'], 'example')} ({by}){back}")
        lines += _few(trained, [example(each) for each in trained["first"]])
    return lines + _knows(one["knows"])


def _knows(one: Facts) -> list[str]:
    """What its evaluation proved, and what changed with it."""
    than = one["before"] or "the base model"
    forgotten = one["forgotten"]
    change = f"{one['learned']} more than {than}, {forgotten['count']} forgotten"
    lines = [f"knows     {one['known']} of {_count(one['facts'], 'fact')} in memory: {change}"]
    words = [
        f"forgot example {each['example']} {short(each['question'])}" for each in forgotten["first"]
    ]
    return lines + _few(forgotten, words)


def _example(one: Facts) -> list[str]:
    lines = [f"example   {example(one).removeprefix('example ')}"]
    words = {"answer": one["answer"], "instead of": one["rejected"]}
    lines += [f"{name:<10}{short(text)}" for name, text in words.items() if text]
    if one["scope"]:
        lines.append(f"          used in {one['scope']} alone")
    if file := one["imported"]:
        by = f"by {file['by']} {_at(file['at'])}"
        lines.append(f"imported  from {file['place']}, {by}")
    lines += [f"from      {place}" for place in one["messages"]]
    lines += [f"history   {_done(each)}" for each in one["history"]]
    return lines + _under("datasets", _went_into(one)) + _under("answers", _gave(one))


def _done(one: Facts) -> str:
    why = f": {one['why']}" if one["why"] else ""
    what = _DONE.get(one["what"], one["what"])
    return f"{_at(one['at'])} {what} by {one['by'].removeprefix(IMPORTED)}{why}"


def _gave(one: Facts) -> list[str]:
    newest = [
        f"{each['answer']} {each['mode']} {short(each['text'])} to {short(each['question'])}"
        for each in one["answers"]["newest"]
    ]
    used = f"used in {_modes(one['answers_from_it'])}" if newest else "used in none"
    return [f"          {used}", *_few(one["answers"], newest)]


def _under(head: str, lines: Sequence[str]) -> list[str]:
    """Indented lines, the first of which begins with what they are."""
    return [f"{head:<10}{lines[0].lstrip()}", *lines[1:]]


def _message(one: Facts) -> list[str]:
    lines = [f"message   {one['message']}"]
    lines += [f"          {_rating(rating)}" for rating in one["ratings"]]
    if not one["learned"]:
        return [*lines, "          nothing was learned from it"]
    return lines + _taught(one["learned"])


def _taught(learned: Sequence[Facts]) -> list[str]:
    lines = []
    for one in learned:
        lines.append(f"learned   {example(one)}")
        if one["answers_from_it"]:
            lines.append(f"          used in {_modes(one['answers_from_it'])}")
        lines += _went_into(one)
    return lines


def _went_into(one: Facts) -> list[str]:
    runs = one["runs"]
    if not runs["count"]:
        return ["          never in a dataset"]
    written = _modes(one["answers_by_adapters_trained_on_it"])
    return [
        f"          in the datasets of {_count(runs['count'], 'run')}:",
        *_few(runs, [_went(run) for run in runs["first"]]),
        f"          {written} by adapters that were trained on it",
    ]


def _went(run: Facts) -> str:
    lived = "; ".join(_lived(release) for release in run["releases"]) or "no release"
    return f"{_run(run)} ({run['split']}) → {run['adapter'] or 'no adapter'} → {lived}"


def _few(some: Facts, lines: Sequence[str]) -> list[str]:
    rest = some["count"] - len(lines)
    more = [f"          … and {rest} more"] if rest else []
    return [*(f"          {line}" for line in lines), *more]


def _run(run: Facts) -> str:
    return f"run {run['run']} {run['status']}, dataset {run['dataset'] or '–'}"


def _lived(one: Facts) -> str:
    spans = [
        f"{_at(span['from'])} – {_at(span['until']) if span['until'] else 'now'}"
        for span in one["live"]
    ]
    return f"{one['release']}, live {', '.join(spans) or 'never'}, {_modes(one['answers'])}"


def _modes(counts: Mapping[str, int]) -> str:
    how = ", ".join(f"{count} {mode}" for mode, count in counts.items())
    return _count(sum(counts.values()), "answer") + (f" ({how})" if how else "")


def _rating(one: Facts) -> str:
    why = f" ({one['reason']})" if one["reason"] else ""
    back = f", taken back {_at(one['revoked_at'])}" if one["revoked_at"] else ""
    return f"{one['kind']}{why} by {one['by']} {_at(one['at'])}{back}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _at(time: str) -> str:
    return time[:19]
