"""``shipworthy claims``: what it refuses, and what it writes without running anything."""

import json

import pytest

from shipworthy.report.claims.ledger import claims


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--only", "11"], "'11' given; allowed: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10"),
        (["--only", "1,x"], "'x' given"),
        (["--only", ""], "nothing given"),
        (["--mode", "slow"], "'quick', 'normal'"),
        (["--timeout", "0"], "0.0 is not in the range"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_run(shipworthy, tmp_path, words, told):
    done = shipworthy("claims", "--out", tmp_path / "out", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in " ".join(done.stderr.split())
    assert not (tmp_path / "out").exists()


def test_a_claim_that_needs_nothing_is_answered_at_once(shipworthy, tmp_path):
    done = shipworthy("claims", "--out", tmp_path, "--only", "3", "--json")
    assert done.returncode == 0, done.stderr
    (shown,) = json.loads(done.stdout)
    assert (shown["number"], shown["verdict"]) == (3, "NOT TESTED")
    ledger = json.loads((tmp_path / "claims.json").read_text())
    assert [entry["number"] for entry in ledger] == [claim.number for claim in claims()]
    assert shown in ledger
    told = (tmp_path / "claims.md").read_text()
    assert all(f"## {entry['number']}. {entry['verdict']}" in told for entry in ledger)
    assert not (tmp_path / "evidence").exists()


def test_two_runs_do_not_share_a_ledger(shipworthy, tmp_path):
    import fcntl

    with (tmp_path / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = shipworthy("claims", "--out", tmp_path, "--only", "3")
    assert done.returncode == 2
    assert "another run makes the ledger" in done.stderr


def test_the_table_names_number_claim_verdict_and_meaning(shipworthy, tmp_path):
    done = shipworthy("claims", "--out", tmp_path, "--only", "3")
    assert done.returncode == 0
    printed = " ".join(done.stdout.split())
    assert "NOT TESTED" in printed
    assert "claims.md" in done.stderr
