"""Makes the file of an incident: one conversation, its proofs, and a page that says what happened.

The rules:

1. Pure: a conversation and its evidence in, bytes out; no clock, no store. The same input gives the same bytes.
2. The page says the same in HTML and in Markdown: both are written from one list of blocks.
3. Recorded text is shown, never interpreted: it passes `safe_text`, then the escaping of the format it is written in.
4. What is proven and what is not stands on the page in plain words, beside how to check it without this program.
"""

from __future__ import annotations

from auditlog.incident.evidence import Access, Evidence, RecordEvidence
from auditlog.incident.package import files_of

__all__ = ["Access", "Evidence", "RecordEvidence", "files_of"]
