"""Concurrent callers that ask the same question: each is served its own recording, however they interleave."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from auditlog.values import Span, Turn
from replay.matching.callers import TOP, Callers, callers_of
from replay.matching.cassette import Cassette, Hit
from replay.matching.recorded import from_json, recorded_calls, to_json


def span(name, kind, start, end, parent="agent", span_id="", **more):
    return Span(
        trace_id="t", span_id=span_id or name, parent_span_id=parent, kind=kind, name=name,
        start_ns=start, end_ns=end, **more,
    )  # fmt: skip


def sub_agents(*answers, arguments=None, overlap=True):
    """Record an agent that asks several sub-agents, each of which asks the same question."""
    agent = span("agent", "agent", 0, 1000, None, input={})
    spans = [agent]
    for number, answer in enumerate(answers):
        begun = 10 + number if overlap else 10 + 20 * number
        said = {} if arguments is None else {"topic": arguments[number]}
        spans.append(
            span("sub", "agent", begun, begun + (100 if overlap else 15), span_id=f"sub{number}", input=said)
        )
        spans.append(
            span("look", "tool", begun + 5, begun + 6, f"sub{number}", f"look{number}", input={"q": 1},
                 output=answer, effect="read")
        )  # fmt: skip
    return Turn(agent, tuple(sorted(spans, key=lambda s: s.start_ns)))


def ask(cassette, callers, parent, number, kind="tool", name="look", effect="read"):
    caller = callers.begin(f"call{number}", parent, kind, name, {"q": 1})
    found = cassette.take(kind, name, {"q": 1}, effect=effect, caller=caller)
    assert isinstance(found, Hit)
    return found


def test_two_sub_agents_that_ask_the_same_get_each_their_own_answer():
    """The second sub-agent may ask first: it is served what was recorded for it."""
    cassette = Cassette(recorded_calls(sub_agents("for a", "for b", arguments="ab")))
    callers = Callers()
    callers.begin("root", "elsewhere", "agent", "renamed", {})
    callers.begin("s1", "root", "agent", "sub", {"topic": "a"})
    callers.begin("s2", "root", "agent", "sub", {"topic": "b"})
    second, first = ask(cassette, callers, "s2", 1), ask(cassette, callers, "s1", 2)
    assert ("for b", "for a") == (second.recorded.output, first.recorded.output)
    assert (False, False) == (second.other_caller, first.other_caller)


def test_equal_sub_agents_are_told_apart_by_the_order_in_which_they_began():
    """Where even the arguments are the same, the first to begin is the first of the recording."""
    cassette, callers = Cassette(recorded_calls(sub_agents("one", "two"))), Callers()
    callers.begin("root", None, "agent", "agent", {})
    for name in ("s1", "s2"):
        callers.begin(name, "root", "agent", "sub", {})
    assert ["two", "one"] == [ask(cassette, callers, name, name).recorded.output for name in ("s2", "s1")]


def test_sub_agents_that_are_asked_in_other_words_keep_their_places():
    """A candidate that words its orders differently is matched by its sub-agents' names and order."""
    cassette, callers = Cassette(recorded_calls(sub_agents("for a", "for b", arguments="ab"))), Callers()
    callers.begin("root", None, "agent", "agent", {})
    for name, topic in (("s1", "about a"), ("s2", "about b")):
        callers.begin(name, "root", "agent", "sub", {"topic": topic})
    found = [ask(cassette, callers, name, name) for name in ("s2", "s1")]
    assert ["for b", "for a"] == [hit.recorded.output for hit in found]
    assert [True, True] == [hit.other_caller for hit in found]


def test_another_caller_takes_nothing_away_from_the_one_that_was_recorded():
    """A new sub-agent may be served what another one was; that one is served all the same, as for the first time."""
    cassette, callers = Cassette(recorded_calls(sub_agents("for a"))), Callers()
    callers.begin("root", None, "agent", "agent", {})
    callers.begin("s1", "root", "agent", "sub", {})
    callers.begin("new", "root", "agent", "checker", {})
    hits = [ask(cassette, callers, name, number) for number, name in enumerate(("new", "s1", "s1"))]
    assert ["exact", "exact", "reuse"] == [hit.tier for hit in hits]
    assert [True, False, False] == [hit.other_caller for hit in hits]


def test_a_call_outside_of_every_known_span_stands_at_the_top():
    """What a library put around a call is looked through, in the recording and in the replay alike."""
    callers = Callers()
    assert TOP == callers.begin("root", "gone", "agent", "agent", {})
    assert TOP == callers.begin("http", "root", "other", "GET", {})
    assert TOP == callers.begin("a", "http", "tool", "look", {})
    assert TOP == callers.begin("b", "not known", "tool", "look", {})
    assert TOP.exact != callers.begin("c", "a", "tool", "inner", {}).exact


