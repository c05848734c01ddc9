"""Whole runs: recorded turns in, real workers, results in the same store."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import replay
from auditlog import layout
from auditlog.errors import FilterError, NotFoundError
from auditlog.redaction import for_store
from auditlog.store import Store
from replay.errors import RunError, TargetError
from replay.running.limits import Limits

AGENTS = Path(__file__).parent.parent / "agents"
CANDIDATE = "shop_agents:"


def run(store, candidate, **options):
    """Plan and run; give the report."""
    plan = replay.plan(store, CANDIDATE + candidate, path=AGENTS, workers=1, **options)
    summary = replay.run(store, plan)
    return replay.load_report(store, summary.run_id)


def ends(report):
    """Give how each case ended, by its question."""
    return {case.user_text: (case.status, case.diff.case_class) for case in report.cases}


@pytest.mark.parametrize("agent", ["v1", "in_async", "shop.answer"])
def test_a_verify_is_identical_in_every_case(agent, recorded):
    """The recorded version with recorded models and tools behaves as it was recorded: errors, hand-offs, streams and all."""
    report = run(recorded, agent, kind="verify")
    expected = dict.fromkeys(("hello", "refund A1", "refund A2", "refund B9"), ("complete", "identical"))
    assert ends(report) == {
        **expected,
        "angry: where is it?": ("complete", "identical"),
        "crash": ("errored", "identical"),
    }
    assert (report.run.kind, report.run.status, report.run.done, report.run.cases) == (
        "verify",
        "complete",
        6,
        6,
    )


def test_a_verify_serves_what_models_said_of_themselves(recorded):
    """A served model call carries the recorded model, tokens and output, and a client's object is one again."""
    report = run(recorded, "v1", kind="verify", where="conversation:c0")
    hello = report.cases[0]
    before, after = (turn.of_kind("model") for turn in (hello.recorded[0], hello.candidate[0]))
    assert [(s.name, s.model_served, s.usage, s.output) for s in before] == [
        (s.name, s.model_served, s.usage, s.output) for s in after
    ]
    assert ["exact", "exact"] == [span.replay.match_tier for span in after]


def test_an_escalation_inside_a_served_tool_is_in_the_replay(recorded):
    """A hand-off that happened in a tool's body is recorded again, though the body is not entered."""
    report = run(recorded, "v1", where="conversation:c1")
    angry = next(case for case in report.cases if case.user_text.startswith("angry"))
    assert angry.candidate[0].escalation_reason == angry.recorded[0].escalation_reason == "angry customer"
    assert not angry.diff.behaves_differently


@pytest.mark.parametrize(
    ("agent", "question", "status", "case_class", "why"),
    [
        ("generous", "refund A2", "blocked", "blocked", "the recording holds no call of tool refund"),
        ("no_persons", "angry: where is it?", "complete", "missing", ""),
        ("looks_twice", "refund A1", "complete", "extra", ""),
        ("reworded", "hello", "complete", "cosmetic", ""),
    ],
)
def test_a_candidate_is_compared_with_the_baseline_run_again(
    agent, question, status, case_class, why, recorded
):
    """What the candidate does differently is in its class, and nothing of it reached the shop."""
    report = run(recorded, agent, baseline="shop_agents:v1")
    case = next(case for case in report.cases if case.user_text == question)
    assert (case.status, case.diff.case_class) == (status, case_class)
    assert why in case.why
    assert case.baseline[0].agent.replay.arm == "baseline"


def test_a_baseline_does_not_differ_from_itself(recorded):
    """A control run, the same version on both sides, is identical in every case, and its noise is none."""
    report = run(recorded, "v1", baseline="shop_agents:v1", sample=0.5)
    assert {"identical": 6} == dict(report.run.classes)
    assert [3, 0] == [
        sum(case.noise is not None for case in report.cases),
        sum(case.noise is not None and case.noise.behaves_differently for case in report.cases),
    ]


@pytest.mark.parametrize("agent", ["streaming", "streaming_async"])
def test_an_agent_may_answer_in_a_stream(agent, recorded):
    """A generator is drained, and its items are its answer."""
    report = run(recorded, agent, limit=3)
    assert ["Answer: helloOK", "Paid 40.", "Someone must agree to that."] == [
        case.candidate[0].answer_text for case in report.cases
    ]
    assert {"identical"} == {case.diff.case_class for case in report.cases}


def test_an_adapter_takes_the_recorded_arguments_as_one_mapping(recorded):
    """Anything that can be called is replayed by an adapter, and its spans look as if the agent had been."""
    report = run(recorded, "plain", adapter=True, where="conversation:c0")
    assert {"identical": 3} == dict(report.run.classes)
    assert report.cases[1].candidate[0].agent.input == report.cases[1].recorded[0].agent.input


