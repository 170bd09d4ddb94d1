from __future__ import annotations

import itertools
import json
import re
from html.parser import HTMLParser

import pytest

from shipworthy.report.html import make_html
from shipworthy.report.markdown import make_markdown
from shipworthy.report.records import RecordsError, normalise
from shipworthy.report.scope import of_one
from shipworthy.report.sections import cold_start, latency, memory, tradeoff
from shipworthy.report.write import write_reports

pytestmark = pytest.mark.matrix  # drawing takes seconds

VOID = {"meta", "link", "br", "img", "input", "hr"}
ARROW = "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}"
HOSTILE = "<script>alert(1)</script>\"'`|*_[x](y)&lt;@someone\x1b[31m\n# title"


class Page(HTMLParser):
    """What a page holds; refuses tags that are not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.text, self.ids = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    def says(self, text):
        return text in " ".join(" ".join(self.text).split())


def page_of(records):
    return make_html(of_one([normalise(r) for r in records], "out/toycnn"))


def markdown_of(records):
    return make_markdown(of_one([normalise(r) for r in records], "out/toycnn"))


def figures_of(records):
    scope = of_one([normalise(r) for r in records], "out/toycnn")
    makers = (latency.make, tradeoff.make, cold_start.make, memory.make)
    return {figure.name: figure for make in makers for figure in make(scope).figures}


@pytest.fixture(scope="module")
def pages():
    """Pages by the records they show; drawing is slow, so each is drawn once."""
    known = {}

    def get(records):
        key = json.dumps(records)
        if key not in known:
            known[key] = page_of(records)
        return known[key]

    return get


def test_the_reports_are_written_and_the_records_left_alone(tmp_path, eight, write):
    write(tmp_path, eight)
    before = (tmp_path / "records.jsonl").read_bytes()
    paths = write_reports(tmp_path)
    names = ["summary.json", "report.md", "report.html", "report.json", "report.csv"]
    assert [path.name for path in paths] == names
    assert {path.name for path in tmp_path.iterdir()} == {*names, "records.jsonl", "tensorboard"}
    assert (tmp_path / "records.jsonl").read_bytes() == before
    assert len(json.loads(paths[0].read_text())["cells"]) == 8
    assert paths[2].stat().st_size < 3_000_000


def test_without_records_nothing_is_written(tmp_path):
    with pytest.raises(RecordsError, match="export the model first"):
        write_reports(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_page_needs_nothing_from_elsewhere(pages, mixed):
    text = pages(mixed)
    page = Page(text)
    assert not re.search(r"https?:|//[a-z]|@import|javascript:", text)
    assert "script" not in page.tags
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), f"{tag} has a handler {name}"
        if name in ("src", "href", "action", "xlink:href", "srcset"):
            assert value.startswith("#") or value == "data:,", f"{tag} {name}={value}"
    for address in re.findall(r"url\(([^)]*)\)", text):
        assert address.startswith("#")


def test_the_page_is_sound(pages, mixed):
    page = Page(pages(mixed))
    assert len(page.ids) == len(set(page.ids))
    links = [value for _, name, value in page.attributes if name == "href"]
    targets = {link[1:] for link in links if link.startswith("#")}
    assert {f"cell-{number}" for number in range(1, 9)} <= targets
    targets |= set(re.findall(r"url\(#([^)]*)\)", pages(mixed)))
    assert targets <= set(page.ids)
    labelled = [value for _, name, value in page.attributes if name == "aria-labelledby"]
    assert labelled
    assert set(labelled) <= set(page.ids)
    assert page.tags.count("h1") == 1
    assert page.tags.count("table") == page.tags.count("caption")
    levels = [int(tag[1]) for tag in page.tags if re.fullmatch("h[1-6]", tag)]
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    plots = [(tag, name) for tag, name, _ in page.attributes if tag == "svg"]
    # Two each of latency, error and memory, and the cold start.
    assert plots.count(("svg", "aria-label")) == plots.count(("svg", "role")) == 7
    assert page.tags.count("figure") == page.text.count("Figures as a table") == 7


def test_every_cell_is_told_with_its_figures(pages, eight):
    page = Page(pages(eight))
    assert page.says("All 8 exports pass.")
    for number, record in enumerate(eight, start=1):
        assert f"cell-{number}" in page.ids
        assert page.says(
            record["route"].replace(">", " \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} ")
        )
        assert page.says(record["command"])
        assert page.says(f"{record['runtime']} {record['runtime_version']}")
    for text in (
        "59.9 µs", "1.11 ≤ 4.10", "30.0 MB", "28.6 ms", "243 KB", "0.9861", "original 0.9861",
        "1,200 in 5 fresh processes", "random_b1", "all cases pooled", "0f" * 32,
        "TorchScript is deprecated upstream", "Batch is fixed at 2", "Imaginary 9000 @ 2.50GHz",
        "11 for p50, 64 for p90, 662 for p99", "libstdc++.so.6",
    ):  # fmt: skip
        assert page.says(text), text


def test_failures_are_open_and_told_with_reason_and_command(pages, mixed):
    page = Page(pages(mixed))
    assert page.says("5 of 8 exports pass: 2 failed, 1 skipped.")
    assert page.says("the hop's process was killed by signal 9")
    assert page.says("2,944 > 4.10")
    assert page.says("the LibTorch runner is not built")
    assert re.findall(r'<details id="(cell-\d)" open>', pages(mixed)) == ["cell-4", "cell-6"]


def test_plots_take_their_colours_from_the_page_and_keep_text_as_text(mixed):
    figures = figures_of(mixed)
    assert list(figures) == [
        "latency-0", "spread-0", "tradeoff-0", "error-0", "cold-start-0", "memory-0", "footprint-0",
    ]  # fmt: skip
    for name, figure in figures.items():
        assert not re.search(r"(?:fill|stroke): ?#[0-9a-f]{3,6}", figure.svg), name
        assert "var(--pytorch)" in figure.svg
        assert "TorchScript</text>" in figure.svg
        assert "<style" not in figure.svg
        assert len({len(row) for row in (figure.table.head, *figure.table.rows)}) == 1
    assert figures_of(mixed) == figures


def test_plots_of_what_was_not_measured_are_left_out(record, failed):
    untimed = record(latencies_ns=[], cold_starts_ns=[], peak_rss_bytes=None, loaded_rss_bytes=None)
    assert list(figures_of([untimed])) == ["error-0", "footprint-0"]
    assert figures_of([failed("pytorch", "onnx", "it crashed")]) == {}


def test_any_latencies_can_be_drawn(record):
    strange = (
        [0], [5] * 100, [1, 10**12], list(range(1, 2000)), [50_000] * 99 + [90_000_000],
        [7] * 900 + [8] * 100,
    )  # fmt: skip
    records = [record(latencies_ns=found, batch=n) for n, found in enumerate(strange)]
    plots = {name: figure.svg for name, figure in figures_of(records).items()}
    assert "nan" not in plots["latency-0"]
    assert "nan" not in plots["spread-0"]
    assert "7 ns / 8 ns</text>" not in plots["latency-0"]
    assert "7 ns / 7 ns</text>" in plots["latency-0"]
    assert "up to +179,900 %</text>" in plots["spread-0"]


def test_an_exact_export_can_be_drawn(record):
    figures = figures_of([record(error_ratio=0.0, threshold=None)])
    assert "0.00</text>" in figures["error-0"].svg
    assert "nan" not in figures["tradeoff-0"].svg


def test_a_huge_run_stays_a_small_page(record):
    many = [50_000 + n % 977 for n in range(100_000)]
    text = page_of([record("pytorch", "onnx", latencies_ns=many)])
    assert len(text) < 300_000
    assert Page(text).says("100,000 in 5 fresh processes")


def test_hostile_text_is_only_text_on_the_page(failed, record):
    fields = ("model", "route", "reason", "command", "runtime", "runtime_version", "path")
    strange = record(
        **dict.fromkeys(fields, HOSTILE), framework=HOSTILE, format_="onnx", status="failed",
        notes=[HOSTILE], warnings=[HOSTILE], mapped_libraries=[HOSTILE], machine={"cpu": HOSTILE},
        tools={HOSTILE: HOSTILE}, options={HOSTILE: HOSTILE}, fixed_axes={HOSTILE: 1},
        task_metric={"name": HOSTILE, "original": 1.0, "artifact": None}, started_at=HOSTILE,
        comparisons=[{"case": HOSTILE, "output": HOSTILE, "passed": False, "detail": HOSTILE}],
    )  # fmt: skip
    text = page_of([strange | {"format": HOSTILE}])
    page = Page(text)
    assert "script" not in page.tags
    assert "\x1b" not in text
    assert page.says("<script>alert(1)</script>")


def test_hostile_measurements_and_claims_are_only_text(record, measured):
    def spoil(value):
        if isinstance(value, dict):
            return {key: spoil(one) for key, one in value.items()}
        if isinstance(value, list):
            return [spoil(one) for one in value]
        return HOSTILE if isinstance(value, str) else value

    strange = measured(record())
    strange |= {"measurements": spoil(strange["measurements"]), "invalid_reasons": [HOSTILE]}
    strange["measurements"]["memory"] |= {"valid": False, "reasons": [HOSTILE]}
    strange["measurements"]["threads"]["data"] = HOSTILE
    claim = dict.fromkeys(("number", "slug", "claim", "measurable", "rule", "meaning"), HOSTILE)
    claim |= {"verdict": HOSTILE, "reasons": [HOSTILE], "evidence": [{"title": HOSTILE}],
              "effect": {"value": 1, "unit": HOSTILE}, "parts": [{"title": HOSTILE}]}  # fmt: skip
    scope = of_one([normalise(strange | {"valid": False})], HOSTILE, [claim])
    page, text = make_html(scope), make_markdown(scope)
    assert "script" not in Page(page).tags
    assert Page(page).says("<script>alert(1)</script>")
    assert "\x1b" not in page
    assert "<script" not in text
    assert "@someone" not in text
    assert not re.search(r"^# title", text, flags=re.MULTILINE)


def test_hostile_text_is_only_text_in_markdown(failed):
    fields = ("model", "route", "command", "framework", "format")
    records = [failed("pytorch", "onnx", HOSTILE) | dict.fromkeys(fields, HOSTILE)]
    text = markdown_of(records)
    prose = re.sub(r"^(`{3,})\n.*?\n\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert "<script" not in prose
    assert "@someone" not in prose
    assert "[x](y)" not in prose
    assert not re.search(r"^# title", prose, flags=re.MULTILINE)
    # Every line of the table has as many columns as its head.
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(lines) == 3
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1


def test_markdown_tells_every_cell_and_every_failure(mixed):
    text = markdown_of(mixed)
    # The table comes first.
    assert text.startswith("# toycnn: 5 of 8 exports pass: 2 failed, 1 skipped.\n\n| Framework |")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    for line, record in zip(lines[2:10], mixed, strict=True):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[:3] == [record["framework"], record["format"], record["route"]]
        assert cells[3].endswith(record["status"])
    assert "0.9861 (original 0.9861)" in lines[2]
    assert "**pytorch>tflite failed:** the hop's process was killed by signal 9" in text
    assert "```\nshipworthy hop toycnn 'tensorflow>saved_model' --out out/toycnn\n```" in text
    assert "- pytorch>torchscript: TorchScript is deprecated upstream" in text


@pytest.mark.parametrize("kind", ["all failed", "all skipped", "one framework", "no benchmark"])
def test_partial_runs_are_reported(tmp_path, eight, failed, write, kind):
    untimed = dict.fromkeys(
        ("cold_starts_ns", "process_starts_ns", "loads_ns", "firsts_ns", "latencies_ns",
         "peak_rss_bytes", "batch", "scenario", "processes", "machine", "started_at")
    )  # fmt: skip
    records = {
        "all failed": [failed(r["framework"], r["format"], "no compiler") for r in eight],
        "all skipped": [failed(r["framework"], r["format"], "no", status="skipped") for r in eight],
        "one framework": eight[4:],
        "no benchmark": [r | untimed for r in eight],
    }[kind]
    paths = write_reports(write(tmp_path, records))
    page = Page(paths[2].read_text())
    assert page.says(
        {
            "all failed": "None of 8 exports passes: 8 failed.",
            "all skipped": "None of 8 exports passes: 8 skipped.",
            "one framework": "All 4 exports pass.",
            "no benchmark": "All 8 exports pass.",
        }[kind]
    )
    assert len(json.loads(paths[0].read_text())["cells"]) == len(records)
    assert not re.search(r"\b(None|null|nan)\b", " ".join(page.text).replace("None of 8", ""))
