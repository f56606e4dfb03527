"""Redaction: secrets and personal data go, in every form; technical text stays as it is."""

from __future__ import annotations

import json
import re
import string
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from bot.redaction import redact, redact_together

HELPDESK = Path(__file__).parents[2] / "deploy" / "helpdesk.jsonl"
THREADS = Path(__file__).parents[3] / "shared" / "data" / "threads.jsonl"


def _slack_token(kind: str) -> str:
    # Put together here, so that no scanner of this file takes it for a real one.
    return kind + "-1234567890-abcdefABCDEF"


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("mail jane.doe+x@example.com please", "mail [email] please"),
        ("mail Jane.Doe@Sub.Example.co.uk.", "mail [email]."),
        ("jörg@müller-häuser.de", "[email]"),
        ("jane [at] example [dot] com", "[email]"),
        ("jane(at)example.com", "[email]"),
        ("jane at example dot com", "[email]"),
        ("https://x.example/?u=jane%40example.com&v=1", "https://x.example/?u=[email]&v=1"),
        ("jane＠example.com", "[email]"),
        ("jane\u200b@exam\u200bple.com", "[email]"),
        ("o'brien@example.com", "[email]"),
    ],
)
def test_mail_addresses_go(text: str, redacted: str) -> None:
    """However an address is written, nothing of it is left."""
    assert redact(text) == redacted


@pytest.mark.parametrize(
    "number",
    [
        "+49 30 1234567",
        "+49 (0)30 123456-78",
        "+1 (555) 123-4567",
        "+1-555-123-4567",
        "+442079460958",
        "0049 30 1234567",
        "(555) 123-4567",
        "555-123-4567",
        "555.123.4567",
        "1-800-555-0199",
        "030 1234567",
        "(030) 1234567",
        "0171-1234567",
        "020 7946 0958",
        "06 12 34 56 78",
    ],
)
def test_phone_numbers_go(number: str) -> None:
    """International, national and North American ways to write a number are known."""
    assert redact(f"Ring {number}, or ask Bob") == "Ring [phone], or ask Bob"
    assert redact(f"it was {number} today") == "it was [phone] today"


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("call me at 5551234", "call me at [phone]"),
        ("Tel.: 1234567", "Tel.: [phone]"),
        ("my phone number is 555 0199", "my phone number is [phone]"),
    ],
)
def test_a_short_number_goes_where_a_word_gives_it_away(text: str, redacted: str) -> None:
    """Six digits or more after "call me at" are a phone number."""
    assert redact(text) == redacted


@pytest.mark.parametrize(
    "secret",
    [
        _slack_token("xoxb"),
        _slack_token("xapp-1"),
        "ghp_" + "a1B2" * 9,
        "github_pat_" + "a1B2" * 9,
        "AKIA" + "ABCD1234" * 2,
        "sk-proj-" + "a1B2" * 9,
        "sk_live_" + "a1B2" * 6,
        "AIza" + "a1B2_" * 7,
        "hf_" + "aBcD" * 8,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIabc+/=\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk",
    ],
)
def test_known_keys_and_tokens_go_without_a_hint(secret: str) -> None:
    """Tokens of well-known services are known by their shape alone."""
    assert redact(f"I used {secret}") == "I used [secret]"


AWS = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
AWS_ID = "AKIA" + "ABCD1234" * 2


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        (f"the aws key {AWS} opens it", "the aws key [secret] opens it"),
        (f"{AWS} is our key at Amazon", "[secret] is our key at Amazon"),
        (f"aws configure: {AWS_ID}, {AWS}.", "aws configure: [secret], [secret]."),
        (f"{AWS_ID}\n{AWS}", "[secret]\n[secret]"),
        (f"use {AWS} with {AWS_ID}", "use [secret] with [secret]"),
        (f"AWS_SECRET_ACCESS_KEY {AWS}", "AWS_SECRET_ACCESS_KEY [secret]"),
        (f"secrets: {AWS} {AWS[::-1]}", "secrets: [secret] [secret]"),
    ],
)
def test_a_key_of_aws_goes_where_a_word_or_its_id_stands_near(text: str, redacted: str) -> None:
    """Its 40 signs have no shape of their own."""
    assert redact(text) == redacted


