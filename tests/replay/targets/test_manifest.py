"""A candidate's manifest: what may stand in it, and where what may not stands."""

from __future__ import annotations

import pytest

from auditlog.overrides import PromptOverride, ToolOverride
from replay.errors import TargetError
from replay.targets.manifest import read_manifest

WHOLE = """
agent = "bot:answer"
commit = "main"
repository = "../bot"
lock = "requirements.lock"
python = "3.12"

[models]
"small-1" = "small-2"

[prompts.greeting]
file = "greeting.md"
version = "4"

[prompts.farewell]
text = "Bye."

[tools.look_up]
description = "Find an order."
parameters = { type = "object", properties = { order = { type = "string" } } }
replace = "stubs:look_up"

[environment]
pass = ["OPENAI_API_KEY"]
set = { REGION = "eu" }
"""


def read(tmp_path, text):
    """Write a manifest and read it."""
    path = tmp_path / "candidate.toml"
    path.write_text(text, encoding="utf-8")
    return read_manifest(path)


def test_a_manifest_says_what_to_run_and_what_to_replace(tmp_path):
    """Each of its keys is read."""
    (tmp_path / "greeting.md").write_text("Hi!", encoding="utf-8")
    found = read(tmp_path, WHOLE)
    assert ("bot:answer", "main", "../bot", "requirements.lock", "3.12") == (
        found.agent, found.commit, found.repository, found.lock, found.python,
    )  # fmt: skip
    assert (("small-1", "small-2"),) == found.overrides.models
    assert (
        PromptOverride("farewell", "Bye."),
        PromptOverride("greeting", "Hi!", "4"),
    ) == found.overrides.prompts
    schema = '{"properties": {"order": {"type": "string"}}, "type": "object"}'
    assert (ToolOverride("look_up", "Find an order.", schema, "stubs:look_up"),) == found.overrides.tools
    assert (("OPENAI_API_KEY",), (("REGION", "eu"),)) == (found.env, found.variables)


def test_the_digest_covers_what_a_file_holds_and_no_comment(tmp_path):
    """A prompt in a file is part of what the candidate is; how the manifest is laid out is not."""
    (tmp_path / "greeting.md").write_text("Hi!", encoding="utf-8")
    first = read(tmp_path, WHOLE).digest
    assert first == read(tmp_path, "# A comment.\n" + WHOLE.replace(' = "main"', '   =   "main"')).digest
    (tmp_path / "greeting.md").write_text("Hello!", encoding="utf-8")
    assert first != read(tmp_path, WHOLE).digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'agent = "bot:answer"\n\nmodel = "x"\n',
            r"candidate.toml:3:1: key 'model' is unknown; nearest 'models'",
        ),
        ('[models]\n"a" = "b"\n"c" = 3\n', r":3:1: models.c is a text, and not 3"),
        (
            '[tools.refund]\ndescripton = "x"\n',
            r":2:1: key 'descripton' is unknown; nearest 'descript",
        ),
        ('agent = "bot"\n', r":1:1: agent is module:attribute, not 'bot'"),
        ('agent = "a:b"\nadapter = "a:c"\n', r":2:1: agent and adapter each name"),
        ('[prompts.x]\nversion = "1"\n', r":1:2: the prompt x has a text or a file"),
        (
            '[prompts.x]\nfile = "nope.md"\n',
            r":2:1: the prompt's file nope.md cannot be read: No such file",
        ),
        ("[tools.x]\n", r":1:2: the tool x replaces nothing"),
        (
            '[environment]\nset = { OPENAI_API_KEY = "sk-1" }\n',
            r':2:9: .*looks like a secret.*pass = \["OPENAI_API_KEY"\]',
        ),
        ('[environment]\nset = { LD_PRELOAD = "x.so" }\n', r":2:9: LD_PRELOAD is not the agent's to set"),
        ('[environment]\nset = { PYTHONSTARTUP = "x" }\n', r"PYTHONSTARTUP is not the agent's"),
        ('[environment]\npass = ["X", "LD_PRELOAD"]\n', r"LD_PRELOAD is not the agent's to have"),
        ('[environment]\npass = ["A=B"]\n', r":2:9: environment.pass\[0\] is the name of a variable"),
        ("agent = \n", r"candidate.toml is no TOML: .*line 1"),
        ('lock = ""\n', r":1:1: lock is empty"),
    ],
)
def test_what_no_manifest_says_is_refused_with_its_line(text, message, tmp_path):
    """A wrong key, value or variable is one sentence with the line and the nearest key."""
    with pytest.raises(TargetError, match=message):
        read(tmp_path, text)


def test_a_secret_is_not_repeated_in_the_error(tmp_path):
    """The value that should not stand in a manifest does not stand in a log either."""
    with pytest.raises(TargetError) as caught:
        read(tmp_path, '[environment]\nset = { API_TOKEN = "abc123" }\n')
    assert "abc123" not in str(caught.value)


def test_a_manifest_that_is_not_there_names_the_nearest(tmp_path):
    """A file that is misspelt is found."""
    (tmp_path / "candidate.toml").write_text("", encoding="utf-8")
    with pytest.raises(
        TargetError, match=r"There is no manifest candidat.toml .* The nearest is 'candidate.toml'"
    ):
        read_manifest(tmp_path / "candidat.toml")


def test_no_file_from_elsewhere_becomes_a_prompt(tmp_path):
    """A manifest that came with a repository cannot send another file of the user's to a model."""
    (tmp_path / "secret").write_text("s3cret", encoding="utf-8")
    (tmp_path / "bot").mkdir()
    text = '[prompts.x]\nfile = "../secret"\n'
    with pytest.raises(TargetError, match=":2:1: .* neither below this file nor in its repository"):
        read(tmp_path / "bot", text)
    (tmp_path / ".git").mkdir()
    assert "s3cret" == read(tmp_path / "bot", text).overrides.prompts[0].text


@pytest.mark.parametrize("python", ["./evil.sh", "/bin/sh", "3", "2.7", "3.12; sh"])
def test_a_python_is_a_version_and_no_program(python, tmp_path):
    """A manifest names no program that would be started outside of the sandbox."""
    with pytest.raises(TargetError, match="python is a version such as 3.12"):
        read(tmp_path, f'python = "{python}"\n')
