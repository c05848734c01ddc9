"""Where something stands in a TOML file."""

import pytest

from auditlog.errors import ConfigurationError
from auditlog.toml_file import parse_toml, place_of


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("a",), (1, 1)),
        (("t", "k"), (4, 1)),
        (("t", "list", 1), (5, 16)),
        (("t", "list", "y"), (5, 16)),
        (("t", "inline", "/x"), (6, 12)),
        (("t", "inline", "gone"), (6, 1)),
        (("t", "long", "deep"), (9, 3)),
        (("arr",), (11, 3)),
        (("arr", 1, "x"), (14, 2)),
        (("none",), (1, 1)),
    ],
)
def test_places(path, expected):
    """Keys, values of arrays, and tables in arrays are found; a comment or a string that looks like one is not."""
    text = (
        'a = "[t]"\n# [t]\n[t]\nk = 1\nlist = ["x,]", "y"] # "z"\ninline = { "/x" = 1 }\nlong = [\n  "k",\n  "deep",\n]\n'
        "[[arr]]\nx = 1\n[[arr]]\n x = 2\n"
    )

    assert expected == place_of(text, path)


def test_what_is_no_toml_is_the_readers_own_error():
    """A text that is no TOML is refused with its name, by the error that the reader asks for."""
    with pytest.raises(ConfigurationError, match=r"^x.toml is no TOML: .*line 1"):
        parse_toml("a = \n", "x.toml", ConfigurationError)

    assert "x.toml:2:1" == parse_toml("a = 1\nb = 2\n", "x.toml", ConfigurationError).at(("b",))
