"""Whole runs of agents that ask for the time, randomness, ids and HTTP: what comes again, and what is said not to."""

from __future__ import annotations

import http.server
import json

import pytest

import auditlog
from auditlog import http_calls, masks
from replay.pinned.case import NOT_PINNED
from replay.pinned.pinning import Pinning
from replay.running.runs import load_manifest
from replay.sandbox.modes import Modes


def answers(case, arm="candidate"):
    """Give what an arm answered, by repeat."""
    return [trial.turn.agent.output for trial in case.of(arm)]


def test_a_replay_gives_the_recorded_values_again_in_every_branch(agents, store_of, trials):
    """Three concurrent branches that begin and end in any order are each given their own."""
    (case,) = trials(store_of(agents.branches), "branches")
    recorded = case.recorded.agent.output
    assert recorded == answers(case)[0]
    assert 5 * 3 == len({str(value) for given in recorded for value in given})
    assert NOT_PINNED not in case.trials[0].turn.agent.attributes


def test_branches_that_begin_in_another_order_are_still_given_their_own(agents, store_of, trials):
    """The way to a branch counts, and not when it began: `a` and the two `b` have what they had."""
    (case,) = trials(store_of(agents.branches), "branches_otherwise")
    before, first_b, a, second_b, after = case.recorded.agent.output
    assert [before, first_b, a, second_b, after] == answers(case)[0]


def test_who_asks_more_often_gets_fresh_values_and_it_is_said(agents, store_of, trials):
    """The recorded values come first; the further ones are new, counted by kind on the case."""
    (case,) = trials(store_of(agents.branches), "asks_more")
    (first, more) = answers(case)[0]
    assert case.recorded.agent.output == first
    assert more not in first
    assert {"now": 1, "uuid4": 1, "rng": 1} == case.trials[0].turn.agent.attributes[NOT_PINNED]


@pytest.mark.slow
def test_the_same_repeat_of_both_arms_draws_the_same_and_two_repeats_do_not(agents, store_of, trials):
    """`random` and `uuid` are seeded by recorded turn and repeat; the second baseline draws for itself."""
    store = store_of(agents.draws, "one", "two")
    found = trials(store, "draws", baseline="pinned_agents:draws", repeats=2, sample=1.0)
    for case in found:
        assert answers(case, "baseline") == answers(case)
    drawn = [
        str(answer) for case in found for arm in ("baseline", "baseline_2") for answer in answers(case, arm)
    ]
    assert 8 == len(set(drawn))
    again = trials(store, "draws", fresh=True)
    assert answers(found[0])[0] == answers(again[0])[0]


def test_without_a_seed_numbers_are_random_and_that_is_said(agents, store_of, trials):
    """`seed=none` leaves `random` alone, and the case says that it was used."""
    (case,) = trials(
        store_of(agents.draws),
        "draws",
        baseline="pinned_agents:draws",
        pinning=Pinning(seed="none"),
    )
    assert answers(case, "baseline") != answers(case)
    assert {"random": 1} == case.trials[0].turn.agent.attributes[NOT_PINNED]


def test_frozen_clocks_give_the_recorded_time_and_go_on_and_records_do_not(
    agents, store_of, monkeypatch, trials
):
    """Every wall clock says the recorded turn's time; the replay's own spans say when it really ran."""
    pytest.importorskip("time_machine")
    (case,) = trials(store_of(agents.clocks), "clocks", pinning=Pinning(freeze_time=True))
    start = case.recorded.agent.start_ns / 1e9
    *moments, day, measured = answers(case)[0]
    assert [0.01] * 4 == [pytest.approx(moment - start, abs=0.5) for moment in moments]
    assert [] == [moment - start for moment in moments if moment - start < 0.009]
    assert case.recorded.agent.output[4] == day
    assert 0.009 <= measured < 1
    ran = case.trials[0].turn.agent
    assert ran.start_ns > case.recorded.agent.end_ns
    assert 0.009e9 <= ran.end_ns - ran.start_ns < 2e9


class Shop(http.server.BaseHTTPRequestHandler):
    """Answers orders."""

    def do_GET(self):
        """Give an order."""
        body = json.dumps({"path": self.path}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        """Refund."""
        self.rfile.read(int(self.headers["content-length"]))
        self.do_GET()

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def shop_url(serve_recorded):
    """The address of a shop."""
    return serve_recorded(Shop)


@pytest.fixture
def recorded_shop(agents, store_of, shop_url):
    """A store with turns that asked a shop."""
    return store_of(agents.asks_shop, "look", "refund", url=shop_url)


def test_undecorated_http_is_served_from_the_recording(recorded_shop, trials):
    """Concurrent requests get their own answers again, a write among them, and no socket is opened."""
    for case in trials(recorded_shop, "asks_shop"):
        assert "complete" == case.trials[0].status
        assert case.recorded.agent.output == answers(case)[0]
        tiers = [span.replay.match_tier for span in case.trials[0].turn.of_kind("tool")]
        assert ["exact"] * len(tiers) == tiers


def test_a_masked_value_takes_part_in_matching(agents, store_of, shop_url, trials):
    """The answer to one token is not served for another, though neither is recorded."""
    masks.use(b"k" * 32)
    try:
        store = store_of(agents.asks_rate, url=shop_url)
    finally:
        masks.use(None)
    path = masks.key_path(store.layout)
    path.parent.mkdir(exist_ok=True)
    path.write_text((b"k" * 32).hex())
    (same,) = trials(store, "asks_rate")
    assert "complete" == same.trials[0].status
    (other,) = trials(store, "asks_rate_of_another")
    assert "diverged" == other.trials[0].status
    assert "first-token" not in str([span.input for span in same.recorded.of_kind("tool")])
    manifest = load_manifest(store, "last")
    assert ("6b" * 8) not in str(manifest)


def test_http_that_was_not_recorded_fails_closed(recorded_shop, trials):
    """A new read diverges, a new write is blocked, and neither is sent."""
    look, refund = trials(recorded_shop, "asks_another")
    assert ("diverged", "blocked") == (look.trials[0].status, refund.trials[0].status)
    assert "/url" in look.trials[0].why


@pytest.mark.slow
def test_http_on_a_thread_that_lost_its_context_fails_closed(recorded_shop, trials):
    """`run_in_executor` is refused, however the agent swallows it."""
    look, refund = trials(recorded_shop, "asks_in_executor")
    assert ("invalid", "invalid") == (look.trials[0].status, refund.trials[0].status)
    assert "outside of the case's context" in look.trials[0].why


@pytest.mark.slow
def test_an_unwrapped_client_is_replayed_as_a_model(agents, store_of, trials, model_server):
    """Its answers are served in a verify, asked live behind the locks in a replay, and cached where that is wished."""
    auditlog.record_http()
    store = store_of(agents.unwrapped, url=model_server.url)
    http_calls.forget_http()
    model_server.asked.clear()
    (case,) = trials(store, "unwrapped", kind="verify")
    assert case.recorded.agent.output == answers(case)[0]
    (case,) = trials(store, "unwrapped")
    assert "invalid" == case.trials[0].status
    assert [] == model_server.asked
    options = {"hosts": [model_server.host], "modes": Modes(model="cached")}
    (case,) = trials(store, "unwrapped", **options)
    (again,) = trials(store, "unwrapped", **options, fresh=True)
    assert answers(case) == answers(again) != [case.recorded.agent.output]
    assert 1 == len(model_server.asked)
