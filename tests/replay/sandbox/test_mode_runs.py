"""Whole runs under each mode, with real workers behind all locks."""

from __future__ import annotations

import http.server
import threading

import pytest

import replay
from replay.attributes import OTHER_EPOCH
from replay.errors import RunError
from replay.results.trials import case_trials
from replay.running.runs import load_manifest
from replay.sandbox.modes import Modes


@pytest.fixture
def shop():
    """A server that takes orders, and remembers them."""
    taken = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            taken.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", taken
    server.shutdown()
    server.server_close()
    thread.join()


def told(report):
    """Give how each case ended, what the agent said, and the tiers of its calls."""
    found = []
    for case in report.cases:
        (turn,) = case.candidate
        tiers = [s.replay.match_tier for s in turn.spans if s is not turn.agent]
        found.append((case.status, turn.answer_text, tiers))
    return found


def test_reads_are_live_for_the_tools_that_are_named(recorded_desk, run_desk):
    """A named tool's body runs and every other read is served."""
    store = recorded_desk(["stock A; notes A; price A"])
    report = run_desk(store, "desk", Modes(reads="live", live_reads=("stock",)))
    counted = "{'item': 'A', 'counted': 'live'} | [{'id': 'n1', 'content': 'recorded'}] | 7"
    assert [("complete", counted, ["live", "exact", "exact"])] == told(report)


@pytest.mark.parametrize(
    "modes", [Modes(reads="hybrid", live_reads=("stock",)), Modes(on_miss="live", live_reads=("stock",))]
)
def test_a_hybrid_read_is_recorded_first_and_live_where_it_is_missed(modes, recorded_desk, run_desk):
    """What was recorded is served, and what was not is asked for real, of named tools only."""
    store = recorded_desk(["stock A; stock C"], ["notes A"])
    report = run_desk(store, "mistaken", modes)
    counted = "{'item': 'B', 'counted': 'live'} | {'item': 'C', 'counted': 'recorded'}"
    assert ("complete", counted, ["live", "exact"]) == told(report)[0]
    assert ("diverged", ["miss"]) == told(report)[1][::2]


def test_denied_reads_end_their_case(recorded_desk, run_desk):
    """With reads denied not even a recorded read is served."""
    report = run_desk(recorded_desk(["stock A"]), "desk", Modes(reads="deny"))
    assert [("diverged", "stock was not served: this run denies reads.")] == [
        (c.status, c.why) for c in report.cases
    ]


def test_the_recorded_error_of_a_tool_is_raised_where_there_is_one(recorded_desk, run_desk):
    """A missed read raises what the tool raised in the recording; one that never failed is a miss."""
    store = recorded_desk(["price none"], ["price A"])
    report = run_desk(store, "mistaken", Modes(on_miss="recorded_error"))
    assert [("complete", "no none", ["recorded_error"]), ("diverged", ["miss"])] == [
        told(report)[0],
        told(report)[1][::2],
    ]


def test_a_simulated_case_is_marked_and_is_no_evidence(recorded_desk, run_desk):
    """The nearest recorded result stands in, its span and its trial say so, and a case without one is a real case."""
    store = recorded_desk(["stock A"], ["stock C"])
    report = run_desk(store, "mistaken", Modes(on_miss="simulate"))
    assert [("complete", ["simulated"]), ("complete", ["exact"])] == [each[::2] for each in told(report)]
    trials = list(case_trials(store, load_manifest(store, "last")))
    assert [True, False] == [case.simulated for case in trials]
    assert [True, False] == [case.trials[0].simulated for case in trials]


def test_a_users_function_simulates_and_never_a_write(recorded_desk, run_desk):
    """What the function gives is the answer, what it raises is the tool's error, and a write is blocked all the same."""
    store = recorded_desk(["stock A"], ["stock X"], ["order A"])
    report = run_desk(store, "mistaken", Modes(on_miss="simulate", simulator="desk_agents:invented"))
    assert ("complete", "{'invented': 'stock', 'near': 'A'}", ["simulated"]) == told(report)[0]
    assert ("complete", "no invented", ["simulated"]) == told(report)[1]
    assert ("blocked", ["blocked"]) == told(report)[2][::2]


