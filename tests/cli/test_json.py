"""Every command that prints a table prints JSON too."""

import json

import pytest
from click.testing import CliRunner

from qualification.cli import main

TABLES = {
    "doctor": dict,
    "environments list": list,
    "synthetic list": list,
    "baseline list": list,
    "sessions": list,
}


@pytest.mark.parametrize("command", TABLES)
def test_a_table_is_printed_as_json(command, tmp_path, monkeypatch):
    """In a project and a cache without anything yet."""
    monkeypatch.setenv("QUALIFY_HOME", str(tmp_path))
    monkeypatch.setenv("QUALIFY_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("QUALIFY_RESULTS", raising=False)
    done = CliRunner().invoke(main, [*command.split(), "--json"])
    assert done.exit_code == 0, done.output
    assert isinstance(json.loads(done.stdout), TABLES[command])


def test_environments_have_their_pins_in_json(tmp_path, monkeypatch):
    """Those that are not built have no interpreter."""
    monkeypatch.setenv("QUALIFY_CACHE", str(tmp_path))
    done = CliRunner().invoke(main, ["environments", "list", "--json"])
    current = json.loads(done.stdout)[0]
    assert current["name"] == "current"
    assert any(pin.startswith("mlx-vlm") for pin in current["pins"])
    assert current["python"] is None