def test_callers_survive_the_way_to_a_worker():
    """Who made a call, and the epochs that it may stand in, arrive with it."""
    calls = recorded_calls(sub_agents("for a", "for b", arguments="ab"))
    assert calls == from_json(to_json(calls))
    assert 2 == len({call.caller.exact for call in calls})


def test_a_write_that_ran_at_the_same_time_makes_no_epoch_of_its_own():
    """A read beside a concurrent write may stand before or after it; one that came later stands after it."""
    turn = sub_agents("for a", "for b", arguments="ab")
    write = span("pay", "tool", 12, 14, "sub0", input={}, output=1, effect="write")
    later = span("look", "tool", 500, 501, input={"q": 1}, output="later", effect="read", span_id="later")
    spans = tuple(sorted((*turn.spans, write, later), key=lambda s: s.start_ns))
    epochs = {c.span_id: (c.epoch, c.last_epoch) for c in recorded_calls(Turn(turn.agent, spans))}
    assert {"pay": (0, None), "look0": (1, None), "look1": (0, 1), "later": (1, None)} == epochs


BRANCHES = st.lists(
    st.lists(st.sampled_from(["read", "read", "write"]), min_size=1, max_size=4), min_size=2, max_size=4
)


def recording(branches):
    """Record concurrent sub-agents that ask the same things, one of their calls after the other in turn."""
    agent = span("agent", "agent", 0, 10_000, None, input={})
    subs = [
        span("sub", "agent", 1 + number, 9_000, span_id=f"sub{number}", input={"n": number % 2})
        for number in range(len(branches))
    ]
    spans, now = [agent, *subs], 100
    for step in range(max(map(len, branches))):
        for number, calls in enumerate(branches):
            if step < len(calls):
                effect = calls[step]
                spans.append(
                    span(effect, "tool", now, now + 1, f"sub{number}", f"{number}.{step}", input={"q": 1},
                         output=[number, step], effect=effect)
                )  # fmt: skip
                now += 2
    return Turn(agent, tuple(spans))


@settings(max_examples=200)
@given(BRANCHES, st.randoms(use_true_random=False))
def test_every_interleaving_gives_each_caller_its_own_answers(branches, chance):
    """However the concurrent sub-agents interleave, reads and writes among them, each is served what it was when recorded."""
    cassette, callers = Cassette(recorded_calls(recording(branches))), Callers()
    callers.begin("root", None, "agent", "agent", {})
    for number in range(len(branches)):
        callers.begin(f"s{number}", "root", "agent", "sub", {"n": number % 2})
    left = {number: list(calls) for number, calls in enumerate(branches)}
    served = {number: [] for number in left}
    while any(left.values()):
        number = chance.choice([n for n, calls in left.items() if calls])
        effect = left[number].pop(0)
        hit = ask(cassette, callers, f"s{number}", chance.random(), name=effect, effect=effect)
        served[number].append(hit.recorded.output)
        assert ("exact", False) == (hit.tier, hit.other_caller)
    assert {n: [[n, step] for step in range(len(calls))] for n, calls in enumerate(branches)} == served


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=6), st.randoms(use_true_random=False)
)
def test_reads_are_answered_alike_in_every_interleaving_whatever_is_asked(asked, chance):
    """A candidate that asks more, less, or from elsewhere gets the same answers in whatever order its branches run."""
    calls = recorded_calls(sub_agents("a", "b", arguments="ab"))
    per_caller = {number: [n for who, n in asked if who == number] for number in range(3)}

    def answers(order):
        cassette, callers = Cassette(calls), Callers()
        callers.begin("root", None, "agent", "agent", {})
        for number, topic in enumerate("abc"):
            callers.begin(f"s{number}", "root", "agent", "sub", {"topic": topic})
        found = {number: [] for number in per_caller}
        for number in order:
            found[number].append(ask(cassette, callers, f"s{number}", object()).recorded.output)
        return found

    order = [number for number, questions in per_caller.items() for _ in questions]
    other = list(order)
    chance.shuffle(other)
    assert answers(order) == answers(other)


def test_a_recording_of_spans_tells_callers_as_a_replay_does():
    """The same calls with other ids give the same callers."""
    spans = sub_agents("a", "b", arguments="ab").spans
    callers = Callers()
    again = [
        callers.begin(
            f"x{s.span_id}", f"x{s.parent_span_id}" if s.parent_span_id else "out", s.kind, s.name, s.input
        )
        for s in spans
    ]
    assert list(callers_of(spans).values()) == again