@pytest.mark.parametrize(
    "text",
    [
        f"the checksum is {AWS}, and it ends here",  # nothing says what it is
        "aws cli at commit Da39a3ee5e6b4b0d3255bfef95601890afd80709".lower(),
        "aws s3 ls Team/Reports/2024/Q1/All/Regions/v12/wee",
        f"aws needs {AWS}longer",
    ],
)
def test_forty_signs_of_another_kind_stay(text: str) -> None:
    """Checksums, commits and paths, though they stand beside the word."""
    assert redact(text) == text


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("Mine is 219-09-9998.", "Mine is [ssn]."),
        ("SSN 219099998", "SSN [ssn]"),
        ("social security number: 219 09 9998", "social security number: [ssn]"),
        ("219-09-9998 and 219 09 9998", "[ssn] and [ssn]"),
        ("part 000-12-3456, 666-12-3456, 912-34-5678, 123-00-4567, 123-45-0000", None),
        ("on 2024-05-1234, order 219-09-99981, v219-09-9998, 219099998", None),
    ],
)
def test_us_social_security_numbers_go(text: str, redacted: str | None) -> None:
    """Those that can be given; other numbers stay."""
    assert redact(text) == (redacted or text)


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("password: hunter2", "password: [secret]"),
        ("the password is hunter2!", "the password is [secret]!"),
        ("password: hunter2 for now", "password: [secret] for now"),
        ("my password is 123456", "my password is [secret]"),
        ("password: swordfish\nthanks", "password: [secret]\nthanks"),
        ("DB_PASSWORD=swordfish", "DB_PASSWORD=[secret]"),
        ('{"api_key": "abcdefgh1234"}', '{"api_key": "[secret]"}'),
        ("client-secret = 'abcdEFGH'", "client-secret = '[secret]'"),
        ("Authorization: Bearer abcDEF123456ghiJKL", "Authorization: Bearer [secret]"),
        ("curl -u admin:s3cret99 https://x", "curl -u admin:[secret] https://x"),
        ("tool --password hunter22 run", "tool --password [secret] run"),
        ("postgres://bob:s3cret99@db/x", "postgres://[secret]@db/x"),
        ("https://hooks.slack.com/services/T0/B0/abc", "https://hooks.slack.com/[secret]"),
        ("PIN: 4821", "PIN: [secret]"),
    ],
)
def test_a_word_gives_a_secret_away(text: str, redacted: str) -> None:
    """What is assigned to a password, key or token goes; the words around it stay."""
    assert redact(text).replace("services/[secret]", "[secret]") == redacted


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("IBAN DE89 3704 0044 0532 0130 00 today", "IBAN [iban] today"),
        ("GB29NWBK60161331926819", "[iban]"),
        ("card 4111 1111 1111 1111 12/26", "card [card] 12/26"),
        ("5500-0000-0000-0004", "[card]"),
        ("378282246310005", "[card]"),
    ],
)
def test_bank_and_card_numbers_go(text: str, redacted: str) -> None:
    """Numbers whose checksum is right are redacted, and nothing beside them."""
    assert redact(text) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "Use port 7411, or 7526 over TCP; IPsec needs 443 500 4500.",
        "Upgrade from 4.6.12 to 5.0.0-rc.1, build 20240501.1234567",
        "It runs on 192.168.100.200:8080 and fe80::1ff:fe23:4567:890a",
        "Since 2024-05-01T10:00:00+0100, at 03:40 on 01.05.2024 or 05/12/2024 10:30",
        "Epoch 1700000000 or 1700000000000, ts 1700000000.000123",
        "chmod 0755 bin && chmod 0644 0755 0600 x",
        "Bits 01 10 11 00 11, order 0012345678, ticket INC0012345",
        "Bytes 01 23 45 67 89 10, id 4111111111111112",
        "MAC 01-23-45-67-89-10 and 00:1B:44:11:3A:B7",
        "sha 9b74c9897bac770ffc029102a200c5de, commit d4ec02d, uuid-less id a1b2c3d4e5f6",
        "git clone git@github.com:team/repo.git, pip install pkg@1.2.3, logo@2x.png",
        "systemctl restart postgresql@14-main.service; docker pull img@sha256:abcdef0123",
        "The token is valid for 130 days; a token: valid once. max_tokens=256, tokens: 4096",
        "API key: create it under Settings. Your password: choose one yourself, please.",
        "Password: at least 12 characters. The password is required. Reset your password: now!",
        "password=$DB_PASSWORD, token: <your token>, secret: ${SECRET}, key: value",
        "Mount it at secret=/run/secrets/db and use --password-file /etc/pw",
        'Set `gate.twofold = "always"` and `intake.ceiling = 18000000000` bytes',
        "Pages 100-200-3000 of 3,300; 2 MB per second; call 911; 275 requests",
        "The webhook secret signs it. Ask for a one-time password for the account.",
        "Look at the log, wait 45 days, press [email] never",
        "Join 👩\u200d💻 and café “quotes” … ½ ２",
    ],
)
def test_technical_text_is_left_alone(text: str) -> None:
    """Ports, versions, addresses of hosts, dates, ids, paths and commands are not secrets."""
    assert redact(text) == text.replace("２", "2")


