"""Counts what it takes to write and to train the same model in both frameworks."""

from __future__ import annotations

import ast
import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shipworthy.convert.launch import ENVIRONMENT
from shipworthy.models import learner, zoo
from shipworthy.serve.experiments.experiment import (
    MODES,
    Context,
    Experiment,
    ExperimentError,
    Progress,
    Result,
    Settings,
)
from shipworthy.serve.experiments.programs_folder import PROGRAMS, run_program
from shipworthy.serve.steps import Event

BUILDERS = {"pytorch": "build_pytorch", "tensorflow": "build_keras"}
_LEARNERS = {"pytorch": learner.TorchLearner, "tensorflow": learner.KerasLearner}
_TRAINERS = {"pytorch": "train_pytorch.py", "tensorflow": "train_keras.py"}
REQUIRED = 0.95  # accuracy that both programs have to reach

# Prints whether the framework has a training of its own.
_HAS_FIT = {
    "pytorch": "import torch; print(hasattr(torch.nn.Module, 'fit'))",
    "tensorflow": "import keras; print(hasattr(keras.Model, 'fit'))",
}


def _run(context: Context, settings: Settings) -> Progress:
    programs, fit = {}, {}
    for framework, program in _TRAINERS.items():
        step = f"training a perceptron by {program}"
        yield Event(step, "started")
        path = PROGRAMS / program
        printed = run_program(
            [sys.executable, "-P", str(path), str(settings["epochs"])], context.timeout, ENVIRONMENT
        )
        quality = float(json.loads(printed.splitlines()[-1])["accuracy"])
        programs[framework] = {
            "program": program,
            **count(path.read_text(), "train"),
            "quality": quality,
            "required": REQUIRED,
        }
        words = [sys.executable, "-P", "-c", _HAS_FIT[framework]]
        fit[framework] = run_program(words, context.timeout, ENVIRONMENT).strip() == "True"
        yield Event(step, "done", f"accuracy {quality:.3f}")
    data = {
        "models": list(count_models()),
        "loops": {f: count(inspect.getsource(c))["statements"] for f, c in _LEARNERS.items()},
        "programs": programs,
        "fit": fit,
    }
    return Result(data)


def count_models() -> Iterator[dict[str, Any]]:
    """Count the definition of every model of the zoo that is written out in both frameworks.

    Left out are real-size models whose Keras side is one call of `keras.applications`: there is
    nothing written to compare.
    """
    for name in zoo.names():
        model = zoo.get(name)
        if model.untrained:
            continue
        text = Path(inspect.getsourcefile(inspect.unwrap(_builder(name))) or "").read_text()
        counted = {framework: count(text, function) for framework, function in BUILDERS.items()}
        yield {"model": name, **counted}


def _builder(name: str) -> Any:
    return zoo.source(name, "pytorch").build


def count(text: str, function: str | None = None) -> dict[str, int]:
    """Count statements, lines and classes of Python code.

    Counted are the AST's statement nodes, so that neither line breaks nor comments matter;
    docstrings, imports and the function's own head are left out. Lines are those on which a counted
    statement begins or ends or lies between, each once.

    Parameters
    ----------
    function : only what this function of the file holds, with what it calls in the same file;
        all by default.

    Raises
    ------
    ExperimentError : there is no such function.
    """
    tree = ast.parse(text)
    functions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}
    roots: list[ast.AST] = [tree]
    if function is not None:
        if function not in functions:
            raise ExperimentError(
                f"there is no function {function!r}; known: {', '.join(functions)}"
            )
        roots = _with_callees(functions, function)
    nodes = [node for root in roots for node in _statements(root)]
    lines = {line for node in nodes for line in range(node.lineno, _last_line_of_head(node) + 1)}
    return {
        "statements": len(nodes),
        "lines": len(lines),
        "classes": sum(isinstance(node, ast.ClassDef) for node in nodes),
    }


def _with_callees(functions: dict[str, ast.FunctionDef], name: str) -> list[ast.AST]:
    found: dict[str, ast.AST] = {}
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in found:
            continue
        found[current] = functions[current]
        names = {n.id for n in ast.walk(functions[current]) if isinstance(n, ast.Name)}
        waiting += sorted(names & functions.keys())
    return list(found.values())


def _statements(root: ast.AST) -> Iterator[ast.stmt]:
    for node in ast.walk(root):
        if node is root or not isinstance(node, ast.stmt):
            continue
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not docstring and not isinstance(node, ast.Import | ast.ImportFrom):
            yield node


def _last_line_of_head(node: ast.stmt) -> int:
    """Return where a statement ends, or its head where it holds others, which count themselves."""
    body: list[ast.stmt] = getattr(node, "body", [])
    if body:
        return max(node.lineno, body[0].lineno - 1)
    return node.end_lineno or node.lineno


EXPERIMENT = Experiment(
    "code",
    "code of the same models and trainings in both frameworks",
    _run,
    settings={mode: {"epochs": 12} for mode in MODES},
    sources=(Path(__file__), PROGRAMS / "train_pytorch.py", PROGRAMS / "train_keras.py",
             Path(learner.__file__).parent),
    packages=("torch", "tensorflow-cpu", "tensorflow", "keras"),
)  # fmt: skip
