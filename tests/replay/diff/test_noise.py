"""What the baseline does to itself, beside the candidate's change."""

import pytest

from replay.diff import compare, is_unstable, noise_table, with_noise


@pytest.fixture
def read(make):
    """Give a turn that reads these orders and answers."""

    def read(*keys, answer="x", writes=()):
        calls = [make.call("look_up", {"id": key}, effect="read") for key in keys]
        calls += [make.call("refund", {"id": key}, effect="write") for key in writes]
        return [make.turn(*calls, answer=answer)]

    return read


def test_a_baseline_that_differs_as_much_makes_the_case_unstable(read):
    """The candidate reads another order, and so does the baseline when it runs again."""
    diff, noise = compare(read(1), read(2)), compare(read(1), read(3))
    assert is_unstable(diff, noise)
    unstable = with_noise(diff, noise)
    assert (unstable.case_class, unstable.group) == ("unstable", "unstable arguments look_up /id")
    assert unstable.summary == diff.summary


def test_a_candidate_that_differs_more_is_not_noise(read):
    """Two calls differ, and the baseline wavers in one."""
    diff, noise = compare(read(1, 2), read(3, 4)), compare(read(1, 2), read(1, 3))
    assert with_noise(diff, noise) == diff


def test_a_finding_of_the_candidate_alone_is_never_noise(read):
    """A new write stays loud however unsteady the baseline is."""
    diff, noise = compare(read(1), read(1, writes=[1])), compare(read(1), read(2, 3, 4))
    assert not is_unstable(diff, noise)


def test_a_finding_that_the_baseline_shares_can_be_noise(read):
    """The second baseline made the same new write."""
    diff, noise = compare(read(1), read(1, writes=[1])), compare(read(1), read(1, writes=[2]))
    assert is_unstable(diff, noise)


def test_without_a_second_baseline_nothing_is_unstable(read):
    """A case that was not sampled keeps its class."""
    diff = compare(read(1), read(2))
    assert with_noise(diff, None) is diff


def test_other_words_are_never_unstable(read):
    """Cosmetic cases stay cosmetic beside any noise."""
    diff, noise = compare(read(1, answer="a"), read(1, answer="b")), compare(read(1), read(2))
    assert with_noise(diff, noise).case_class == "cosmetic"


@pytest.mark.parametrize("status", ["blocked", "errored"])
def test_a_stopped_or_failed_candidate_is_noise_only_beside_the_same(read, status):
    """A blocked case needs a blocked second baseline to be unstable."""
    diff = compare(read(1), read(2), status)
    assert not is_unstable(diff, compare(read(1), read(2)))
    assert is_unstable(diff, compare(read(1), read(2), status))


def test_what_could_not_be_compared_is_not_unstable(read):
    """No recording is no behaviour."""
    diff = compare(read(1), read(2), "unreplayable")
    assert with_noise(diff, compare(read(1), read(2), "unreplayable")).case_class == "no-recording"


def test_the_table_counts_both_comparisons(read):
    """Counts and rates per class, in the order of the classes, each over its own number of cases."""
    same, words, other = (
        compare(read(1), read(1)),
        compare(read(1), read(1, answer="y")),
        compare(read(1), read(2)),
    )
    table = noise_table([(other, same), (words, words), (same, None), (other, None)])
    assert (table.sampled, table.cases) == (2, 4)
    assert [(r.case_class, r.noise, r.candidate, r.noise_rate, r.candidate_rate) for r in table.rows] == [
        ("identical", 1, 1, 0.5, 0.25),
        ("cosmetic", 1, 1, 0.5, 0.25),
        ("arguments", 0, 2, 0.0, 0.5),
    ]
    assert (table.noise_differently, table.candidate_differently) == (0, 2)


def test_an_empty_table():
    """No case, no rate."""
    table = noise_table([])
    assert (table.sampled, table.cases, table.rows) == (0, 0, ())
