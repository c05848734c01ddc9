"""τ²-bench result files become conversations that say what the files say."""

import copy
import statistics

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditlog.importers import import_into, tau2
from auditlog.joined import joined
from auditlog.normalise import row
from auditlog.record import decode_record

SECOND = 1_000_000_000
TEN = 1754042400 * SECOND
"""2025-08-01T10:00:00Z"""


def conversation(store, tmp_path, document, **options):
    """Import a document, and give its one conversation."""
    path = tmp_path / "results.json"
    path.write_bytes(orjson.dumps(document))
    import_into(store, path, **options)
    (found,) = store.conversations()
    return found


def ids(document, tags=None):
    """Give the conversation ids of a document."""
    entries = (decode_record(payload).entry for payload in tau2.records(document, tags))
    return {entry["conversation"] for entry in entries}


@pytest.mark.parametrize(
    ("name", "calls", "errors"),
    [("retail.baseline.gpt-4.1", 299, 12), ("retail.candidate.gpt-4.1-sft", 292, 23)],
)
def test_the_figures_of_real_results_come_out(store, shared_data, name, calls, errors):
    """A real result file has as many conversations, tool calls and tool errors, and the mean reward, that it states."""
    report = import_into(store, shared_data / "tau2-bench" / "results" / f"{name}.json")
    found = list(store.conversations())
    tools = [span for c in found for span in c.spans if span.kind == "tool"]
    rewards = [e.value for c in found for e in c.evaluations if e.name == "reward"]
    assert ("tau2", 40, ()) == (report.format, report.conversations, report.skipped)
    assert (40, calls, errors) == (len(found), len(tools), sum(s.status == "error" for s in tools))
    assert (40, 0.85) == (len(rewards), statistics.mean(rewards))


def test_cost_and_usage_add_up_to_what_the_file_states(store, shared_data):
    """The model spans' costs sum to the simulations' agent costs, and every one has its tokens."""
    import_into(store, shared_data / "tau2-bench" / "results" / "retail.baseline.gpt-4.1.json")
    for found in store.conversations():
        models = [span for span in found.spans if span.kind == "model"]
        stated = found.turns[0].agent.attributes["tau2.agent_cost"]
        assert stated == pytest.approx(sum(span.cost_usd for span in models))
        assert all(span.usage.input_tokens and span.usage.output_tokens for span in models)


def test_each_user_message_starts_a_turn(store, tmp_path, tau2_document):
    """The greeting is a turn without a user, and a user message that nobody answered is one without an agent."""
    found = conversation(store, tmp_path, tau2_document)
    told = [(t.agent.kind, t.user_text, t.answer_text, [s.kind for s in t.spans]) for t in found.turns]
    assert [
        ("agent", "", "Hello!", ["agent"]),
        ("agent", "Where is my order?", "It was sent.", ["agent", "model", "tool", "tool", "model"]),
        ("other", "Thanks. ###STOP###", "", ["other"]),
    ] == told


def test_tool_calls_keep_arguments_result_error_and_id(store, tmp_path, tau2_document):
    """A tool span holds what the agent asked and what it got, and a failed one is an error; its effect is unknown."""
    good, bad = conversation(store, tmp_path, tau2_document).turns[1].of_kind("tool")
    assert ("look_up", {"id": 7}, {"state": "sent"}, "ok", "call-1", None) == (
        good.name,
        good.input,
        good.output,
        good.status,
        good.tool_call_id,
        good.effect,
    )
    assert ({"id": 8}, "error", "ToolError", "Error: no such order") == (
        bad.input,
        bad.status,
        bad.fault.type,
        bad.fault.message,
    )


def test_times_are_those_of_the_messages_in_utc(store, tmp_path, tau2_document):
    """A span runs from the message before it to its own; starts within a turn keep the order of the file."""
    turn = conversation(store, tmp_path, tau2_document).turns[1]
    half = SECOND // 2
    assert (TEN + 2 * SECOND + half, TEN + 8 * SECOND + half) == (turn.agent.start_ns, turn.agent.end_ns)
    model, first, second, last = turn.spans[1:]
    assert [2000, 1000, 1000, 2000] == [round(s.duration_ms) for s in (model, first, second, last)]
    starts = [span.start_ns for span in turn.spans]
    assert sorted(set(starts)) == starts
    assert not any("auditlog.time_synthetic" in span.attributes for span in turn.spans)


def test_model_spans_hold_what_came_since_the_call_before(store, tmp_path, tau2_document):
    """The input messages of all model calls, joined with their outputs, are the transcript; the prompt stands once."""
    first, second = conversation(store, tmp_path, tau2_document).turns[1].of_kind("model")
    assert ["Hello!", "Where is my order?"] == [m.text for m in first.input_messages]
    assert ["call-1", "call-2"] == [m.parts[0].id for m in second.input_messages]
    assert ("Be kind.", None) == (first.system_instructions, second.system_instructions)
    assert [{"id": 7}, {"id": 8}] == [p.arguments for p in first.output_messages[0].parts]
    assert (("tool_calls",), ("stop",)) == (first.finish_reasons, second.finish_reasons)
    assert ("gpt-4.1", {"temperature": 0.0}) == (first.model_requested, first.parameters)


def test_a_cost_of_nothing_for_used_tokens_is_unknown(store, tmp_path, tau2_document):
    """A price that the benchmark did not know is not recorded as free of charge."""
    first, second = conversation(store, tmp_path, tau2_document).turns[1].of_kind("model")
    assert (0.25, None) == (first.cost_usd, second.cost_usd)
    assert (10, 3) == (first.usage.input_tokens, first.usage.output_tokens)


