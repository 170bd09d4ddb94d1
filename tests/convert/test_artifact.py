"""Manifests, and folders that appear whole or not at all."""

import dataclasses
import json

import pytest

from shipworthy.convert import artifact as a
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


def test_json_is_never_half_written(tmp_path):
    path = tmp_path / "x.json"
    a.write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="Out of range"):
        a.write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]
