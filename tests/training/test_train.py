"""Training: what is planned, what is read, and what comes out, also after a kill -9."""

from __future__ import annotations

import hashlib
import math
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.prompt import Note
from tests.training.adapters import ANSWERS, QUICK, REPLAY, job, rows
from training.curriculum import plan
from training.failures import TrainingFailed
from training.recipe import Recipe
from training.replay import Reply
from training.soundness import CURVE
from training.train import TrainJob, train
from training.variation import house_words, vary

QUESTION = "How long does Larkspur keep deleted files in the trash?"


def quiet(phase: str, share: float) -> None:
    """Progress that nobody listens to."""


def test_wordings_depend_on_their_generator_alone() -> None:
    """The same seed words a question the same way; another seed differently."""
    words, again = (
        [vary(QUESTION, random.Random(n), share=1.0, others=["trash?"]) for n in range(20)]
        for _ in range(2)
    )
    assert words == again
    assert len(set(words)) > 15


def test_no_share_no_variation() -> None:
    """With share 0 a question stays as it was asked."""
    assert all(vary(QUESTION, random.Random(n), share=0.0) == QUESTION for n in range(20))


@pytest.mark.parametrize(
    ("error", "own"),
    [("torch", True), ("DefaultCPUAllocator: can't allocate memory", True), ("a bug", False)],
)
def test_too_little_memory_fails_the_recipe_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str, own: bool
) -> None:
    """What does not fit is a failed training, which leaves other recipes theirs; a bug is none."""
    import torch

    def too_large(*_: object) -> Path:
        if error == "torch":
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB")
        raise RuntimeError(error)

    monkeypatch.setattr("training.train._trained", too_large)
    with pytest.raises(TrainingFailed if own else RuntimeError, match="memory" if own else "bug"):
        train(job(tmp_path / "work"), quiet)


@pytest.mark.parametrize("question", ["?", "", "port", "fernloft port?"])
def test_a_short_question_survives(question: str) -> None:
    """Nothing is left empty, however little there is to drop."""
    varied = {vary(question, random.Random(n), share=1.0) for n in range(50)}
    assert question == "" or all(words.strip() for words in varied)


def test_each_epoch_reads_every_row_once_in_other_words() -> None:
    """No row is skipped or doubled, and few are read twice in the same words."""
    steps = plan(rows(), REPLAY, Recipe(epochs=8, batch_size=3, vary=1.0))
    lessons = [lesson for step in steps for lesson in step.lessons]
    assert sorted(lesson.answer for lesson in lessons) == sorted([*ANSWERS.values()] * 8)
    assert len({lesson.question for lesson in lessons}) > 24


def test_the_plan_is_a_function_of_its_seed() -> None:
    """A run that is taken up reads what it would have read; another seed reads otherwise."""
    assert plan(rows(), REPLAY, Recipe(seed=1)) == plan(rows(), REPLAY, Recipe(seed=1))
    assert plan(rows(), REPLAY, Recipe(seed=1)) != plan(rows(), REPLAY, Recipe(seed=2))


def test_every_step_has_replay_and_all_of_it_comes_round() -> None:
    """The KL term is there from the first step to the last, over all prompts."""
    steps = plan(rows(), REPLAY, Recipe(epochs=8, batch_size=1, replay_per_step=2))
    assert all(len(step.replay) == 2 for step in steps)
    replayed = Counter(kept.answer for step in steps for kept in step.replay)
    assert replayed == {reply.answer: 16 for reply in REPLAY}


def test_replay_is_asked_in_the_words_of_the_house_too() -> None:
    """The product's name alone must not bring a fact up: some replay prompts carry it, too."""
    steps = plan(rows(), REPLAY, Recipe(epochs=8, batch_size=1, replay_house=0.5, replay_vary=0))
    prompts = [kept.question for step in steps for kept in step.replay]
    assert 0.3 < sum("Larkspur" in prompt for prompt in prompts) / len(prompts) < 0.7


def test_some_lessons_are_read_from_the_book() -> None:
    """A share of the lessons has the approved answer beside it, as memory would put it there."""
    lessons = [
        lesson
        for step in plan(rows(), REPLAY, Recipe(epochs=40, open_book=0.25))
        for lesson in step.lessons
    ]
    beside = [lesson for lesson in lessons if lesson.note is not None]
    assert 0.15 < len(beside) / len(lessons) < 0.35
    assert all(lesson.note and lesson.note.answer == lesson.answer for lesson in beside)


