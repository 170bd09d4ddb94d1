"""The house keeps its own rules."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("models", "convert", "serve", "report", "cli")
FRAMEWORKS = {
    "torch", "tensorflow", "keras", "jax", "onnx", "onnxruntime", "onnxscript", "tf2onnx",
    "litert_torch", "ai_edge_litert", "sklearn", "matplotlib",
    "gymnasium",
}  # fmt: skip
FILES = [file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py"))]


def imports(tree, *, top_level_only):
    nodes = list(ast.walk(tree))
    if top_level_only:
        inner = {
            id(node)
            for outer in nodes
            if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            or (isinstance(outer, ast.If) and "TYPE_CHECKING" in ast.unparse(outer.test))
            for node in ast.walk(outer)
        }
        nodes = [node for node in nodes if id(node) not in inner]
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import at line {node.lineno}"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_imports_go_one_way_and_frameworks_stay_inside_functions(file):
    tree = ast.parse(file.read_text())
    allowed = ROOMS[: ROOMS.index(file.relative_to(ROOT).parts[0]) + 1]
    for name in imports(tree, top_level_only=False):
        if name == "shipworthy" or not name.startswith("shipworthy."):
            continue
        assert name.split(".")[1] in allowed, f"{name} lies behind this room"
    at_import = {name.split(".")[0] for name in imports(tree, top_level_only=True)}
    assert not at_import & FRAMEWORKS


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_a_file_can_be_read_in_one_sitting(file):
    assert len(file.read_text().splitlines()) <= 320


def test_the_floor_needs_numpy_alone():
    tree = ast.parse((ROOT / "models" / "spec.py").read_text())
    names = {name.split(".")[0] for name in imports(tree, top_level_only=False)}
    assert names - set(sys.stdlib_module_names) <= {"numpy", "__future__"}


def test_every_room_is_packaged():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = set(project["tool"]["setuptools"]["packages"])
    found = {
        "shipworthy." + ".".join(init.relative_to(ROOT).parent.parts)
        for room in ROOMS
        for init in (ROOT / room).rglob("__init__.py")
    }
    assert packages == found


def test_the_lock_pins_everything_the_project_names():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(name for extra in extras for name in extra)]
    lines = [
        line
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert all(re.match(r"[A-Za-z0-9._-]+==[^\s;]+(; .*)?$", line) for line in lines)
    pinned = {normal(line.split("==")[0]) for line in lines}
    assert {normal(re.match(r"[A-Za-z0-9._-]+", name)[0]) for name in wanted} <= pinned


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_readme_names_real_things():
    readme = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"\bmake ([a-z-]+)\b", "\n".join(code_of(readme))):
        assert re.search(rf"^{target}:", makefile, re.M), f"the Makefile has no {target}"
    from shipworthy.cli.main import cli

    commands = cli.list_commands(None)
    for name in re.findall(r"\bshipworthy ([a-z]+)\b", "\n".join(code_of(readme))):
        assert name in commands
    for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", readme):
        assert (ROOT / link).exists(), f"the README links to {link}"


def test_the_readme_lists_every_model_and_format():
    from shipworthy.convert.routes import FORMATS, find_routes
    from shipworthy.models import zoo
    from shipworthy.models.spec import FRAMEWORKS as KNOWN

    readme = (ROOT / "README.md").read_text()
    for name in zoo.names():
        assert f"`{name}`" in readme
    for framework in KNOWN:
        for format_ in FORMATS:
            kind = "onnx" if framework == "onnx" else "module"
            assert f"`{find_routes(framework, format_, kind)[0]}`" in readme


def code_of(text):
    return re.findall(r"```.*?\n(.*?)```", text, re.S) + re.findall(r"`([^`\n]+)`", text)
