"""``shipworthy python``: what is refused, and that it says what to do."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from shipworthy.cli.python import _given

BIN = Path(sys.executable).parent / "shipworthy"


def call(*words):
    done = subprocess.run(
        [BIN, "python", *map(str, words)], capture_output=True, text=True, timeout=120
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


@pytest.mark.parametrize(("words", "told"), [
    (["--mode", "submission"], "'submission' is not one of 'quick', 'normal'"),
    (["--format", "gguf"], "allowed: onnx"),
    (["--framework", "jax"], "allowed: pytorch"),
    ([], "holds no export"),
])  # fmt: skip
def test_wrong_usage_exits_with_2(tmp_path, words, told):
    done = call(tmp_path, *words)
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stdout == ""


def test_cells_that_were_not_asked_for(tmp_path):
    asked = {"schema": 1, "model": "cnn", "cells": [["pytorch", "onnx"]], "origin": "zoo"}
    (tmp_path / "cells.json").write_text(json.dumps(asked))
    done = call(tmp_path, "--format", "tflite")
    assert done.returncode == 2
    assert "was asked for no such cell; it has pytorch/onnx" in done.stderr


def test_the_words_that_gave_a_model_give_it_again(tmp_path):
    (tmp_path / "net.py").write_text("def make(): ...")
    words = [f"{tmp_path / 'net.py'}:make", "--dynamic", "x:0=batch", "--input",
             "x:float32:batch,4", "--trust"]  # fmt: skip
    given = _given(words)
    assert given.words() == words
    assert _given(["cnn"]) is None
