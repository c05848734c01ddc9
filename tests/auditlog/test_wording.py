"""Words that several sentences share."""

from auditlog.wording import many, nearest_hint, unknown


def test_a_count_agrees_with_its_noun():
    """One of a thing is singular, everything else plural, and thousands have commas."""
    assert ["1 case", "0 cases", "1,200 cases", "1 match", "2 matches"] == [
        many(1, "case"),
        many(0, "case"),
        many(1200, "case"),
        many(1, "match", "matches"),
        many(2, "match", "matches"),
    ]


def test_the_nearest_name_is_said_where_one_is_like_it():
    """A mistyped name gets a sentence with the nearest; a name like none gets no sentence."""
    assert " The nearest is 'grounded'." == nearest_hint("groundd", ["disclosure", "grounded"])
    assert nearest_hint("xyz", ["disclosure", "grounded"]) == ""


def test_what_is_unknown_is_said_with_the_nearest_or_all():
    """Where no name is like the unknown one, all that there are stand there."""
    assert "key 'levl' is unknown; nearest 'level'" == unknown("key", "levl", ["owner", "level"])
    assert "key 'xyz' is unknown; there are level, owner" == unknown("key", "xyz", ["owner", "level"])
