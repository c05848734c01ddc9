"""A worker runs what it should, and says how whatever else ended."""

from __future__ import annotations

import time

import pytest

from auditlog.record import decode_record


def read(name, arguments, output, **more):
    """Make a recorded read as a cassette's JSON has it."""
    recorded = {
        "span_id": "a" * 16,
        "kind": "tool",
        "name": name,
        "arguments": arguments,
        "effect": "read",
        "digest": None,
        "output": output,
        "fault": None,
        "ended": True,
        "lossy": False,
        "epoch": 0,
        "caller": ["", ""],
        "facts": {},
        "handoffs": [],
    }
    return {**recorded, **more}


SERVED = [
    read("read_tool", {"path": "A1"}, {"status": "sent"}),
    read("retriever", {"path": "A1"}, [{"id": "d1", "content": "text"}], kind="retriever", effect=None),
]


def records(result):
    """Decode a result's records."""
    return [decode_record(payload) for payload in result.payloads]


def agent_end(result):
    """Give the agent's END record, which is the last."""
    return records(result)[-1]


def test_what_every_agent_may_do_is_not_refused(make_bench):
    """Scratch files, reading, threads, event loops, printing and served calls leave a case complete."""
    result = make_bench("well_behaved").run({"question": "A1"}, SERVED)
    assert (result.status, result.why) == ("complete", "")
    assert agent_end(result).json("output") == (
        '{"order": {"status": "sent"}, "found": [{"id": "d1", "content": "text"}]}'
    )


def test_the_agents_record_is_last_and_carries_the_status_and_every_record_the_lineage(make_bench):
    """A case is done exactly when its last record is there, and each of its spans says which run it belongs to."""
    result = make_bench("well_behaved").run({"question": "A1"}, SERVED)
    last = agent_end(result)
    assert (last.type, last.json("attributes")["auditlog.replay.status"]) == ("span", "complete")
    found = records(result)
    assert ["read_tool", "retriever", "canary-agent"] == [record.entry["name"] for record in found]
    assert {"r"} == {record.json("attributes")["auditlog.replay.run_id"] for record in found}
    assert ["exact", "exact"] == [
        record.json("attributes")["auditlog.replay.match_tier"] for record in found[:-1]
    ]


def test_a_refused_call_is_recorded_with_what_was_nearest(make_bench):
    """A miss stands in the records as a step, with the nearest recorded call and the difference as a patch."""
    other = [read("read_tool", {"path": "A2"}, {})]
    result = make_bench("well_behaved").run({"question": "A1"}, other)
    assert result.status == "diverged"
    assert '/path "A2" → "A1"' in result.why
    end = next(r for r in records(result) if "auditlog.replay.miss_rule" in r.json("attributes"))
    facts = end.json("attributes")
    assert facts["auditlog.replay.match_tier"] == "miss"
    assert facts["auditlog.replay.miss_rule"] == "arguments differ"
    assert facts["auditlog.replay.difference"] == [{"op": "replace", "path": "/path", "value": "A1"}]


def test_a_call_whose_result_was_not_kept_makes_the_case_unreplayable(make_bench):
    """A lossy recording is never served as if it were whole."""
    lossy = [read("read_tool", {"path": "A1"}, {"$auditlog": "object"}, lossy=True)]
    result = make_bench("well_behaved").run({"question": "A1"}, lossy)
    assert (result.status, "could not be recorded as it was" in result.why) == ("unreplayable", True)


def test_an_executors_idle_thread_is_no_thread_that_goes_on(make_bench):
    """An agent with a thread pool of its own completes case after case in one worker."""
    bench = make_bench("with_a_pool_of_its_own")
    results = [bench.run({"question": "abc"}) for _ in range(3)]
    assert [("complete", False)] * 3 == [(result.status, result.spent) for result in results]


