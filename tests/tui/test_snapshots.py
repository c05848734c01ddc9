"""Whole screens as plain text, with fixed traffic."""

import pytest
from inline_snapshot import snapshot

from auditlog.store import Store
from replay.diff import compare
from tui.render import diff as drawing
from tui.render.diff import Arms
from tui.rows import Sheet

pytestmark = pytest.mark.usefixtures("fixed_standing")


async def test_conversations(fixed_store, app_on, until):
    """The first screen in 80 columns."""
    async with app_on(fixed_store).run_test(size=(80, 12)) as pilot:
        await until(pilot, "ledger ✓")
        assert await until(pilot, "4 failed") == snapshot("""\
 auditlog › Conversations 4 ledger ✓ to 412, 09:14Z, unanchored · unsealed 15 ·…
 volume █      █              █     █ peak 1 · 11-20 08:00 to 11-20 08:04 UTC
 failed ····························█ 1 of 4 failed
   started     state        turns version  last user text
▌  11-20 08:04 ✗ error          1 v2       Where is my parcel?
   11-20 08:03 ▲ escalated      1 v1       This is the third time. I want a pe…
   11-20 08:01 ✓ ok             2 v1       Thank you!
   11-20 08:00 ✓ ok             1 v1       Hello, do you ship to Norway?


                                                                  case-8813 1/4
 enter open  space mark  d diff  r runs  f filter  / search  ? keys  q back\
""")


async def test_conversations_narrow(fixed_store, app_on, until):
    """The first screen in 60 columns, filtered."""
    async with app_on(fixed_store).run_test(size=(60, 10)) as pilot:
        await until(pilot, "4 failed")
        await pilot.press("f", *"why:escalated", "enter")
        await until(pilot, "1 match")
        assert await until(pilot, "none failed") == snapshot("""\
 auditlog › Conversations 1 of 4 ledger ✓ 412, unanchored ·…
 volume █            peak 1 · 11-20 08:03 to 11-20 08:03 UTC
 failed ············ none failed
   started     state        turns last user text
▌  11-20 08:03 ▲ escalated      1 This is the third time. …



 filter why:escalated · 1 match · esc clears   case-8812 1/…
 enter open  space mark  d diff  r runs  ? keys  q back\
""")


async def test_conversation(fixed_store, app_on, until):
    """A conversation in 120 columns: turns, transcript, evidence."""
    async with app_on(fixed_store, conversation="case-8811").run_test(size=(120, 26)) as pilot:
        await until(pilot, "SYSTEM PROMPT")
        await until(pilot, "ledger ✓")
        for _ in range(5):
            await pilot.press("j")
        await until(pilot, "RESULT")
        assert await until(pilot, "RESULT") == snapshot("""\
 auditlog › Conversation case-8811 2 turns                  ledger ✓ to 412, 09:14Z, unanchored · unsealed 15 · ./audit
▏  1 ✓ I was charged tw… │ ── turn 1 · 08:01:00 · 47 ms · $0.0021 · 512→88 tokens ·… │ TOOL issue_refund  ✓ ok
▏    ok · 3 calls        │ user    I was charged twice and want my money back        │ effect     write
   2 ✓ Thank you!        │   ≡ retriever help 2 ms                                   │ took       2 ms
     ok · 0 calls        │       "I was charged twice and want my money back"        │
                         │       0.83 refund-limit  Refunds above 100 EUR need an a… │ ARGUMENTS
                         │       0.41 returns  Goods can be returned within 30 days. │   order_id "A-7"
                         │   ◇ model small-1 → small-1-0714 512→88 tokens 40 ms      │   amount 400
                         │   ● tool look_up_order order_id="A-7" read 2 ms           │
                         │       → {"order_id":"A-7","total":400}                    │ RESULT
                         │▌  ● tool issue_refund write 2 ms                          │ {
                         │▌      order_id="A-7" amount=400                           │   "ok": true,
                         │▌      → {"ok":true,"refund":400}                          │   "refund": 400
                         │ agent   I have refunded 400 EUR to your card.             │ }
                         │                                                           │
                         │ ── turn 2 · 08:02:00 · 41 ms · $0.0021 · 512→88 tokens ·… │ RECORD
                         │ user    Thank you!                                        │ held in    the journal: not
                         │   ◇ model small-1 → small-1-0714 512→88 tokens 40 ms      │            sealed yet
                         │ agent   You are welcome.                                  │ integrity  nothing to prove yet:
                         │                                                           │            it is not sealed
                         │                                                           │ source     decorator
                         │                                                           │ conversation case-8811
                         │                                                           │ span       0000000000000008     ▆
                         │                                                           │ trace      000000000000000000000

 enter open  w waterfall  / search  c cli  ? keys  q back\
""")


