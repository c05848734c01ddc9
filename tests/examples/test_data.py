"""The sample agent's data: articles, orders, conversations and the list of faults."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from examples.support_bot import articles, conversations
from examples.support_bot.shop import ORDERS, Shop
from replay.diff.model import CLASSES

BOT = Path(articles.__file__).parent
FAULTS = tomllib.loads((BOT / "planted_faults.toml").read_text(encoding="utf-8"))["fault"]
SCRIPTS = {script.id: script for script in conversations.load_conversations()}


def test_there_are_about_sixty_articles_with_ids_of_their_own():
    """Every article has an id of its own, a title, and a text of two sentences or more."""
    loaded = articles.load_articles()

    assert 55 <= len(loaded) <= 80
    assert len(loaded) == len({article.id for article in loaded})
    assert [] == [a.id for a in loaded if not a.title or a.content.count(".") < 2]
    assert {"articles/delivery.md", "articles/returns.md"} <= {a.source.partition("#")[0] for a in loaded}


def test_an_article_is_the_text_up_to_the_next_heading():
    """A topic file is split at its second-level headings, and line breaks are spaces."""
    text = "# Topic\n\npreamble\n\n## one: First\nA.\nB.\n\n## two: Second\nC.\n"

    found = articles.parse(text, "articles/x.md")

    expected = [("one", "First", "A. B.", "articles/x.md#one"), ("two", "Second", "C.", "articles/x.md#two")]
    assert expected == [(a.id, a.title, a.content, a.source) for a in found]


def test_orders_are_invented_and_complete():
    """Each order has a number of its own, items that add up to its total, and a reserved mail domain."""
    orders = [json.loads(line) for line in ORDERS.read_text(encoding="utf-8").splitlines()]

    assert len(orders) == 120 == len({o["order_id"] for o in orders})
    assert all(re.fullmatch(r"MB-\d{5}", o["order_id"]) for o in orders)
    assert all(o["email"].split("@")[1] in ("example.com", "example.net", "example.org") for o in orders)
    assert [] == [
        o["order_id"] for o in orders if abs(sum(i["price"] for i in o["items"]) - o["total"]) > 0.005
    ]


def test_a_shop_is_made_once_from_the_orders(tmp_path):
    """A database file is seeded when it is new and kept as it is when it is there."""
    first = Shop(tmp_path / "orders.sqlite")
    first.move("MB-10191", "Elsewhere 1, 12345 Town, XX")
    first.close()

    second = Shop(tmp_path / "orders.sqlite")

    assert second.order("MB-10191")["address"] == "Elsewhere 1, 12345 Town, XX"
    assert second.order("MB-10151")["status"] == "in transit"
    second.close()


def test_a_shop_pays_back_no_more_than_the_order_was(shop):
    """Refunds of an order end at its total."""
    shop.refund("MB-10101", 40.0, "test")

    with pytest.raises(ValueError, match=r"8\.90 EUR are left"):
        shop.refund("MB-10101", 40.0, "test")


def test_an_unknown_order_tells_nobody_elses_number(shop):
    """The error of a wrong order number names no other order."""
    with pytest.raises(LookupError) as raised:
        shop.order("MB-99999")

    assert re.findall(r"MB-\d+", str(raised.value)) == ["MB-99999"]


def test_conversations_are_many_and_of_all_kinds():
    """There are about 200 conversations of 1 to 8 turns, with angry, ambiguous, manifold and hostile customers."""
    scripts = list(SCRIPTS.values())
    scenes = Counter(script.scene for script in scripts)

    assert 190 <= len(scripts) <= 250
    assert len(conversations.CONVERSATIONS.read_text(encoding="utf-8").splitlines()) == len(scripts)
    assert {1, 2, 3, 4, 8} <= {len(script.turns) for script in scripts} <= set(range(1, 9))
    assert all(
        scenes[scene] >= 5 for scene in ("angry", "ambiguous", "multi-intent", "injection", "hostile-text")
    )
    assert all(turn.strip() for script in scripts for turn in script.turns)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault["id"])
def test_planted_faults_name_turns_that_exist(fault):
    """Each fault says its class in the diff's words and lists turns of real conversations."""
    assert fault["class"] in CLASSES
    assert len(fault["turns"]) >= 10
    assert all(0 <= t["turn"] < len(SCRIPTS[t["conversation"]].turns) for t in fault["turns"])
    assert all(("step" in turn) == ("tool" in fault) for turn in fault["turns"])


def test_no_turn_shows_two_faults():
    """Each planted turn shows one fault alone, and most turns show none."""
    planted = [(turn["conversation"], turn["turn"]) for fault in FAULTS for turn in fault["turns"]]

    assert len(planted) == len(set(planted))
    assert len(planted) < 0.25 * sum(len(script.turns) for script in SCRIPTS.values())
