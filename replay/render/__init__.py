"""Writing a report: for a terminal, as JSON, as one Markdown comment, as JUnit XML.

The rules:

1. Each module has one function of its own name that takes a `Report` and gives a text; where it goes is the
   caller's business.
2. Recorded text is hostile everywhere: each format passes it through `auditlog.safe_text` and escapes what its own
   readers would act on.
"""
