"""The learning bench: what it teaches and asks, how answers are checked, and that rows are kept."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bot.embedder import LexicalEmbedder
from bot.prompt import build
from deploy.base_model import small_base_model
from deploy.bench.learning import factory
from deploy.bench.learning.__main__ import main
from deploy.bench.learning.bench import Bench, chosen
from deploy.bench.learning.checks import UnknownCheck, passes
from deploy.bench.learning.factory import NoFactory
from deploy.bench.learning.house import House, Posted
from deploy.bench.learning.lessons import (
    DATASETS,
    SHARED,
    Asked,
    Lessons,
    demo,
    general,
    kl_prompts,
)
from deploy.bench.learning.measuring import Measuring, kl, kl_name
from deploy.bench.learning.prints import behind
from deploy.bench.learning.report import Report, table
from deploy.bench.learning.schooling import Cost, Plan, School, partial, whole
from deploy.bench.learning.speaker import BATCH, Batching, Speaker
from deploy.bench.learning.speaking import Said
from deploy.bench.learning.spending import ChildFailed, spend
from deploy.bench.learning.systems import MYNAH, NAMES, SYSTEMS, code, measured, spoken, trained
from serving.base import BaseSpec
from serving.client import ChatMessage
from tests.lora_files import make_base
from training.replay import Reply

shared = pytest.mark.skipif(not SHARED.exists(), reason="the shared data is not here")
SPEC = BaseSpec("base", "0" * 64, {})
PORT, LOGS = "It listens on port 7411.", "Logs are in /srv/journal."
HOUSE = Lessons(
    name="house",
    taught=(("Which port has the web page?", PORT), ("Where are the log files kept?", LOGS)),
    asked=(
        Asked("Which port has the web page, please?", (("7411",),)),
        Asked("In what folder do journals go?", (("/srv/journal",),)),
    ),
    unknown=("Which port has the web page of Jira?", "Who waters the garden?"),
)


def form(name: str, **wanted: Any) -> dict[str, Any]:
    return {"type": "ifeval", "constraints": [{"id": name, **wanted}]}


CHECKED: list[tuple[dict[str, Any], str, str]] = [
    ({"type": "final_number", "value": "1,600"}, "2 and 3 make 1600.", "1600, not 16"),
    ({"type": "final_number", "value": "16"}, "so $16.00 in all", "sixteen"),
    ({"type": "contains_all", "value": ["6", "Cat"]}, "a cat of 6", "a cat"),
    (form("detectable_format:number_bullet_lists", num_bullets=2), "So:\n* a\n- b", "* a"),
    (form("length_constraints:number_words", relation="less than", num_words=3), "a b", "a b c"),
    (form("length_constraints:number_words", relation="at least", num_words=3), "a b c", "a b"),
    (
        form("startend:end_checker", end_phrase="Is that all?"),
        "Yes. is that all?",
        "Is that all? Yes",
    ),
    (form("punctuation:no_comma"), "one and two", "one, two"),
    (form("keywords:forbidden_words", forbidden_words=["field"]), "the fielder", "a Field."),
    (form("combination:two_responses"), "one\n******\ntwo", "one\n******\none"),
    (form("combination:two_responses"), "one ****** two", "one ****** two ****** three"),
    (form("change_case:english_lowercase"), "all small", "Not all"),
    (
        form("detectable_format:multiple_sections", section_spliter="Section", num_sections=2),
        "Section 1\na\nSection 2\nb",
        "Section 1\na",
    ),
    (form("detectable_format:title"), "<<Worms>>\nThey are", "<<>> They are"),
    (form("length_constraints:number_paragraphs", num_paragraphs=2), "a\n***\nb", "a\n\nb"),
    (form("detectable_format:json_format"), '```json\n{"a": 1}\n```', "a: 1"),
    (form("startend:quotation"), '"all of it"', 'not "all of it"'),
]


@pytest.mark.parametrize(("check", "right", "wrong"), CHECKED)
def test_each_kind_of_check_tells_right_from_wrong(
    check: dict[str, Any], right: str, wrong: str
) -> None:
    """And an empty answer is never right."""
    assert passes(right, check)
    assert not passes(wrong, check)
    assert not passes("", check)


def test_an_unknown_kind_of_check_is_no_pass() -> None:
    """It is refused by its name, so that no figure is made of it."""
    with pytest.raises(UnknownCheck, match="rhymes"):
        passes("a cat in a hat", form("rhymes"))


@shared
def test_every_check_of_the_general_prompts_is_known() -> None:
    """The reference answers with a number or words pass their own check."""
    assert len(general()) == 65
    for row in general():
        assert isinstance(passes("An answer.", row["check"]), bool)
        if row["check"]["type"] != "ifeval" and row["reference"]:
            assert passes(row["reference"], row["check"]), row["prompt"]


@pytest.mark.parametrize("name", ["demo", pytest.param("faq", marks=shared)])
def test_what_is_asked_was_never_taught(name: str) -> None:
    """Neither the other wordings nor the questions that nobody answered."""
    lessons = DATASETS[name]()
    taught = dict(lessons.taught)
    asked = [one.question for one in lessons.asked]
    assert asked
    assert lessons.unknown
    assert taught.keys().isdisjoint([*asked, *lessons.unknown])
    assert all(one.checks for one in lessons.asked)
    assert len({row.cluster for row in lessons.rows()}) == len(set(taught.values()))


def test_the_demo_teaches_four_wordings_and_asks_the_fifth() -> None:
    """What its people ask once is not taught here, and is asked with what comes near."""
    lessons = demo()
    counts = (len(lessons.taught), len(lessons.asked), len(lessons.unknown))
    assert counts == (48 * 4, 48, 30)


def test_a_training_ends_within_its_budget() -> None:
    """What it costs to begin is part of it; no trainer makes more epochs than its recipe."""
    cost = Cost(fixed_s=30.0, step_s=1.0)
    assert cost.fixed_s + cost.step_s * cost.steps(300.0) <= 300.0
    assert partial(270, rows=192, most_epochs=7) == Plan(270, 5.62, 192)
    assert partial(270, rows=40, most_epochs=7) == Plan(70, 7.0, 40)
    assert whole(270, rows=192, most_epochs=6) == Plan(240, 5, 192)
    assert whole(270, rows=40, most_epochs=6) == Plan(60, 6, 40)


def test_where_no_epoch_fits_fewer_rows_are_read() -> None:
    """Once each, and the share of them is told as the epochs."""
    assert whole(42, rows=420, most_epochs=6) == Plan(42, 0.4, 168)


def test_a_whole_table_of_one_seed_comes_before_the_next() -> None:
    """In each, the demo before the FAQ; what is not trained has one row a dataset."""
    jobs = chosen(NAMES, ["demo", "faq"], [0, 1])
    named = [(job.seed, job.dataset, job.system.name) for job in jobs]
    assert named[: len(NAMES)] == [(0, "demo", name) for name in NAMES]
    assert named[len(NAMES) : 2 * len(NAMES)] == [(0, "faq", name) for name in NAMES]
    assert [name for seed, dataset, name in named if (seed, dataset) == (1, "demo")] == NAMES[2:]
    assert [job.system.name for job in chosen(["mynah"], ["faq"], [2])] == ["mynah"]


def test_a_strange_selection_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """With what there is to choose from."""
    with pytest.raises(SystemExit):
        main(["--systems", "trl-sft,axolotl"])
    assert "there is no axolotl, only: base" in capsys.readouterr().err


def row(system: str, seed: int, **figures: Any) -> dict[str, Any]:
    return {
        "dataset": "demo", "system": system, "seed": seed, "budget_s": 300.0,
        "fingerprint": f"{system}-code", "checks": 0.5, "kl": 0.0, **figures,
    }  # fmt: skip


def reported(path: Path) -> Report:
    """A report to which those rows are of today's code."""
    return Report(path, lambda key: f"{key[1]}-code")


