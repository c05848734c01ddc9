"""Reads a judge's answer: a verdict, or nothing.

The rules:

1. JSON with the key that was asked for counts, wherever it stands: in a code fence, behind prose, behind thoughts.
2. Where several such objects disagree, nothing counts: one of them may be quoted from what was judged.
3. Without JSON, one clear word at the beginning or the end counts ("Yes.", "Verdict: no"), where no other contradicts it.
4. Everything else is unreadable, and unscored: never a pass, and never a fail.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

_YES = ("yes", "pass", "passed", "true", "correct", "ja")
_NO = ("no", "fail", "failed", "false", "incorrect", "nein")
_THOUGHTS = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_LONGEST = 20_000
_DECODER = json.JSONDecoder()

_VERDICTS: Mapping[str, str] = {**dict.fromkeys(_YES, "yes"), **dict.fromkeys(_NO, "no")}
_WINNERS: Mapping[str, str] = {
    **dict.fromkeys(("a", "answer a"), "A"),
    **dict.fromkeys(("b", "answer b"), "B"),
    **dict.fromkeys(("tie", "draw", "equal", "neither", "both"), "tie"),
}


def verdict(text: str) -> str | None:
    """Give `yes` or `no`; None where the answer is unreadable."""
    return _read(text, ("verdict", "answer", "result"), _VERDICTS)


def winner(text: str) -> str | None:
    """Give `A`, `B` or `tie`; None where the answer is unreadable."""
    return _read(text, ("winner", "verdict", "better"), _WINNERS)


def reason(text: str) -> str:
    """Give the reason that the answer states; empty where it states none."""
    for found in _objects(_THOUGHTS.sub(" ", text[:_LONGEST])):
        if isinstance(said := found.get("reason"), str):
            return " ".join(said.split())[:500]
    return ""


def _read(text: str, keys: tuple[str, ...], words: Mapping[str, str]) -> str | None:
    plain = _THOUGHTS.sub(" ", text[:_LONGEST])
    said = {_word(found[key], words) for found in _objects(plain) for key in keys[:1] if key in found}
    if not said:
        said = {_word(found[key], words) for found in _objects(plain) for key in keys if key in found}
    if said:
        return said.pop() if len(said) == 1 else None
    return _bare(plain, words)


def _word(value: object, words: Mapping[str, str]) -> str | None:
    if isinstance(value, bool):
        return words.get(str(value).lower())
    return words.get(value.strip().strip(".!\"'").lower()) if isinstance(value, str) else None


def _bare(text: str, words: Mapping[str, str]) -> str | None:
    stripped = text.strip().strip("*_`\"' \n")
    options = "|".join(sorted(map(re.escape, words), key=len, reverse=True))
    begins = re.match(
        rf"(?:(?:final )?(?:verdict|answer|winner|result)\W{{1,4}})?({options})\b(?!-)",
        stripped,
        re.IGNORECASE,
    )
    ends = re.search(
        rf"(?:verdict|final answer|winner|result)\W{{1,4}}({options})\W*$", stripped, re.IGNORECASE
    )
    said = {words[match[1].lower()] for match in (begins, ends) if match}
    if len(said) != 1:
        return None
    # "Yes and no" says neither.
    every = {words[word.lower()] for word in re.findall(rf"\b({options})\b", stripped[:60], re.IGNORECASE)}
    return said.pop() if len(every) <= 1 else None


def _objects(text: str) -> Iterator[dict[str, object]]:
    at = 0
    while (at := text.find("{", at)) >= 0:
        try:
            found, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            at += 1
            continue
        if isinstance(found, dict):
            yield found
        at = max(end, at + 1)
