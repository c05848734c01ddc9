"""The shop's order database: SQLite, seeded from `orders.jsonl`, in a scratch place.

The rules:

1. The database is made when it is first needed: at `SUPPORT_BOT_DB`, or in a directory that goes when the process does.
2. The shop's calendar stands at `TODAY`, so that the same conversation always gets the same answer.
3. A shop knows orders; what may be refunded or changed is the agent's business.
"""

from __future__ import annotations

import atexit
import datetime as dt
import json
import os
import shutil
import sqlite3
import tempfile
import threading
from pathlib import Path
from typing import Any

ORDERS = Path(__file__).with_name("orders.jsonl")
TODAY = dt.date(2026, 11, 20)

_SCHEMA = """
CREATE TABLE orders (
    order_id TEXT PRIMARY KEY, customer TEXT NOT NULL, email TEXT NOT NULL, address TEXT NOT NULL,
    items TEXT NOT NULL, total REAL NOT NULL, currency TEXT NOT NULL, status TEXT NOT NULL,
    placed TEXT NOT NULL, shipped TEXT, expected TEXT, delivered TEXT, carrier TEXT, note TEXT,
    refunded REAL NOT NULL DEFAULT 0
);
CREATE TABLE refunds (
    refund_id INTEGER PRIMARY KEY AUTOINCREMENT, order_id TEXT NOT NULL REFERENCES orders (order_id),
    amount REAL NOT NULL, reason TEXT NOT NULL
);
"""
_COLUMNS = (
    "order_id", "customer", "email", "address", "items", "total", "currency", "status",
    "placed", "shipped", "expected", "delivered", "carrier", "note", "refunded",
)  # fmt: skip


class Shop:
    """The orders in one SQLite file; may be used from several threads."""

    def __init__(self, path: str | Path) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        with self._connection:
            if not self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'orders'").fetchone():
                self._seed()

    def _seed(self) -> None:
        self._connection.executescript(_SCHEMA)
        marks = ", ".join(f":{column}" for column in _COLUMNS)
        for line in ORDERS.read_text(encoding="utf-8").splitlines():
            order = json.loads(line)
            order["items"] = json.dumps(order["items"], ensure_ascii=False)
            self._connection.execute(f"INSERT INTO orders ({', '.join(_COLUMNS)}) VALUES ({marks})", order)

    def order(self, order_id: str) -> dict[str, Any]:
        """Give one order.

        Raises:
            LookupError: there is none.
        """
        with self._lock:
            row = self._connection.execute("SELECT * FROM orders WHERE order_id = ?", (order_id,)).fetchone()
        if row is None:
            # No nearest number here: it would be another customer's.
            msg = f"There is no order {order_id}."
            raise LookupError(msg)
        return {**dict(row), "items": json.loads(row["items"])}

    def refund(self, order_id: str, amount: float, reason: str) -> dict[str, Any]:
        """Pay back a part of an order, and give the receipt."""
        order = self.order(order_id)
        left = round(order["total"] - order["refunded"], 2)
        if not 0 < amount <= left:
            msg = f"{amount:.2f} EUR cannot be refunded on {order_id}: {left:.2f} EUR are left of it."
            raise ValueError(msg)
        with self._lock, self._connection:
            cursor = self._connection.execute(
                "INSERT INTO refunds (order_id, amount, reason) VALUES (?, ?, ?)", (order_id, amount, reason)
            )
            self._connection.execute(
                "UPDATE orders SET refunded = round(refunded + ?, 2) WHERE order_id = ?", (amount, order_id)
            )
        refund_id = f"RF-{cursor.lastrowid or 0:05d}"
        return {"refund_id": refund_id, "order_id": order_id, "amount": amount, "currency": "EUR"}

    def move(self, order_id: str, address: str) -> dict[str, Any]:
        """Give an order another delivery address."""
        before = self.order(order_id)["address"]
        with self._lock, self._connection:
            self._connection.execute("UPDATE orders SET address = ? WHERE order_id = ?", (address, order_id))
        return {"order_id": order_id, "address": address, "previous_address": before}

    def snapshot(self) -> bytes:
        """Give the whole database as bytes."""
        with self._lock:
            return self._connection.serialize()

    def restore(self, snapshot: bytes) -> None:
        """Go back to a snapshot; only for a shop in memory."""
        with self._lock:
            self._connection.deserialize(snapshot)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()


_shop: Shop | None = None
_making = threading.Lock()


def open_shop() -> Shop:
    """Give the process's shop, made on first use (rule 1)."""
    global _shop  # noqa: PLW0603 - the process has one shop, as it would have one database
    with _making:
        if _shop is None:
            path = os.environ.get("SUPPORT_BOT_DB")
            if not path:
                directory = tempfile.mkdtemp(prefix="support-bot-")
                atexit.register(shutil.rmtree, directory, ignore_errors=True)
                path = str(Path(directory, "orders.sqlite"))
            _shop = Shop(path)
            atexit.register(_shop.close)
        return _shop


def use_shop(shop: Shop | None) -> None:
    """Make this the process's shop; None makes a fresh one on next use."""
    global _shop  # noqa: PLW0603 - the process has one shop, as it would have one database
    with _making:
        _shop = shop