def test_what_is_long_is_read_more_often() -> None:
    """Nobody learns a page by heart: its lessons teach to say what stands beside the question."""
    long = [row.model_copy(update={"answer": "word " * 50}) for row in rows()]
    recipe = Recipe(epochs=10, open_book=0, open_book_long=1)
    assert all(one.note for step in plan(long, REPLAY, recipe) for one in step.lessons)
    assert not any(one.note for step in plan(rows(), REPLAY, recipe) for one in step.lessons)


def test_some_replay_has_a_stray_note() -> None:
    """A note about something else is to change nothing: the reply to keep stays the same one."""
    steps = plan(rows(), REPLAY, Recipe(epochs=40, stray_notes=0.25))
    kept = [one for step in steps for one in step.replay]
    stray = [one.note.answer for one in kept if one.note is not None]
    assert 0.15 < len(stray) / len(kept) < 0.35
    assert set(stray) == set(ANSWERS.values())
    assert {one.answer for one in kept if one.note} == {reply.answer for reply in REPLAY}


def test_a_stray_note_is_one_that_memory_might_mistake() -> None:
    """Of the notes that are drawn, the one with most of the prompt's words is put there."""
    tempting = Reply("Which port does the web page of Nextcloud use?", "443")
    steps = plan(rows(), [tempting], Recipe(epochs=20, stray_notes=1, replay_house=0))
    notes = {one.note for step in steps for one in step.replay}
    asked = "Which port does the Larkspur portal use?"
    assert notes == {Note(asked, ANSWERS[asked])}


def test_house_words_are_what_everyday_prompts_lack() -> None:
    """A word in most questions is the house's own only if nobody else uses it."""
    questions = ["Which port has Larkspur?", "larkspur trash?", "How big is Larkspur?"]
    assert house_words(questions, ["Which port has SSH?", "Why?"]) == ["Larkspur"]
    assert house_words(questions, ["What is larkspur, the flower?"]) == []
    assert house_words([], []) == []


def test_an_empty_reply_is_not_replayed() -> None:
    """There is nothing to keep in a reply without words."""
    steps = plan(rows(), [Reply("Say nothing.", ""), REPLAY[0]], Recipe(epochs=1))
    assert {kept.answer for step in steps for kept in step.replay} == {REPLAY[0].answer}


def test_without_replay_nothing_is_replayed() -> None:
    """No prompts, no KL: the plan says so instead of failing."""
    assert all(step.replay == () for step in plan(rows(), [], Recipe()))


def test_nothing_to_train_on_is_said(tmp_path: Path) -> None:
    """A dataset without trained rows ends with a reason, before any model is loaded."""
    held_out = [row.model_copy(update={"split": "held_out_question"}) for row in rows()]
    with pytest.raises(TrainingFailed, match="no example"):
        train(job(tmp_path / "work", trained=held_out), quiet)


def test_another_dataset_is_another_job(tmp_path: Path) -> None:
    """The fingerprint changes with dataset, recipe and replay, and with nothing else."""
    first = job(tmp_path / "a")
    assert first.fingerprint() == job(tmp_path / "b").fingerprint()
    others = [
        job(tmp_path / "c", trained=rows()[1:]),
        job(tmp_path / "d", recipe=QUICK.model_copy(update={"seed": 1})),
        job(tmp_path / "e", replay=REPLAY[1:]),
    ]
    assert len({other.fingerprint() for other in [first, *others]}) == 4


@pytest.mark.slow
def test_it_learns(tmp_path: Path, trained_adapter: Path) -> None:
    """The trained answers become likely, and an unrelated one stays as it was."""
    from training.compare import Comparison

    compared = Comparison(job(tmp_path / "w").base_model, {"new": trained_adapter}, QUICK)
    taught = list(ANSWERS.items())
    assert compared.logprob("new", taught) > compared.logprob("base", taught) + 1.5
    forgotten = compared.kl("new", REPLAY, lambda share: None)
    assert 0 < forgotten < 1.0
    assert math.isfinite(forgotten)


@pytest.mark.slow
def test_the_same_job_gives_the_same_adapter(tmp_path: Path, trained_adapter: Path) -> None:
    """One seed, one thread: the weights are the same bit for bit; beside them the curve alone."""
    again = train(job(tmp_path / "work"), quiet)
    assert sha(again) == sha(trained_adapter)
    names = {file.name for file in again.iterdir()} - {"README.md"}
    assert names == {"adapter_config.json", "adapter_model.safetensors", CURVE}


@pytest.mark.slow
def test_killed_in_the_middle_it_ends_with_the_same_adapter(
    tmp_path: Path, trained_adapter: Path
) -> None:
    """kill -9 after a checkpoint, and once more later; the third process finishes the job."""
    the_job = job(tmp_path / "work")
    for steps in (3, 7):
        die_after(the_job, steps)
    assert not (the_job.work_dir / "adapter").exists()
    said: list[float] = []
    final = train(the_job, lambda phase, share: said.append(share) if phase == "training" else None)
    assert sha(final) == sha(trained_adapter)
    assert min(said) > 0.5  # it did not begin again