def test_rows_are_found_again_until_what_they_measured_changes(tmp_path: Path) -> None:
    """From the directory, and from the report alone; a row that failed is tried again."""
    path = tmp_path / "reports" / "learning.json"
    report = reported(path)
    report.add(row("mynah", 0))
    report.add(row("trl-sft", 0, reason="ChildFailed: killed"))
    key, failed = ("demo", "mynah", 0, 300.0), ("demo", "trl-sft", 0, 300.0)
    alone = reported(tmp_path / "clone" / "learning.json")
    alone.path.parent.mkdir()
    alone.path.write_bytes(path.read_bytes())
    for known in (report, reported(path), reported(alone.path)):
        assert known.find(key) == row("mynah", 0)
        assert known.find(("demo", "mynah", 1, 300.0)) is None
        assert known.find(failed) is None
    assert Report(path, lambda _: "other code").find(key) is None


def test_a_row_measured_anew_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    """Also in the files, whichever order they are read in."""
    report = reported(tmp_path / "learning.json")
    report.add(row("mynah", 0, checks=0.1, fingerprint="old"))
    report.add(row("mynah", 0, checks=0.9))
    assert [one["checks"] for one in reported(report.path).rows()] == [0.9]
    for file in report.kept.glob("*.json"):  # copied, they have any age
        os.utime(file, (2, 2) if "old" in file.name else (1, 1))
    assert [one["checks"] for one in reported(report.path).rows()] == [0.9]


