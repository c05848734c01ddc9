"""What uv is told of settings: the user's own file, or none; never what a tree says."""

from __future__ import annotations

from replay.targets.environments import _uv_settings


def test_uv_reads_no_settings_of_a_tree(tmp_path, monkeypatch):
    """Without a file of the user's uv reads none, wherever it is started."""
    monkeypatch.delenv("UV_CONFIG_FILE", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "none"))
    assert ["--no-config"] == _uv_settings()


def test_uv_reads_the_users_own_settings(tmp_path, monkeypatch):
    """The user's index is in the user's file, which is named, so that no other is looked for."""
    own = tmp_path / "config" / "uv" / "uv.toml"
    own.parent.mkdir(parents=True)
    own.write_text("")
    monkeypatch.delenv("UV_CONFIG_FILE", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert ["--config-file", str(own)] == _uv_settings()
    monkeypatch.setenv("UV_CONFIG_FILE", "/etc/mine.toml")
    assert ["--config-file", "/etc/mine.toml"] == _uv_settings()
