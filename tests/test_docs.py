"""The documentation is held against the code: commands, keys, metrics, links, and blocks that run."""

from __future__ import annotations

import argparse
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from edge.__main__ import COMMANDS, _parser
from edge.config import keys
from edge.metrics import Metrics

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        yield from (each for each in action.option_strings if each.startswith("--") and each != "--help")


def test_every_command_and_option_is_documented() -> None:
    page = text("docs/commands.md")
    commands = subcommands(_parser())
    assert set(commands) == set(COMMANDS)
    for name, parser in commands.items():
        assert f"`linegate {name}" in page
        for option in options(parser):
            assert option in page or option in {"--balanced", "--no-balanced"}, f"{name} {option}"
        for action in subcommands(parser):
            assert f"`linegate {name} {action}" in page


def test_no_command_is_documented_that_does_not_exist() -> None:
    known = {name: set(subcommands(parser)) for name, parser in subcommands(_parser()).items()}
    for page in PAGES:
        for name, action in re.findall(r"`linegate ([a-z]+)(?: ([a-z]+))?", page.read_text(encoding="utf-8")):
            assert name in known, f"{page.name}: linegate {name}"
            assert not known[name] or not action or action in known[name], f"{page.name}: linegate {name} {action}"


def described(collector: object) -> list:
    return list(collector.describe()) if hasattr(collector, "describe") else []


def test_every_metric_is_documented_and_no_other() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    families = [family for collector in registry._collector_to_names for family in described(collector)]
    names = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    names = {name for name in names if name.startswith("linegate_")}
    assert len(names) >= 19
    told = set(re.findall(r"`(linegate_[a-z_]+)", text("docs/metrics.md")))
    suffixes = ("_bucket", "_count", "_sum")
    assert names <= told
    assert {each for each in told if not each.endswith(suffixes)} <= names


def test_keys_that_the_documentation_names_exist() -> None:
    known = {path for path, _ in keys()}
    sections = {path.split(".")[0] for path in known}
    for page in PAGES:
        for name in re.findall(r"`([a-z]+(?:\.[a-z_]+)+)(?::[^`]*)?`", page.read_text(encoding="utf-8")):
            if name.split(".")[0] in sections and not re.search(
                r"\.(py|yaml|json|md|service|sqlite|csv|jsonl|html|tflite|txt|png|avi)$", name
            ):
                assert name in known or any(each.startswith(f"{name}.") for each in known), f"{page.name}: {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_page_is_reachable_from_the_readme() -> None:
    linked = set(re.findall(r"\]\((docs/[^)#]+\.md)", text("README.md")))
    for page in sorted((ROOT / "docs").glob("*.md")):
        inner = any(f"({page.name}" in text(each) for each in linked)
        assert f"docs/{page.name}" in linked or inner, page.name


def readme_blocks() -> list[str]:
    return re.findall(r"```sh\n(.*?)```", text("README.md"), flags=re.DOTALL)


def test_the_readme_begins_with_two_commands_that_make_knows() -> None:
    first = [line.split("#")[0].strip() for line in readme_blocks()[0].splitlines()]
    assert first == ["make demo", "make test"]
    for command in first:
        subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, check=True, capture_output=True)


def test_the_readmes_device_commands_run(tmp_path: Path) -> None:
    block = next(each for each in readme_blocks() if "linegate simulate" in each)
    for line in block.splitlines():
        if line.startswith(".venv/bin/linegate"):
            command = line.replace("out/", f"{tmp_path}/").replace("--seconds 20", "--seconds 6")
            ran = subprocess.run(command, cwd=ROOT, shell=True, capture_output=True, text=True, check=False)
            assert ran.returncode == 0, f"{command}: {ran.stderr}"