def lines_of(blocks, width):
    """Lay blocks out whole, and give them as text."""
    sheet = Sheet(blocks)
    sheet.layout(width)
    return "\n".join(sheet.line(y).text.rstrip() for y in range(sheet.height))


def test_a_difference_in_one_column(fixed_store):
    """Two conversations compared, one below the other."""
    with Store.open(fixed_store) as store:
        before, after = store.conversation("case-8811").turns, store.conversation("case-8813").turns
    blocks = drawing.blocks(
        compare(before, after), Arms("v1", "v2"), folded=False, side=False, turns=(*before, *after)
    )
    assert lines_of(blocks, 76) == snapshot("""\
✗ errored
  the agent failed with TimeoutError: the model did not answer in 30 s; step
  1: help is not called
  cost $0.0042 → $0.0021 · latency 88 ms → 43 ms · tokens in 1,024 → 512 ·
  tokens out 176 → 88 · model calls 2 → 1 · tool calls 2 → 1
  - v1  + v2
  ⚑ new error: the agent failed with TimeoutError: the model did not answer
  in 30 s
  ⚑ tool error (step 2): look_up_order failed with RefundError: order A-9 is
  unknown

── turn 1 ──────────────────────────────────────────────────────────────────
── ▼ first divergence ──────────────────────────────────────────────────────
  1 - ≡ help  only v1 does this
      - /query "I was charged twice and want my money back"
  2 ≠ ● look_up_order order_id="A-9"
      - /order_id "A-7"
      + /order_id "A-9"
      - result {"order_id":"A-7","total":400}
      + result null
      v2: RefundError: order A-9 is unknown
  3 - ● issue_refund write  only v1 does this
      - /order_id "A-7"
      - /amount 400
      → {"ok":true,"refund":400}
  4 - ¶ answer  only v1 does this
      - I have refunded 400 EUR to your card.

── turn 2 ──────────────────────────────────────────────────────────────────
  5 - ¶ answer  only v1 does this
      - You are welcome.\
""")


def test_a_difference_side_by_side(fixed_store):
    """Two conversations compared, side by side, with what follows folded."""
    with Store.open(fixed_store) as store:
        before, after = store.conversation("case-8811").turns, store.conversation("case-8813").turns
    blocks = drawing.blocks(
        compare(before, after), Arms("v1", "v2"), folded=True, side=True, turns=(*before, *after)
    )
    assert lines_of(blocks, 110) == snapshot("""\
✗ errored
  the agent failed with TimeoutError: the model did not answer in 30 s; step 1: help is not called
  cost $0.0042 → $0.0021 · latency 88 ms → 43 ms · tokens in 1,024 → 512 · tokens out 176 → 88 · model calls 2
  → 1 · tool calls 2 → 1
  - v1  + v2
  ⚑ new error: the agent failed with TimeoutError: the model did not answer in 30 s
  ⚑ tool error (step 2): look_up_order failed with RefundError: order A-9 is unknown

── turn 1 ────────────────────────────────────────────────────────────────────────────────────────────────────
── ▼ first divergence ────────────────────────────────────────────────────────────────────────────────────────
  1 ≡ help                                              - (no such step)
      - /query "I was charged twice and want my money … │
      … 4 steps follow from it: z unfolds\
""")
