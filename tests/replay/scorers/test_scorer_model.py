"""What a scorer may give, and what becomes of it."""

import math

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from replay.errors import ReplayLeak
from replay.scorers import Score, scorer, set_scorer

anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.builds(Score, st.one_of(st.none(), st.floats())),
)


@given(anything)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_scorer_gives_is_a_score_from_0_to_1_or_unscored(make_subject, value):
    """Whatever comes back, a score's value is None or within 0 and 1, and it cites the execution."""
    subject = make_subject()
    score = scorer(lambda _: value).score(subject)
    assert score.value is None or (math.isfinite(score.value) and 0 <= score.value <= 1)
    assert score.evidence == (subject.run.turn_id,)
    assert score.failed is (
        score.value is None and value is not None and getattr(value, "value", 0) is not None
    )


@given(
    st.sampled_from([ValueError("secret"), KeyError("x"), RecursionError(), ReplayLeak("no"), MemoryError()])
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_scorer_that_raises_leaves_its_case_unscored(make_subject, error):
    """A scorer that raises gives None and never 0, and its message is not repeated."""

    def fails(_):
        raise error

    score = scorer(fails).score(make_subject())
    assert (score.value, score.failed, score.label) == (None, True, "failed")
    assert "secret" not in score.explanation


def test_truth_values_and_numbers_are_scores(make_subject):
    """True is 1, False is 0, a number is itself, None is not applicable."""
    found = [
        scorer(lambda _, given=given: given).score(make_subject()) for given in (True, False, 0.25, None)
    ]
    assert [1.0, 0.0, 0.25, None] == [score.value for score in found]
    assert (found[3].label, found[3].failed) == ("not applicable", False)


def test_a_citation_of_a_stranger_is_a_failure(make_subject):
    """A scorer may cite what it was shown: the run, the reference, the recording, the history; and nothing else."""
    subject = make_subject(reference="Other.")
    good = scorer(lambda s: Score(1.0, evidence=(s.reference.turn_id,))).score(subject)
    bad = scorer(lambda _: Score(1.0, evidence=("f" * 16,))).score(subject)
    assert (subject.reference.turn_id,) == good.evidence
    assert bad.value is None
    assert bad.failed


def test_a_scorer_is_known_by_name_version_and_options():
    """The same options in another order are the same key; another value, a pin or expectations that it reads are not."""

    @scorer(version="2", level="hard", options={"a": 1, "b": 2})
    def mine(subject):
        """Say something."""

    assert ("mine", "2") == mine.key()[:2]
    assert mine.key() == scorer(version="2", options={"b": 2, "a": 1})(mine.function).key()
    assert mine.key() != mine.configured(a=3).key()
    assert mine.key() == mine.key("expectations that it does not read")
    reads = scorer(expects=("answer",))(mine.function)
    assert reads.key("one") != reads.key("two")
    assert (
        mine.key() != scorer(version="2", options={"a": 1, "b": 2}, pins={"prompt": "x"})(mine.function).key()
    )
    assert mine.summary == "Say something."


def test_a_level_that_is_none_is_refused():
    """The level is one of three."""
    with pytest.raises(ValueError, match="hard, primary, secondary"):
        scorer(level="fatal")


def test_a_scorer_of_a_set_sees_every_execution_once(make_subject):
    """A scorer of a set is given the executions one after the other, and cites the first where it cites none."""
    subjects = [make_subject("one"), make_subject("two")]

    @set_scorer
    def count(given):
        return Score(sum(1 for _ in given) / 2)

    score = count.score_set(iter(subjects))
    assert score.value == 1.0
    assert score.evidence == (subjects[0].run.turn_id,)


def test_an_empty_set_is_no_failure():
    """A scorer of a set that has nothing to say of nothing is unscored."""

    @set_scorer
    def share(given):
        found = list(given)
        return sum(1 for _ in found) / len(found) if found else None

    assert share.score_set(iter(())).value is None


def test_an_option_that_a_scorer_does_not_have_is_refused():
    """A misspelt option of the decorator is told with those that there are."""
    with pytest.raises(TypeError, match="A scorer takes no 'leve'; it takes name, version, level"):
        scorer(leve="hard")


def test_a_scorer_that_asks_a_host_is_a_judge():
    """What is asked elsewhere is nobody's rule, whatever the scorer says of itself."""
    assert scorer(hosts=("http://h/v1",))(lambda _: True).is_judge
    assert not scorer(lambda _: True).is_judge
