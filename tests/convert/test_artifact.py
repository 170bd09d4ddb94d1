"""Manifests, and folders that appear whole or not at all."""

import dataclasses
import hashlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shipworthy.convert import artifact as a
from shipworthy.models import atomic
from shipworthy.models.cache import hash_path
from shipworthy.models.spec import Signature, TensorSpec

SIGNATURE = Signature(
    (TensorSpec("image", "float32", ("batch", 1, 8, 8)),),
    (TensorSpec("logits", "float32", ("batch", 10)),),
)


@pytest.fixture
def artifact(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"weights")
    made = a.Artifact(
        model="cnn", framework="pytorch", route="pytorch>onnx", format="onnx", file="model.onnx",
        sha256=hash_path(tmp_path / "model.onnx"), size_bytes=7, signature=SIGNATURE,
        native_names={"inputs": {"image": "image"}, "outputs": {"logits": "logits"}},
        dynamic_axes=("batch",), fixed_axes={}, weights_sha256="0", key="k", tools={"torch": "2"},
        options={"opset": 20}, notes=(), warnings=("w",), parent=None, command="c", seconds=1.0,
        folder=tmp_path,
    )  # fmt: skip
    made.write()
    return made


def test_a_manifest_is_read_back_as_it_was(artifact):
    assert a.read_artifact(artifact.folder) == artifact
    assert a.is_intact(artifact)


def test_a_changed_or_missing_file_is_noticed(artifact):
    artifact.path.write_bytes(b"w3ights")
    assert not a.is_intact(artifact)
    artifact.path.unlink()
    assert not a.is_intact(artifact)


@pytest.mark.parametrize("name", ["../model.onnx", "/etc/passwd", "a/b", "..", ""])
def test_a_manifest_cannot_point_outside_its_folder(artifact, name):
    path = artifact.folder / a.MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {"file": name}))
    with pytest.raises(a.ArtifactError, match="inside its folder"):
        a.read_artifact(artifact.folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"signature": {}}'])
def test_a_broken_manifest_is_told(artifact, text):
    (artifact.folder / a.MANIFEST).write_text(text)
    with pytest.raises(a.ArtifactError, match="not a manifest"):
        a.read_artifact(artifact.folder)


def test_a_missing_manifest_is_told(tmp_path):
    with pytest.raises(a.ArtifactError, match="export the model first"):
        a.read_artifact(tmp_path)


def test_a_manifest_holds_no_path_of_the_machine(artifact):
    assert str(artifact.folder) not in (artifact.folder / a.MANIFEST).read_text()
    assert {f.name for f in dataclasses.fields(artifact)} >= {"command", "options", "tools"}


def test_a_folder_appears_whole(tmp_path):
    target = tmp_path / "deep" / "cell"
    with a.publish(target) as work:
        (work / "one").write_text("1")
        assert not target.exists()
    assert (target / "one").read_text() == "1"
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_is_replaced_whole(tmp_path):
    target = tmp_path / "cell"
    for name in ("old", "new"):
        with a.publish(target) as work:
            (work / name).write_text(name)
    assert [p.name for p in target.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_folder_leaves_nothing(tmp_path, error):
    target = tmp_path / "cell"
    with a.publish(target) as work:
        (work / "old").write_text("old")

    def interrupted():
        with a.publish(target) as work:
            (work / "new").write_text("new")
            raise error

    with pytest.raises(error):
        interrupted()
    assert [p.name for p in target.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("renames", [0, 1])
def test_an_interrupted_replacement_changes_nothing(tmp_path, monkeypatch, renames):
    target = tmp_path / "cell"
    with a.publish(target) as work:
        (work / "old").write_text("old")
    rename, done = Path.rename, []

    def interrupted(path, new):
        done.append(new)
        if len(done) == renames + 1:
            raise KeyboardInterrupt
        return rename(path, new)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), a.publish(target) as work:
        (work / "new").write_text("new")
    assert [p.name for p in target.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [target]


def test_what_is_half_done_is_told_by_its_name_and_swept(tmp_path, monkeypatch):
    names, rename, replace = [], Path.rename, Path.replace
    monkeypatch.setattr(Path, "rename", lambda p, new: names.append(p.name) or rename(p, new))
    monkeypatch.setattr(Path, "replace", lambda p, new: names.append(p.name) or replace(p, new))
    with a.publish(tmp_path / "cell") as work:
        (work / "new").write_text("new")
    a.write_text(tmp_path / "notes.txt", "notes")
    folder, file = names
    assert folder.startswith(a.WORK_PREFIX + "cell-")
    assert file.startswith(a.WORK_PREFIX + "notes.txt-")
    # As a kill leaves them.
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "half").write_text("")
    (tmp_path / file).write_text("")
    (tmp_path / ".mine-1").mkdir()
    atomic.sweep(tmp_path, tmp_path / "no such folder")
    assert {p.name for p in tmp_path.iterdir()} == {"cell", "notes.txt", ".mine-1"}


def test_a_lock_that_is_held_raises_what_it_was_given(tmp_path):
    path = tmp_path / "deep" / ".lock"
    with atomic.lock(path, LookupError("taken")), pytest.raises(LookupError, match="taken"):
        atomic.lock(path, LookupError("taken")).__enter__()
    with atomic.lock(path, LookupError("taken")):
        assert path.exists()


def test_a_lock_that_is_held_is_waited_for(tmp_path, capsys):
    path, waits = tmp_path / ".lock", []

    def late():
        with atomic.lock(path, "waiting", check=lambda: waits.append(1)):
            return len(waits)

    with ThreadPoolExecutor(1) as pool:
        with atomic.lock(path, LookupError("taken")):
            later = pool.submit(late)
            while len(waits) < 2:
                time.sleep(0.01)
            assert not later.done()
        assert later.result(10) >= 2
    assert capsys.readouterr().err == "waiting\n"


def test_waiting_for_a_lock_can_be_ended(tmp_path):
    path = tmp_path / ".lock"

    def enough():
        raise TimeoutError

    with atomic.lock(path, LookupError("taken")), pytest.raises(TimeoutError):
        atomic.lock(path, "waiting", check=enough).__enter__()


def test_a_hash_is_the_one_that_sha256sum_tells(tmp_path):
    file = tmp_path / "folder" / "model"
    file.parent.mkdir()
    file.write_bytes(b"weights")
    assert hash_path(file) == hashlib.sha256(b"weights").hexdigest()
    whole = hash_path(file.parent)
    assert whole == hashlib.sha256(b"model\0" + hashlib.sha256(b"weights").digest()).hexdigest()
    file.rename(file.with_name("other"))
    assert hash_path(file.parent) != whole
    with pytest.raises(FileNotFoundError, match="holds no file"):
        hash_path(tmp_path / "gone")


def test_json_is_never_half_written(tmp_path):
    path = tmp_path / "x.json"
    a.write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="Out of range"):
        a.write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]
