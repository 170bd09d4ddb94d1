from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest

import shipworthy.models
from shipworthy.models import zoo
from shipworthy.models.training import TrainingError

# A model without a framework. Its training writes weights, then waits while a file called `hold`
# lies beside it; a file called `fail` makes it write none.
PROBE = """
import time
from pathlib import Path
from shipworthy.models.spec import Model, Signature, Source

def train(folder):
    here = Path(__file__).parent
    if not (here / "fail").exists():
        (folder / "weights.safetensors").write_bytes(b"weights")
    (here / "started").touch()
    while (here / "hold").exists():
        time.sleep(0.01)
    return {"accuracy": 1.0}

MODEL = Model("probe", "a probe", {
    "pytorch": Source("probe", "pytorch", Signature((), ()), build=dict, train=train),
    "tensorflow": Source("probe", "tensorflow", Signature((), ()), build=dict),
})
"""

TRAIN_PROBE = """
import sys
from pathlib import Path
import shipworthy.models
shipworthy.models.__path__.append(sys.argv[1])
from shipworthy.models import train, zoo
zoo.cache_dir = lambda: Path(sys.argv[2])
sys.exit(train.main(["probe", "pytorch"]))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return an empty folder that the zoo searches too; its cache is `tmp_path`'s."""
    added = tmp_path / "added"
    added.mkdir()
    monkeypatch.setattr(shipworthy.models, "__path__", [*shipworthy.models.__path__, str(added)])
    monkeypatch.setattr(zoo, "cache_dir", lambda: tmp_path / "cache")
    importlib.invalidate_caches()
    yield added
    for file in added.glob("*.py"):
        sys.modules.pop(f"shipworthy.models.{file.stem}", None)
        vars(shipworthy.models).pop(file.stem, None)


@pytest.fixture
def probe(folder):
    (folder / "probe.py").write_text(PROBE)
    return zoo.source("probe", "pytorch")


def start_training(folder, tmp_path):
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN_PROBE, str(folder), str(tmp_path / "cache")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path):
    end = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.01)


def kept(tmp_path):
    """Return the names of what a training left in the probe's cache folder."""
    return {p.name for p in (tmp_path / "cache/models/probe/pytorch").iterdir()} - {".lock"}


def test_the_models_of_this_folder_are_known():
    assert {"cnn", "mlp"} <= set(zoo.names())
    for name in zoo.names():
        assert zoo.get(name).name == name
        for framework, source in zoo.get(name).sources.items():
            assert (source.name, source.framework) == (name, framework)


def test_a_new_file_is_a_new_model(probe):
    assert "probe" in zoo.names()
    assert zoo.get("probe").about == "a probe"


def test_unknown_model_names_the_known_and_the_nearest():
    with pytest.raises(zoo.ZooError, match=r"unknown model 'cn'; known: .*cnn.*mean 'cnn'\?"):
        zoo.get("cn")
    with pytest.raises(zoo.ZooError, match=r"unknown model 'spec'; known: [^;]*$"):
        zoo.get("spec")


def test_unknown_framework_names_the_models_own():
    with pytest.raises(zoo.ZooError, match="not written in 'jax'; it is in: pytorch, tensorflow"):
        zoo.source("cnn", "jax")


def test_a_broken_file_is_named(folder):
    (folder / "broken.py").write_text("import nowhere_to_be_found\n")
    with pytest.raises(zoo.ZooError, match=r"models/broken\.py cannot be imported: ModuleNotFound"):
        zoo.names()


def test_two_models_of_one_name(folder):
    for name in ("one", "two"):
        (folder / f"{name}.py").write_text(PROBE)
    with pytest.raises(zoo.ZooError, match=r"two models are called 'probe': .*one\.py.*two\.py"):
        zoo.names()


