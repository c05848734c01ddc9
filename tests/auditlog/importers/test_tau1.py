"""τ-bench result files become conversations that make up nothing but an order."""

import statistics

from auditlog.importers import import_into, tau1
from auditlog.record import decode_record

DOCUMENT = [
    {
        "task_id": 3,
        "trial": 1,
        "reward": 1.0,
        "info": {
            "task": {"user_id": "mia_li_3668"},
            "user_cost": 0.01,
            "reward_info": {"reward": 1.0, "info": {"r_actions": 1.0}},
        },
        "traj": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Hi"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"a": 1}'}}
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "name": "find", "content": "Error: user not found"},
            {"role": "assistant", "content": "Who are you?"},
            {"role": "user", "content": "###STOP###"},
        ],
    }
]


def entries(document, **options):
    """Give the records of a document as entries with their parts decoded."""
    found = []
    for payload in tau1.records(document, **options):
        record = decode_record(payload)
        found.append(record.entry | {"parts": {name: record.json(name) for name in record.parts}})
    return found


def test_the_figures_of_real_results_come_out(store, shared_data):
    """A real result file has as many conversations and tool calls, and the mean reward, that it states."""
    report = import_into(store, shared_data / "tau-bench" / "trajectories" / "gpt-4o-airline.json")
    assert ("tau1", 200, ()) == (report.format, report.conversations, report.skipped)
    found = list(store.conversations())
    tools = [span for c in found for span in c.spans if span.kind == "tool"]
    rewards = [e.value for c in found for e in c.evaluations if e.name == "reward"]
    assert (200, 1164, 14) == (len(found), len(tools), len({span.name for span in tools}))
    assert (200, 0.42) == (len(rewards), statistics.mean(rewards))
    assert {"gpt-4o"} == {span.model_requested for c in found for span in c.spans if span.kind == "model"}
    assert {"airline"} == {c.tags["domain"] for c in found}


def test_times_keep_the_order_and_are_marked_as_made_up():
    """Every span says that its time is synthetic, and lies at or behind the time of the file."""
    found = entries(DOCUMENT, start_ns=1_000_000)
    assert all(entry["parts"]["attributes"]["auditlog.time_synthetic"] for entry in found)
    turn = [entry for entry in found if entry["turn"] == found[0]["turn"]]
    starts = [entry["time"] for entry in turn]
    assert sorted(set(starts)) == starts
    assert 1_000_000 < starts[0]
    assert all(turn[0]["time"] <= e["time"] <= e["end"] <= turn[0]["end"] for e in turn)


def test_an_error_text_is_a_failed_call():
    """A tool result that begins as τ-bench's errors do is an error."""
    (tool,) = (entry for entry in entries(DOCUMENT) if entry["kind"] == "tool")
    assert ("error", {"a": 1}, "Error: user not found") == (
        tool["status"],
        tool["parts"]["input"],
        tool["parts"]["error"]["message"],
    )


def test_model_and_domain_are_those_of_the_files_name_or_unknown():
    """A name of another form says nothing of the model, and nothing is guessed."""
    named = entries(DOCUMENT, file_stem="gpt-4o-airline")
    plain = entries(DOCUMENT, file_stem="results")
    assert ["gpt-4o", "gpt-4o"] == [e["name"] for e in named if e["kind"] == "model"]
    assert not any("gen_ai.request.model" in e["parts"]["attributes"] for e in plain)
    assert "auditlog.tag.domain" not in plain[0]["parts"]["attributes"]


def test_customer_and_evaluations_are_kept():
    """The scenario's customer is the user, and the reward and its parts are evaluations."""
    agent = next(entry for entry in entries(DOCUMENT) if entry["kind"] == "agent")
    assert "mia_li_3668" == agent["parts"]["attributes"]["user.id"]
    assert {"reward": 1.0, "db_match": 1.0} == {e["name"]: e["value"] for e in agent["parts"]["evaluations"]}


def test_what_is_no_trajectory_is_skipped():
    """An entry without messages is said by its place."""
    skipped = []
    found = list(tau1.records([{"task_id": 1}, *DOCUMENT, *DOCUMENT], skip=skipped.append))
    assert ["trajectory 0 has no messages", "trajectory 2 stands in the file twice"] == skipped
    assert len(found) == len(entries(DOCUMENT))