def test_the_demo_help_desk_survives() -> None:
    """Not a character of the help desk's questions and answers is redacted."""
    for line in HELPDESK.read_text().splitlines():
        row = json.loads(line)
        for text in [*row["wordings"], row.get("answer", "")]:
            assert redact(text) == text


@pytest.mark.skipif(not THREADS.exists(), reason="the shared threads are not here")
def test_real_support_talk_is_hardly_touched() -> None:
    """In 188 real support threads, few messages hold anything that redaction takes for a secret."""
    rows = [json.loads(line) for line in THREADS.read_text().splitlines()]
    texts = [message["text"] for row in rows for message in row["messages"]]
    touched = [text for text in texts if redact(text) != text]
    print(len(texts), *((text, redact(text)) for text in touched), sep="\n")
    assert len(texts) > 1000
    assert len(touched) <= len(texts) * 0.01


def test_a_value_goes_everywhere_once_it_was_found() -> None:
    """Where it stands without its give-away, in another case, spacing or notation."""
    text = "password: Tr0ub4dor& - yes, tr0ub4dor& and Tr0ub4dor%26; +49 171 2345678 = 0171/2345678"
    left = redact(text).casefold()
    assert "tr0ub4dor" not in left
    assert "2345678" not in left


def test_what_one_text_gives_away_goes_from_its_companions() -> None:
    """A password named in the question is not learned from the answer."""
    question, answer = redact_together(["my password is s3cr3tX", "never send s3cr3tX to us"])
    assert (question, answer) == ("my password is [secret]", "never send [secret] to us")


def test_what_the_house_publishes_is_kept() -> None:
    """Its own support address and hotline are knowledge, not personal data."""
    keep = {"help@house.example", "+49 30 1234567"}
    text = "Write to Help@house.example or ring +49 30 1234567, not jane@house.example"
    assert redact(text, keep) == text.replace("jane@house.example", "[email]")


@pytest.mark.parametrize("domain", ["house.example", "@House.example"])
def test_a_domain_keeps_each_address_there(domain: str) -> None:
    """And no other, nor a password that looks like one."""
    text = "help@house.example, sales@HOUSE.example, help@my.house.example, jane@home.example"
    assert redact(text, {domain}) == "help@house.example, sales@HOUSE.example, [email], [email]"
    assert redact("password=p4ss@house.example", {domain}) == "password=[secret]"


