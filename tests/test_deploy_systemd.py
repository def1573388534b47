"""The unit is what systemd understands and finds tight; the installer places files and keeps what is the site's."""

from __future__ import annotations

import operator
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from deploying import DEPLOY, ROOT, need, run

from edge.config import keys, load

pytestmark = pytest.mark.wall_clock

UNIT = DEPLOY / "systemd" / "linegate.service"
INSTALL = DEPLOY / "systemd" / "install.sh"
SCRIPTS = sorted(DEPLOY.rglob("*.sh"))


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """The file system of a machine on which Linegate is installed: systemd's own units, and our executable."""
    units = Path("/usr/lib/systemd/system")
    need("systemd-analyze", "systemd")
    shutil.copytree(units, tmp_path / "usr/lib/systemd/system", symlinks=True)
    program = tmp_path / "opt/linegate/.venv/bin/linegate"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    return tmp_path


def verified(machine: Path, unit: str) -> str:
    """What systemd has to say about a unit on that machine."""
    (machine / "etc/systemd/system/linegate.service").write_text(unit)
    done = run("systemd-analyze", "verify", "--man=no", f"--root={machine}", "linegate.service")
    return done.stdout + done.stderr


def test_systemd_finds_nothing_to_say(machine: Path) -> None:
    assert verified(machine, UNIT.read_text()) == ""


def test_systemd_would_notice_a_misspelt_key(machine: Path) -> None:
    assert "Restrat" in verified(machine, UNIT.read_text().replace("Restart=", "Restrat="))


def test_the_unit_is_tight() -> None:
    need("systemd-analyze", "systemd")
    done = run("systemd-analyze", "security", "--offline=yes", "--no-pager", UNIT)
    exposure = re.search(r"Overall exposure level for .*: ([\d.]+)", done.stdout)
    assert exposure, done.stdout + done.stderr
    assert float(exposure[1]) <= 2.5


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda each: each.name)
def test_shell_scripts_are_clean(script: Path) -> None:
    done = run(need("shellcheck", "shellcheck"), script)
    assert done.stdout + done.stderr == ""


def install(root: Path, *options: str) -> str:
    done = run(INSTALL, "--root", root, "--no-venv", "--python", sys.executable, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_install_places_a_configuration_that_is_valid(tmp_path: Path) -> None:
    install(tmp_path)
    config = load(tmp_path / "etc/linegate/config.yaml")
    assert config.model.shelf == "/var/lib/linegate/models"
    assert config.journal.path == "/var/lib/linegate/journal.sqlite"
    assert config.source.kind == "simulator"
    assert (tmp_path / "etc/systemd/system/linegate.service").read_text() == UNIT.read_text()


def test_the_keys_of_the_models_are_roots_and_the_sites(tmp_path: Path) -> None:
    install(tmp_path)
    keys = tmp_path / "etc/linegate/keys"
    assert load(tmp_path / "etc/linegate/config.yaml").model.keys == "/etc/linegate/keys"
    assert [each.name for each in keys.iterdir()] == [each.name for each in (ROOT / "models/keys").iterdir()]
    (keys / "linegate-demo.pub").unlink()
    install(tmp_path)
    assert not list(keys.iterdir())


def test_nothing_is_kept_beside_the_configuration(tmp_path: Path) -> None:
    install(tmp_path)
    config = load(tmp_path / "etc/linegate/config.yaml")
    places = [path for path, _ in keys() if path.rpartition(".")[2] in ("path", "folder", "shelf", "shadow_folder")]
    assert {"model.shelf", "journal.path", "archive.folder"} <= set(places)
    for path in places:
        value = operator.attrgetter(path)(config)
        assert value == "" or value.startswith("/var/lib/linegate/"), path


def test_the_installed_configuration_is_still_the_manual(tmp_path: Path) -> None:
    install(tmp_path)
    installed = (tmp_path / "etc/linegate/config.yaml").read_text().splitlines()
    shipped = (ROOT / "config.yaml").read_text().splitlines()
    comments = [[line.partition("#")[2] for line in lines] for lines in (installed, shipped)]
    assert comments[0] == comments[1]
    assert sum(a != b for a, b in zip(installed, shipped, strict=True)) == 5


def test_install_again_keeps_what_is_the_sites(tmp_path: Path) -> None:
    install(tmp_path)
    config = tmp_path / "etc/linegate/config.yaml"
    config.write_text("station: {site: ours}\n")
    assert "is kept" in install(tmp_path)
    assert config.read_text() == "station: {site: ours}\n"
    load(tmp_path / "etc/linegate/config.yaml.dist")


def test_install_puts_models_on_the_shelf_and_leaves_the_live_one(tmp_path: Path, shipped: Path) -> None:
    install(tmp_path)
    shelf = tmp_path / "var/lib/linegate/models"
    assert (shelf / "current").resolve() == shelf / shipped.name
    (shelf / shipped.name / "signature").unlink()
    (shelf / "own-00000000").mkdir()
    (shelf / "current").unlink()
    (shelf / "current").symlink_to("own-00000000")
    install(tmp_path)
    assert os.readlink(shelf / "current") == "own-00000000"
    assert (shelf / shipped.name / "signature").read_bytes() == (shipped / "signature").read_bytes()


def system_python(folder: Path, module: str) -> str:
    """A Python whose system has one more module."""
    modules, python = folder / "modules", folder / "python"
    modules.mkdir()
    (modules / f"{module}.py").touch()
    python.write_text(f'#!/bin/sh\nPYTHONPATH={modules} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return str(python)


def test_a_system_with_picamera2_looks_through_it(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    assert "picamera2" in install(root, "--python", system_python(tmp_path, "picamera2"))
    assert load(root / "etc/linegate/config.yaml").source.kind == "picamera"


def test_a_system_with_pins_gets_what_works_them(tmp_path: Path) -> None:
    plain = run(INSTALL, "--root", tmp_path, "--dry-run", "--python", sys.executable).stdout
    assert "system-site-packages" not in plain
    assert "gpio.txt" not in plain
    pins = run(INSTALL, "--root", tmp_path, "--dry-run", "--python", system_python(tmp_path, "lgpio")).stdout
    assert "--system-site-packages" in pins
    assert "gpio.txt" in pins


def test_uninstall_keeps_configuration_and_verdicts(tmp_path: Path) -> None:
    install(tmp_path)
    journal = tmp_path / "var/lib/linegate/journal.sqlite"
    journal.touch()
    install(tmp_path, "--uninstall")
    assert not (tmp_path / "opt/linegate").exists()
    assert not (tmp_path / "etc/systemd/system/linegate.service").exists()
    assert journal.exists()
    assert (tmp_path / "etc/linegate/config.yaml").exists()
    install(tmp_path, "--uninstall", "--purge")
    assert not (tmp_path / "var/lib/linegate").exists()
    assert not (tmp_path / "etc/linegate").exists()


def test_dry_run_touches_nothing(tmp_path: Path) -> None:
    assert "would run" in install(tmp_path, "--dry-run")
    assert "would run" in install(tmp_path, "--dry-run", "--uninstall")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [["--no-such"], ["--root"]])
def test_a_wrong_option_is_refused(options: list[str]) -> None:
    done = run(INSTALL, *options)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_settling_refuses_a_key_that_config_yaml_lacks() -> None:
    with (ROOT / "config.yaml").open() as config:
        done = subprocess.run(
            [DEPLOY / "settle-config.sh", "model.shlef=x"], stdin=config, capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    assert "model.shlef" in done.stderr