def test_means_tell_their_spread(tmp_path: Path) -> None:
    """Over the seeds that there are, without the rows that failed; both are in the report."""
    report = reported(tmp_path / "learning.json")
    for seed, right in enumerate((0.5, 0.6, 0.7)):
        report.add(row("mynah", seed, checks=right))
    report.add(row("llamafactory-sft", 0, reason="NoFactory: no space left"))
    (mean,) = [one for one in json.loads(report.path.read_text()) if one["seed"] == "mean"]
    assert (mean["system"], mean["seeds"], mean["checks"]) == ("mynah", 3, 0.6)
    assert mean["spread"]["checks"] == [0.5, 0.7]
    assert mean["general"] is None
    shown = table(report)
    assert "| mynah | 3 | 60 (50–70) | –" in shown
    assert "demo llamafactory-sft 0: NoFactory: no space left" in shown


def test_a_mean_is_of_one_version_of_the_code(tmp_path: Path) -> None:
    """A row of another one stays in the report, and the table says that it leaves it out."""
    report = reported(tmp_path / "learning.json")
    report.add(row("mynah", 0, checks=0.1, fingerprint="old"))
    report.add(row("mynah", 1, checks=0.7))
    report.add(row("trl-sft", 0, fingerprint="old", reason="ChildFailed: killed"))
    told = json.loads(report.path.read_text())
    assert [(one["system"], one["seed"]) for one in told] == [
        ("trl-sft", 0), ("mynah", 0), ("mynah", 1), ("mynah", "mean"),
    ]  # fmt: skip
    assert (told[-1]["seeds"], told[-1]["checks"]) == (1, 0.7)
    shown = table(report)
    assert "| mynah | 1 | 70 |" in shown
    assert "demo mynah 0: of other code or lessons, left out" in shown
    assert "killed" not in shown


def test_where_no_row_is_of_todays_code_the_earlier_ones_are_told_and_marked(
    tmp_path: Path,
) -> None:
    """One refactoring does not empty the table; a single current row takes the earlier ones'
    place."""
    report = reported(tmp_path / "learning.json")
    report.add(row("mynah", 0, checks=0.1, fingerprint="old"))
    report.add(row("mynah", 1, checks=0.3, fingerprint="old"))
    report.add(row("trl-sft", 0))
    plain, mynah = (one for one in json.loads(report.path.read_text()) if one["seed"] == "mean")
    assert (mynah["current"], mynah["seeds"], mynah["checks"]) == (False, 2, 0.2)
    assert "current" not in plain
    shown = table(report).splitlines()
    assert any(line.startswith("| mynah† | 2 | 20 (10–30)") for line in shown)
    assert any(line.startswith("| trl-sft | 1 |") for line in shown)
    assert shown[-1] == "† of earlier code or lessons"
    report.add(row("mynah", 1, checks=0.7))
    assert "| mynah | 1 | 70" in table(report)
    assert "†" not in table(report)


def test_a_row_that_nobody_can_measure_any_more_is_not_current(tmp_path: Path) -> None:
    """Of a system or a dataset that is gone; one that can be is."""
    made = bench(tmp_path, [])
    known = measured(SYSTEMS[0], HOUSE, made.spec, 60.0, 0)
    assert made.fingerprint(("demo", "base", 0, 60.0)) == known
    assert made.fingerprint(("demo", "axolotl", 0, 60.0)) is None
    assert made.fingerprint(("poems", "base", 0, 60.0)) is None


