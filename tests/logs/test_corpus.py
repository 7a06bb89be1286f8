# ruff: noqa: E501  # generated lines are as long as those of services
"""How much of gitleaks' own examples, of generated cards and of secrets in code is taken out, and how many harmless
lines are touched. Both rates are printed: ``pytest -s tests/logs/test_corpus.py``."""

from __future__ import annotations

import json
import logging as stdlib
import os
import random
import subprocess
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ferrometer import get_logger, logs
from tests.logs.written import Written

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / ".cache" / "gitleaks.jsonl"
log = get_logger("corpus")
#: Lines of a chunk, well below the queue's size.
CHUNK = 500

#: What gitleaks calls a secret, and we do not: identifiers of clients, which are sent in the clear; a user's name; what
#: base64 hides, of which it finds a middle part; and one rule whose "secret" is the word Token.
NOT_SECRET = frozenset(
    {"adobe-client-id", "asana-client-id", "bitbucket-client-id", "discord-client-id", "sonar-api-token"}
)


def examples() -> list[dict[str, Any]]:
    if not CORPUS.exists():
        if os.environ.get("REQUIRE_GITLEAKS"):
            subprocess.run([ROOT / "tools" / "gitleaks-corpus"], check=True)
        else:
            pytest.skip("needs gitleaks' examples: make real-gitleaks")
    return [json.loads(line) for line in CORPUS.read_text().splitlines()]


def shown(written: Written, texts: list[str]) -> list[str]:
    """What becomes of them as messages, in their order."""
    for start in range(0, len(texts), CHUNK):
        for number, text in enumerate(texts[start : start + CHUNK], start):
            log.info(text, number=number)
        assert logs.flush(60)
    lines = [line for line in written.lines() if "number" in line]
    assert [line["number"] for line in lines] == list(range(len(texts)))
    return [line["message"] for line in lines]


def luhn(digits: list[int]) -> int:
    doubled = [
        digit * 2 - 9 * (digit > 4) if place % 2 == 0 else digit
        for place, digit in enumerate(reversed(digits))
    ]
    return -sum(doubled) % 10


def cards(count: int, numbers: random.Random) -> Iterator[str]:
    for _ in range(count):
        first, length = numbers.choice(
            [
                ("4", 16),
                ("51", 16),
                ("55", 16),
                ("2221", 16),
                ("34", 15),
                ("37", 15),
                ("6011", 16),
                ("3528", 16),
                ("62", 19),
                ("36", 14),
            ]
        )
        digits = [int(digit) for digit in first] + [
            numbers.randrange(10) for _ in range(length - len(first) - 1)
        ]
        card = "".join(map(str, [*digits, luhn(digits)]))
        between = numbers.choice(["", " ", "-"])
        yield between.join(card[at : at + 4] for at in range(0, length, 4))


def test_gitleaks_examples(written: Written) -> None:
    rows = [row for row in examples() if row["real"] and row["rule"] not in NOT_SECRET]
    rows = [row for row in rows if any(len(secret) >= 8 for secret in row["secrets"])]
    assert len(rows) > 3000
    all_rules, missed = Counter(row["rule"] for row in rows), Counter[str]()
    samples: dict[str, str] = {}
    for row, message in zip(rows, shown(written, [row["text"] for row in rows]), strict=True):
        if any(secret in message for secret in row["secrets"] if len(secret) >= 8):
            missed[row["rule"]] += 1
            samples.setdefault(row["rule"], row["text"][:120])
    rate = 1 - missed.total() / len(rows)
    print(f"\n{rate:.2%} of {len(rows)} examples of {len(all_rules)} rules of gitleaks are taken out")
    for rule, count in missed.most_common(12):
        print(f"  left: {rule}: {count} of {all_rules[rule]}, as {samples[rule]!r}")
    assert rate >= 0.98


def test_generated_cards(written: Written) -> None:
    numbers = random.Random(7)
    all_cards = list(cards(2000, numbers))
    left = [
        card
        for card, message in zip(
            all_cards, shown(written, [f"paid with {card}, thanks" for card in all_cards]), strict=True
        )
        if card in message
    ]
    print(f"\n{1 - len(left) / len(all_cards):.2%} of {len(all_cards)} cards are taken out")
    assert not left