def test_a_live_write_happens_and_no_other(recorded_desk, run_desk, shop, monkeypatch):
    """A tool on the list writes, once in each execution; another one is blocked."""
    url, taken = shop
    store = recorded_desk(["order A"], ["cancel A"])
    monkeypatch.setenv("DESK_URL", url)
    modes = Modes(writes="live", live_writes=("order",))
    report = run_desk(store, "mistaken", modes, hosts=(url,), env=("DESK_URL",))
    assert ("complete", "ordered", ["live"]) == told(report)[0]
    assert ("blocked", ["blocked"]) == told(report)[1][::2]
    assert ["B"] == taken
    assert "live_writes=order" in report.cases[0].candidate[0].agent.attributes["auditlog.replay.mode"]


def test_a_live_write_stays_behind_the_other_locks(recorded_desk, run_desk, shop, monkeypatch):
    """A tool that may run reaches nothing where no host is allowed, and its case is invalid."""
    url, taken = shop
    store = recorded_desk(["order A"])
    monkeypatch.setenv("DESK_URL", url)
    report = run_desk(store, "desk", Modes(writes="live", live_writes=("order",)), env=("DESK_URL",))
    assert ["invalid"] == [case.status for case in report.cases]
    assert not taken


def test_a_write_on_the_list_of_reads_is_still_a_write(recorded_desk, run_desk, shop, monkeypatch):
    """Naming a tool that writes as a live read lets nothing happen."""
    url, taken = shop
    store = recorded_desk(["order A"])
    monkeypatch.setenv("DESK_URL", url)
    modes = Modes(reads="live", live_reads=("order",))
    report = run_desk(store, "mistaken", modes, hosts=(url,), env=("DESK_URL",))
    assert ["blocked"] == [case.status for case in report.cases]
    assert not taken


@pytest.mark.parametrize("written", ["order", "gift"])
def test_a_write_that_a_version_calls_a_read_never_runs_as_one(
    written, recorded_desk, run_desk, shop, monkeypatch
):
    """What any turn of the store recorded as a write, or undeclared, is one in every turn, whatever the list says."""
    url, taken = shop
    store = recorded_desk([f"{written} A"], [f"stock {written}"])
    monkeypatch.setenv("DESK_URL", url)
    modes = Modes(reads="live", live_reads=(written,))
    report = run_desk(store, "relabelled", modes, hosts=(url,), env=("DESK_URL",))
    assert ("complete", "ordered", ["exact"]) == told(report)[0]
    assert not taken
    written_elsewhere = run_desk(
        store, "relabelled_elsewhere", modes, hosts=(url,), env=("DESK_URL",), where="text:stock"
    )
    assert [("blocked", ["blocked"])] == [case[::2] for case in told(written_elsewhere)]
    assert not taken


@pytest.mark.parametrize("written", ["order", "gift"])
def test_a_write_that_a_version_calls_a_retriever_never_runs_as_one(
    written, recorded_desk, run_desk, shop, monkeypatch
):
    """A tool that any turn recorded as a write, or undeclared, is none that only finds something."""
    url, taken = shop
    store = recorded_desk([f"{written} A"], [f"stock {written}"])
    monkeypatch.setenv("DESK_URL", url)
    modes = Modes(reads="live", live_reads=(written,))
    report = run_desk(store, "retrieving", modes, hosts=(url,), env=("DESK_URL",))
    assert [("diverged", ["miss"])] * 2 == [case[::2] for case in told(report)]
    assert not taken


@pytest.mark.parametrize("written", ["order", "gift", "stock"])
def test_a_tool_that_a_version_calls_a_model_never_runs_as_one(
    written, recorded_desk, run_desk, shop, monkeypatch
):
    """Where models are live, a tool that any turn recorded, whatever its effect, is none."""
    url, taken = shop
    store = recorded_desk([f"{written} A"], [f"price {written}"], ["say A"])
    monkeypatch.setenv("DESK_URL", url)
    report = run_desk(store, "modelling", Modes(model="live"), hosts=(url,), env=("DESK_URL",))
    assert [("diverged", ["miss"])] * 2 + [("complete", [None])] == [case[::2] for case in told(report)]
    assert not taken


