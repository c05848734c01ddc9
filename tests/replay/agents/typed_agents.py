"""An agent whose tools speak Python's own types, as most programs do."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum

import auditlog


class State(enum.Enum):
    """Where an order is."""

    SENT = "sent"


@dataclasses.dataclass(frozen=True)
class Order:
    """An order."""

    order_id: str
    total: decimal.Decimal
    state: State
    due: dt.date


@auditlog.tool(effect="read")
def look_up(order_id: str) -> Order:
    """Give an order."""
    return Order(order_id, decimal.Decimal("9.90"), State.SENT, dt.date(2026, 1, 2))


@auditlog.tool(effect="read")
def stream(order_id: str) -> object:
    """Give something that nobody can make again."""
    return iter([order_id])


@auditlog.agent("typed")
def answer(question: str, at: dt.datetime) -> str:
    """Use what a tool gave as what it is."""
    order = look_up(question)
    late = at.date() > order.due
    return f"{order.total * 2} {order.state.name} {late}"


@auditlog.agent("untyped")
def answer_of_a_stream(question: str) -> str:
    """Use what nobody can make again."""
    return next(stream(question))
