"""The scenarios of the C++ harness: when queries are due, who serves them, what is kept."""

from __future__ import annotations

import itertools
import json
import math
import statistics
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shipworthy.serve import runners

pytestmark = pytest.mark.matrix

MS = 1_000_000
TWO = [
    "--model", "model.txt",
    "--case", "a", "--input", "x=x.npy", "--output", "x=a.npy",
    "--case", "b", "--input", "x=z.npy", "--output", "x=b.npy",
    "--bench", "a", "--bench", "b",
]  # fmt: skip
ONE = [*TWO[:-2]]


@pytest.fixture
def work(work: Path) -> Path:
    np.save(work / "z.npy", -np.ones((6, 4), np.float32))
    return work


def bench(harness: Any, *words: object, ones: bool = False) -> dict[str, Any]:
    found = harness.run([*(ONE if ones else TWO), *words])["bench"]
    assert isinstance(found, dict)
    return found


def answers_are_each_workers_own(folder: Path) -> bool:
    pairs = (("a.npy", "x.npy"), ("b.npy", "z.npy"))
    return all((folder / a).read_bytes() == (folder / b).read_bytes() for a, b in pairs)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--scenario", "burst"], "allowed: single_stream, multi_stream, offline, server"),
        (["--scenario", "server"], "--scenario server needs --gap-ns"),
        (["--scenario", "server", "--gap-ns", "0"], "--gap-ns is '0'; allowed: whole numbers"),
        (["--scenario", "offline", "--gap-ns", "9"], "--scenario offline takes no --gap-ns"),
        (["--scenario", "offline", "--inputs", "2"], "has one input a query; --inputs is 2"),
        (["--scenario", "offline", "--bench", "a"], "'a' twice; each worker needs one of its own"),
        (["--scenario", "single_stream"], "has one worker; --bench is given 2 times"),
        (["--scenario", "offline", "--keep", "1"], "--keep is '1'"),
        (["--scenario", "offline", "--min-ns", "9", "--max-ns", "8"], "--min-ns 9 is more than"),
    ],
)
def test_wrong_loads_are_usage_errors(harness: Any, words: list[str], said: str) -> None:
    assert said in harness.fail([*TWO, *words], 2)


def test_an_unknown_case_of_a_second_worker_is_named(harness: Any) -> None:
    line = harness.fail([*TWO, "--scenario", "offline", "--bench", "c"], 2)
    assert "--bench names the case 'c'; given: a, b" in line


def test_a_query_of_several_inputs_takes_as_long_as_all_of_them(harness: Any) -> None:
    words = ["--scenario", "multi_stream", "--inputs", 8, "--null-ns", 2 * MS, "--min-runs", 12]
    alone = bench(harness, *words, ones=True)
    assert (alone["queries"], alone["inputs_per_query"], alone["cases"]) == (12, 8, ["a"])
    assert min(alone["latencies_ns"]) >= 16 * MS
    both = bench(harness, *words)
    assert both["cases"] == ["a", "b"]
    assert min(both["latencies_ns"]) >= 8 * MS  # no worker can do fewer than half of them
    assert answers_are_each_workers_own(harness.folder)


