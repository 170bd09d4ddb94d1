"""What machine a figure comes from."""

from __future__ import annotations

import os
import platform
import statistics
from pathlib import Path
from typing import Any


def describe_machine() -> dict[str, Any]:
    """Return the facts that a latency depends on; what cannot be read is None."""
    return {
        "cpu": _after("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "os": platform.freedesktop_os_release().get("PRETTY_NAME")
        if Path("/etc/os-release").exists()
        else None,
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "libc": " ".join(platform.libc_ver()),
        "python": platform.python_version(),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "frequency_mhz": frequency_mhz(),
        "load_1m": os.getloadavg()[0],
        "memory_available_bytes": _available_bytes(),
    }


def frequency_mhz() -> float | None:
    """Return the mean frequency of the cores this process may use, as the kernel tells it.

    On a guest that is what the hypervisor says, which may never change.
    """
    cores = sorted(os.sched_getaffinity(0))
    folder = "/sys/devices/system/cpu/cpu{}/cpufreq/scaling_cur_freq"
    kilohertz = [text for core in cores if (text := _read(folder.format(core)))]
    if kilohertz:
        return round(statistics.fmean(map(int, kilohertz)) / 1000, 1)
    lines = (_read("/proc/cpuinfo") or "").splitlines()
    told = [line.partition(":")[2] for line in lines if line.startswith("cpu MHz")]
    ours = [float(told[core]) for core in cores if core < len(told)]
    return round(statistics.fmean(ours), 1) if ours else None


def _available_bytes() -> int | None:
    told = _after("/proc/meminfo", "MemAvailable")
    return int(told.split()[0]) * 1024 if told else None


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _after(path: str, key: str) -> str | None:
    for line in (_read(path) or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return None