def test_listing_imports_nothing_heavy():
    script = (
        "import sys\n"
        "from shipworthy.models import zoo\n"
        "for name in zoo.names():\n"
        "    for source in zoo.get(name).sources.values():\n"
        "        zoo.is_trained(source)\n"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    command = [sys.executable, "-c", script]
    loaded = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert "numpy" in loaded
    assert not loaded & {"torch", "tensorflow", "keras", "sklearn", "scipy", "h5py", "rich", "jax"}


def test_training_happens_once(probe, folder, tmp_path):
    assert not zoo.is_trained(probe)
    trained = zoo.trained(probe)
    assert zoo.is_trained(probe)
    assert (trained / "weights.safetensors").read_bytes() == b"weights"
    result = json.loads((trained / "training.json").read_text())
    assert result["accuracy"] == 1.0
    assert set(result["tools"]) == {"numpy", "torch", "safetensors"}
    (folder / "started").unlink()
    assert zoo.trained(probe) == trained
    assert not (folder / "started").exists()
    assert kept(tmp_path) == {trained.name}


def test_a_change_of_the_model_asks_for_a_new_training(probe, folder):
    first = zoo.trained(probe)
    (folder / "probe.py").write_text(PROBE + "# other\n")
    assert not zoo.is_trained(probe)
    assert zoo.trained(probe) != first
    (folder / "probe.py").write_text(PROBE)
    assert zoo.is_trained(probe)


def test_a_change_of_what_the_model_imports_asks_for_a_new_training(folder):
    (folder / "parts.py").write_text("WIDTH = 3\n")
    (folder / "probe.py").write_text("from shipworthy.models import parts\n" + PROBE)
    probe = zoo.source("probe", "pytorch")
    zoo.trained(probe)
    (folder / "parts.py").write_text("WIDTH = 4\n")
    assert not zoo.is_trained(probe)


def test_another_version_of_a_tool_asks_for_a_new_training(probe, monkeypatch):
    zoo.trained(probe)
    version = zoo.metadata.version
    monkeypatch.setattr(
        zoo.metadata, "version", lambda name: "0.0" if name == "torch" else version(name)
    )
    assert not zoo.is_trained(probe)


def test_lost_weights_are_trained_again(probe):
    weights = zoo.trained(probe) / "weights.safetensors"
    weights.unlink()
    assert not zoo.is_trained(probe)
    zoo.trained(probe)
    assert weights.is_file()


def test_a_training_without_weights_keeps_nothing(probe, folder, tmp_path):
    (folder / "fail").touch()
    with pytest.raises(TrainingError, match=r"wrote no weights\.safetensors.*training\.json"):
        zoo.trained(probe)
    assert kept(tmp_path) == set()


def test_nothing_to_train(probe):
    untrainable = zoo.source("probe", "tensorflow")
    assert zoo.is_trained(untrainable)
    zoo.ensure_trained("probe", ["tensorflow"])
    with pytest.raises(zoo.ZooError, match="has no training"):
        zoo.trained(untrainable)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_training_keeps_nothing(probe, folder, tmp_path, number, code):
    (folder / "hold").touch()
    process = start_training(folder, tmp_path)
    wait_for(folder / "started")
    assert len(kept(tmp_path)) == 1  # the folder it works in
    process.send_signal(number)
    out, error = process.communicate(timeout=30)
    assert process.returncode == code
    assert out == ""
    assert error.splitlines() == [f"stopped by {number.name}; nothing was kept"]
    assert kept(tmp_path) == set()


def test_a_killed_training_is_cleaned_up_by_the_next(probe, folder, tmp_path):
    (folder / "hold").touch()
    process = start_training(folder, tmp_path)
    wait_for(folder / "started")
    process.kill()
    process.communicate(timeout=30)
    assert len(kept(tmp_path)) == 1
    assert not zoo.is_trained(probe)
    (folder / "hold").unlink()
    trained = zoo.trained(probe)
    assert kept(tmp_path) == {trained.name}


def test_two_processes_train_once(probe, folder, tmp_path):
    (folder / "hold").touch()
    first = start_training(folder, tmp_path)
    wait_for(folder / "started")
    (folder / "started").unlink()
    second = start_training(folder, tmp_path)
    waiting = second.stderr.readline()
    assert waiting == "probe (pytorch) is being trained by another process; waiting\n"
    (folder / "hold").unlink()
    paths = {process.communicate(timeout=30)[0].strip() for process in (first, second)}
    assert paths == {str(zoo.trained(probe))}
    assert first.returncode == second.returncode == 0
    assert not (folder / "started").exists()  # the second one did not train


def test_a_failed_training_says_how_to_repeat_it(probe, capfd):
    # The process it starts does not search this test's folder, so there it is an unknown model.
    with pytest.raises(TrainingError) as caught:
        zoo.ensure_trained("probe", ["pytorch"])
    assert "the training of probe (pytorch) ended with exit code 2" in str(caught.value)
    assert f"{sys.executable} -m shipworthy.models.train probe pytorch" in str(caught.value)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "error: unknown model 'probe'; known: bert" in captured.err


def test_an_interrupted_parent_stops_the_training(tmp_path):
    child = (
        "import os, sys, time, pathlib\n"
        "new = pathlib.Path(sys.argv[1] + '.new')\n"
        "new.write_text(str(os.getpid()))\n"
        "new.rename(sys.argv[1])\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", child, str(tmp_path / "pid")]
    script = f"from shipworthy.models import zoo; zoo._run({command!r})"
    # In a group of its own, and only the parent gets the signal.
    with subprocess.Popen(
        [sys.executable, "-c", script], stderr=subprocess.PIPE, start_new_session=True
    ) as parent:
        wait_for(tmp_path / "pid")
        pid = int((tmp_path / "pid").read_text())
        parent.send_signal(signal.SIGINT)
        parent.communicate(timeout=30)
    assert parent.returncode == -signal.SIGINT
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["cn", "pytorch"], "error: unknown model 'cn'; known: bert"),
        (["cnn", "jax"], "invalid choice: 'jax'"),
        ([], "the following arguments are required: name, framework"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments, said):
    command = [sys.executable, "-m", "shipworthy.models.train", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
