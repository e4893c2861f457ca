"""The notebooks run from top to bottom, and are committed as they are before that."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


@pytest.fixture
def execute(monkeypatch):
    """Runs a notebook, maybe after a line of code; gives what its cells print."""
    for needed in ("nbclient", "ipykernel", "matplotlib", "sklearn", "threadpoolctl", "tqdm"):
        pytest.importorskip(needed, reason=f"needs {needed}: pip install 'tconv[test]'")
    import nbformat
    from nbclient import NotebookClient

    # Threads of small layers would mostly wait for each other while other tests are running.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def execute(path, first=None):
        notebook = nbformat.read(path, as_version=4)
        if first:
            notebook.cells.insert(0, nbformat.v4.new_code_cell(first))
        folder = {"metadata": {"path": str(path.parent)}}
        NotebookClient(notebook, timeout=600, resources=folder).execute()
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
        return "".join(output.get("text", "") for output in outputs)

    return execute


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook(path, execute):
    execute(path)  # raises where a cell does, and their assertions are many


def test_race_without_torch(execute, tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError")
    first = f"import sys; sys.path.insert(0, {str(tmp_path)!r})"
    text = execute(ROOT / "examples" / "07_race_against_torch.ipynb", first)
    assert "torch is not installed" in text
    assert text.count(" GFLOP/s\n") == text.count("_f32\n") > 5


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_committed_without_outputs(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    assert notebook["metadata"] == {"kernelspec": kernel, "language_info": {"name": "python"}}
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert any("assert " in "".join(cell["source"]) for cell in code)
    for cell in code:
        assert (cell["outputs"], cell["execution_count"]) == ([], None)


def test_the_pages_list_the_notebooks_in_their_order():
    page = (ROOT / "docs" / "learning.md").read_text(encoding="utf-8")
    numbers = [int(path.stem.split("_")[0]) for path in NOTEBOOKS]
    assert numbers == list(range(1, len(NOTEBOOKS) + 1))
    places = [page.index(path.name) for path in NOTEBOOKS]
    assert places == sorted(places)
