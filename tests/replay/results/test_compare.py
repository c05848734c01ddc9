"""Two sets of recorded conversations, compared without an agent."""

import pytest

from auditlog.errors import NotFoundError
from auditlog.values import Conversation, Evaluation, Fault, Span, Turn, Usage
from replay.results.compare import compare_conversations


def talk(side, task, *calls, at=0, trial=None, reward=None, tokens=None, failed=(), **tags):
    """Give a conversation of one turn with these tool calls, the `failed` ones with an error."""
    trace = f"{abs(hash((side, task, at))):032x}"[-32:]
    tags |= {"task_id": task} if task is not None else {}
    tags |= {"trial": trial} if trial is not None else {}
    agent = Span(
        trace_id=trace,
        span_id="a" * 16,
        kind="agent",
        start_ns=at,
        end_ns=at + 1,
        output="Done.",
        usage=Usage(input_tokens=tokens),
        evaluations=() if reward is None else (Evaluation("reward", reward),),
        tags=tags,
    )
    spans = [
        Span(
            trace_id=trace,
            span_id=f"{number:016x}",
            parent_span_id=agent.span_id,
            kind="tool",
            name=name,
            input={},
            start_ns=at + number,
            end_ns=at + number,
            status="error" if name in failed else "ok",
            fault=Fault("ToolError") if name in failed else None,
        )
        for number, name in enumerate(calls, start=1)
    ]
    return Conversation(f"{side}-{task}-{at}", (Turn(agent, (agent, *spans)),))


def test_pairs_are_made_by_the_tag_and_ordered_by_its_value():
    """Numbers stand in numeric order, whatever order the sides come in."""
    found = compare_conversations(
        [talk("b", "10"), talk("b", "9"), talk("b", "x")], [talk("c", "x"), talk("c", "9"), talk("c", "10")]
    )
    assert [pair.key for pair in found.pairs] == ["9", "10", "x"]
    assert all(pair.baseline.tags == pair.candidate.tags for pair in found.pairs)


def test_what_has_no_partner_is_listed():
    """Nothing is dropped in silence, a conversation without the tag neither."""
    found = compare_conversations(
        [talk("b", "1"), talk("b", "2"), talk("b", None)], [talk("c", "1"), talk("c", "3")]
    )
    assert found.unpaired_baseline == ("b-2-0", "b-None-0")
    assert found.unpaired_candidate == ("c-3-0",)


def test_repeats_are_paired_by_trial():
    """Where every one of them has the tag `trial`, it decides, not the time."""
    base = [talk("b", "1", at=1, trial="0"), talk("b", "1", at=2, trial="1")]
    cand = [talk("c", "1", at=1, trial="1"), talk("c", "1", at=2, trial="0"), talk("c", "1", at=3, trial="7")]
    found = compare_conversations(base, cand)
    assert [(p.trial, p.baseline.conversation_id, p.candidate.conversation_id) for p in found.pairs] == [
        ("0", "b-1-1", "c-1-2"),
        ("1", "b-1-2", "c-1-1"),
    ]
    assert found.unpaired_candidate == ("c-1-3",)


def test_repeats_without_a_trial_are_paired_in_the_order_of_time():
    """The first of the one side with the first of the other; what is left over is listed."""
    base = [talk("b", "1", at=5), talk("b", "1", at=2)]
    cand = [talk("c", "1", at=9), talk("c", "1", at=3), talk("c", "1", at=1)]
    found = compare_conversations(base, cand)
    assert [(p.baseline.conversation_id, p.candidate.conversation_id) for p in found.pairs] == [
        ("b-1-2", "c-1-1"),
        ("b-1-5", "c-1-3"),
    ]
    assert found.unpaired_candidate == ("c-1-9",)


def test_the_only_two_of_a_task_are_a_pair_whatever_their_trials():
    """A trial tells repeats apart; where there are none, it does not part."""
    found = compare_conversations([talk("b", "1", trial="0")], [talk("c", "1", trial="3")])
    assert (len(found.pairs), found.pairs[0].trial) == (1, None)


def test_conversations_can_be_paired_by_their_ids():
    """`conversation` means the id."""
    one = talk("b", "1")
    assert len(compare_conversations([one], [one], by="conversation").pairs) == 1


