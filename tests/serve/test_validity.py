"""Every reason why a result may not be relied on, and that a good one has none."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from shipworthy.serve import conditions, machine, modes, validity
from shipworthy.serve.conditions import Conditions, watch
from shipworthy.serve.modes import Minimum

QUIET = Conditions(10.0, 0.05, 0.0, 0.2, 0.3, 3000.0, 3000.0)
LEAST = Minimum(662, 1_000_000_000)


def load(scenario="server", **changes):
    told = {"queries": 700, "kept": 700, "duration_ns": 1_000_000_000}
    return validity.check_load(scenario, LEAST, **told | changes)


def test_a_good_result_has_no_reason():
    assert load() == []
    assert validity.check_conditions([QUIET] * 3) == []
    assert validity.check_clock([{"resolution_ns": 1, "overhead_ns": 25}], 2500) == []
    assert validity.check_validated(True) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"queries": 661, "kept": 661}, "too few queries: 661; 662 are needed"),
        ({"kept": 661}, "too few latencies for p99: 661, not 662"),
        ({"duration_ns": 999_999_999}, "too short: 1 s; 1 s are needed"),
        ({"duration_ns": 400_000_000}, "too short: 0.4 s; 1 s are needed"),
        ({"unserved": 3}, "3 queries were still waiting when the time was up"),
    ],
)
def test_what_a_load_lacks_is_told(changes, said):
    assert load(**changes) == [said]


def test_several_reasons_are_all_told():
    assert len(load(queries=1, kept=1, duration_ns=1, unserved=9)) == 3


def test_offline_has_no_percentile():
    assert load("offline", kept=1) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"others": 0.8}, "other processes kept 0.80 cores busy meanwhile; 0.25 are allowed"),
        ({"steal": 0.031}, "the hypervisor took 3.1% of the time meanwhile; 1% is allowed"),
        ({"mhz_after": 2600.0}, "the frequency changed from 2600 to 3000 MHz meanwhile"),
    ],
)
def test_what_changed_on_the_machine_is_told(changes, said):
    (reason,) = validity.check_conditions([QUIET, replace(QUIET, **changes)] * 5 if "mhz_after" in
                                          changes else [replace(QUIET, **changes)])  # fmt: skip
    assert reason.startswith(said)


def test_the_machine_is_judged_over_all_processes_by_their_time():
    busy = replace(QUIET, seconds=1.0, others=2.0)
    assert validity.check_conditions([busy]) != []
    assert validity.check_conditions([busy, replace(QUIET, seconds=99.0)]) == []


def test_a_core_at_rest_may_be_slow_before():
    assert validity.check_conditions([replace(QUIET, mhz_before=800.0)]) == []


def test_an_unknown_frequency_is_none():
    unknown = replace(QUIET, mhz_before=None, mhz_after=None)
    assert validity.check_conditions([unknown, QUIET]) == []


def test_an_unwatched_result_is_not_valid():
    assert validity.check_conditions([]) == ["nobody watched the machine meanwhile"]


def test_a_coarse_clock_is_told():
    (reason,) = validity.check_clock([{"resolution_ns": 1000, "overhead_ns": 30}], 5000)
    assert reason == (
        "clock too coarse: it moves in steps of 1000 ns, more than 1% of the median latency of "
        "5000 ns"
    )
    (reason,) = validity.check_clock([{"resolution_ns": 1, "overhead_ns": 99}], 5000)
    assert "takes 99 ns" in reason


def test_what_was_not_validated_is_not_valid():
    assert validity.check_validated(False) == ["the outputs of the timed runs were not validated"]


def test_a_result_is_told_with_its_reasons():
    assert validity.tell([]) == "VALID"
    assert validity.tell(["too short", "too few"]) == "INVALID: too short; too few"


def test_a_busy_child_is_not_another_process():
    code = "import time; end = time.process_time() + 0.4\nwhile time.process_time() < end: pass"
    with watch() as watching:
        subprocess.run([sys.executable, "-c", code], check=True)
    found = watching.found
    assert found.seconds >= 0.4
    # The child's 0.4 s are ours: even if all other cores were busy, they would not count.
    cores = len(os.sched_getaffinity(0))
    assert 0 <= found.others <= cores - 0.4 / found.seconds + 0.1
    assert 0 <= found.steal <= 1


def test_another_process_is_seen(monkeypatch):
    ticks = os.sysconf("SC_CLK_TCK")
    readings = iter([(100.0, 1.0, 2), (104.0, 1.5, 2)])
    monkeypatch.setattr(conditions, "_core_seconds", lambda: next(readings))
    monkeypatch.setattr(conditions, "_own_seconds", lambda: 7.0)
    clock = iter([10.0, 12.0])
    monkeypatch.setattr(conditions.time, "monotonic", lambda: next(clock))
    with watch() as watching:
        pass
    assert ticks > 0
    assert (watching.found.others, watching.found.steal) == (2.0, 0.125)


def test_the_cores_time_is_read_from_the_kernel(monkeypatch, tmp_path):
    (tmp_path / "stat").write_text(
        "cpu  9 9 9 9 9 9 9 9 9 9\n"
        "cpu0 100 10 50 7000 30 5 5 40 90 9\n"
        "cpu1 200 0 0 7000 0 0 0 60 0 0\n"
        "cpu7 999 0 0 0 0 0 0 0 0 0\n"
        "intr 5\n\n"
    )
    monkeypatch.setattr(conditions, "_PROC", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    ticks = os.sysconf("SC_CLK_TCK")
    assert conditions._core_seconds() == ((170 + 200) / ticks, 100 / ticks, 2)
    monkeypatch.setattr(conditions, "_PROC", tmp_path / "gone")
    assert conditions._core_seconds() == (0.0, 0.0, 0)


def test_a_block_that_fails_is_watched_too():
    with pytest.raises(KeyError), watch() as watching:
        raise KeyError
    assert watching.found.seconds > 0


def test_the_machine_tells_what_latency_depends_on():
    told = machine.describe_machine()
    assert {"cpu", "governor", "frequency_mhz", "load_1m", "memory_bytes", "os", "kernel"} <= set(
        told
    )
    assert told["memory_available_bytes"] is None or told["memory_available_bytes"] > 0
    assert told["frequency_mhz"] is None or told["frequency_mhz"] > 100


@pytest.mark.parametrize("mode", modes.MODES)
def test_a_mode_makes_what_it_asks_for(mode):
    preset = modes.PRESETS[mode]
    assert preset.mode == mode
    for scenario in modes.SCENARIOS:
        least = modes.minimum(mode, scenario)
        assert preset.processes * preset.min_ns >= least.ns
        assert least.queries >= 1
        percent = modes.TAIL.get(scenario)
        if percent:
            assert least.queries >= validity.needed_runs(percent)
    assert preset.processes * preset.min_runs >= modes.minimum(mode, "single_stream").queries
    assert preset.min_ns < preset.max_ns
    assert preset.min_runs <= min(preset.max_runs, preset.keep)


def test_submission_has_the_minima_of_mlperf():
    assert modes.minimum("submission", "single_stream") == Minimum(1024, 600 * 10**9)
    assert modes.minimum("submission", "multi_stream") == Minimum(662, 600 * 10**9)
    assert modes.minimum("submission", "server") == Minimum(662, 600 * 10**9)
    assert modes.minimum("submission", "offline") == Minimum(24_576, 600 * 10**9)


@pytest.mark.parametrize("mode", modes.PRESETS)
def test_no_limit_of_runs_ends_a_fast_models_loop_before_its_least_time(mode):
    settings = modes.PRESETS[mode]
    fastest_ns = 20  # what the null runtime takes
    assert settings.max_runs * fastest_ns > settings.min_ns
