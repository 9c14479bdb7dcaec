"""What the operating system says of the host: usable cores, cache sizes, which processor it is."""

from __future__ import annotations

import functools
import math
import os
import platform

_CPUS = "/sys/devices/system/cpu"
_CGROUPS = "/sys/fs/cgroup"


def available_cores() -> int:
    """Cores that this process may use: those in its affinity mask, cut to the processor limit of its control group.

    Two hardware threads of one core count once: they share the units that vector code is bound by.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len({_core_of(cpu) for cpu in affinity(0)}) if affinity else os.cpu_count() or 1
    limit = _control_group_limit()
    return cores if limit is None else max(1, min(cores, math.ceil(limit)))


@functools.cache
def _core_of(cpu: int) -> str:
    """The hardware threads of the core that a processor number belongs to."""
    if _threads_are_single():
        return str(cpu)
    return _read(f"{_CPUS}/cpu{cpu}/topology/thread_siblings_list").strip() or str(cpu)


@functools.cache
def _threads_are_single() -> bool:
    return _read(f"{_CPUS}/smt/active").strip() == "0"


def _control_group_limit() -> float | None:
    """Processors' worth of time that the control group grants, None where it sets no limit."""
    own = next((line[3:] for line in _read("/proc/self/cgroup").splitlines() if line.startswith("0::")), "")
    for folder in (f"{_CGROUPS}{own}", _CGROUPS):
        limit = _quota(_read(f"{folder}/cpu.max").split())
        if limit is not None:
            return limit
    return _quota([_read(f"{_CGROUPS}/cpu/cpu.cfs_{name}_us").strip() for name in ("quota", "period")])


def _quota(words: list[str]) -> float | None:
    if len(words) != 2 or not (words[0].isdigit() and words[1].isdigit()) or int(words[1]) == 0:
        return None
    return int(words[0]) / int(words[1])


@functools.cache
def cache_sizes(defaults: tuple[int, int, int]) -> tuple[int, int, int]:
    """Bytes of the first-level data cache, the second and the third level; a default where the system is silent."""
    sizes = dict(zip((1, 2, 3), defaults))
    for index in range(5):
        folder = f"{_CPUS}/cpu0/cache/index{index}"
        level, size = _read(f"{folder}/level").strip(), _read(f"{folder}/size").strip()
        if level.isdigit() and size[-1:] == "K" and _read(f"{folder}/type").strip() != "Instruction":
            sizes[int(level)] = int(size[:-1]) << 10
    return sizes[1], sizes[2], sizes[3]


@functools.cache
def cpu_identity() -> str:
    """A text that differs between processors with different instructions, found without loading LLVM."""
    wanted = ("vendor_id", "cpu family", "model", "stepping", "flags", "CPU implementer", "CPU part", "Features")
    facts: dict[str, str] = {}
    for line in _read("/proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if not name.strip():
            break  # the first processor speaks for all
        if name.strip() in wanted:
            facts[name.strip()] = value.strip()
    return f"{platform.machine()} {facts}" if facts else f"{platform.platform()} {platform.processor()}"


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
