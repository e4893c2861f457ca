"""The pages in docs: Sphinx builds them without a warning, and all public names are there."""

import importlib
import pkgutil
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tconv

TOOLS = ("sphinx", "furo", "myst_nb", "numpydoc", "sphinx_copybutton")
for needed in (*TOOLS, "autograd", "dask", "torch"):  # the last are what documented modules need
    pytest.importorskip(needed, reason=f"needs {needed}: pip install 'tconv[test]'")

ROOT = Path(__file__).parent.parent
INCLUDED = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of the built pages. They are built of a copy: Sphinx writes beside its sources."""
    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=shutil.ignore_patterns("api"))
    for name in INCLUDED:
        shutil.copy(ROOT / name, folder)
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "docs", "html"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "html"


def public_names():
    """Module and name of all that the public modules say they have."""
    for found in pkgutil.iter_modules(tconv.__path__):
        if not found.name.startswith("_"):
            module = importlib.import_module(f"tconv.{found.name}")
            for name in getattr(module, "__all__", ()):
                yield found.name, name


def test_every_public_name_is_in_the_reference(built):
    from sphinx.util.inventory import InventoryFile

    inventory = InventoryFile.loads((built / "objects.inv").read_bytes(), uri="")
    documented = {name for kind in inventory.data.values() for name in kind}
    names = list(public_names())
    missing = [
        f"tconv.{module}.{name}"
        for module, name in names
        if not {f"tconv.{module}.{name}", f"tconv.{name}"} & documented
    ]
    assert len(names) > 80
    assert not missing


def test_pictures_are_those_that_the_script_draws():
    script = runpy.run_path(str(ROOT / "docs" / "pictures.py"))
    drawn = {f"{name}.svg": draw().svg() for name, draw in script["PICTURES"].items()}
    there = {
        path.name: path.read_text(encoding="utf-8")
        for path in (ROOT / "docs" / "pictures").iterdir()
    }
    assert drawn == there, "run docs/pictures.py"