def test_the_table_tells_what_was_spent_before_a_training(tmp_path: Path) -> None:
    """Beside the training itself, which alone is held to the budget."""
    report = reported(tmp_path / "learning.json")
    report.add(row("trl-sft", 0, cpu_s=290.0))
    report.add(row("mynah", 0, cpu_s=250.0, prepare_cpu_s=320.0))
    head, _, plain, mynah = table(report).splitlines()[-4:]
    names = [name.strip() for name in head.split("|")]
    for line, spent in ((plain, ["290", "–"]), (mynah, ["250", "320"])):
        cells = dict(zip(names, map(str.strip, line.split("|")), strict=True))
        assert [cells["CPU-s"], cells["prep. CPU-s"]] == spent


def test_what_a_row_depends_on(tmp_path: Path) -> None:
    """Seed, budget and lessons, and memory only where there is some."""
    house, other = HOUSE, Lessons("house", HOUSE.taught, HOUSE.asked, ())
    prints = [
        measured(system, lessons, SPEC, budget, seed)
        for system in SYSTEMS
        for lessons in (house, other)
        for budget, seed in ((300.0, 0), (300.0, 1), (60.0, 0))
        if system.trainer or (budget, seed) == (300.0, 0)
    ]
    assert len(set(prints)) == len(prints)
    assert trained("mynah", house, SPEC, 300.0, 0) == trained("mynah", other, SPEC, 300.0, 0)


def test_the_code_of_a_row_is_all_that_it_runs_through() -> None:
    """Found by what is imported; the bot's only where it answers."""
    named = {system.name: set(code(system)) for system in SYSTEMS}
    here = "deploy/bench/learning"
    marked = {
        f"{here}/checks.py", f"{here}/lessons.py", f"{here}/measuring.py", f"{here}/speaker.py",
        f"{here}/speaking.py", "bot/prompt.py", "deploy/helpdesk.py", "training/compare.py",
        "bot/marks.py", "training/rows.py",
    }  # fmt: skip
    housed = {
        f"{here}/house.py", f"{here}/voices.py", "bot/alike.py", "bot/answering.py",
        "bot/knowing.py", "bot/memory.py", "bot/recognising.py",
    }  # fmt: skip
    assert marked <= named["mynah"]
    assert housed.isdisjoint(named["mynah"])
    assert marked | housed <= named["mynah+memory"]


def test_what_mynah_reads_in_which_order_marks_its_adapter() -> None:
    """All of the code that decides it, but for what only carries rows, settings and questions."""
    carrying = {"training/asking.py", "training/recipe.py", "training/rows.py"}
    deciding = behind("training/curriculum.py", "training/contrast.py", "training/replay.py")
    assert {one for one in deciding if one.startswith("training/")} - carrying <= {*MYNAH}


def test_answers_are_kept_for_one_base_model_alone() -> None:
    """Another one of the same name says something else."""
    assert spoken(SPEC) == spoken(BaseSpec("base", "0" * 64, {}))
    assert spoken(SPEC) != spoken(BaseSpec("base", "1" * 64, {}))


class Scripted(Speaker):
    """A model with one thing to say to each question, and otherwise what it is given."""

    def __init__(self, script: dict[str, str]) -> None:
        self.script = script
        self.asked: list[list[ChatMessage]] = []

    def answers(self, chats: Sequence[list[ChatMessage]], max_tokens: int) -> list[Said]:
        """See `Speaker.answers`."""
        self.asked += chats
        return [Said(self._one(chat[-1]["content"]), True) for chat in chats]

    def _one(self, question: str) -> str:
        return self.script.get(question, "I do not know.")


def figures(
    speaker: Speaker, house: House | None, lessons: Lessons = HOUSE
) -> dict[str, float | None]:
    return Measuring(lessons, speaker, Scripted({}), house, lambda _: None).figures()


def test_weights_alone_are_measured_by_what_they_generate() -> None:
    """A taught fact in the answer to what nobody taught is made up."""
    said = {HOUSE.asked[0].question: "Port 7411.", HOUSE.unknown[0]: "Port 7411, of course."}
    found = figures(Scripted(said), None)
    assert (found["checks"], found["checks_as_posted"], found["quoted"]) == (0.5, 0.5, 0.0)
    assert (found["wrong_on_never_trained"], found["leak"]) == (0.5, 0.0)


