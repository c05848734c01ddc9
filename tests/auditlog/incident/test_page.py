"""The page of an incident: the same story in HTML and Markdown, the same bytes for the same input, and nothing that acts."""

import re
from datetime import UTC, timedelta, timezone
from html.parser import HTMLParser

import pytest

from auditlog.errors import AuditlogError
from auditlog.incident import Access, Evidence, RecordEvidence, files_of
from auditlog.incident.package import write_folder, zipped
from auditlog.store.build import conversations_of
from auditlog.values import Document, Fault, Message, Part, Span

ZONE = timezone(timedelta(hours=1))
BEGAN = 1_795_132_800 * 1_000_000_000
HOSTILE = (
    '<script>alert(1)</script><img src=x onerror="alert(2)">\n```\n# Not a heading\n[a](http://evil.example) '
    "\u202egnp.exe \x1b]0;title\x07 | cell | <!-- --> &lt; `code` www.evil.example"
)


def span(number, kind, name, **more):
    """Give a span of the one turn."""
    facts = {
        "trace_id": "ab" * 16,
        "span_id": f"{number:016x}",
        "turn_id": f"{0:016x}",
        "conversation_id": "case-1",
    }
    facts |= {"parent_span_id": f"{0:016x}" if number else None, "start_ns": BEGAN + number * 10**6}
    return Span(kind=kind, name=name, end_ns=BEGAN + (20 - number) * 10**6, **(facts | more))


def conversation(text="Where is my money?", **more):
    """Give a conversation of one turn, with everything that a turn can have."""
    said = (Message("user", (Part("text", text),)),)
    called = (Message("assistant", (Part("tool_call", name="refund", arguments={"amount": 40}),)),)
    spans = [
        span(0, "agent", "desk-bot", input={"question": text}, output="I refunded it.", user_id="u-1", **more),
        span(1, "retriever", "articles", input={"q": text}, documents=(Document("refunds", text, 0.5, "help"),)),
        span(2, "model", "chat", model_served="m-1", system_instructions="Be kind.", input_messages=said,
             output_messages=called),
        span(3, "tool", "refund", effect="write", input={"amount": 40, "to": text}, output={"done": True}),
        span(4, "tool", "notify", effect="read", input={}, fault=Fault("Timeout", text), status="error"),
        span(5, "handoff", "desk", escalation_reason=text, escalation_to="a person"),
    ]  # fmt: skip
    return conversations_of(spans)["case-1"]


def evidence(**more):
    """Give evidence in which every span but the last is proven."""
    records = [RecordEvidence(f"{number:016x}", "proven", "proof.json") for number in range(5)]
    records.append(RecordEvidence(f"{5:016x}", "unsealed", why="it was still in the journal"))
    facts = {"store_id": "s-1", "records": tuple(records), "checkpoint": "origin\n3\nAAAA\n\n— origin sig\n"}
    facts |= {"accesses": (Access(BEGAN, "mara", "show", 6, "complaint"),), "proofs": {"proof.json": b"{}\n"}}
    return Evidence(**(facts | more))


class _Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.text = set(), set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.text.append(data)


def parsed(page):
    """Parse a page as a browser would."""
    found = _Tags()
    found.feed(page)
    return found


def test_the_page_tells_what_happened_in_both_formats():
    """Both pages say what was said, looked up, called, with what effect, and when in UTC and local."""
    files = files_of(conversation(), evidence(), ZONE)
    for name in ("incident.html", "incident.md"):
        text = files[name].decode()
        for wanted in (
            "Where is my money?",
            "I refunded it.",
            "changed something, completed",
            "looked something up, failed",
            "Timeout",
            "2026-11-20 00:00:00.000 UTC",
            "2026-11-20 01:00:00 UTC+01:00",
            "5 of the 6 records",
            "it was still in the journal",
            "auditlog verify --proof proof.json",
            "mara",
        ):
            assert wanted in text, (name, wanted)


def test_the_same_input_gives_the_same_bytes():
    """Files and zip are the same every time."""
    first, second = (files_of(conversation(), evidence(), ZONE) for _ in range(2))
    assert first == second
    assert zipped(first, conversation()) == zipped(second, conversation())


