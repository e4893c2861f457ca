"""``python -m tconv``: what this installation can do, and what a call would do."""

from __future__ import annotations

import argparse
import ast
import sys
from pathlib import Path
from typing import Any

import tconv


def info(arguments: argparse.Namespace) -> None:
    tconv.show_config()


def explain(arguments: argparse.Namespace) -> None:
    words = arguments.words
    if len(words) == 1:
        problem = tconv.problems.parse(words[0])
        print(
            tconv.explain(
                problem.op,
                problem.input_shape,
                problem.weight_shape,
                problem.dtype,
                **problem.options,
            )
        )
        return
    if len(words) < 3:
        raise ValueError("give a problem string, or an operation, input shape and weight shape")
    op, *shapes = words[:3]
    input_shape, weight_shape = (tuple(map(int, shape.split(","))) for shape in shapes)
    pairs = (word.split("=", 1) for word in words[3:])
    options = {name: _value(value) for name, value in pairs}
    print(tconv.explain(op, input_shape, weight_shape, **options))


def _value(text: str) -> Any:
    """A number, a tuple, or the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def demo(arguments: argparse.Namespace) -> None:
    from . import demo

    demo.run(arguments.photo, arguments.out)


def parser() -> argparse.ArgumentParser:
    main = argparse.ArgumentParser(prog="python -m tconv", description=__doc__)
    commands = main.add_subparsers(required=True, metavar="command")

    command = commands.add_parser("info", help="version, instruction sets, threads, caches")
    command.set_defaults(run=info)

    command = commands.add_parser(
        "explain",
        help="sizes, engine and cost of a call",
        epilog="example: python -m tconv explain conv_transpose2d 1,64,32,32 64,3,4,4 "
        "stride=2 padding=1",
    )
    command.add_argument(
        "words",
        nargs="+",
        metavar="problem",
        help="a problem string such as ct2d_n1_ci64_ih32_iw32_co3_k4_s2_p1_f32, "
        "or: operation input_shape weight_shape [option=value ...]",
    )
    command.set_defaults(run=explain)

    command = commands.add_parser("demo", help="enlarge a photograph four times")
    command.add_argument("photo", nargs="?", type=Path, help="default: one that matplotlib has")
    command.add_argument("--out", type=Path, default=Path(), help="folder for the pictures")
    command.set_defaults(run=demo)
    return main


def main() -> int:
    arguments = parser().parse_args()
    try:
        arguments.run(arguments)
    except (ValueError, TypeError, OSError, ImportError, MemoryError) as error:
        print(f"tconv: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