def test_a_quote_counts_as_posted_and_not_as_generated() -> None:
    """Without quoting, the approved answer is in the prompt, which this model makes nothing of."""
    speaker = Scripted({})
    with House(HOUSE.taught, LexicalEmbedder(), speaker, None) as house:
        asked = [HOUSE.asked[0].question]
        assert house.posted(asked, 8, quote=True) == [Posted(PORT, True)]
        found = figures(speaker, house)
    assert (found["checks_as_posted"], found["quoted"], found["checks"]) == (0.5, 0.5, 0.0)
    assert any(PORT in chat[-1]["content"] for chat in speaker.asked)


def test_the_quote_of_another_questions_answer_is_made_up() -> None:
    """Whatever it says: this answer has no word that only a taught fact would say."""
    taught = tuple((question, "Ask the people at the desk.") for question, _ in HOUSE.taught)
    lessons = Lessons("plain", taught, HOUSE.asked, HOUSE.unknown)
    with House(taught, LexicalEmbedder(), Scripted({}), None) as house:
        found = figures(Scripted({}), house, lessons)
    assert found["wrong_on_never_trained"] == 0.5
    assert figures(Scripted({}), None, lessons)["wrong_on_never_trained"] == 0.0


@shared
def test_a_kept_kl_is_that_of_these_very_answers(tmp_path: Path) -> None:
    """With another answer of the base it is measured anew, which this model could not be."""
    prompts = kl_prompts()
    replies = [Reply(prompt, "I do not know.") for prompt in prompts]
    (tmp_path / kl_name(replies)).write_text("0.5")
    assert kl(tmp_path, Scripted({}), tmp_path, lambda _: None) == 0.5
    with pytest.raises(ValueError, match="tokenizer"):
        kl(tmp_path, Scripted({prompts[0]: "Yes."}), tmp_path, lambda _: None)


def test_what_was_said_is_not_asked_again(tmp_path: Path) -> None:
    """Not even where the process was killed while it wrote; the model is not loaded for it."""
    kept = tmp_path / "said.jsonl"
    chats = [build("one"), build("two")]

    class Counting(Speaker):
        def _generate(self, chats: Sequence[list[ChatMessage]], max_tokens: int) -> list[Said]:
            return [Said(f"{len(chats)}", True)] * 2

    assert Counting("nowhere", None, kept).answers(chats, 8) == [Said("2", True)] * 2
    with kept.open("a") as file:
        file.write('{"key": "half')
    assert Speaker("nowhere", None, kept).answers(chats[:1], 8) == [Said("2", True)]


async def test_what_is_asked_at_once_is_answered_in_one_batch() -> None:
    """As the trainer asks a server, four at a time."""
    speaker = Scripted({"q1": "one", "q2": "two"})
    batches: list[int] = []

    class Counting(Scripted):
        def answers(self, chats: Sequence[list[ChatMessage]], max_tokens: int) -> list[Said]:
            batches.append(len(chats))
            return speaker.answers(chats, max_tokens)

    client = Batching(Counting({}))
    asked = [client.complete(build(f"q{n}"), model="base", max_tokens=8) for n in (1, 2)]
    found = await asyncio.gather(*asked)
    assert [one.text for one in found] == ["one", "two"]
    assert batches == [2]


def test_a_child_is_paid_for_by_its_own_cpu(tmp_path: Path) -> None:
    """And its highest memory is its own."""
    work = "x = b'x' * (64 << 20); n = 0\nwhile n < 9_000_000: n += 1"
    idle = spend([sys.executable, "-c", "pass"], tmp_path / "log")
    busy = spend([sys.executable, "-c", work], tmp_path / "log")
    assert busy.cpu_s > idle.cpu_s
    assert 64 < busy.rss_mb < 96  # this very process holds more


def test_a_child_that_fails_is_told_by_its_last_line(tmp_path: Path) -> None:
    """With its status."""
    with pytest.raises(ChildFailed, match="status 3: no space"):
        spend([sys.executable, "-c", "print('no space'); exit(3)"], tmp_path / "log")


