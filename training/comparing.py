"""What torch finds of a candidate, what is live and the base; it may be found before a server is
asked, and kept until then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from serving.adapters import AdapterFile
from serving.client import BASE
from training.asked import Model
from training.recipe import Recipe
from training.replay import Reply
from training.rows import Row, of_split
from training.saying import Say


class Likelihood(NamedTuple):
    """How likely an answer is to a model: the sum over its tokens (nats), and their number."""

    total: float
    tokens: int

    @property
    def mean(self) -> float:
        """A token; 0 without any."""
        return self.total / self.tokens if self.tokens else 0.0


class Compared(BaseModel):
    """What torch found, for each held-out row: other wordings first, then whole questions."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")

    likelihoods: Mapping[Model, Sequence[Likelihood]]
    prefers: Mapping[Model, Sequence[bool | None]]
    kl: float


def compare(
    base_model: str,
    candidate: AdapterFile,
    live: str,
    rows: Sequence[Row],
    replies: Sequence[Reply],
    recipe: Recipe,
    say: Say,
) -> Compared:
    """How likely each model finds the right answers and the rejected ones, and the KL.

    Args:
        live: the name of the live adapter, which lies beside the candidate, or "base".
        replies: the base's own answers, over which the KL is measured.
    """
    from training.compare import Comparison  # torch comes along

    others = {} if live == BASE else {live: candidate.path.parent / live}
    compared = Comparison(base_model, {candidate.name: candidate.path, **others}, recipe)
    held_out = [*of_split(rows, "held_out_wording"), *of_split(rows, "held_out_question")]
    right = [(row.question, row.answer) for row in held_out]
    say("comparing with the base model", 0.0)
    names: Mapping[Model, str] = {"base": BASE, "live": live, "candidate": candidate.name}
    found = {name: compared.likelihoods(name, right) for name in dict.fromkeys(names.values())}
    prefers = {name: compared.prefers(name, found[name], held_out) for name in found}
    say("comparing with the base model", 0.2)
    kl = compared.kl(candidate.name, replies, lambda share: say("measuring forgetting", share))
    return Compared(
        likelihoods={model: found[name] for model, name in names.items()},
        prefers={model: prefers[name] for model, name in names.items()},
        kl=kl,
    )


def keep(work_dir: Path, candidate: str, live: str, compared: Compared) -> None:
    """Keep it for `kept`, under a run's directory."""
    path = _path(work_dir, candidate, live)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    beside.write_text(compared.model_dump_json(), "utf-8")
    beside.replace(path)


def kept(work_dir: Path, candidate: str, live: str) -> Compared | None:
    """What was found of a candidate against what is live by that name; None: nothing yet."""
    path = _path(work_dir, candidate, live)
    return Compared.model_validate_json(path.read_bytes()) if path.exists() else None


def _path(work_dir: Path, candidate: str, live: str) -> Path:
    return work_dir / "compared" / f"{candidate}-{live}.json"