def test_the_reward_and_its_checks_are_evaluations_of_the_last_agent_turn(store, tmp_path, tau2_document):
    """The judgement stands on the last turn that an agent answered."""
    found = conversation(store, tmp_path, tau2_document)
    judged = {e.name: (e.value, e.explanation) for e in found.turns[1].agent.evaluations}
    assert {"reward": (0.5, None), "db_match": (0.0, None), "action_match": (0.5, "missed: refund")} == judged
    assert found.evaluations == found.turns[1].agent.evaluations


def test_tags_are_task_trial_domain_and_the_callers(store, tmp_path, tau2_document):
    """A caller's tag stands beside the file's, and wins over one of the same name."""
    found = conversation(store, tmp_path, tau2_document, tags={"arm": "base", "trial": "x"})
    assert {"task_id": "40", "trial": "x", "domain": "retail", "arm": "base"} == found.tags
    assert found.conversation_id.startswith("retail-40-x-")


def test_the_same_simulation_is_the_same_conversation_in_any_file(tau2_document):
    """Ids follow from the simulation and the tags: not from the file's layout, nor from what else stands in it."""
    longer = copy.deepcopy(tau2_document)
    longer["timestamp"] = "later"
    longer["simulations"][0] = dict(reversed(longer["simulations"][0].items()))
    longer["simulations"].append(tau2_document["simulations"][0] | {"trial": 1})
    (own,) = ids(tau2_document)
    assert own in ids(longer)
    assert 2 == len(ids(longer))
    assert own not in ids(tau2_document, {"arm": "cand"})


def test_a_users_own_tool_calls_are_marked_and_not_the_agents(store, tmp_path, tau2_document, make):
    """A call that the simulated user made is kept, and is no tool call of the agent."""
    tau2_document["simulations"][0]["messages"] = [
        make.message("user", 1, content=None, tool_calls=[make.call(1, "restart_phone", {}, by="user")]),
        make.result(1, 2, "done", requestor="user", error=False),
        make.message("user", 3, content="I restarted it."),
        make.message("assistant", 4, content="Good.", usage={"prompt_tokens": 1, "completion_tokens": 1}),
    ]
    (turn,) = conversation(store, tmp_path, tau2_document).turns
    assert ("I restarted it.", (), ["agent", "other", "model"]) == (
        turn.user_text,
        turn.of_kind("tool"),
        [span.kind for span in turn.spans],
    )
    assert ("restart_phone", "user") == (
        turn.spans[1].name,
        turn.spans[1].attributes["auditlog.tool.requestor"],
    )


def test_a_call_without_a_result_is_incomplete(store, tmp_path, tau2_document):
    """A call whose result the file does not hold has no end."""
    messages = tau2_document["simulations"][0]["messages"]
    tau2_document["simulations"][0]["messages"] = [m for m in messages if m.get("id") != "call-2"]
    done, lost = sorted(
        conversation(store, tmp_path, tau2_document).turns[1].of_kind("tool"),
        key=lambda span: span.tool_call_id,
    )
    assert ("ok", "incomplete", None) == (done.status, lost.status, lost.end_ns)


def test_a_transfer_to_a_person_is_an_escalation(store, tmp_path, tau2_document):
    """The benchmark's hand-off tool marks the turn as escalated, with the agent's summary as the reason."""
    first = tau2_document["simulations"][0]["messages"][2]["tool_calls"][0]
    first |= {"name": "transfer_to_human_agents", "arguments": {"summary": "Wants a person."}}
    turns = conversation(store, tmp_path, tau2_document).turns
    assert [None, "Wants a person.", None] == [turn.escalation_reason for turn in turns]
    assert "human" == turns[1].agent.escalation_to


def test_missing_times_are_marked(store, tmp_path, tau2_document):
    """A message without a readable time takes that of the one before, and the conversation says so."""
    tau2_document["simulations"][0]["messages"][3]["timestamp"] = "yesterday"
    turn = conversation(store, tmp_path, tau2_document).turns[1]
    assert all(span.attributes["auditlog.time_synthetic"] for span in turn.spans)
    assert TEN + 4 * SECOND + SECOND // 2 == turn.spans[2].end_ns // 1000 * 1000


def test_a_simulation_without_messages_is_skipped_with_its_place(tau2_document):
    """What cannot be read is said, and the rest is imported."""
    tau2_document["simulations"].insert(0, {"id": "empty", "messages": []})
    tau2_document["simulations"].append(tau2_document["simulations"][1])
    skipped = []
    list(tau2.records(tau2_document, skip=skipped.append))
    assert ["simulation 0 has no messages", "simulation 2 stands in the file twice"] == skipped


def test_zones_are_honoured_where_a_time_names_one():
    """A time with a zone is converted, and one without is taken for UTC."""
    assert TEN == tau2.nanoseconds("2025-08-01T12:00:00+02:00") == tau2.nanoseconds("2025-08-01T10:00:00")
    assert TEN + 295_213_000 == tau2.nanoseconds("2025-08-01T10:00:00.295213")
    assert [None] * 3 == [tau2.nanoseconds(value) for value in (None, 7, "soon")]


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


def places(value, path=()):
    """Give the path of every value inside a JSON document."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_document_gives_readable_records_or_none(tau2_document, data):
    """Whatever stands in the place of any value, each record can be read back and nothing raises."""
    document = copy.deepcopy(tau2_document)
    *holder, last = data.draw(st.sampled_from([path for path in places(document) if path]))
    inner = document
    for key in holder:
        inner = inner[key]
    inner[last] = data.draw(JUNK)
    for payload in tau2.records(document):
        record = decode_record(payload)
        row(*joined(record if record.type == "start" else None, None if record.type == "start" else record))