def test_taking_the_interceptor_away_is_a_violation_and_lasts_for_no_other_case(make_bench):
    """A case that uninstalls the interceptor is invalid, and the next one is intercepted again."""
    bench = make_bench("misbehave")
    result = bench.run({"how": "uninstall"})
    assert ("invalid", "the agent tried to take the replay's interceptor away") == (result.status, result.why)
    assert "complete" == bench.run({"how": "answer"}).status


def test_what_a_case_leaves_behind_acts_while_it_is_the_cases(make_bench):
    """Garbage that acts when it is collected makes its own case invalid, and an alarm goes off in none."""
    bench = make_bench("misbehave")
    result = bench.run({"how": "leave a cycle"})
    assert "invalid" == result.status
    assert "auditlog-canary-of-a-cycle" in result.why
    assert "complete" == bench.run({"how": "leave an alarm"}).status
    time.sleep(0.4)
    assert "complete" == bench.run({"how": "answer"}).status


def test_work_that_is_left_in_an_executor_goes_on(make_bench):
    """A thread pool that was there before the case is watched: what the case left in it makes the case invalid."""
    bench = make_bench("with_work_left_in_its_pool")
    assert "complete" == bench.run({"question": "wait"}).status
    result = bench.run({"question": "leave"})
    assert (result.status, result.spent) == ("invalid", True)
    assert "left threads running after its answer: ThreadPoolExecutor" in result.why


def test_a_worker_holds_no_credential_and_another_home(make_bench, monkeypatch):
    """A variable that nobody named is not in the worker, and its home is its scratch directory."""
    monkeypatch.setenv("CANARY_TOKEN", "s3cret")
    result = make_bench("credential").run({"path": ""})
    assert agent_end(result).json("output").startswith("none []")


def test_the_environment_of_the_run_itself_is_not_read(make_bench):
    """What the worker does not hold, the run's own process does: an agent that reads it there is invalid."""
    result = make_bench("misbehave").run({"how": "peek"})
    assert ("invalid", True) == (result.status, "read what another process holds" in result.why)
    assert "PATH=" not in str(agent_end(result).json("output"))


def test_a_variable_that_is_named_is_let_through(make_bench, monkeypatch):
    """What the user names with --env reaches the agent."""
    monkeypatch.setenv("CANARY_TOKEN", "s3cret")
    result = make_bench("credential", env=("CANARY_TOKEN",)).run({"path": ""})
    assert agent_end(result).json("output").startswith("s3cret")


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_an_allowed_host_is_reached_and_no_other(name, make_bench, nest):
    """A model's host is allowed by name and port; another port of the same host is not."""
    nest.reset()
    bench = make_bench("fetch", hosts=((name, nest.port),))
    result = bench.run({"url": f"http://{name}:{nest.port}/"})
    assert (result.status, agent_end(result).json("output")) == ("complete", "hi")
    other = bench.run({"url": f"http://{name}:{nest.port + 1}/"})
    assert (other.status, f"{nest.port + 1}" in other.why) == ("invalid", True)


@pytest.mark.parametrize(
    ("how", "status"),
    [("urlopen", "diverged"), ("http.client", "diverged"), ("post", "blocked"), ("xmlrpc", "blocked")],
)
def test_an_allowed_host_is_asked_for_nothing_but_models(how, status, make_bench, nest):
    """What Python itself has for HTTP is missed or blocked at an allowed host, as any other library is."""
    nest.reset()
    bench = make_bench("fetch_undecorated", hosts=(("127.0.0.1", nest.port),))
    result = bench.run({"url": f"http://127.0.0.1:{nest.port}/orders", "how": how})
    assert (status, True) == (result.status, "/orders" in result.why)
    assert not nest.touched()