def test_judgements_are_counted_per_pair():
    """Improved, regressed, unchanged and the means of both sides; a pair judged on one side is counted apart."""
    base = [talk("b", str(n), reward=r) for n, r in enumerate([0, 1, 1, 0.5, 1])]
    cand = [talk("c", str(n), reward=r) for n, r in enumerate([1, 0, 1, 0.75, None])]
    [reward] = compare_conversations(base, cand).evaluations
    assert (reward.improved, reward.regressed, reward.unchanged, reward.unjudged, reward.pairs) == (
        2,
        1,
        1,
        1,
        4,
    )
    assert (reward.baseline_mean, reward.candidate_mean) == (0.625, 0.6875)


def test_rounding_is_no_improvement():
    """0.1 + 0.2 is 0.3 for who reads a report."""
    [reward] = compare_conversations(
        [talk("b", "1", reward=0.3)], [talk("c", "1", reward=0.1 + 0.2)]
    ).evaluations
    assert (reward.improved, reward.unchanged) == (0, 1)


def test_totals_are_over_pairs_that_both_sides_report():
    """Calls and errors always are; tokens only where both sides know them."""
    base = [talk("b", "1", "a", "b", tokens=10, failed=["a"]), talk("b", "2", tokens=5)]
    cand = [talk("c", "1", "a", tokens=20), talk("c", "2", "a")]
    totals = compare_conversations(base, cand).totals
    assert (totals.tool_calls.baseline, totals.tool_calls.candidate, totals.tool_calls.pairs) == (2, 2, 2)
    assert (totals.tool_errors.baseline, totals.tool_errors.candidate) == (1, 0)
    assert (totals.input_tokens.baseline, totals.input_tokens.candidate, totals.input_tokens.pairs) == (
        10,
        20,
        1,
    )
    assert totals.cost_usd.pairs == 0


def test_each_pair_has_its_behaviour_diff():
    """Outcome and behaviour stand side by side."""
    found = compare_conversations([talk("b", "1", "a", reward=1)], [talk("c", "1", "b", reward=0)])
    assert dict(found.classes) == {"extra": 1}
    assert found.pairs[0].outcomes == {"reward": "regressed"}
    assert found.pairs[0].diff.summary == "step 1: b in place of a"


@pytest.mark.parametrize(
    ("base", "cand", "by", "said"),
    [
        ([], [talk("c", "1")], "task_id", "The baseline has no conversation"),
        ([talk("b", "1")], [], "task_id", "The candidate has no conversation"),
        ([talk("b", "1")], [talk("c", "1")], "taskid", "The nearest is 'task_id'"),
        (
            [talk("b", "1")],
            [talk("c", None)],
            "task_id",
            "No conversation of the candidate has the tag 'task_id'",
        ),
        ([talk("b", "1")], [talk("c", "2")], "task_id", "the baseline has '1', the candidate '2'"),
    ],
)
def test_what_cannot_be_paired_says_why_and_what_to_do(base, cand, by, said):
    """Every error names the side, the tag and the nearest right thing."""
    with pytest.raises(NotFoundError) as raised:
        compare_conversations(base, cand, by=by)
    assert said in str(raised.value)


def test_the_published_retail_pair_of_tau2_bench(tmp_path, shared_data):
    """Equal means hide six tasks improved and six regressed, and nearly twice the tool errors.

    Tool calls are the agent's; in these files the simulated user calls none, so both countings agree.
    """
    results = shared_data / "tau2-bench" / "results"
    from auditlog.importers import import_into
    from auditlog.store import Store
    from replay.results.comparisons import save_comparison
    from replay.results.loading import load_report

    with Store.create(tmp_path / "store") as store:
        import_into(store, results / "retail.baseline.gpt-4.1.json", tags={"arm": "base"})
        import_into(store, results / "retail.candidate.gpt-4.1-sft.json", tags={"arm": "cand"})
        found = compare_conversations(
            store.conversations("tag.arm:base"), store.conversations("tag.arm:cand")
        )
        run_id = save_comparison(store, found, baseline="tag.arm:base", candidate="tag.arm:cand")
        report = load_report(store, run_id)
    for evaluations, totals in ((found.evaluations, found.totals), (report.evaluations, report.totals)):
        reward = evaluations[0]
        assert (reward.name, round(reward.baseline_mean, 9), round(reward.candidate_mean, 9)) == (
            "reward",
            0.85,
            0.85,
        )
        assert (reward.improved, reward.regressed, reward.unchanged) == (6, 6, 28)
        assert (totals.tool_errors.baseline, totals.tool_errors.candidate) == (12, 23)
        assert (totals.tool_calls.baseline, totals.tool_calls.candidate) == (299, 292)
    assert len(report.cases) == 40
    assert found.unpaired_baseline == found.unpaired_candidate == ()
