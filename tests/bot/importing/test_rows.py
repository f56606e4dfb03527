"""CSV and JSON Lines: what was written is what is read; what is wrong is named with its place."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.importing.pairs import BadFile
from bot.importing.rows import is_csv, read_csv, read_jsonl
from bot.mrkdwn import escape, plain

CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
PAIRS = st.lists(st.tuples(CELLS.filter(bool), CELLS.filter(bool)), max_size=5)


def texts(text: str) -> list[tuple[str, str]]:
    """What CSV holds, as a draft sees it."""
    return [(one.question, one.answer) for one in read_csv("f.csv", text).pairs]


@given(PAIRS.filter(bool), st.sampled_from(",;\t|"), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_csv_written_is_csv_read(
    pairs: list[tuple[str, str]], delimiter: str, end: str, quoted: bool
) -> None:
    """Whatever the cells hold: quotes, newlines, delimiters, formulas, markup."""
    written = io.StringIO()
    # Python leaves a bare \r unquoted where lines end in \n alone: that cannot be read again.
    style = csv.excel()
    style.quoting = csv.QUOTE_ALL if quoted or end == "\n" else csv.QUOTE_MINIMAL
    writer = csv.writer(written, style, delimiter=delimiter, lineterminator=end)
    writer.writerows([("Question", " ANSWER "), *pairs])
    assert is_csv(written.getvalue())
    assert texts(written.getvalue()) == [(escape(one), escape(two)) for one, two in pairs]


@given(PAIRS)
def test_json_lines_written_are_json_lines_read(pairs: list[tuple[str, str]]) -> None:
    """Whatever the texts hold, escaped or not."""
    rows = [
        json.dumps({"question": q, "answer": a}, ensure_ascii=len(q) % 2 == 0) for q, a in pairs
    ]
    read = read_jsonl("f.jsonl", "\n".join([*rows, ""])).pairs
    assert [(one.question, one.answer) for one in read] == [
        (escape(question), escape(answer)) for question, answer in pairs
    ]


@given(CELLS)
def test_what_looks_like_slacks_markup_is_text(text: str) -> None:
    """A file knows no mentions: `<@U1>`, `&amp;` and `<https://…|…>` are what they say."""
    [one] = read_jsonl("f", json.dumps({"question": "q", "answer": f"x{text}x"})).pairs
    lines = (line.rstrip() for line in f"x{text}x".splitlines())
    assert plain(one.answer).replace("\n", "") == "".join(lines).strip()


def test_every_column_counts_wherever_it_stands() -> None:
    """Order, case and a byte-order mark's absence do not matter; unknown columns are named."""
    text = (
        "approved_by,Answer,note,Channel,QUESTION,rejected\nU0STAFF,7411,x,C0PRIV,Which port?,80\n"
    )
    found = read_csv("f.csv", text)
    [one] = found.pairs
    assert (one.question, one.answer, one.rejected) == ("Which port?", "7411", "80")
    assert (one.scope, one.approver) == ("C0PRIV", "U0STAFF")
    assert found.notes == ["columns not used: 'note'"]


def test_every_field_counts_however_it_is_written() -> None:
    """A scope that was meant and not seen would let everybody read the answer."""
    one = {"Question": "Which port?", "answer": "7411", "Channel": "C0PRIV", "chanel": "C0TYPO"}
    other = {"question": "Which plan?", "answer": "Canopy", "id": 7}
    found = read_jsonl("f.jsonl", f"{json.dumps(one)}\n{json.dumps(other)}")
    assert [pair.scope for pair in found.pairs] == ["C0PRIV", None]
    assert found.notes == ["fields not used: 'chanel', 'id'"]