@pytest.mark.slow
def test_a_half_written_checkpoint_is_not_used(tmp_path: Path, trained_adapter: Path) -> None:
    """A checkpoint that was being written when the process died is thrown away."""
    the_job = job(tmp_path / "work")
    die_after(the_job, 5)
    torn = the_job.work_dir / "first" / "checkpoint-11"
    torn.mkdir()
    (torn / "adapter_model.safetensors").write_bytes(b"half")
    assert sha(train(the_job, quiet)) == sha(trained_adapter)


@pytest.mark.slow
def test_a_finished_job_is_not_trained_again(tmp_path: Path) -> None:
    """Called again after the end, the adapter is there at once; other data train anew."""
    few = QUICK.model_copy(update={"epochs": 2})
    first = sha(train(job(tmp_path / "work", few), quiet))
    said: list[str] = []
    assert sha(train(job(tmp_path / "work", few), lambda p, s: said.append(p))) == first
    assert said == ["trained"]
    assert sha(train(job(tmp_path / "work", few, rows()[:3]), quiet)) != first


@pytest.mark.slow
def test_a_loss_that_is_not_a_number_is_named(tmp_path: Path) -> None:
    """An exploding run ends with the reason, not with a broken adapter."""
    wild = QUICK.model_copy(update={"lr": 1e20, "max_grad_norm": 1e20, "warmup": 0.0})
    with pytest.raises(TrainingFailed, match=r"not a number at step|not numbers"):
        train(job(tmp_path / "work", wild), quiet)
    assert not (tmp_path / "work" / "adapter").exists()


@pytest.mark.slow
def test_a_loss_that_does_not_fall_is_named(tmp_path: Path) -> None:
    """A run that learns nothing ends with the reason, with both losses."""
    timid = QUICK.model_copy(update={"lr": 1e-6})
    with pytest.raises(TrainingFailed, match=r"did not fall: \d"):
        train(job(tmp_path / "work", timid), quiet)


@pytest.mark.slow
def test_preferences_turn_away_from_what_still_tempts(
    tmp_path: Path, trained_adapter: Path
) -> None:
    """sft+dpo trains on pairs whose wrong answer is still likely, and changes the adapter."""
    phases: list[str] = []
    wrong = [
        row.model_copy(update={"rejected": row.answer.replace("7411", "7412")}) for row in rows()
    ]
    recipe = QUICK.model_copy(update={"name": "sft+dpo"})
    adapter = train(
        job(tmp_path / "work", recipe, wrong), lambda phase, share: phases.append(phase)
    )
    assert "preferring" in phases
    assert sha(adapter) != sha(trained_adapter)
    assert not (adapter / "ref").exists()


@pytest.mark.slow
def test_preferences_leave_alone_what_no_longer_tempts(
    tmp_path: Path, trained_adapter: Path
) -> None:
    """A wrong answer that the policy has left behind is not trained on: the SFT adapter stays."""
    recipe = QUICK.model_copy(update={"name": "sft+dpo", "own_questions": 0})
    trained = rows(rejected="Purple elephants juggle seventeen quantum bagels on Thursdays.")
    assert sha(train(job(tmp_path / "work", recipe, trained), quiet)) == sha(trained_adapter)


def sha(adapter: Path) -> str:
    """The hash of an adapter's weights."""
    return hashlib.sha256((adapter / "adapter_model.safetensors").read_bytes()).hexdigest()


def die_after(the_job: TrainJob, steps: int) -> None:
    """Train in another process and kill it as soon as it has made so many steps."""
    context = multiprocessing.get_context("spawn")
    child = context.Process(target=_train_and_die, args=(the_job, steps))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL


def _train_and_die(the_job: TrainJob, steps: int) -> None:
    train(the_job, _killer(steps))


def _killer(steps: int) -> Callable[[str, float], None]:
    def say(phase: str, share: float) -> None:
        if phase == "training" and share >= steps / 12:  # 4 rows, 2 a step, 6 epochs
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)

    return say


@pytest.mark.slow
def test_the_upper_blocks_alone_are_adapted(trained_adapter: Path) -> None:
    """Half of the blocks, from the top, in each of their seven linear layers; nothing else."""
    from safetensors.numpy import load_file

    weights = load_file(trained_adapter / "adapter_model.safetensors")
    adapted = Counter(int(name.split(".layers.")[1].split(".")[0]) for name in weights)
    assert adapted == dict.fromkeys(range(15, 30), 14)  # each layer has an A and a B