def harmless(count: int) -> Iterator[str]:
    """Lines as services write them, with all that looks like a secret and is none."""
    numbers = random.Random(11)
    words = ["served", "refused", "model", "tenant", "cache", "route", "queue", "worker", "batch", "stream"]

    def hexadecimal(digits: int) -> str:
        return "".join(numbers.choices("0123456789abcdef", k=digits))

    def word() -> str:
        return numbers.choice(words)

    makers = [
        lambda: f"{word()} request {uuid.UUID(int=numbers.getrandbits(128))} in {numbers.random() * 900:.3f} ms",
        lambda: f"trace {hexadecimal(32)} span {hexadecimal(16)} sampled",
        lambda: f"at {1_700_000_000_000_000_000 + numbers.randrange(10**17)} ns, {1_700_000_000_000 + numbers.randrange(10**10)} ms",
        lambda: f"prompt_tokens={numbers.randrange(9999)} completion_tokens={numbers.randrange(999)} max_tokens: {numbers.randrange(99999)}",
        lambda: f"commit {hexadecimal(40)} of {word()}-{word()}",
        lambda: f"GET /v1/{word()}/{numbers.randrange(10**6)}?page={numbers.randrange(99)}&next_page_token={hexadecimal(12)} HTTP/1.1 200",
        lambda: f"order {numbers.randrange(10**9, 10**11)} of customer {numbers.randrange(10**6)} shipped",
        lambda: f"connected to postgres://app@db-{numbers.randrange(9)}:5432/shop",
        lambda: f"token_type={word()} token_count: {numbers.randrange(99)} idempotency_key={word()}-{numbers.randrange(999)}",
        lambda: f"{word()}: {{'author': '{word()}', 'session_id': 's-{hexadecimal(12)}', 'key': '{word()}'}}",
        lambda: f"sha256 {hexadecimal(64)} of sk-learn-{numbers.randrange(9)}.{numbers.randrange(99)}.whl",
        lambda: f"10.{numbers.randrange(256)}.0.{numbers.randrange(256)}:{numbers.randrange(65536)} [{hexadecimal(4)}::{hexadecimal(4)}] keep-alive",
        lambda: f"password reset for user {numbers.randrange(10**6)}; secret: rotated; pwd: /home/app; token expired",
        lambda: f"vec![{numbers.randrange(99)}, {numbers.randrange(99)}] -> <{word()}>{numbers.randrange(999)}</{word()}>, a >= b",
        lambda: f"phone +49 30 {numbers.randrange(10**6, 10**8)}, IBAN-like DE{numbers.randrange(10**17, 10**18)}x",
        lambda: f"float {numbers.random():.17f} ratio {numbers.random() * 10**6:.9f}",
    ]  # fmt: skip
    for number in range(count):
        yield makers[number % len(makers)]()


def test_harmless_lines_stay(written: Written) -> None:
    texts = list(harmless(4000))
    touched = [
        (text, message) for text, message in zip(texts, shown(written, texts), strict=True) if text != message
    ]
    rate = len(touched) / len(texts)
    print(f"\n{rate:.2%} of {len(texts)} harmless lines are touched")
    for text, message in touched[:5]:
        print(f"  {text!r} -> {message!r}")
    assert rate <= 0.005


KEY = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6"
FORMS = [
    "password={}",
    "api_key='{}'",
    "Bearer {}",
    "sk-{}",
    "https://u:{}@h/x",
    '{{"token": "{}"}}',
    "token := `{}`",
]


@pytest.mark.parametrize("form", FORMS)
def test_no_way_brings_a_secret_into_a_line(written: Written, form: str) -> None:
    text = form.format(KEY)
    log.info(text)
    log.info("%s", text)
    log.info(f"before {text} after")
    log.info("nested", value={"a": [{"b": (text, {"c": text.encode()})}]})
    log.info("case", value=text.replace("password", "PassWord").replace("token", "TOKEN"))
    log.info("as a key", value={text: 1})
    log.info(f"{text} {text}, {text}")
    log.info("x" * 32_700 + " " + text)
    log.bind(note=text).info("bound")
    with logs.LoggingContext(note=text):
        log.info("context")
    try:
        raise ValueError(text)
    except ValueError:
        log.exception("raised")
    logger = stdlib.getLogger("corpus.stdlib")
    logger.handlers, logger.propagate = [logs.Handler()], False
    logger.warning("%s", text, extra={"note": text})
    log.info("json", value=json.dumps({"inner": json.dumps({"note": text})}))
    assert KEY not in written.text()
