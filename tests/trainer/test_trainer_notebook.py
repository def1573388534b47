"""The notebook tells the story with the library's own calls; it runs through, and is kept without outputs."""

from __future__ import annotations

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="make setup-trainer installs it")
nbclient = pytest.importorskip("nbclient", reason="make setup-trainer installs it")

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "trainer" / "notebooks" / "quality_control.ipynb"


def test_it_is_kept_without_outputs() -> None:
    for cell in nbformat.read(NOTEBOOK, 4).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_it_runs_from_top_to_bottom_and_judges_a_belt() -> None:
    notebook = nbformat.read(NOTEBOOK, 4)
    nbclient.NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}
    ).execute()
    said = [
        output.data.get("text/plain", "")
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "data" in output
    ]
    summary = next(text for text in said if "'parts'" in text)
    assert "'missed'" in summary
    assert any("int8_qat" in text for text in said)
