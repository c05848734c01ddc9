"""What comparing costs: texts, arguments, long behaviours, and the recorded conversations of the sample agent.

    python bench/diff.py

Prints one row for each comparison, beside the standard library's difflib on the same input in the same process. Times
are process CPU, the median of several rounds, so a busy machine disturbs the ratio little.
"""

from __future__ import annotations

import difflib
import json
import random
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from auditlog.importers import import_into
from auditlog.store import Store
from auditlog.values import Json, Turn
from replay.diff import Step, align, compare, json_diff, text_diff

HERE = Path(__file__).resolve().parent
WORDS = "your order parcel refund carrier card account address number will be sent within working days please".split()
CASES = 200


def answer(seed: int, changed: int) -> str:
    """Give an answer of about 4 KB, of which every `changed`th sentence is worded differently."""
    chance, other = random.Random(7), random.Random(seed)
    sentences = []
    for number in range(64):
        words = chance.choices(WORDS, k=10)
        if changed and number % changed == 0:
            words[2:6] = other.choices(WORDS, k=4)
        sentences.append(" ".join(words).capitalize() + ".")
    return " ".join(sentences)


def arguments(changed: int) -> Json:
    """Give arguments of about 1 KB; in the changed ones an item is put first and an amount differs."""
    items = [{"sku": f"SKU-{n:04}", "quantity": n % 3 + 1, "price": n * 1.5} for n in range(20)]
    head = [{"sku": "SKU-9999", "quantity": 1, "price": 1.0}] if changed else []
    return {"order": "A-1001", "items": head + items, "amount": 40 + changed}


def steps(seed: int) -> list[Step]:
    """Give sixty calls of five tools, a few of them other than in the next seed."""
    chance, other = random.Random(1), random.Random(seed)
    found = []
    for _ in range(60):
        name, key = chance.choice(["look_up", "search", "refund", "note", "check"]), chance.randrange(40)
        if other.random() < 0.2:
            key = other.randrange(40, 80)
        found.append(Step("tool", name, {"id": key, "reason": "as the customer asked"}))
    return found


def cases() -> list[tuple[list[Turn], list[Turn]]]:
    """Give turns of the sample agent's first version beside those of its second."""
    with tempfile.TemporaryDirectory() as folder, Store.create(Path(folder) / "store") as store:
        for version in ("v1", "v2"):
            source = HERE.parent / "sample_traces" / f"support_bot.{version}.otlp.jsonl.gz"
            import_into(store, source, tags={"arm": version})
        second = {c.tags["task_id"]: c for c in store.conversations("tag.arm:v2")}
        first = list(store.conversations("tag.arm:v1"))
    pairs = [
        ([a], [b]) for c in first for a, b in zip(c.turns, second[c.tags["task_id"]].turns, strict=False)
    ]
    return pairs[:CASES]


def milliseconds(work: Callable[[], object], rounds: int = 7) -> float:
    """Give the median CPU time of a piece of work."""
    work()
    taken = []
    for _ in range(rounds):
        begun = time.process_time()
        work()
        taken.append((time.process_time() - begun) * 1000)
    return statistics.median(taken)


def difflib_words(before: str, after: str) -> list[tuple[str, int, int, int, int]]:
    """Compare two texts word by word."""
    tokens = [re.findall(r"\w+|\s+|[^\w\s]", text) for text in (before, after)]
    return difflib.SequenceMatcher(None, *tokens, autojunk=False).get_opcodes()


def difflib_lines(before: Json, after: Json) -> list[str]:
    """Compare two JSON values as the lines of their indented text."""
    return list(
        difflib.unified_diff(
            *(json.dumps(value, indent=1, sort_keys=True).splitlines() for value in (before, after))
        )
    )


def difflib_steps(before: list[Step], after: list[Step]) -> list[tuple[str, int, int, int, int]]:
    """Compare two behaviours call by call, as equal or not."""
    keys = [[f"{step.name} {json.dumps(step.arguments)}" for step in side] for side in (before, after)]
    return difflib.SequenceMatcher(None, *keys, autojunk=False).get_opcodes()


def row(name: str, ours: Callable[[], object], theirs: Callable[[], object] | None, says: str) -> None:
    """Print a line of the table."""
    mine = milliseconds(ours)
    other = milliseconds(theirs) if theirs is not None else None
    compared = f"{other:10.2f} {other / mine:9.1f}x" if other is not None else f"{'':>10} {'':>10}"
    print(f"{name:<34}{mine:10.2f} {compared}  {says}")


def main() -> None:
    """Print the table."""
    print(f"{'':<34}{'ms':>10} {'difflib ms':>10} {'ratio':>10}  result")
    for changed in (16, 4, 1):
        one, other = answer(1, changed), answer(2, changed)
        hunks = sum(hunk.op != "equal" for hunk in text_diff(one, other).hunks)
        theirs = sum(code[0] != "equal" for code in difflib_words(one, other))
        row(
            f"text of {len(one) / 1000:.1f} KB, 1 in {changed} reworded",
            lambda one=one, other=other: text_diff(one, other),
            lambda one=one, other=other: difflib_words(one, other),
            f"{hunks} changed passages, difflib {theirs}",
        )
    old, new = arguments(0), arguments(1)
    row(
        "arguments of 1 KB",
        lambda: json_diff(old, new),
        lambda: difflib_lines(old, new),
        f"{len(json_diff(old, new))} changes, difflib {len(difflib_lines(old, new))} lines",
    )
    before, after = steps(1), steps(2)
    paired = sum(pair.before is not None and pair.after is not None for pair in align(before, after))
    row(
        "alignment of 60 calls",
        lambda: align(before, after),
        lambda: difflib_steps(before, after),
        f"{paired} of 60 paired",
    )
    pairs = cases()
    different = sum(compare(*pair).behaves_differently for pair in pairs)
    row(
        f"{len(pairs)} cases of the sample agent",
        lambda: [compare(*p) for p in pairs],
        None,
        f"{different} differ",
    )


if __name__ == "__main__":
    main()
