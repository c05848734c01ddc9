"""Writes blocks as one HTML page that needs nothing else.

The rules:

1. No script, no link, no image, no font: a policy in the page forbids them, and the page prints as it looks.
2. Every text is passed through `safe_text` and escaped; recorded text keeps its line breaks and its own direction.
3. Colour never says anything alone.
"""

from __future__ import annotations

import html
from collections.abc import Iterable

from auditlog.incident.blocks import Block, Facts, Heading, Paragraph, Quote, Steps, Table
from auditlog.safe_text import safe_text

_STYLE = """
:root { --ink: #1c2127; --soft: #5a6472; --line: #d5dae1; --paper: #fff; --shade: #f5f7f9; --user: #2f5d8a; --agent: #3c6e47;
  --warn: #8a5a00; --bad: #a12622; --good: #2c6b3f }
* { box-sizing: border-box }
body { margin: 0; background: var(--shade); color: var(--ink); font: 16px/1.55 Georgia, "Noto Serif", "Liberation Serif", serif }
main { max-width: 50rem; margin: 2rem auto; padding: 2.5rem 3rem; background: var(--paper); border: 1px solid var(--line) }
h1, h2, h3, th, dt, .label, .when, .tone { font-family: "Helvetica Neue", Arial, "Liberation Sans", sans-serif }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 1rem; overflow-wrap: anywhere }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .8rem; padding-bottom: .3rem; border-bottom: 2px solid var(--ink) }
h3 { font-size: 1rem; margin: 1.8rem 0 .4rem }
p { margin: .6rem 0 }
p.good, p.warn, p.bad { padding: .5rem .8rem; border-left: 4px solid; background: var(--shade) }
.good { color: var(--good) } .warn { color: var(--warn) } .bad { color: var(--bad) }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.25rem; margin: 1rem 0 }
dt { color: var(--soft); font-size: .85rem; padding-top: .15rem }
dd { margin: 0; overflow-wrap: anywhere }
figure { margin: .7rem 0; padding: .1rem 0 .1rem .9rem; border-left: 3px solid var(--line); break-inside: avoid-page }
figure.user { border-color: var(--user) } figure.agent { border-color: var(--agent) }
figure.bad { border-color: var(--bad) } figure.warn { border-color: var(--warn) }
figcaption { display: flex; justify-content: space-between; gap: 1rem; color: var(--soft); font-size: .85rem }
.user .label { color: var(--user) } .agent .label { color: var(--agent) }
.user .label, .agent .label { font-weight: bold }
.label { overflow-wrap: anywhere } .when { white-space: nowrap; font-size: .8rem }
.text { margin: .15rem 0 0; white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate }
.step .text { font-size: .92rem } .code .text, code { font: .82rem/1.45 "DejaVu Sans Mono", Consolas, monospace }
.code .text { background: var(--shade); padding: .6rem .8rem }
table { width: 100%; border-collapse: collapse; margin: 1rem 0; font-size: .85rem }
th { text-align: left; color: var(--soft); font-weight: normal }
th, td { padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere }
ol { padding-left: 1.4rem } li { margin: .35rem 0 }
@media print { body { background: none; font-size: 11pt } main { margin: 0; padding: 0; border: 0; max-width: none }
  h2, h3, figcaption { break-after: avoid } tr { break-inside: avoid } @page { margin: 20mm } }
@media (max-width: 40rem) { main { margin: 0; padding: 1.2rem; border: 0 } dl { grid-template-columns: 1fr } }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(title: str, blocks: Iterable[Block]) -> str:
    """Give a whole page."""
    body = "\n".join(_block(block) for block in blocks)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_line(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _block(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"<h{level}>{_line(text)}</h{level}>"
        case Paragraph(text, tone):
            return f'<p class="{tone}">{_ours(text)}</p>' if tone != "plain" else f"<p>{_ours(text)}</p>"
        case Facts(rows):
            lines = "".join(
                f'<dt>{_line(label)}</dt><dd dir="auto">{_line(value)}</dd>\n' for label, value in rows
            )
            return f"<dl>\n{lines}</dl>"
        case Table(head, rows):
            top = "".join(f"<th>{_line(name)}</th>" for name in head)
            lines = "".join(
                "<tr>" + "".join(f'<td dir="auto">{_line(cell)}</td>' for cell in row) + "</tr>\n"
                for row in rows
            )
            return f"<table>\n<thead><tr>{top}</tr></thead>\n<tbody>\n{lines}</tbody>\n</table>"
        case Steps(items):
            return "<ol>\n" + "".join(f"<li>{_ours(item)}</li>\n" for item in items) + "</ol>"
        case Quote(label, text, when, tone, role):
            when = f'<span class="when">{_line(when)}</span>' if when else ""
            classes = role if tone == "plain" else f"{role} {tone}"
            return (
                f'<figure class="{classes}"><figcaption><span class="label">{_line(label)}</span>{when}</figcaption>'
                f'<div class="text" dir="auto">{_lines(text)}</div></figure>'
            )


def _line(text: str) -> str:
    return html.escape(safe_text(text))


def _lines(text: str) -> str:
    return html.escape(safe_text(text, newlines=True))


def _ours(text: str) -> str:
    """Write words of ours, in which `…` is code."""
    pieces = _line(text).split("`")
    if len(pieces) % 2 == 0:
        return "`".join(pieces)
    return "".join(f"<code>{piece}</code>" if at % 2 else piece for at, piece in enumerate(pieces))