def test_results_carry_their_lineage_and_ordinary_queries_leave_them_out(recorded):
    """A replay is an audit trail of its own: new ids and conversation, the same customer, and where it came from."""
    before = recorded.count()
    plan = replay.plan(recorded, "shop_agents:v1", path=AGENTS, workers=1, limit=1)
    replay.run(recorded, plan)
    assert (before, [c.conversation_id for c in recorded.conversations()]) == (2, ["c0", "c1"])
    (turn,) = recorded.turns(run=plan.run_id, arm="candidate")
    source = next(iter(recorded.turns()))
    lineage = turn.agent.replay
    assert (lineage.run_id, lineage.source_trace_id, lineage.source_span_id) == (
        plan.run_id,
        source.agent.trace_id,
        source.turn_id,
    )
    assert lineage.candidate_digest == plan.candidate.digest
    assert turn.agent.conversation_id == f"{plan.run_id}/candidate/c0"
    assert (turn.agent.user_id, turn.agent.tags) == ("u0", {"shop": "yes"})
    assert {plan.run_id} == {span.replay.run_id for span in turn.spans}


def test_a_lossy_recording_stays_in_the_denominator(agents, record, tmp_path):
    """A turn whose arguments were not kept is a case, unreplayable, and says why."""
    record(tmp_path / "audit", agents.v1, [["hello"]])
    record(tmp_path / "audit", lambda q, h: agents.v1(q, [object()]), [["refund A1"]], prefix="lossy")
    with replay_store(tmp_path) as store:
        report = run(store, "v1")
    assert Counter(case.status for case in report.cases) == {"complete": 1, "unreplayable": 1}
    assert {"could not be kept as they were" in case.why for case in report.cases} == {True, False}
    assert (report.run.cases, report.run.done, sum(report.run.classes.values())) == (2, 2, 2)


def replay_store(tmp_path):
    """Open the store of a test."""
    from auditlog.store import Store

    return Store.open(tmp_path / "audit")


KILLED = (
    "its process was ended by SIGKILL before it had answered (by hand, or because this machine ran out of memory; "
    "--memory limits a worker)"
)


@pytest.mark.parametrize(
    ("agent", "options", "why"),
    [
        ("mortal", {}, KILLED),
        ("hanging", {"limits": Limits(deadline=1.0)}, "it was not done after 1 s (--deadline)"),
    ],
)
def test_a_worker_that_is_lost_costs_one_case(agent, options, why, recorded):
    """A dead or hanging worker is replaced; its case is errored and counted, and the others complete."""
    report = run(recorded, agent, where="conversation:c0", **options)
    assert [("complete", ""), ("complete", ""), ("errored", why)] == [(c.status, c.why) for c in report.cases]
    assert report.run.status == "complete"


def test_turns_of_other_agents_are_left_out_and_counted(agents, record, recorded, tmp_path):
    """A run is of one agent's turns; how many others there were is said."""
    record(tmp_path / "audit", lambda q, _h: agents.other(q), [["x"], ["y"]], prefix="o")
    recorded.refresh()
    plan = replay.plan(recorded, "shop_agents:v1", path=AGENTS)
    assert len(plan.cases) == 6
    assert "2 turns of other are left out: this run is of shop." in plan.notes


def test_the_list_of_cases_is_frozen(agents, record, recorded, tmp_path):
    """What the store takes in after the plan was made is no case of it."""
    plan = replay.plan(recorded, "shop_agents:v1", path=AGENTS, workers=1)
    record(tmp_path / "audit", agents.v1, [["hello"]], prefix="later")
    recorded.refresh()
    assert replay.run(recorded, plan).cases == 6


@pytest.mark.parametrize(("hosts", "network"), [((), "deny"), (("127.0.0.1:9",), "127.0.0.1:9")])
def test_a_run_says_which_hosts_it_lets_through(hosts, network, recorded):
    """What stands on every span of a run names the hosts that an agent could reach, and none where there is none."""
    plan = replay.plan(recorded, "shop_agents:v1", path=AGENTS, hosts=hosts)
    assert plan.mode == f"model=live read=recorded write=recorded_or_block network={network}"


def test_a_run_without_a_baseline_says_so(recorded):
    """Whoever compares with the recording is told that chance cannot be told from change."""
    plan = replay.plan(recorded, "shop_agents:v1", path=AGENTS)
    assert any("No baseline is named" in note for note in plan.notes)
    assert replay.run(recorded, plan).baseline == "the recording"