def test_forty_thousand_characters_take_no_time() -> None:
    """No pattern backtracks badly on long and repetitive text."""
    started = time.perf_counter()
    for piece in ("a", "1", "1 ", "0 12 ", "a.", "a@", "a-1.", "password: ", "+1(", "DE89 ", "eyJ"):
        redact((piece * 40_000)[:40_000])
    assert time.perf_counter() - started < 8


words = st.text(string.ascii_letters, min_size=3, max_size=10)
locals_ = st.from_regex(r"[a-z][a-z0-9]{1,8}([._+-][a-z0-9]{2,8})?", fullmatch=True)
domains = st.from_regex(
    r"[a-z][a-z0-9]{1,8}(-[a-z0-9]{2,5})?\.(com|de|org|example)", fullmatch=True
)
numbers = st.from_regex(r"\+[1-9][0-9] [1-9][0-9]{2} [0-9]{3} [0-9]{3,4}", fullmatch=True)
passwords = st.from_regex(r"[A-Za-z]{3,6}[0-9][A-Za-z0-9!#&+]{2,8}", fullmatch=True)


@given(words, locals_, domains, words)
def test_no_form_of_an_address_survives(before: str, local: str, domain: str, after: str) -> None:
    """Plain, in capitals, in a link, escaped: the local part is nowhere to be found."""
    address = f"{local}@{domain}"
    assume(local != "git")
    forms = [address, address.upper(), f"mailto:{address}", f"<{address}>", quote(address)]
    for form in forms:
        left = redact(f"{before} {form} {after}")
        assert "[email]" in left
        assert address.casefold() not in left.casefold()
        assert left.startswith(before)
        assert left.endswith(after)


@given(numbers)
def test_no_form_of_a_phone_number_survives(number: str) -> None:
    """Other separators, none at all, 00 for +: the digits are nowhere to be found."""
    digits = re.sub(r"\D", "", number)
    forms = [number, number.replace(" ", "-"), "+" + digits, "00" + digits, digits, digits[-8:]]
    left = re.sub(r"\D", "", redact(" and ".join(forms)))
    assert digits[-8:] not in left


@given(passwords, words)
def test_no_form_of_a_password_survives(password: str, other: str) -> None:
    """Named once, it is gone everywhere, also in capitals and in a URL."""
    assume(not password.casefold().startswith("xxx"))  # a stand-in for one
    forms = f"{password} {password.upper()} https://x.example/?p={quote(password, safe='')}"
    left = redact(f"password: {password} {other} {forms}").casefold()
    assert password.casefold() not in left
    assert quote(password, safe="").casefold() not in left


_PIECES = """
    password : = is token [secret] [email] @ jane example.com +49 30 1234567 0171- 555 hunter2
    -u admin: https:// http://a:b@c %40 . - ( ) DE89370400440532013000 4111111111111111 PIN 4821
    Bearer -----BEGIN xoxb- eyJ dot at secret api_key " ' ` < > , ; tel call
"""
_pieces = st.sampled_from(_PIECES.split())
messy = st.lists(st.tuples(_pieces, st.sampled_from(["", " ", "\n"])), max_size=14).map(
    lambda pairs: "".join(piece + gap for piece, gap in pairs)
)


def test_a_placeholder_is_never_redacted_itself() -> None:
    """A password that is the name of a placeholder does not nest brackets."""
    assert redact("password=secret [secret]") == "password=[secret] [secret]"


@given(st.one_of(messy, st.text(max_size=60)))
@example("password: secret [secret]")
@example("password: email jane@email.com")
@example("abcde1555-123-4567 password: abcde1")
def test_redaction_is_idempotent(text: str) -> None:
    """A second pass finds nothing: placeholders never look like something to redact."""
    once = redact(text)
    assert redact(once) == once
