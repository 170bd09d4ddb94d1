"""A model's folder: who may work in it, what it was asked for."""

import json

import pytest

from shipworthy.convert.routes import FORMATS
from shipworthy.models.atomic import WORK_PREFIX
from shipworthy.models.errors import WrongUsageError
from shipworthy.models.spec import FRAMEWORKS
from shipworthy.serve.folder import (
    CELLS,
    FolderError,
    ask_for,
    asked,
    cells_with_artifacts,
    has_artifact,
    hold,
)


def test_a_second_run_is_refused_until_the_first_has_ended(tmp_path):
    out = tmp_path / "not" / "there" / "yet"
    with hold(out):
        with pytest.raises(WrongUsageError, match=r"at work in .*use another --out"), hold(out):
            pytest.fail("two runs hold the folder")
        assert not (out / "pytorch").exists()
    with hold(out):
        pass


def test_a_run_that_fails_gives_the_folder_back(tmp_path):
    with pytest.raises(ZeroDivisionError), hold(tmp_path):
        raise ZeroDivisionError
    with hold(tmp_path):
        pass


def test_two_folders_are_held_side_by_side(tmp_path):
    with hold(tmp_path / "a"), hold(tmp_path / "b"):
        pass


PLACES = [".", *FRAMEWORKS, *(f"{f}/{t}" for f in FRAMEWORKS for t in FORMATS)]


@pytest.mark.parametrize("place", PLACES)
def test_what_a_killed_run_left_is_swept(tmp_path, place):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("kept")
    out = tmp_path / "out"
    left = out / place / f"{WORK_PREFIX}onnx-x1"
    (left / "inner").mkdir(parents=True)
    (left / "inner" / "half").write_text("half")
    (left.parent / f"{WORK_PREFIX}file").write_text("half")
    (left.parent / f"{WORK_PREFIX}link").symlink_to(elsewhere, target_is_directory=True)
    (left.parent / f"{WORK_PREFIX}dangling").symlink_to(tmp_path / "nowhere")
    with hold(out):
        assert [path for path in (out / place).iterdir() if path.name != ".lock"] == []
    assert (elsewhere / "kept").read_text() == "kept"


def test_nothing_else_is_swept(tmp_path):
    kept = [
        "pytorch/onnx/model.onnx",
        f"pytorch/onnx/deeper/{WORK_PREFIX}x",
        f"pytorch/not{WORK_PREFIX}x",
        "pytorch/.hidden",
        "pytorch/.shipworthy",
        f"another/{WORK_PREFIX}x",
        f"pytorch/another/{WORK_PREFIX}x",
        f"logs/{WORK_PREFIX}x",
        "records.jsonl",
    ]
    for name in kept:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("kept")
    before = tree(tmp_path)
    with hold(tmp_path):
        pass
    assert [path for path in tree(tmp_path) if path != ".lock"] == before


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_cells_add_up_in_the_reports_order(tmp_path):
    ask_for(tmp_path, "cnn", [("tensorflow", "tflite"), ("pytorch", "tflite")])
    assert asked(tmp_path).cells == [("pytorch", "tflite"), ("tensorflow", "tflite")]
    ask_for(tmp_path, "cnn", [("tensorflow", "onnx"), ("pytorch", "tflite")])
    assert asked(tmp_path).cells == [
        ("pytorch", "tflite"), ("tensorflow", "onnx"), ("tensorflow", "tflite"),
    ]  # fmt: skip
    ask_for(tmp_path, "cnn", [])
    assert len(asked(tmp_path).cells) == 3
    everything = [(framework, format_) for framework in FRAMEWORKS for format_ in FORMATS]
    ask_for(tmp_path, "cnn", everything[::-1])
    assert asked(tmp_path).cells == everything
    assert asked(tmp_path).model == "cnn"


def test_another_models_folder_is_refused_and_stays(tmp_path):
    ask_for(tmp_path, "cnn", [("pytorch", "onnx")])
    with pytest.raises(FolderError, match=r"exports of 'cnn'; export 'mlp' to another --out") as e:
        ask_for(tmp_path, "mlp", [("pytorch", "tflite")])
    assert e.value.exit_code == 2
    assert (asked(tmp_path).model, asked(tmp_path).cells) == ("cnn", [("pytorch", "onnx")])


def test_an_empty_folder_says_how_to_fill_it(tmp_path):
    with pytest.raises(FolderError, match=r"no cells\.json.*shipworthy export") as e:
        asked(tmp_path)
    assert e.value.exit_code == 2


DAMAGED = {
    "nothing": "",
    "half": '{"schema": 1, "model": "cn',
    "list": "[]",
    "null": "null",
    "no model": json.dumps({"schema": 1, "cells": []}),
    "no cells": json.dumps({"schema": 1, "model": "cnn"}),
    "number": json.dumps({"schema": 1, "model": "cnn", "cells": 3}),
    "triples": json.dumps({"schema": 1, "model": "cnn", "cells": [["pytorch", "onnx", "x"]]}),
    "numbers": json.dumps({"schema": 1, "model": "cnn", "cells": [1, 2]}),
    "binary": "\udcff\udcfe",
}


def test_threads_are_kept_until_others_are_asked_for(tmp_path):
    ask_for(tmp_path, "cnn", [("pytorch", "onnx")])
    assert asked(tmp_path).threads == 1
    ask_for(tmp_path, "cnn", [], 4)
    ask_for(tmp_path, "cnn", [("pytorch", "tflite")])
    assert asked(tmp_path).threads == 4


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize(
    "use", [asked, lambda out: ask_for(out, "cnn", [("pytorch", "onnx")])],
    ids=["read", "ask"],
)  # fmt: skip
def test_a_damaged_list_is_told_without_a_traceback(tmp_path, damage, use):
    (tmp_path / CELLS).write_bytes(DAMAGED[damage].encode(errors="surrogateescape"))
    with pytest.raises(FolderError, match=r"cells\.json"):
        use(tmp_path)


def test_artifacts_are_found_whether_asked_for_or_not(tmp_path):
    for cell in ("tensorflow/tflite", "pytorch/onnx", "tensorflow/saved_model"):
        (tmp_path / cell).mkdir(parents=True)
        (tmp_path / cell / "artifact.json").write_text("even if it is damaged")
    (tmp_path / "pytorch/tflite").mkdir()
    (tmp_path / "pytorch/tflite/failure.json").write_text("{}")
    assert cells_with_artifacts(tmp_path) == [
        ("pytorch", "onnx"), ("tensorflow", "saved_model"), ("tensorflow", "tflite"),
    ]  # fmt: skip
    assert not has_artifact(tmp_path, ("pytorch", "tflite"))
