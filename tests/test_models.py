"""The shelf from the command line: flash, list, roll back, refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import repack

from edge.__main__ import main


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text("model: {shelf: shelf}\n")
    return path


def models(config: Path, *arguments: str) -> int:
    return main(["models", "--config", str(config), *arguments])


def test_flash_list_verify_and_rollback(config: Path, shipped: Path, copied: Path, capsys) -> None:
    repack(copied, lambda document: document.__setitem__("version", "another"))
    assert models(config, "flash", str(shipped)) == 0
    assert models(config, "flash", str(copied)) == 0
    assert models(config, "rollback") == 0
    assert models(config, "verify") == 0
    capsys.readouterr()
    assert models(config, "list") == 0
    told = capsys.readouterr().out
    assert [line.split()[0] for line in told.splitlines() if shipped.name in line] == ["live"]
    assert told.count("previous") == 1


def test_a_model_that_fails_its_golden_pictures_never_becomes_live(
    config: Path, shipped: Path, copied: Path, capsys
) -> None:
    def spoil(document: dict) -> None:
        document["golden"]["pictures"][0]["outputs"].reverse()

    repack(copied, spoil)
    assert models(config, "flash", str(shipped)) == 0
    assert models(config, "flash", str(copied)) == 1
    assert "do not use it here" in capsys.readouterr().err
    assert (config.parent / "shelf" / "current").resolve().name == shipped.name
    assert len(list((config.parent / "shelf").glob("*-*"))) == 1


def test_an_empty_shelf_says_what_to_do(config: Path, capsys) -> None:
    assert models(config, "list") == 0
    assert "models flash" in capsys.readouterr().out
    assert models(config, "rollback") == 1
    assert models(config, "verify") == 1
    assert models(config, "flash", "nowhere") == 1
    assert all(line.startswith("linegate: ") for line in capsys.readouterr().err.splitlines())


def test_the_doctor_finds_what_is_wrong_and_what_to_do(config: Path, capsys) -> None:
    assert main(["doctor", "--json", "--config", str(config)]) == 1
    found = {each["what"]: each for each in json.loads(capsys.readouterr().out)}
    assert found["runtime"]["well"]
    assert not found["model"]["well"]
    assert "flash" in found["model"]["do"]
    assert all(each["do"] for each in found.values() if not each["well"])
