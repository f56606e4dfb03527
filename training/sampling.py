"""What the policy itself says: many questions at once, in torch, with the weights as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from training.learner import Learner

BATCH = 16
TEMPERATURE = 0.8  # of answers by chance: what people might get to read, not noise


def says(
    learner: Learner, questions: Sequence[str], *, greedy: bool = True, max_tokens: int
) -> list[str]:
    """An answer to each question, greedy or by chance, of at most `max_tokens` tokens."""
    given = continued(learner, ids(learner, questions), greedy=greedy, max_tokens=max_tokens)
    decode = learner.tokenizer.decode
    return [decode(tokens, skip_special_tokens=True).strip() for tokens in given]


def ids(learner: Learner, questions: Sequence[str]) -> list[list[int]]:
    """The tokens of each question as it is served, to the point where the assistant begins."""
    return [learner.encoder.encode(question, "").prompt for question in questions]


def continued(
    learner: Learner, prompts: Sequence[list[int]], *, greedy: bool, max_tokens: int
) -> list[list[int]]:
    """The tokens that follow each prompt, with the end of turn where the model came to it."""
    answers: dict[int, list[int]] = {}
    with torch.no_grad(), torch.autocast(learner.model.device.type, torch.bfloat16):
        # Those of one length lie together: what is padded is computed, too.
        for batch in _batches(sorted(range(len(prompts)), key=lambda at: len(prompts[at]))):
            said = _generate(learner, [prompts[at] for at in batch], greedy, max_tokens)
            answers.update(zip(batch, said, strict=True))
    return [answers[at] for at in range(len(prompts))]


def _generate(
    learner: Learner, prompts: Sequence[list[int]], greedy: bool, max_tokens: int
) -> list[list[int]]:
    longest = max(map(len, prompts))
    ends = _ends(learner)
    read = torch.tensor([[ends[0]] * (longest - len(one)) + one for one in prompts])
    seen = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in prompts])
    trains = learner.model.training
    learner.model.eval()
    # top_p and top_k at rest: a model's own generation settings must not narrow what is by chance.
    chance = {} if greedy else {"temperature": TEMPERATURE, "top_p": 1.0, "top_k": 0}
    given = learner.model.generate(
        input_ids=read.to(learner.model.device),
        attention_mask=seen.to(learner.model.device),
        max_new_tokens=max_tokens,
        do_sample=not greedy,
        eos_token_id=ends,
        pad_token_id=ends[0],
        **chance,
    )
    learner.model.train(trains)
    return [_until_end(row[longest:].tolist(), ends) for row in given]


def _ends(learner: Learner) -> list[int]:
    """The tokens that end a turn, the tokenizer's own first."""
    known = learner.model.generation_config.eos_token_id
    others = known if isinstance(known, list) else [known] if known is not None else []
    return list(dict.fromkeys([learner.tokenizer.eos_token_id, *others]))


def _until_end(tokens: list[int], ends: Sequence[int]) -> list[int]:
    stop = next((at for at, token in enumerate(tokens) if token in ends), None)
    return tokens if stop is None else tokens[: stop + 1]


def _batches(order: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(order), BATCH):
        yield order[start : start + BATCH]
