"""Hostile content in what is written for others: pages, tables, and the redactor's bounds."""

import re
import time
import zipfile

import pytest

from auditlog.cli.exits import Exit

ATTACKS = {
    "script": "<script>alert(1)</script>",
    "image": '<img src=x onerror="alert(1)">',
    "attribute": '" onmouseover="alert(1)',
    "closing": "</pre></td></style><svg onload=alert(1)>",
    "markdown": "[click](javascript:alert(1)) ![x](https://evil.example/x.png)",
    "fence": "```\n<script>alert(1)</script>\n~~~\n````\n# Heading",
    "entity": "&#60;script&#62;",
    "bidi": "\u202egnp.exe",
    "escape": "\x1b]0;owned\x07",
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_incidents_page_runs_nothing_of_what_was_said(name, store, script, run, tmp_path):
    """Whatever a customer wrote, the pages of an incident show it as text and fetch nothing."""
    text = ATTACKS[name]
    script.turn("case-1", user=text, answer=text, agent=text, tools=((text, {text: text}, text, "ok"),))
    script.writer.close()
    store.seal()
    out = tmp_path / "incident.zip"
    done = run("export", "--incident", "case-1", "--output", out, "--store", store.path)
    assert done.exit_code == Exit.OK, done.stderr
    with zipfile.ZipFile(out) as archive:
        pages = {
            member: archive.read(member).decode()
            for member in archive.namelist()
            if member.endswith((".html", ".md"))
        }
        assert all(
            not member.startswith(("/", "..")) and "/../" not in member for member in archive.namelist()
        )
    assert {path.rsplit(".", 1)[1] for path in pages} == {"html", "md"}
    for path, page in pages.items():
        assert "\x1b" not in page
        assert "\u202e" not in page
        if path.endswith(".html"):
            tags = re.findall(r"<\s*/?\s*([a-zA-Z0-9]+)([^>]*)>", page)
            assert not {tag.lower() for tag, _ in tags} & {"script", "img", "svg", "iframe", "object", "link"}
            assert not any(re.search(r"\bon\w+\s*=", rest) for _, rest in tags)
            assert "javascript:" not in "".join(rest for _, rest in tags)
        else:
            # Inside of a fence everything is text; outside, brackets and angles are escaped.
            outside = without_fences(page)
            assert not re.search(r"(?<!\\)<\s*/?\s*[a-zA-Z]", outside), outside
            assert not re.search(r"(?<!\\)\]\((?!#)", outside.replace("\\]", "")), outside


def without_fences(page):
    """Leave out what stands between fences, as a reader of CommonMark does."""
    kept, fence = [], None
    for line in page.splitlines():
        mark = re.match(r" {0,3}(`{3,}|~{3,})", line)
        if fence is None and mark:
            fence = mark[1]
        elif fence is not None:
            if re.fullmatch(rf" {{0,3}}{fence[0]}{{{len(fence)},}} *", line):
                fence = None
        else:
            kept.append(re.sub(r"(`+)[^`]+\1", "", line))
    assert fence is None
    return "\n".join(kept)


def test_fifty_kilobytes_of_one_letter_do_not_hold_up_the_redactor():
    """Text made to make patterns backtrack is redacted in a time that grows with its length."""
    from auditlog.redaction import Redactor

    redactor = Redactor(key=bytes(32))
    texts = ["a" * 50_000, "a@" * 25_000, "1" * 50_000, "1-" * 25_000, "a." * 25_000 + "@", "+49 " * 12_500]
    began = time.process_time()
    for text in texts:
        redactor.text(f'"{text}"'.encode())
    assert time.process_time() - began < 20