def test_hostile_text_is_shown_and_does_nothing():
    """Markup, fences, links and control characters in recorded text come out as text in both pages."""
    files = files_of(conversation(HOSTILE), evidence(notes=(HOSTILE,), anchors=(HOSTILE,)), ZONE)
    page = parsed(files["incident.html"].decode())
    assert page.tags <= set(
        "html head meta title style body main h1 h2 h3 p dl dt dd figure figcaption span div table thead tbody tr th td "
        "ol li code".split()
    )
    assert not page.attributes & {"onerror", "href", "src", "onload"}
    assert "<script>alert(1)</script>" in "".join(page.text)
    assert "<U+202E>gnp.exe <ESC>]0;title<BEL>" in "".join(page.text)
    text = files["incident.md"].decode()
    assert "\u202e" not in text
    assert "\x1b" not in text
    outside = re.sub(r"^(`{3,})text\n.*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert "<script" not in outside
    assert not re.search(r"(?<!\\)\]\(|(?<!\\)://|www\.", outside)


def test_the_page_needs_nothing_from_outside():
    """The page forbids every load, and names no address."""
    text = files_of(conversation(), evidence(), ZONE)["incident.html"].decode()
    assert "default-src 'none'" in text
    assert not re.search(r"https?://|url\(|@import|<link|<script", text)


def test_what_is_not_proven_is_said():
    """Without proofs the page says that nothing is proven, and why; what was erased is called erased."""
    records = tuple(
        RecordEvidence(f"{n:016x}", "erased" if n == 3 else "unproven", why="the ledger is not signed")
        for n in range(6)
    )
    none = evidence(records=records, checkpoint=None, proofs={}, accesses=None, lost_records=3)
    text = files_of(conversation(), none, ZONE)["incident.md"].decode()
    assert "the ledger is not signed" in text
    assert "This folder holds no proofs" in text
    assert "(content erased)" in text
    assert "3 records could not be written" in text


def test_checksums_cover_every_other_file():
    """SHA256SUMS names every file but itself, as sha256sum reads it."""
    files = files_of(conversation(), evidence(), ZONE)
    lines = files["SHA256SUMS"].decode().splitlines()
    assert sorted(line.split("  ")[1] for line in lines) == sorted(files.keys() - {"SHA256SUMS"})


def test_a_folder_never_goes_over_another(tmp_path):
    """A folder is written whole into a place where nothing is."""
    files = files_of(conversation(), evidence(), ZONE)
    write_folder(files, tmp_path / "incident")
    assert {p.name: p.read_bytes() for p in (tmp_path / "incident").iterdir()} == files
    with pytest.raises(AuditlogError, match="is there already"):
        write_folder(files, tmp_path / "incident")
    assert [p.name for p in tmp_path.iterdir()] == ["incident"]


def test_the_page_says_who_made_it_when_it_was_sealed_and_who_else_may_have_looked():
    """Facts that a reader asks for first: when the records became fixed, who made this file and why, and other readings."""
    made = Access(BEGAN + 5 * 10**9, "mara", "export incident", 6, "court order 7")
    known = evidence(accesses=(made,), other_accesses=2, sealed_ns=(BEGAN + 3 * 86_400 * 10**9,))
    for name in ("incident.html", "incident.md"):
        text = files_of(conversation("my mail is <email:7f3a9c>"), known, ZONE)[name].decode()
        for wanted in (
            "by mara: court order 7",
            "2 lists or searches that named no conversation",
            "more than a day after",
        ):
            assert wanted in text
        assert "stand where personal data was taken out" in text
        assert "the list, only ever added to" in text
    imported = files_of(conversation(source="import"), known, ZONE)["incident.md"].decode()
    assert "imported from a file" in imported
    assert "more than a day after" not in imported


def test_code_within_a_sentence_stands_apart_from_its_words():
    """In Markdown, what is code keeps the spaces around it."""
    assert (
        "Files: `sha256sum -c SHA256SUMS` compares"
        in files_of(conversation(), evidence(), ZONE)["incident.md"].decode()
    )


def test_a_time_is_said_once_where_the_local_zone_is_utc():
    """A page for UTC does not give each time twice."""
    page = files_of(conversation(), evidence(), UTC)["incident.md"].decode()
    assert "UTC+00:00" not in page
