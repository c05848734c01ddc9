"""Values that JSON has no room for: kept as they came, and flagged."""

import json

import pytest

import auditlog


def imported(run, store, path):
    """Import a file, and give what was recorded of its one tool call."""
    done = run("import", path, "--store", store.path)
    assert done.exit_code == 0, done.stderr
    store.refresh()
    [span] = store.spans("kind = 'tool'")
    return span


INEXACT = {
    "deep": ("[" * 100_000 + "]" * 100_000, "1,024 levels"),
    "long integer": ('{"n":' + "9" * 5000 + "}", "64 bits"),
    "30 digits": ('{"n":123456789012345678901234567890}', "64 bits"),
    "nan": ('{"n":NaN}', "NaN"),
    "infinite": ('{"n":1e400}', "a double holds"),
    "two keys": ('{"amount":1,"amount":9000}', "two keys"),
    "two keys, hidden": ('{"a":1,"a":"\\u0022\\u0022"}', "two keys"),
}


@pytest.mark.parametrize("name", INEXACT)
def test_json_whose_value_says_less_stays_text(name, store, otlp, span, run):
    """JSON text that no value can hold is kept to the byte, and the call is lossy and says why."""
    text, why = INEXACT[name]
    attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "refund",
        "gen_ai.tool.call.arguments": text,
        "gen_ai.conversation.id": "case-1",
    }
    found = imported(run, store, otlp(span(1, attributes)))
    assert found.input == text
    assert found.lossy
    assert why in found.attributes["auditlog.inexact"][0]
    assert run("show", "case-1", "--store", store.path).exit_code == 0


def test_json_that_a_value_holds_is_decoded(store, otlp, span, run):
    """Ordinary JSON text becomes a value, and nothing is flagged."""
    text = json.dumps({"a": [1.5, 10**18, True, None, "ü", 'q"'], "b": {"a": 2}})
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.arguments": text}
    found = imported(run, store, otlp(span(1, attributes)))
    assert found.input == json.loads(text)
    assert not found.lossy


def test_a_file_that_is_nested_too_deeply_is_refused(tmp_path, run):
    """A file of 100,000 levels imports nothing, and the message says why."""
    path = tmp_path / "deep.json"
    path.write_text('{"resourceSpans":' + "[" * 100_000 + "]" * 100_000 + "}")
    done = run("import", path, "--store", tmp_path / "audit")
    assert done.exit_code == 3
    assert "nested more than 1,024 levels deep" in done.stderr


def test_depth_and_cycles_in_python_are_recorded_as_text_and_flagged(store, run):
    """An agent that returns a cycle, or a list 100,000 deep, goes on; what stands for it is flagged."""
    auditlog.configure(store.path)
    try:

        @auditlog.tool(effect="read")
        def look(up):
            return up

        cycle = []
        cycle.append(cycle)
        deep = []
        for _ in range(100_000):
            deep = [deep]
        with auditlog.conversation("case-1"):
            assert look(cycle) is cycle
            assert look(deep) is deep
    finally:
        auditlog.shutdown()
    store.refresh()
    found = list(store.spans("name = 'look'"))
    assert [True, True] == [span.lossy for span in found]
    assert run("show", "case-1", "--store", store.path).exit_code == 0
    assert run("show", "case-1", "--raw", "--store", store.path).exit_code == 0