def test_offline_queries_are_all_due_at_the_start(harness: Any) -> None:
    found = bench(harness, "--scenario", "offline", "--null-ns", MS, "--min-runs", 40)
    assert (found["queries"], found["unserved"], found["stride"]) == (40, 0, 1)
    latencies = sorted(found["latencies_ns"])
    assert max(latencies) <= found["wall_ns"]
    # Two workers do two queries in the time of one, never more.
    assert all(ns >= (i // 2 + 1) * MS for i, ns in enumerate(latencies))
    assert answers_are_each_workers_own(harness.folder)


def test_the_offline_queue_is_long_enough_for_the_duration(harness: Any) -> None:
    words = ["--scenario", "offline", "--null-ns", MS, "--min-runs", 1]
    found = bench(harness, *words, "--min-ns", 100 * MS)
    assert found["wall_ns"] >= 50 * MS
    assert found["queries"] > 20


def test_what_offline_has_no_time_for_is_told(harness: Any) -> None:
    words = ["--scenario", "offline", "--null-ns", MS, "--min-runs", 1000, "--max-ns", 20 * MS]
    found = bench(harness, *words)
    assert found["unserved"] > 0
    assert found["queries"] + found["unserved"] == 1000
    assert len(found["latencies_ns"]) == found["queries"]


def words_of(seed: int) -> Iterator[int]:
    """SplitMix64, written from its paper."""
    mask = 2**64 - 1
    state = seed
    while True:
        state = (state + 0x9E3779B97F4A7C15) & mask
        word = state
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & mask
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & mask
        yield word ^ (word >> 31)


def arrivals_of(seed: int, gap_ns: int, count: int) -> list[int]:
    """Return Poisson arrivals by von Neumann's comparisons, exactly."""
    words = words_of(seed)
    total = 0
    found = []
    for _ in range(count):
        whole = 0
        while True:
            first = last = next(words)
            length = 1
            while (word := next(words)) < last:
                last, length = word, length + 1
            if length % 2:
                break
            whole += 1
        total += ((whole << 32) + (first >> 32)) * gap_ns
        found.append(total >> 32)
    return found


def test_the_first_words_of_the_generator_are_the_published_ones() -> None:
    # Of the reference implementation with the seed 1234567.
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert list(itertools.islice(words_of(1234567), 3)) == expected


SERVER = ["--scenario", "server", "--min-ns", 0]


@pytest.mark.parametrize("seed", [0, 1, 2**62])
@pytest.mark.parametrize("gap_ns", [1, 1000, 99_999])
def test_a_seed_gives_the_same_arrivals_everywhere(harness: Any, seed: int, gap_ns: int) -> None:
    words = [*SERVER, "--gap-ns", gap_ns, "--seed", seed, "--min-runs", 200]
    found = bench(harness, *words)
    assert found["arrivals_ns"] == arrivals_of(seed, gap_ns, 200)
    assert (found["seed"], found["gap_ns"]) == (seed, gap_ns)


def test_arrivals_are_a_poisson_process() -> None:
    gap_ns, count = 1_000_000, 20_000
    gaps = np.diff([0, *arrivals_of(7, gap_ns, count)]) / gap_ns
    # Mean and variance of an exponential of mean 1, within five standard errors.
    assert abs(gaps.mean() - 1) < 5 / math.sqrt(count)
    assert abs(gaps.var() - 1) < 5 * math.sqrt(8 / count)
    # Kolmogorov's distance to it; 1.95 / sqrt(n) is passed by one true sequence in 1000.
    below = 1 - np.exp(-np.sort(gaps))
    steps = np.arange(count + 1) / count
    distance = max((steps[1:] - below).max(), (below - steps[:-1]).max())
    assert distance < 1.95 / math.sqrt(count)
    # No memory: neighbours are uncorrelated.
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 5 / math.sqrt(count)


def test_waiting_in_the_queue_counts(harness: Any) -> None:
    # One worker that takes 2 ms, a query every 0.5 ms: the last waits for all before it. Timed from
    # when it was begun, as coordinated omission has it, each would take 2 ms.
    words = [*SERVER, "--null-ns", 2 * MS, "--gap-ns", MS // 2, "--min-runs", 60]
    found = bench(harness, *words, ones=True)
    latencies, arrivals = found["latencies_ns"], found["arrivals_ns"]
    assert found["queries"] == 60
    for i, (latency, arrival) in enumerate(zip(latencies, arrivals, strict=True)):
        assert latency + arrival >= (i + 1) * 2 * MS + arrivals[0]
    assert statistics.median(latencies) > 10 * MS


def test_queries_do_not_wait_where_there_is_time(harness: Any) -> None:
    words = [*SERVER, "--null-ns", 10_000, "--gap-ns", 2 * MS, "--min-runs", 100]
    found = bench(harness, *words)
    assert min(found["latencies_ns"]) >= 10_000
    assert min(found["latencies_ns"]) < 2 * MS
    assert found["wall_ns"] >= found["arrivals_ns"][-1]
    assert answers_are_each_workers_own(harness.folder)


def test_the_server_lasts_for_both_minima(harness: Any) -> None:
    words = ["--scenario", "server", "--gap-ns", MS, "--min-runs", 10, "--min-ns", 60 * MS]
    found = bench(harness, *words)
    assert found["arrivals_ns"][-1] >= 60 * MS
    assert found["arrivals_ns"][-2] < 60 * MS


def test_an_overloaded_server_ends_and_tells_what_waits(harness: Any) -> None:
    words = [*SERVER, "--null-ns", 5 * MS, "--gap-ns", 1000, "--min-runs", 5000]
    found = bench(harness, *words, "--max-ns", 50 * MS)
    assert 0 < found["queries"] < 100
    assert found["queries"] + found["unserved"] == 5000


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        ("single_stream", []), ("multi_stream", ["--inputs", 2]),
        ("server", ["--gap-ns", 1000]), ("offline", []),
    ],
)  # fmt: skip
def test_a_bounded_number_of_latencies_is_kept_evenly(
    harness: Any, scenario: str, words: list[object]
) -> None:
    more = ["--scenario", scenario, "--min-runs", 1000, "--keep", 100, *words]
    found = bench(harness, *more, ones=True)
    assert found["queries"] == 1000
    assert found["stride"] == 16
    assert len(found["latencies_ns"]) == math.ceil(1000 / 16)
    if scenario == "server":
        assert found["arrivals_ns"] == arrivals_of(0, 1000, 1000)[::16]


def test_a_process_tells_its_clock_and_what_is_mapped(harness: Any) -> None:
    report = harness.run(ONE)
    assert 1 <= report["timer"]["resolution_ns"] < MS
    assert 1 <= report["timer"]["overhead_ns"] < MS
    assert 0 < report["empty_rss_bytes"] <= report["loaded_rss_bytes"]
    program, *libraries = report["libraries"]
    size = harness.binary.stat().st_size
    assert program == {
        "name": "shipworthy-run-null", "bytes": size, "program": True, "system": False
    }  # fmt: skip
    assert [one["name"] for one in libraries] == report["mapped_libraries"]
    known = {one["name"]: one for one in libraries}
    assert known["libc.so.6"]["system"]
    (standard,) = (one for name, one in known.items() if name.startswith("libstdc++"))
    assert not standard["system"]
    assert all(one["bytes"] > 10_000 for one in libraries)


@pytest.mark.slow
def test_no_data_race(build_sanitized: Callable[[str], Path], work: Path) -> None:
    binary = build_sanitized("thread")
    loads = (
        ["--scenario", "multi_stream", "--inputs", "8", "--min-runs", "100"],
        ["--scenario", "offline", "--min-runs", "500", "--min-ns", "5000000"],
        ["--scenario", "server", "--gap-ns", "50000", "--min-runs", "300"],
    )
    for words in loads:
        # Where addresses are too random for the sanitizer it cannot start; without that it can.
        done = subprocess.run(
            ["/usr/bin/env", "setarch", "-R", binary, *TWO, "--null-ns", "1000", *words],
            cwd=work, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)["bench"]["queries"] >= 100


def test_a_runner_is_told_its_load() -> None:
    timing = runners.Timing(
        "a", 1, 2, 3, 4, 5, scenario="server", others=("b",), gap_ns=6, seed=7, keep=8
    )
    words = timing.words()
    assert words[:6] == ["--scenario", "server", "--bench", "a", "--bench", "b"]
    assert dict(zip(words[6::2], words[7::2], strict=True)) == {
        "--warmup": "1", "--min-runs": "2", "--max-runs": "3", "--min-ns": "4", "--max-ns": "5",
        "--inputs": "1", "--seed": "7", "--keep": "8", "--gap-ns": "6",
    }  # fmt: skip
