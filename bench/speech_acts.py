"""How well the patterns of speech acts tell a promise from talk about one.

    python bench/speech_acts.py             against labelled sentences, and against the sample agent's recorded answers

The rules:

1. The labelled sentences (`bench/speech_acts.tsv`) are our own writing, and none of them stands in schemas/speech_acts.json.
   The first reading gave a precision of 0.914 and a recall of 0.800; the patterns were then extended once by what it
   missed, so that the table flatters them. What to expect of sentences that nobody has seen is the first reading.
2. The recorded answers are those of both versions of the sample agent. Each was read by a person: they hold reports of
   refunds that were made, offers and policies, and not one promise. What is found there is a false alarm.
3. The baseline is the same patterns without their guards: what a list of words would have found.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from auditlog.importers import import_into
from auditlog.resources import directory
from auditlog.store import Store
from replay.scorers import speech_acts
from replay.scorers.speech_acts import acts_in

SENTENCES = Path(__file__).with_suffix(".tsv")


class Sentence(NamedTuple):
    """A labelled sentence."""

    act: str
    language: str
    is_one: bool
    text: str


def sentences() -> list[Sentence]:
    """Read the labelled sentences."""
    rows = (line.split("\t") for line in SENTENCES.read_text(encoding="utf-8").splitlines()[1:] if line)
    return [Sentence(act, language, label == "1", text) for act, language, label, text in rows]


def without_guards(text: str, act: str) -> bool:
    """Say whether a pattern stands anywhere in the text."""
    patterns = speech_acts._patterns(frozenset([act]))  # noqa: SLF001 - what is measured is inside
    folded = speech_acts._folded(text)  # noqa: SLF001
    return any(pattern.regexp.search(folded) for pattern in patterns)


def row(name: str, found: Iterable[tuple[bool, bool]]) -> None:
    """Print one line of the table: (is one, was found) of each sentence."""
    pairs = list(found)
    hit = sum(one and said for one, said in pairs)
    false = sum(said and not one for one, said in pairs)
    missed = sum(one and not said for one, said in pairs)
    precision = f"{hit / (hit + false):.3f}" if hit + false else "-"
    recall = f"{hit / (hit + missed):.3f}" if hit + missed else "-"
    print(f"{name:<42}{len(pairs):>6}{hit:>6}{false:>7}{missed:>8}{precision:>11}{recall:>8}")


def main() -> None:
    """Print the tables."""
    labelled = sentences()
    print(
        f"{'labelled sentences':<42}{'n':>6}{'hits':>6}{'false':>7}{'missed':>8}{'precision':>11}{'recall':>8}"
    )
    for act in dict.fromkeys(sentence.act for sentence in labelled):
        for language in ("en", "de"):
            chosen = [s for s in labelled if (s.act, s.language) == (act, language)]
            if chosen:
                row(f"{act} {language}", ((s.is_one, bool(acts_in(s.text, [act]))) for s in chosen))
    row("all", ((s.is_one, bool(acts_in(s.text, [s.act]))) for s in labelled))
    row("all, without guards", ((s.is_one, without_guards(s.text, s.act)) for s in labelled))
    print(f"\n{'recorded answers (none is one)':<42}{'n':>6}{'hits':>6}{'false':>7}")
    for version in ("v1", "v2"):
        answers = recorded(version)
        for act in (
            "refund_promise",
            "binding_offer",
            "liability_admission",
            "compensation_offer",
            "unconditional_guarantee",
        ):
            false = sum(bool(acts_in(text, [act])) for text in answers)
            bare = sum(without_guards(text, act) for text in answers)
            print(f"{version} {act:<39}{len(answers):>6}{0:>6}{false:>7}   without guards {bare}")


def recorded(version: str) -> list[str]:
    """Give the sample agent's different answers."""
    with tempfile.TemporaryDirectory() as scratch, Store.create(Path(scratch) / "audit") as store:
        import_into(store, directory("sample_traces") / f"support_bot.{version}.otlp.jsonl.gz")
        turns = [turn for conversation in store.conversations() for turn in conversation.turns]
    return sorted({turn.answer_text for turn in turns if turn.answer_text})


if __name__ == "__main__":
    main()
