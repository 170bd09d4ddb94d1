"""Routes compete for a cell. The processes of originals, hops and runners are played."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from shipworthy.convert.artifact import read_artifact
from shipworthy.convert.export import read_failure
from shipworthy.convert.place import Place, occupant
from shipworthy.convert.process import Outcome
from shipworthy.convert.routes import FORMATS, find_routes
from shipworthy.models.subject import Subject
from shipworthy.serve import pipeline
from shipworthy.serve.bench import Settings
from shipworthy.serve.folder import ask_for
from shipworthy.serve.judge import read_validation
from shipworthy.serve.pipeline import Job
from shipworthy.serve.records import collect

CELL = ("pytorch", "tflite")
ROUTES = [str(route) for route in find_routes(*CELL)]
FAST = Settings(processes=2, warmup=1, min_runs=3, max_runs=3, min_ns=0)


@pytest.fixture
def made(made):
    return type(made)(made.out, cases={"random_b1": 1, "random_b64": 64})


@pytest.fixture
def export(made, launch, fake_runner, in_zoo):
    in_zoo(made)

    def export(best=False):
        job = Job(Subject(made.model), (CELL[0],), (CELL[1],), made.out, 1, 5.0, best)
        ask_for(made.out, made.model, job.cells)
        with ThreadPoolExecutor(2) as executor:
            return list(pipeline.export(job, executor, launch, {}))

    return export


def held(made):
    return occupant(made.cell(*CELL))


def crash(work):
    return Outcome(-11, 0.1, False, 5.0)


def test_there_are_several_routes_and_the_static_one_comes_last():
    assert ROUTES[0] == "pytorch>saved_model>tflite"
    assert ROUTES[-1] == "pytorch>tflite"


def test_the_first_that_passes_with_all_axes_wins(export, made, launch):
    export()
    assert held(made) == ROUTES[0]
    assert not any(route in launch.begun for route in ROUTES[1:])
    assert Place(made.out).attempts(*CELL) == []


def test_a_route_that_fails_gives_way_to_the_next(export, made, launch):
    launch.faults[ROUTES[0]] = crash
    export()
    assert held(made) == ROUTES[1]
    assert read_validation(made.cell(*CELL)).passed
    (lost,) = Place(made.out).attempts(*CELL)
    assert read_failure(lost)["route"] == ROUTES[0]
    (record,) = collect(made.out)
    assert (record["status"], record["route"]) == ("passed", ROUTES[1])
    (attempt,) = record["attempts"]
    assert (attempt["route"], attempt["status"]) == (ROUTES[0], "failed")
    assert "crashed with SIGSEGV" in attempt["reason"]


def test_a_route_that_loses_an_axis_ranks_below_one_that_keeps_it(export, made, launch):
    launch.fixed[ROUTES[0]] = {"batch": 1}
    export()
    assert held(made) == ROUTES[1]
    (lost,) = Place(made.out).attempts(*CELL)
    assert read_validation(lost).passed
    assert read_artifact(lost).fixed_axes == {"batch": 1}
    (record,) = collect(made.out)
    assert record["attempts"][0]["fixed_axes"] == {"batch": 1}


def test_where_every_other_route_fails_the_axis_is_lost(export, made, launch):
    for route in ROUTES[:-1]:
        launch.faults[route] = crash
    launch.fixed[ROUTES[-1]] = {"batch": 1}
    export()
    assert held(made) == ROUTES[-1]
    (record,) = collect(made.out)
    assert (record["status"], record["fixed_axes"]) == ("passed", {"batch": 1})


def test_a_wrong_artifact_gives_way_to_a_right_one(export, made, fake_runner, monkeypatch):
    wrong = type(fake_runner)()
    wrong.spoil = lambda case, y: -y

    def run(runner, model, cases, **options):
        first = read_artifact(model.parent).route == ROUTES[0]
        return (wrong if first else fake_runner).run(runner, model, cases, **options)

    monkeypatch.setattr("shipworthy.serve.answers.run", run)
    export()
    assert held(made) == ROUTES[1]
    (lost,) = Place(made.out).attempts(*CELL)
    assert not read_validation(lost).passed


def test_where_all_fail_the_first_reason_is_told_and_the_others_are_kept(export, made, launch):
    for route in ROUTES:
        launch.faults[route] = crash
    export()
    assert read_failure(made.cell(*CELL))["route"] == ROUTES[0]
    (record,) = collect(made.out)
    assert record["status"] == "failed"
    assert {a["route"] for a in record["attempts"]} == set(ROUTES[1:])


def test_a_first_route_that_works_again_takes_its_cell_back(export, made, launch):
    launch.faults[ROUTES[0]] = crash
    export()
    launch.faults.clear()
    export()
    assert held(made) == ROUTES[0]
    assert [occupant(path) for path in Place(made.out).attempts(*CELL)] == [ROUTES[1]]


def test_a_repeat_makes_nothing_anew_whoever_won(export, made, launch):
    launch.fixed[ROUTES[0]] = {"batch": 1}
    export()
    launch.begun.clear()
    export()
    assert launch.begun == []
    assert held(made) == ROUTES[1]


def test_best_tries_all_and_keeps_the_fastest(export, made, launch, fake_runner, monkeypatch):
    export(best=True)
    assert set(ROUTES) <= set(launch.begun)
    slow = type(fake_runner)()
    slow.latency_ns = 5000

    def run(runner, model, cases, **options):
        fast = read_artifact(model.parent).route == ROUTES[-1]
        return (fake_runner if fast else slow).run(runner, model, cases, **options)

    monkeypatch.setattr("shipworthy.serve.answers.run", run)
    for _ in range(2):  # a repeat measures nothing and changes nothing
        list(pipeline.measure(made.out, [CELL], FAST, timeout=5.0, again=False, best=True))
        assert held(made) == ROUTES[-1]
        (record,) = collect(made.out)
        figures = {a["route"]: a["p50_ns"] for a in record["attempts"]}
        assert figures == dict.fromkeys(ROUTES[:-1], 5000)


@pytest.fixture
def optimizing(monkeypatch):
    """The first route's last hop optimizes."""
    from shipworthy.serve import contest

    def find(*words):
        first, *others = find_routes(*words)
        hops = (*first.hops[:-1], replace(first.hops[-1], optimizes=True))
        return [replace(first, hops=hops), *others]

    monkeypatch.setattr(contest, "find_routes", find)


