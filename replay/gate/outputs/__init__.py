"""A verdict, written for people and programs: terminal, JSON, JUnit, SARIF, Markdown, HTML."""
