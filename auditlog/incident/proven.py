"""Says in plain words what an incident's proofs show, what they do not, and how to check them.

The rules:

1. What is proven is said for each record; a record without a proof says why.
2. What no proof can show is said as plainly: who held the machine or the key, the clock, what was never written.
3. Checking is described twice: with one command, and by hand with tools that are not ours.
"""

from __future__ import annotations

from collections.abc import Iterator

from auditlog.incident.blocks import Block, Facts, Heading, Paragraph, Quote, Steps, Table
from auditlog.incident.evidence import Evidence
from auditlog.incident.story import Clock
from auditlog.values import Conversation

_STATES = {
    "proven": "proven",
    "erased": "place proven, content erased",
    "unsealed": "not sealed yet",
    "unproven": "not proven",
}

_WORDS = (
    ("Record", "what the program wrote of one step while it happened: its words, name and times"),
    (
        "Sealed",
        "put into a file that is not written to again, and of which a fingerprint (SHA-256) stands in the ledger",
    ),
    (
        "Ledger",
        "the list, only ever added to, of all files that were sealed and of everything done with them",
    ),
    ("Checkpoint", "a fingerprint of the whole ledger at one moment, signed with the store’s key"),
)


def proof_blocks(
    conversation: Conversation, evidence: Evidence, clock: Clock, command: str
) -> Iterator[Block]:
    """Give the blocks about proofs.

    Args:
        conversation: whose records they are.
        evidence: what is proven.
        clock: how times are written.
        command: what checks the proofs in this folder.
    """
    records = [(span, evidence.of(span.span_id)) for span in conversation.spans]
    proven = sum(found is not None and found.state in ("proven", "erased") for _, found in records)
    yield Heading(2, "What is proven, and what is not")
    whole = proven == len(records) > 0
    yield Paragraph(
        f"{proven} of the {len(records)} records that this page is made of are proven to stand in the store's ledger.",
        "good" if whole else "warn",
    )
    yield Facts(_WORDS)
    yield Paragraph(
        "Proven means: the record’s words, its place in the conversation, its name and its times are, byte for byte, those that "
        "were taken into the ledger at the time that stands above, and the ledger up to then is the one that the checkpoint "
        "below signs. Any change to them since then, of one letter, would show."
    )
    yield Paragraph("No proof shows the following, and this page does not claim it:")
    yield Steps(tuple(_limits(evidence)))
    rows = tuple(
        (
            clock.short(span.start_ns),
            f"{span.kind} {span.name}",
            span.span_id,
            _STATES[found.state] if found else "not proven",
            (found.proof or found.why) if found else "nothing is known of it",
        )
        for span, found in records
    )
    yield Table(("Began", "Record", "Id", "State", "Proof or reason"), rows)
    if evidence.checkpoint:
        yield Quote("The signed checkpoint", evidence.checkpoint, role="code")
    facts = [
        ("Signed as", evidence.origin or ""),
        ("Public key", evidence.public_key or ""),
        *(("Made known outside the store", anchor) for anchor in evidence.anchors),
    ]
    if any(value for _, value in facts):
        yield Facts(tuple((label, value) for label, value in facts if value))
    yield from _checking(evidence, command)


def _limits(evidence: Evidence) -> Iterator[str]:
    yield (
        "That the agent's process told the truth. Whoever controlled the machine between the conversation and the sealing could "
        "have written others."
    )
    if evidence.anchors:
        yield (
            "Who signed. The checkpoint was also made known outside the store, so that a ledger written anew afterwards would "
            "contradict it; before that moment, the holder of the signing key could have written another."
        )
    else:
        yield (
            "That this is the only ledger. No checkpoint is known to have been made known outside the store, so the holder of "
            "the signing key could have written and signed another one. A copy of a checkpoint that somebody else kept rules "
            "that out."
        )
    yield "That the clock was right. Times are those of the recording machine."
    yield (
        "That nothing is missing. A call that was never recorded leaves no trace; where the recorder knows that it lost "
        "records, this page says so."
    )
    yield "That what the agent said was true, allowed or wise."


def _checking(evidence: Evidence, command: str) -> Iterator[Block]:
    yield Heading(2, "How to check it")
    yield Paragraph(
        "With auditlog-replay (Apache-2.0, from the Python Package Index) and this folder alone; the store is not needed:"
    )
    yield Quote("Command", command, role="code")
    yield Paragraph("By hand, with common tools:")
    yield Steps(
        (
            (
                "Files: `sha256sum -c SHA256SUMS` compares every file of this folder with its checksum. It shows that the folder "
                "is whole; it is no proof, since whoever changes a file can change the list."
            ),
            (
                "Words: `proof.json` holds, for each record, the text of its leaf, and each piece of its content with a salt. "
                "SHA-256 of the salt (bytes, from hex) followed by the content is the number that the leaf’s text names for that "
                "piece under `parts`."
            ),
            (
                "Leaf: SHA-256 of a zero byte followed by the leaf’s text, as it stands there, is the record’s leaf hash."
            ),
            (
                "Path: fold it with the record’s `proof` as RFC 6962, section 2.1.1, has it. That gives the root of the "
                "sealed file, which the ledger’s entry names. The entry’s own leaf hash, made likewise of its `text`, leads with "
                "the entry’s `proof` to the root in the checkpoint, which is there in base64."
            ),
            (
                "Signature: the checkpoint is a signed note (C2SP tlog-checkpoint, Ed25519). Any tool that reads signed notes "
                "verifies it with the public key; compare that key with one that you got in another way than with this folder."
            ),
        )
    )
    if not evidence.proofs:
        yield Paragraph(
            "This folder holds no proofs: none of its records was sealed and signed when it was made.", "warn"
        )