def test_a_text_of_any_length_is_read() -> None:
    """What is too long to be learned is refused by itself; the rest of the file counts."""
    long = "b" * 1_100_000
    assert texts(f"question,answer\na,{long}\nc,d\n") == [("a", long), ("c", "d")]
    row = json.dumps({"question": "a", "answer": long})
    assert [one.answer for one in read_jsonl("f.jsonl", row).pairs] == [long]
    assert csv.field_size_limit() < len(long)


def test_excel_may_name_its_delimiter_first() -> None:
    """`sep=;` is no header."""
    assert texts('sep=;\r\nquestion;answer\r\n"a;b";c\r\n') == [("a;b", "c")]


def test_paraphrases_are_wordings_of_one_answer() -> None:
    """Each is an example of its own."""
    row = {"question": "Which port?", "answer": "7411", "paraphrases": ["What port?"], "id": 7}
    pairs = read_jsonl("f", json.dumps(row)).pairs
    assert [(one.question, one.answer) for one in pairs] == [
        ("Which port?", "7411"), ("What port?", "7411"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "question,text\na,b\n",
            "f.csv, row 1: the header names no \"answer\": it reads 'question,text'",
        ),
        ("q,answer\na,b\n", "f.csv, row 1: the header names no \"question\": it reads 'q,answer'"),
        ('"Question";text\n', 'row 1: the header names no "answer": it reads'),
        ("question,answer;note\n", "row 1: the header names its columns with several delimiters"),
        ("question,answer\n", "f.csv: there is no row below the header"),
        ("question,answer\n,\n\n", "f.csv: there is no row below the header"),
        ("question,answer,Answer\na,b,c\n", "f.csv, row 1: two columns are the answer"),
        ("question,answer\na,b\nc\n", "f.csv, row 3 (line 3): 1 cells, but the header has 2"),
        (
            'question,answer\n"a\nb",c\nd,e,f\n',
            "f.csv, row 3 (line 4): 3 cells, but the header has 2",
        ),
        ('question,answer\na,"b\n', "row 2 (line 2): a quote that opens a cell is never closed"),
        ('question,answer\na,"b"c\n', "row 2 (line 2): a quote within a quoted cell has to stand"),
        (
            "question,answer\n" + "," * 1_000_000,
            "row 2 (line 2): 1000001 cells, but the header has 2",
        ),
        (
            "question,answer,channel\na,b,#help\n",
            "f.csv, row 2 (line 2): channel '#help' is no channel id",
        ),
        ("question,answer,approved_by\na,b,Jane\n", "approved_by 'Jane' is no Slack user id"),
    ],
)
def test_malformed_csv_is_a_line_with_the_place(text: str, line: str) -> None:
    """Which row, on which line, and what is wrong there."""
    text = text.replace("," * 1_000_000, "x" + "," * 1_000_000)
    with pytest.raises(BadFile) as caught:
        read_csv("f.csv", text)
    assert line in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"question": "a"}', 'f, line 2: there is no "answer"'),
        ('{"question": "a", "answer": 7411}', '"answer" is a number where text belongs'),
        ('{"question": "a", "answer": NaN}', "no JSON: NaN is no number"),
        ('{"question": "a", "answer": -Infinity}', "no JSON: -Infinity is no number"),
        ('{"question": "a", "answer": ' + "9" * 5000 + "}", "f, line 2: no JSON: "),
        ("[1]", "f, line 2: a list where an object belongs"),
        ("{oops}", "Expecting property name enclosed in double quotes at column 2"),
        ('{"a":' * 100_000, "f, line 2: it is nested too deeply"),
        ('{"question": "a", "answer": "b", "paraphrases": "c"}', "is no list of texts"),
        ('{"question": "a", "answer": "b", "Answer": "c"}', "f, line 2: two fields are the answer"),
    ],
)
def test_malformed_json_lines_are_a_line_with_the_place(text: str, line: str) -> None:
    """Which line, and what is wrong there."""
    with pytest.raises(BadFile) as caught:
        read_jsonl("f", '{"question": "a", "answer": "b"}\n' + text)
    assert line in str(caught.value)
