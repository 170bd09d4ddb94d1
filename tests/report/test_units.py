from __future__ import annotations

import pytest

from shipworthy.report.units import (
    UNKNOWN,
    format_bytes,
    format_limit,
    format_ns,
    format_ratio,
    plain,
)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, UNKNOWN), (0, "0 B"), (999, "999 B"), (1000, "1.00 KB"), (54_321, "54.3 KB"),
        (999_499, "999 KB"), (999_600, "1.00 MB"), (310_000_000, "310 MB"), (2**31, "2.15 GB"),
    ],
)  # fmt: skip
def test_sizes_are_decimal_with_three_digits(count, text):
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (None, UNKNOWN), (0, "0 ns"), (7, "7 ns"), (999, "999 ns"), (54_123, "54.1 µs"),
        (999_999, "1.00 ms"), (12_345_678, "12.3 ms"), (3_200_000_000, "3.20 s"),
        (7_200_000_000_000, "7,200 s"),
    ],
)  # fmt: skip
def test_durations_have_three_digits(nanoseconds, text):
    assert format_ns(nanoseconds) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (None, UNKNOWN), (0, "0.00"), (0.001, "<0.01"), (0.994, "0.99"), (1.02, "1.02"),
        (9.999, "10.0"), (12.34, "12.3"), (2944.2, "2,944"), (3.2e7, "3.2e+07"),
    ],
)  # fmt: skip
def test_ratios_have_at_most_two_decimals(ratio, text):
    assert format_ratio(ratio) == text


def test_a_limit_tells_the_true_relation():
    assert format_limit(1.02, 4.1) == "1.02 ≤ 4.10"
    assert format_limit(4.1, 4.1) == "4.10 ≤ 4.10"
    assert format_limit(2944.2, 4.1) == "2,944 > 4.10"
    assert format_limit(1.02, None) == "1.02"
    assert format_limit(None, 4.1) == UNKNOWN


def test_plain_text_has_nothing_that_a_terminal_or_a_file_would_obey():
    assert plain("a\x1b[31mb\x00\ud800µ\n") == "a\ufffd[31mb\ufffd?µ\n"