@pytest.mark.parametrize(
    ("candidate", "options", "error", "message"),
    [
        (
            "shop_agents:v3",
            {},
            TargetError,
            r"no attribute 'v3'. The nearest is 'v1'. Decorated agents .* v1",
        ),
        ("shop_agent:v1", {}, TargetError, r"No module shop_agent .* The nearest is 'shop_agents'"),
        ("shop_agents:plain", {}, TargetError, r"is not a decorated agent. .*--adapter shop_agents:plain"),
        ("shop_agents:look_up", {}, TargetError, r"is decorated as a tool"),
        ("shop_agents:Shop.answer", {}, TargetError, r"is a method without its object"),
        ("shop_agents:ORDERS", {}, TargetError, r"is a dict, and nothing that can be called"),
        ("shop_agents", {}, TargetError, r"Write module:attribute"),
        (
            "shop_agents:v1",
            {"where": "conversation:nope"},
            NotFoundError,
            r"No agent turn fits .* 2 conversations",
        ),
        ("shop_agents:v1", {"where": "colour:red"}, FilterError, r"colour"),
        ("shop_agents:v1", {"hosts": ["nowhere"]}, RunError, r"'nowhere' is no host"),
        (
            "shop_agents:v1",
            {"kind": "verify", "baseline": "x:y"},
            RunError,
            r"A verify compares with the recording",
        ),
        ("shop_agents:v1", {"sample": 2}, RunError, r"from 0 to 1"),
        ("shop_agents:v1", {"workers": 0}, RunError, r"at least one worker"),
        ("shop_agents:v1", {"env": ["A=B"]}, RunError, r"'A=B' is no name of a variable"),
        ("shop_agents:v1", {"limits": Limits(deadline=0)}, RunError, r"above 0"),
    ],
)
def test_what_cannot_be_planned_says_what_to_do(candidate, options, error, message, recorded):
    """A wrong target, filter, host or number is one clear sentence, before anything is written."""
    with pytest.raises(error, match=message):
        replay.plan(recorded, candidate, path=AGENTS, **options)
    assert replay.load_runs(recorded) == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_package", "imports no_such_package, which is not installed"),
        (
            "raise RuntimeError('broken')",
            r"does not import: RuntimeError: broken \(.*broken_agent.py, line 1\)",
        ),
        ("def x(:", "does not import: SyntaxError"),
        ("import sys; sys.exit(2)", "does not import: SystemExit: 2"),
        (
            "import socket; socket.create_connection(('127.0.0.1', 9))",
            r"tried to look up 127.0.0.1:9, which a replay refuses",
        ),
        (
            "import auditlog\n@auditlog.agent\ndef x(question): return 'hello'\nx('Hello?')",
            r"Put what a module does when it is run under `if __name__ == '__main__':`",
        ),
    ],
)
def test_a_target_that_does_not_import_says_why(source, message, recorded, tmp_path):
    """An import that fails, whatever it does, is said with the place where it failed."""
    (tmp_path / "broken_agent.py").write_text(source, encoding="utf-8")
    with pytest.raises(TargetError, match=message):
        replay.plan(recorded, "broken_agent:x", path=tmp_path)


def test_what_a_module_is_refused_while_it_is_imported_is_told(recorded, tmp_path):
    """A module that looks around and does without is replayed, and the plan says what it tried."""
    (tmp_path / "curious_agent.py").write_text(
        "import subprocess, auditlog\n"
        "try:\n    subprocess.run(['uname'])\nexcept OSError:\n    pass\n"
        "auditlog.configure('./audit-of-its-own')\n"
        "@auditlog.agent('shop')\ndef x(question, history): return 'hello'\n",
        encoding="utf-8",
    )
    plan = replay.plan(recorded, "curious_agent:x", path=tmp_path)
    assert (
        "curious_agent:x, while it was imported, tried to run uname (subprocess.Popen): refused."
        in plan.notes
    )
    assert not (tmp_path / "audit-of-its-own").exists()


def test_an_empty_store_says_so(tmp_path):
    """There is nothing to replay in a store without conversations."""
    from auditlog.store import Store

    with Store.create(tmp_path / "audit") as store, pytest.raises(NotFoundError, match="is empty"):
        replay.plan(store, "shop_agents:v1", path=AGENTS)


def test_runs_are_found_by_id_beginning_and_last(recorded):
    """A run is named as conversations are, and a miss names the nearest."""
    with pytest.raises(NotFoundError, match="the store holds none"):
        replay.load_report(recorded, "last")
    first = run(recorded, "v1", limit=1).run
    second = run(recorded, "reworded", limit=1).run
    assert [second.run_id, first.run_id] == [summary.run_id for summary in replay.load_runs(recorded)]
    assert replay.load_report(recorded, "last").run.run_id == second.run_id
    assert replay.load_report(recorded, first.run_id[:-1]).run.run_id == first.run_id
    with pytest.raises(NotFoundError, match=f"The nearest is '{first.run_id}'"):
        replay.load_report(recorded, first.run_id + "x")
    with pytest.raises(NotFoundError, match="beginning of several runs"):
        replay.load_report(recorded, first.run_id[:3])


def test_a_redacted_case_replays(agents, tmp_path, record):
    """Tokens are stable, so that redacted arguments match again; what the replay says anew is redacted, too."""
    layout.ensure(tmp_path / "audit")
    redactor = for_store(layout.find(tmp_path / "audit"), redact=True)
    record(tmp_path / "audit", agents.v1, [["anna@example.com is me", "refund A1"]], redactor=redactor)
    with Store.open(tmp_path / "audit") as store:
        report = run(store, "v1", kind="verify")
        assert ["identical", "identical"] == [case.diff.case_class for case in report.cases]
        token = redactor.token("email", "anna@example.com")
        assert {token} == {case.user_text.removesuffix(" is me") for case in report.cases[:1]}
        assert ["exact"] * 3 == [s.replay.match_tier for s in report.cases[0].candidate[0].spans[1:]]
    assert b"anna" not in b"".join(file.read_bytes() for file in (tmp_path / "audit" / "journal").iterdir())