def test_what_is_read_after_a_live_write_that_nobody_recorded_is_of_another_state(recorded_desk, run_desk):
    """A read that was recorded before a write is served after it as what it is, whether the write was recorded or not."""
    store = recorded_desk(["stock A; stock A"])
    report = run_desk(store, "generous", Modes(writes="live", live_writes=("order",)))
    (turn,) = report.cases[0].candidate
    marks = [(s.name, s.attributes.get(OTHER_EPOCH)) for s in turn.spans if s is not turn.agent]
    assert [("stock", None), ("order", None), ("stock", True)] == marks


def test_a_write_that_a_version_calls_a_read_is_served_once(recorded_desk, run_desk):
    """An undeclared call that is made twice in place of once is blocked, and not served again."""
    store = recorded_desk(["gift A"])
    report = run_desk(store, "relabelled_twice", Modes())
    assert [("blocked", ["exact", "blocked"])] == [case[::2] for case in told(report)]


def test_a_plan_warns_of_live_writes_and_of_names_that_nobody_recorded(recorded_desk):
    """What will really happen, and a name that is misspelt, are said before anything runs."""
    store = recorded_desk(["order A"])
    path = __file__.replace("sandbox/test_mode_runs.py", "agents")
    modes = Modes(writes="live", live_writes=("ordr",))
    plan = replay.plan(store, "desk_agents:desk", path=path, modes=modes)
    said = " ".join(plan.notes)
    assert "WARNING: ordr will write for real" in said
    assert "No tool called 'ordr' is recorded here. The nearest is 'order'." in said


def test_a_case_in_a_process_of_its_own_sees_nothing_of_another(recorded_desk, run_desk):
    """What a case leaves in its modules is named on it, and a fresh worker for each case has none of it."""
    store = recorded_desk(["stock A", "stock A"])
    shared = run_desk(store, "remembering", Modes())
    assert ["asked 1 times", "asked 2 times"] == [case.candidate[0].answer_text for case in shared.cases]
    left = [case.candidate[0].agent.attributes["auditlog.replay.state_left"] for case in shared.cases]
    assert [["desk_agents._seen"]] * 2 == left
    alone = run_desk(store, "remembering", Modes(fresh_worker=True))
    assert ["asked 1 times"] * 2 == [case.candidate[0].answer_text for case in alone.cases]


def test_a_control_run_has_the_same_version_in_both_arms(recorded_desk, run_desk):
    """Each case runs twice, and a version that does not throw dice does not differ from itself."""
    store = recorded_desk(["stock A; say hello"], ["stock C"])
    report = run_desk(store, "desk", Modes(), kind="control", baseline="desk_agents:desk", sample=0.0)
    assert ("control", {"identical": 2}) == (report.run.kind, dict(report.run.classes))
    assert [True, True] == [bool(case.baseline) for case in report.cases]


def test_a_manifest_of_before_the_modes_still_loads(recorded_desk, run_desk):
    """A run whose manifest says `model` alone is read, and its modes are the defaults with that model."""
    from replay.running.run_plan import from_manifest

    store = recorded_desk(["stock A"])
    run_desk(store, "desk", Modes())
    manifest = dict(load_manifest(store, "last"))
    del manifest["modes"]
    assert Modes(model="recorded") == from_manifest({**manifest, "model": "recorded"}).modes


def test_a_run_that_writes_for_real_goes_on_only_when_it_is_said_again(recorded_desk, monkeypatch):
    """Resuming by the id alone does not let a recorded list of tools write again."""
    store = recorded_desk(["order A"])
    path = __file__.replace("sandbox/test_mode_runs.py", "agents")
    plan = replay.plan(
        store, "desk_agents:desk", path=path, modes=Modes(writes="live", live_writes=("order",))
    )

    def interrupted(_progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replay.run(store, plan, progress=interrupted)
    with pytest.raises(RunError, match="Say so with --allow-live-writes"):
        replay.resume(store, plan.run_id, path=path)
