import json
import os
import subprocess
import sys
import types

import numpy as np
import pytest

from shipworthy.convert.calling import call_keras, call_torch
from shipworthy.models.spec import Signature, TensorSpec
from shipworthy.serve.python import loop
from shipworthy.serve.python.originals import bind
from shipworthy.serve.runners import Timing


class Clock:
    """A clock that moves by `step` at every reading."""

    def __init__(self, step):
        self.now, self.step = 0, step

    def __call__(self):
        self.now += self.step
        return self.now


@pytest.mark.parametrize(("timing", "runs"), [
    (Timing("", 0, 5, 100, 0, 10**9), 5),  # as few as asked for
    (Timing("", 0, 5, 100, 200, 10**9), 10),  # until the time is up: two readings of 10 ns a run
    (Timing("", 0, 50, 7, 0, 10**9), 7),  # never more than the most
    (Timing("", 0, 50, 100, 0, 100), 5),  # nor longer than the longest
])  # fmt: skip
def test_the_loop_ends_as_a_runners_does(monkeypatch, timing, runs):
    monkeypatch.setattr(loop.time, "perf_counter_ns", Clock(10))
    found = loop.time_runs(lambda: None, timing)
    assert found.latencies_ns == [10] * runs
    assert found.wall_ns == 20 * runs


def test_warming_up_is_not_timed():
    calls = []
    found = loop.time_runs(lambda: calls.append(1), Timing("", 4, 6, 6, 0, 10**9))
    assert (len(calls), len(found.latencies_ns)) == (10, 6)


def test_processor_time_is_what_the_runs_took_and_waiting_is_not():
    timing = Timing("", 0, 3, 3, 0, 10**10)
    idle = loop.time_runs(lambda: loop.time.sleep(0.03), timing)
    assert idle.wall_ns >= 90_000_000
    assert idle.cpu_ns < 0.5 * idle.wall_ns
    busy = loop.time_runs(lambda: sum(range(1_000_000)), timing)
    assert busy.cpu_ns > 3_000_000


def test_what_is_printed_goes_elsewhere():
    code = (
        "import os, json\n"
        "from shipworthy.serve.python.loop import only_json\n"
        "with only_json() as answer:\n"
        "    print('a framework speaks'); os.write(1, b'so does native code')\n"
        "    json.dump({'a': 1}, answer)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"a": 1}
    assert "a framework speaks" in done.stderr
    assert "so does native code" in done.stderr


def test_which_frameworks_a_process_holds(monkeypatch):
    for name in loop.FRAMEWORKS:
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert loop.loaded_frameworks() == []
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))
    monkeypatch.setitem(sys.modules, "jax", None)  # forbidden, not loaded
    assert loop.loaded_frameworks() == ["torch"]
    assert loop.version_of("torch").startswith("torch 2")


def test_a_process_is_prepared_before_anything_is_imported(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.delitem(sys.modules, "jax", raising=False)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    loop.prepare(3, scratch=str(tmp_path))
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert os.environ["KERAS_BACKEND"] == "tensorflow"
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == f"{tmp_path}/compiled"
    assert sys.modules["jax"] is None


def test_peak_memory_is_this_process_own():
    before = loop.peak_rss_bytes()
    held = np.ones(40_000_000, np.uint8)
    assert loop.peak_rss_bytes() >= before + 0.9 * held.nbytes or before > 10 * held.nbytes


def test_the_arguments_are_found_without_calling_the_model():
    spec = TensorSpec("x", "float32", ("batch", 4))
    one = Signature((spec,), (spec,))

    class Model:
        inputs = ()
        input = None

        def __call__(self, *args, **kwargs):
            raise AssertionError("the model was called")

    assert bind(call_torch, Model(), ["tensor"], one) == (("tensor",), {})
    assert bind(call_keras, Model(), ["tensor"], one) == (("tensor",), {"training": False})
    kept = {"args": [{"list": [{"tensor": "x"}]}], "kwargs": {"scale": {"value": 2}}}
    told = Signature((spec,), (spec,), arguments=kept)
    assert bind(call_torch, Model(), ["tensor"], told) == ((["tensor"],), {"scale": 2})