def test_llamafactory_reads_the_prompt_that_the_bot_sends(tmp_path: Path) -> None:
    """The same system words, and for DPO the wrong answer to each question beside the right one."""
    rows = HOUSE.rows()
    job = {"seed": 1, "steps": 5, "base": "base", "work": tmp_path, "out": tmp_path / "out"}
    rejected = {one.question: "No idea." for one in rows}
    settings = factory.write(job, rows, rejected, factory.DPO, tmp_path / "sft")
    found = json.loads(settings.read_text())
    assert (found["stage"], found["max_steps"], found["seed"]) == ("dpo", 5, 1)
    assert found["adapter_name_or_path"] == found["ref_model_adapters"] == str(tmp_path / "sft")
    lessons = json.loads((tmp_path / "lessons.json").read_text())
    assert lessons[0]["system"] == build("?")[0]["content"]
    assert (lessons[0]["chosen"], lessons[0]["rejected"]) == (PORT, "No idea.")
    assert json.loads((tmp_path / "dataset_info.json").read_text())["lessons"]["ranking"]


def bench(tmp_path: Path, said: list[str]) -> Bench:
    base = make_base(tmp_path / "base")
    made = Bench(base, tmp_path / "learning.json", 300.0, said.append)
    made.lessons = {"demo": HOUSE}
    return made


def test_a_bench_of_known_rows_measures_nothing(tmp_path: Path) -> None:
    """Its base model could not speak."""
    said: list[str] = []
    made = bench(tmp_path, said)
    jobs = chosen(["base", "mynah"], ["demo"], [0, 1])
    for job in jobs:
        known = measured(job.system, HOUSE, made.spec, 300.0, job.seed)
        made.report.add(row(job.system.name, job.seed, fingerprint=known))
    made.measure(jobs)
    assert [line.rpartition(": ")[2] for line in said] == ["known"] * 3


def test_without_llamafactory_there_is_a_row_that_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the rows behind it are measured."""
    (tmp_path / "cache").write_text("no directory")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = bench(tmp_path, [])
    made.measure(chosen(["llamafactory-sft"], ["demo"], [0, 1]))
    reasons = [one["reason"] for one in made.report.rows()]
    assert len(reasons) == 2
    assert all(reason.startswith("NoFactory: ") for reason in reasons)


class Killed(BaseException):
    """As if the process were gone."""


class Laborious(Speaker):
    """Each batch costs it CPU; in the second the process is killed, once."""

    batches = 0

    def _generate(self, chats: Sequence[list[ChatMessage]], max_tokens: int) -> list[Said]:
        until = time.process_time() + 0.3
        while time.process_time() < until:
            pass
        Laborious.batches += 1
        if Laborious.batches == 2:
            raise Killed
        return [Said("No idea.", True)] * len(chats)


class Preparing(School):
    """Its base model is a laborious one."""

    def _speaker(self, kept: Path, more: Callable[[], object]) -> Speaker:
        return Laborious("nowhere", None, kept, more)


def test_what_a_killed_preparation_spent_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that goes on adds to it, though it need not ask again what was answered."""
    (tmp_path / "cache").write_text("no directory")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    taught = tuple((f"Question {n}?", "Yes.") for n in range(BATCH + 1))
    lessons = Lessons("house", taught, (), ())
    school = Preparing(lessons, tmp_path, tmp_path, 25.0, lambda _: "recipe", lambda _: None)
    for ends in (Killed, NoFactory):
        with pytest.raises(ends):
            school.train("llamafactory-dpo", 0, tmp_path / "adapter", LexicalEmbedder)
    (cost,) = (tmp_path / "prepared").glob("*.cost")
    assert json.loads(cost.read_text()) >= 0.6


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_training_is_probed_planned_and_kept(tmp_path: Path) -> None:
    """It ends with an adapter that the model can speak with, and is not done twice."""
    said: list[str] = []
    lessons = Lessons("house", HOUSE.taught * 40, HOUSE.asked, HOUSE.unknown)
    base = small_base_model()
    school = School(lessons, base, tmp_path, 25.0, lambda _: "recipe", said.append)
    for _ in range(2):
        school.train("trl-sft", 0, tmp_path / "adapter", LexicalEmbedder)
    assert len([line for line in said if "training" in line]) == 1
    spent = json.loads((tmp_path / "adapter" / "spent.json").read_text())
    assert spent["cpu_s"] > 0
    assert spent["epochs"] == pytest.approx(spent["steps"] * 4 / 80, abs=0.01)
    speaker = Speaker(str(base), tmp_path / "adapter", tmp_path / "said.jsonl")
    (answer,) = speaker.answers([build(HOUSE.taught[0][0])], 16)
    assert answer.text