def test_an_optimized_artifact_that_is_wrong_is_made_again_plain(
    export, made, launch, fake_runner, optimizing, monkeypatch
):
    wrong = type(fake_runner)()
    wrong.spoil = lambda case, y: -y

    def run(runner, model, cases, **options):
        spoilt = read_artifact(model.parent).options["optimize"]
        return (wrong if spoilt else fake_runner).run(runner, model, cases, **options)

    monkeypatch.setattr("shipworthy.serve.answers.run", run)
    for _ in range(2):  # a repeat does not try the optimized one again
        launch.begun.clear()
        export()
        assert held(made) == ROUTES[0]
        artifact = read_artifact(made.cell(*CELL))
        assert artifact.options["optimize"] is False
        assert artifact.instead_of is not None
        assert read_validation(made.cell(*CELL)).passed
        assert not any(route in launch.begun for route in ROUTES[1:])
    assert launch.begun == []


def test_weights_that_a_format_cannot_hold_are_refused_before_anything_is_converted(
    export, made, launch, monkeypatch
):
    small = {n: replace(f, max_bytes=f.max_bytes and 3) for n, f in FORMATS.items()}
    monkeypatch.setattr("shipworthy.convert.export.FORMATS", small)
    export()
    (record,) = collect(made.out)
    assert record["status"] == "failed"
    assert "a TFLite file holds at most" in record["reason"]
    assert not any(name.endswith(">tflite") for name in launch.begun)
