"""Whether an answer to a general prompt is right: by a number, by words, or by its form.

The kinds that occur in general.jsonl. Those of form follow IFEval (Zhou et al., arXiv 2311.07911).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_DIVIDER = re.compile(r"\s?\*\*\*\s?")


class UnknownCheck(Exception):
    """There is no such kind of check here."""


def passes(answer: str, check: Mapping[str, Any]) -> bool:
    """Whether the answer meets the whole check.

    Raises:
        UnknownCheck: with its name.
    """
    match check["type"]:
        case "final_number":
            return _last_number(answer) == float(check["value"].replace(",", ""))
        case "contains_all":
            said = answer.casefold()
            return all(wanted.casefold() in said for wanted in check["value"])
        case "ifeval":
            return bool(answer.strip()) and all(_meets(answer, one) for one in check["constraints"])
        case other:
            raise UnknownCheck(other)


def _last_number(answer: str) -> float | None:
    found = _NUMBER.findall(answer)
    return float(found[-1].replace(",", "")) if found else None


def _meets(answer: str, constraint: Mapping[str, Any]) -> bool:
    if constraint["id"] not in _FORMS:
        raise UnknownCheck(constraint["id"])
    return _FORMS[constraint["id"]](answer, constraint)


def _bullets(answer: str, wanted: Mapping[str, Any]) -> bool:
    stars = re.findall(r"^\s*\*[^\*].*$", answer, re.MULTILINE)
    dashes = re.findall(r"^\s*-.*$", answer, re.MULTILINE)
    return len(stars) + len(dashes) == int(wanted["num_bullets"])


def _words(answer: str, wanted: Mapping[str, Any]) -> bool:
    count = len(re.findall(r"\w+", answer))
    if wanted["relation"] == "less than":
        return count < int(wanted["num_words"])
    return count >= int(wanted["num_words"])


def _ends(answer: str, wanted: Mapping[str, Any]) -> bool:
    phrase: str = wanted["end_phrase"]
    return answer.strip().strip('"').casefold().endswith(phrase.strip().casefold())


def _without(answer: str, wanted: Mapping[str, Any]) -> bool:
    words = wanted["forbidden_words"]
    return not any(re.search(rf"\b{re.escape(word)}\b", answer, re.IGNORECASE) for word in words)


def _two(answer: str, _: Mapping[str, Any]) -> bool:
    first, *others = [part.strip() for part in answer.strip(" \n*").split("******")]
    return len(others) == 1 and "" not in (first, others[0]) and first != others[0]


def _lowercase(answer: str, _: Mapping[str, Any]) -> bool:
    return answer.islower()


def _sections(answer: str, wanted: Mapping[str, Any]) -> bool:
    parts = re.split(rf"\s?{re.escape(wanted['section_spliter'])}\s?\d+\s?", answer)
    return len(parts) - 1 >= int(wanted["num_sections"])


def _title(answer: str, _: Mapping[str, Any]) -> bool:
    return any(title.strip(" <>") for title in re.findall(r"<<[^\n]+>>", answer))


def _paragraphs(answer: str, wanted: Mapping[str, Any]) -> bool:
    parts = [part.strip() for part in _DIVIDER.split(answer)]
    return all(parts[1:-1]) and sum(map(bool, parts)) == int(wanted["num_paragraphs"])


def _json(answer: str, _: Mapping[str, Any]) -> bool:
    bare = re.sub(r"^```(?:json)?|```$", "", answer.strip(), flags=re.IGNORECASE).strip()
    try:
        json.loads(bare)
    except ValueError:
        return False
    return True


def _quoted(answer: str, _: Mapping[str, Any]) -> bool:
    bare = answer.strip()
    return len(bare) > 1 and bare[0] == bare[-1] == '"'


_FORMS: Mapping[str, Callable[[str, Mapping[str, Any]], bool]] = {
    "detectable_format:number_bullet_lists": _bullets,
    "length_constraints:number_words": _words,
    "startend:end_checker": _ends,
    "punctuation:no_comma": lambda answer, _: "," not in answer,
    "keywords:forbidden_words": _without,
    "combination:two_responses": _two,
    "change_case:english_lowercase": _lowercase,
    "detectable_format:multiple_sections": _sections,
    "detectable_format:title": _title,
    "length_constraints:number_paragraphs": _paragraphs,
    "detectable_format:json_format": _json,
    "startend:quotation": _quoted,
}
