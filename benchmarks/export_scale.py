"""What an export costs as models grow: wall time and peak memory of every process.

Prints a Markdown table and writes a plot. Each process is a fresh one, run alone; its memory is the
high-water mark that the kernel kept (getrusage(2)), less that of the same process with a model of
1 MB, which is the frameworks themselves.

    python benchmarks/export_scale.py [--sizes 1 10 100 1000 2300] [--plot FILE.svg]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shipworthy.convert.export import ExportError, make_artifact, make_reference
from shipworthy.convert.identify import identify
from shipworthy.convert.launch import ENVIRONMENT
from shipworthy.convert.place import Place
from shipworthy.convert.process import Outcome, kill_group, started
from shipworthy.convert.routes import FORMATS, Route, find_routes
from shipworthy.models.given import parse
from shipworthy.models.spec import FRAMEWORKS

MODELS = Path(__file__).with_name("scale_models.py")
TIMEOUT = 3600.0


@dataclass
class Measured:
    """Launches fresh processes and keeps what each took: seconds, and peak bytes."""

    seconds: float = 0.0
    peak_bytes: int = 0
    env: dict[str, str] = field(default_factory=dict)

    def __call__(
        self,
        framework: str,
        module: str,
        argv: Sequence[str],
        *,
        log: Path,
        timeout: float,
        env: Mapping[str, str],
    ) -> Outcome:
        """Stand in for `shipworthy.convert.launch.launch_fresh`."""
        del framework
        log.parent.mkdir(parents=True, exist_ok=True)
        begin = time.monotonic()
        argv = [sys.executable, "-P", "-m", module, *argv]
        env = {**ENVIRONMENT, **env, **self.env}
        with (
            log.open("wb") as out,
            started(argv, env=env, stdout=out, stderr=subprocess.STDOUT) as process,
        ):
            killer = threading.Timer(timeout, kill_group, [process.pid])
            killer.start()
            _, status, usage = os.wait4(process.pid, 0)  # unlike Popen's, it tells the memory
            killer.cancel()
            process.returncode = os.waitstatus_to_exitcode(status)
        self.seconds, self.peak_bytes = time.monotonic() - begin, usage.ru_maxrss * 1024
        return Outcome(process.returncode, self.seconds, False, timeout)


Row = tuple[str, float, float, int, str]  # step, MB of weights, seconds, peak bytes, failure


def measure(framework: str, size_mb: float, folder: Path) -> list[Row]:
    """Export one model to every format; return a row a process."""
    launch = Measured(env={"SHIPWORTHY_SCALE_MB": str(size_mb)})
    place, rows = Place(folder), []
    given = parse(f"{MODELS}:{framework}")
    subject = identify(given, folder, launch, TIMEOUT)
    make_reference(subject, framework, place, launch, TIMEOUT)
    rows.append((f"{framework} original", size_mb, launch.seconds, launch.peak_bytes, ""))
    done: set[str] = set()
    for format_ in FORMATS:
        route = find_routes(framework, format_)[0]
        for count, hop in enumerate(route.hops, 1):
            name = str(Route(route.hops[:count]))
            if name in done:
                continue
            done.add(name)
            failure = ""
            launch.seconds, launch.peak_bytes = 0.0, 0
            try:
                make_artifact(subject, framework, hop, name, place, launch, TIMEOUT)
            except ExportError as e:
                failure = e.reason
            rows.append((name, size_mb, launch.seconds, launch.peak_bytes, failure))
            print(rows[-1], file=sys.stderr)
    return rows


def print_table(rows: Sequence[Row], sizes: Sequence[float]) -> None:
    """Print a row a process, a column a size."""
    found = {(step, size): (s, peak, why) for step, size, s, peak, why in rows}
    print("| process | " + " | ".join(f"{size:g} MB" for size in sizes) + " |")
    print("|---|" + "--:|" * len(sizes))
    for step in dict.fromkeys(row[0] for row in rows):
        base = found.get((step, sizes[0]), (0.0, 0, ""))[1]
        cells = []
        for size in sizes:
            seconds, peak, why = found.get((step, size), (0.0, 0, "not run"))
            times = (peak - base) / (size * 1e6)
            told = f"{seconds:.1f} s" + (f", {times:.1f}x" if size >= 100 else "")
            cells.append({"": told, "not run": "-"}.get(why, "refused"))
        print(f"| {step} | " + " | ".join(cells) + " |")
    for step, size, *_, why in rows:
        if why:
            print(f"\n{step} at {size:g} MB: {why}")


def plot(rows: Sequence[Row], sizes: Sequence[float], file: Path) -> None:
    """Draw seconds and peak memory against the size of the weights."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    for step in dict.fromkeys(row[0] for row in rows):
        ok = [row for row in rows if row[0] == step and not row[4]]
        base = min((row[3] for row in ok), default=0)
        left.plot([r[1] for r in ok], [r[2] for r in ok], marker="o", label=step)
        right.plot([r[1] for r in ok], [(r[3] - base) / 1e6 for r in ok], marker="o", label=step)
    right.plot(sizes, [3 * size for size in sizes], "k--", label="3x the weights")
    left.set(xlabel="weights, MB", ylabel="wall time, s", xscale="log", yscale="log")
    right.set(xlabel="weights, MB", ylabel="peak memory above 1 MB's, MB", xscale="log")
    right.set_yscale("symlog", linthresh=10)
    right.set_ylim(bottom=0)
    right.legend(fontsize="small")
    figure.savefig(file)


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=float, nargs="+", default=[1, 10, 100, 1000, 2300])
    parser.add_argument("--frameworks", nargs="+", default=list(FRAMEWORKS[:2]))
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    sizes = sorted(args.sizes)
    rows: list[Row] = []
    for framework in args.frameworks:
        for size in sizes:
            with tempfile.TemporaryDirectory() as folder:
                rows += measure(framework, size, Path(folder))
    print_table(rows, sizes)
    if args.plot:
        plot(rows, sizes, args.plot)


if __name__ == "__main__":
    main()