def test_what_was_recorded_is_served_to_what_python_itself_has(make_bench, nest):
    """The very request is answered from the recording, whichever library made it then."""
    nest.reset()
    url = f"http://127.0.0.1:{nest.port}/orders"
    headers = [["content-type", "application/json"], ["content-encoding", "gzip"]]
    answer = {"status": 200, "headers": headers, "body": {"json": {"order": "late"}}}
    recorded = read(f"http GET 127.0.0.1:{nest.port}/orders", {"method": "GET", "url": url}, answer)
    bench = make_bench("fetch_undecorated", hosts=(("127.0.0.1", nest.port),))
    for how in ("urlopen", "http.client"):
        result = bench.run({"url": url, "how": how}, [recorded])
        assert ("complete", '{"order":"late"}') == (result.status, agent_end(result).json("output"))
    assert not nest.touched()


@pytest.mark.parametrize(
    ("how", "status", "why"),
    [
        ("raise", "errored", "the agent raised ValueError"),
        ("sys.exit", "errored", "the agent raised SystemExit"),
        ("answer", "complete", ""),
    ],
)
def test_how_an_agent_ends_is_told(how, status, why, make_bench):
    """An agent that raises, whatever it raises, is errored, and the worker goes on."""
    result = make_bench("misbehave").run({"how": how})
    assert (result.status, result.why) == (status, why)


@pytest.mark.parametrize("hosts", [(), (("127.0.0.1", 9),)])
def test_a_client_may_be_imported_in_a_case(hosts, make_bench):
    """What a client asks of the system when it is imported, late or not, leaves a case complete."""
    result = make_bench("importing", hosts=hosts).run({"question": "A1"})
    assert ("complete", "") == (result.status, result.why)


def test_a_case_does_not_set_the_process_of_the_next(make_bench):
    """Zone, locale, mask, recursion limit and the patience of sockets are for the next case what they were for the first."""
    bench = make_bench("settings")
    first, second = (agent_end(bench.run({"change": change})).json("output") for change in (True, False))
    assert first == second


def test_an_agent_that_ends_its_process_is_told(make_bench):
    """A worker that dies costs one case, and says how it died."""
    bench = make_bench("misbehave")
    died = bench.run({"how": "die"})
    assert isinstance(died, str)
    assert died.startswith("its process was ended by SIGKILL before it had answered")
    assert bench.run({"how": "answer"}).status == "complete"


def test_an_agent_that_ends_its_process_does_not_hide_what_it_tried(make_bench):
    """Ending the process in the middle of a case is a violation by itself, and the one before it is told too."""
    result = make_bench("misbehave").run({"how": "hide behind the end"})
    assert ("invalid", True, True) == (
        result.status,
        "write the file /tmp/auditlog-canary-that-ends" in result.why,
        "end its process" in result.why,
    )


@pytest.mark.parametrize("how", ["garbage", "no frame", "forged"])
def test_an_agent_that_writes_into_the_workers_pipe_costs_its_own_case(how, make_bench):
    """What is no result of the case is not taken for one, and the real result does not become the next case's."""
    bench = make_bench("misbehave")
    assert bench.run({"how": how}) == "its process said something else than its result"
    assert bench.run({"how": "raise"}).why == "the agent raised ValueError"


def test_an_agent_that_hangs_misses_the_deadline(make_bench):
    """A case that takes too long is ended, and its worker with it."""
    bench = make_bench("misbehave", deadline=1.0)
    assert bench.run({"how": "hang"}) == "it was not done after 1 s (--deadline)"
    assert not bench.worker.alive


def test_an_agent_that_eats_memory_meets_its_limit(make_bench):
    """With a limit on memory the agent's allocation fails, and not the machine's."""
    result = make_bench("misbehave", memory_bytes=2 << 30).run({"how": "memory"})
    assert (result.status, result.why) == ("errored", "the agent raised MemoryError")


def test_arguments_that_the_agent_does_not_take_are_said_before_it_is_called(make_bench):
    """A recorded argument that the candidate lacks makes the case errored, and names it."""
    result = make_bench("misbehave").run({"how": "answer", "history": []})
    assert result.status == "errored"
    assert "does not take the recorded argument history; it takes how" in result.why
    assert agent_end(result).entry["kind"] == "agent"
