"""Questions and answers as token ids, exactly as the served chat template writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bot.prompt import Note, build, defused


@dataclass(frozen=True)
class Encoded:
    """One exchange: `prompt` ends where the assistant begins, `answer` with the end of turn."""

    prompt: list[int]
    answer: list[int]


class Encoder:
    """Turns exchanges into token ids with one model's tokenizer (any Hugging Face chat model)."""

    def __init__(self, tokenizer: Any, *, max_prompt: int, max_answer: int) -> None:
        self.tokenizer = tokenizer
        self.max_prompt = max_prompt
        self.max_answer = max_answer

    def encode(
        self, question: str, answer: str, *, ended: bool = True, note: Note | None = None
    ) -> Encoded:
        """Encode one exchange; a reply that was cut off (`ended=False`) gets no end of turn."""
        messages = [dict(message) for message in build(question, note=note)]
        return self.encode_chat(messages, answer, ended=ended)

    def encode_chat(
        self, messages: list[dict[str, Any]], answer: str, *, ended: bool = True
    ) -> Encoded:
        """Encode chat messages and the assistant's answer to them, control tokens in it defused."""
        answer = defused(answer)
        said = self._render(messages, open_end=True)
        whole = self._render([*messages, {"role": "assistant", "content": answer}])
        # What the template adds after the answer is the end of turn; the line break behind it is
        # never generated.
        spoken = whole[len(said) :].rstrip() if ended and whole.startswith(said) else answer
        return Encoded(self._ids(said)[-self.max_prompt :], self._ids(spoken)[: self.max_answer])

    def _render(self, messages: list[dict[str, Any]], *, open_end: bool = False) -> str:
        return str(
            self.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=open_end
            )
        )

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
