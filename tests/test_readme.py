"""What the documentation shows is what happens: its pages, their commands, and the docstrings."""

import doctest
import importlib
import pkgutil
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import tconv
from tconv import _core

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall(README)
COMMANDS = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
INSTALL = "python3 -m venv .venv && .venv/bin/pip install"


def run_examples(test):
    """Runs the examples of a doctest and fails with what differs."""
    report = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
    runner.run(test, out=report.append)
    if report:
        pytest.fail("".join(report))


def examples_of(page):
    """The doctest of all Python on a page."""
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    text = "\n".join(text for kind, text in blocks if kind == "python")
    return doctest.DocTestParser().get_doctest(text, {}, page.name, page.name, 0)


PAGES = {page.name: examples_of(page) for page in (ROOT / "README.md", *ROOT.glob("docs/*.md"))}


@pytest.mark.parametrize("page", sorted(PAGES))
def test_examples_of_the_pages(page):
    for example in PAGES[page].examples:
        if imported := re.match(r"(?:import|from) (\w+)", example.source):
            pytest.importorskip(imported[1])
    run_examples(PAGES[page])


def test_pages_have_examples():
    found = {page for page, test in PAGES.items() if len(test.examples) > 5}
    assert {"README.md", "arguments.md", "coming_from.md", "gradient.md", "shapes.md"} <= found


def docstrings():
    """The doctests of the installed package, those of the compiled functions included."""
    left_out = ("tconv._core", "tconv.__main__")
    names = {module.name for module in pkgutil.walk_packages(tconv.__path__, "tconv.")}
    modules = [importlib.import_module(name) for name in sorted(names.difference(left_out))]
    tests = [test for module in (tconv, *modules) for test in FINDER.find(module)]
    for name, function in vars(_core).items():
        tests += FINDER.find(function, f"tconv._core.{name}", module=False)
    return [test for test in tests if test.examples]


FINDER = doctest.DocTestFinder()
DOCSTRINGS = docstrings()


@pytest.mark.parametrize("test", DOCSTRINGS, ids=lambda test: test.name)
def test_examples_of_docstrings(test):
    run_examples(test)


def test_docstrings_were_found():
    names = {test.name.rpartition(".")[2] for test in DOCSTRINGS}
    compiled = {"conv_transpose1d", "conv2d", "conv2d_weight", "conv_transpose3d_input", "plan"}
    assert {
        "tconv",
        "grad",
        "explain",
        "reach",
        "conv_matrix",
        "pad1d",
        "parse",
        *compiled,
    } <= names


# ---- commands ----


def test_two_commands_do_all_the_setting_up():
    assert f'{INSTALL} ".[demo]" && .venv/bin/python -m tconv demo' in COMMANDS
    assert f'{INSTALL} ".[test]" && .venv/bin/python -m pytest' in COMMANDS


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_ci_runs_the_command_of_the_readme():
    command = ["bash", ROOT / ".ci" / "run", "--command"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [done.stdout.strip()] == [line for line in COMMANDS if line.endswith("-m pytest")]
