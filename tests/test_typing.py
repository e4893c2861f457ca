"""The types: mypy on the package, and the stub of the extension against the extension."""

import ast
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tconv import _core

ROOT = Path(__file__).parent.parent
STUB = Path(_core.__file__).with_name("_core.pyi")


def run(*arguments, folder=ROOT):
    command = [sys.executable, "-m", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_package_is_strictly_typed(tmp_path):
    pytest.importorskip("mypy", reason="needs mypy")
    run("mypy", "--strict", "--cache-dir", tmp_path)


def test_the_stub_is_of_the_extension(tmp_path):
    pytest.importorskip("mypy", reason="needs mypy")
    # In another folder, so that it is the installed package.
    run("mypy.stubtest", "tconv._core", folder=tmp_path)


def test_the_examples_run():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, ROOT / "tests" / "typing_examples.py"]
    subprocess.run(command, env=environment, check=True, timeout=120)


# ---- the stub's protocols, which stubtest does not compare with functions ----

TREE = ast.parse(STUB.read_text(encoding="utf-8"))
PROTOCOLS = {node.name: node for node in TREE.body if isinstance(node, ast.ClassDef)}
FUNCTIONS = {
    node.target.id: PROTOCOLS[node.annotation.id]
    for node in TREE.body
    if isinstance(node, ast.AnnAssign)
}


def parameters_of_stub(method):
    """Names, kinds and defaults, as far as they are written."""
    kinds = inspect.Parameter
    arguments = method.args.args[1:]
    first = len(arguments) - len(method.args.defaults)
    for i, argument in enumerate(arguments):
        default = method.args.defaults[i - first] if i >= first else None
        yield argument.arg, kinds.POSITIONAL_OR_KEYWORD, default
    for argument, default in zip(method.args.kwonlyargs, method.args.kw_defaults, strict=True):
        yield argument.arg, kinds.KEYWORD_ONLY, default


def test_there_are_functions_to_compare():
    assert len(FUNCTIONS) == 18


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_overload_has_the_parameters_of_the_function(name):
    signature = inspect.signature(getattr(_core, name))
    wanted = [(p.name, p.kind) for p in signature.parameters.values()]
    overloads = FUNCTIONS[name].body
    assert len(overloads) == 3
    for method in overloads:
        found = list(parameters_of_stub(method))
        assert [parameter[:2] for parameter in found] == wanted
        for parameter, _, default in found:
            if default is not None:
                assert ast.literal_eval(default) == signature.parameters[parameter].default
