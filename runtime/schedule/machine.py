"""The machine that code is made for, as data: vector width, registers, ports, caches, cores, register tiles.

Schedules and emitters read these facts and never a processor's name, so that AVX-512, AVX2, SSE and NEON differ in data
alone. `GRAPHC_MACHINE=avx512|avx2|sse|neon` forces one of the descriptions below instead of the host's own.
"""

from __future__ import annotations

import ctypes
import functools
import json
import os
import platform
from dataclasses import replace

from graphc.records import record
from graphc.runtime.jit.cache import llvm_stamp, shared_cache
from graphc.runtime.jit.llvm import host_processor
from graphc.runtime.schedule.topology import available_cores, cache_sizes, cpu_identity

Tiles = tuple[tuple[int, int], ...]

TILES_32_REGISTERS: Tiles = ((14, 2), (9, 3), (6, 4), (28, 1))
TILES_16_REGISTERS: Tiles = ((6, 2), (4, 3), (12, 1))
TILES_NEON: Tiles = ((12, 2), (8, 3), (6, 4), (28, 1))


@record
class Machine:
    """What kernels are shaped by. Sizes are bytes of one core's share, but `l3_bytes`, which all cores share.

    `tiles` are the register blocks for contractions, rows by vectors, the best first. `fma_ports` and `load_ports` count
    full-width vector operations that can start in one cycle. Features beyond the vector width are flags of their own.
    """

    name: str
    architecture: str
    cpu: str
    features: str
    vector_bits: int
    vector_registers: int
    tiles: Tiles
    fma_ports: int = 2
    load_ports: int = 2
    l1_bytes: int = 32 << 10
    l2_bytes: int = 1 << 20
    l3_bytes: int = 16 << 20
    cores: int = 1
    has_fma: bool = True
    has_f16_conversion: bool = True
    has_avx2: bool = False
    has_avx512: bool = False
    has_avx512_bf16: bool = False
    has_avx512_fp16: bool = False
    has_amx_bf16: bool = False

    def lanes(self, element_bits: int) -> int:
        """Elements of that many bits in one vector register."""
        return self.vector_bits // element_bits


AVX512 = Machine(
    name="avx512",
    architecture="x86_64",
    cpu="skylake-avx512",
    features="-prefer-256-bit",
    vector_bits=512,
    vector_registers=32,
    tiles=TILES_32_REGISTERS,
    l1_bytes=48 << 10,
    l2_bytes=2 << 20,
    has_avx2=True,
    has_avx512=True,
)
AVX2 = Machine(
    name="avx2",
    architecture="x86_64",
    cpu="haswell",
    features="",
    vector_bits=256,
    vector_registers=16,
    tiles=TILES_16_REGISTERS,
    has_avx2=True,
)
# Vectors of 128 bits, but with fused multiply-add: without it every fma would be a call of the C library.
SSE = Machine(
    name="sse",
    architecture="x86_64",
    cpu="x86-64-v2",
    features="+avx,+fma,+f16c",
    vector_bits=128,
    vector_registers=16,
    tiles=TILES_16_REGISTERS,
)
NEON = Machine(
    name="neon",
    architecture="aarch64",
    cpu="generic",
    features="+neon",
    vector_bits=128,
    vector_registers=32,
    tiles=TILES_NEON,
    l1_bytes=64 << 10,
)
MACHINES = {machine.name: machine for machine in (AVX512, AVX2, SSE, NEON)}

# Ports (fma, load) of full width where they are not two: LLVM's processor name -> ports.
_PORTS = {
    "znver4": (1, 1),
    "icelake-client": (1, 2),
    "tigerlake": (1, 2),
    "rocketlake": (1, 2),
    "neoverse-v1": (4, 3),
    "neoverse-v2": (4, 3),
    "apple-m1": (4, 3),
}


def host_machine() -> Machine:
    """The machine that this process runs on, or the one that GRAPHC_MACHINE names.

    Raises ValueError where GRAPHC_MACHINE names an unknown machine or one whose instructions the host lacks.
    """
    forced = os.environ.get("GRAPHC_MACHINE", "")
    return _forced_machine(forced) if forced else _detected_machine()


def known_host_machine() -> Machine | None:
    """`host_machine` where that is known without loading LLVM, else None."""
    return host_machine() if shared_cache().has(_host_key()) else None


@functools.cache
def _forced_machine(name: str) -> Machine:
    if name not in MACHINES:
        raise ValueError(f"GRAPHC_MACHINE={name} is none of {', '.join(MACHINES)}")
    machine, host = MACHINES[name], _detected_machine()
    lacking = machine.architecture != host.architecture or (machine.has_avx512 and not host.has_avx512)
    if lacking or (machine.has_fma and not host.has_fma) or (machine.has_avx2 and not host.has_avx2):
        raise ValueError(f"GRAPHC_MACHINE={name} cannot run on this host, a {host.cpu}")
    l1, l2, l3 = host.l1_bytes, host.l2_bytes, host.l3_bytes
    return replace(machine, cores=host.cores, l1_bytes=l1, l2_bytes=l2, l3_bytes=l3)


@functools.cache
def _detected_machine() -> Machine:
    cpu, features = _cpu_and_features()
    architecture = {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    base = _nearest_description(architecture, features)
    l1, l2, l3 = cache_sizes((base.l1_bytes, base.l2_bytes, base.l3_bytes))
    fma_ports, load_ports = _PORTS.get(cpu, (2, 2))
    flags = ",".join(f"{'+' if on else '-'}{name}" for name, on in sorted(features.items()))
    return replace(
        base,
        cpu=cpu,
        features=f"{flags},-prefer-256-bit" if base.has_avx512 else flags,
        fma_ports=fma_ports,
        load_ports=load_ports,
        l1_bytes=l1,
        l2_bytes=l2,
        l3_bytes=l3,
        cores=available_cores(),
        has_fma=architecture == "aarch64" or features.get("fma", False),
        has_f16_conversion=architecture == "aarch64" or features.get("f16c", False),
        has_avx512_bf16=base.has_avx512 and features.get("avx512bf16", False),
        has_avx512_fp16=base.has_avx512 and features.get("avx512fp16", False),
        has_amx_bf16=features.get("amx-bf16", False) and _amx_permitted(),
    )


def _nearest_description(architecture: str, features: dict[str, bool]) -> Machine:
    if architecture == "aarch64":
        return NEON
    needed = ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd")
    if all(features.get(name, False) for name in needed):
        return AVX512
    if features.get("avx2", False) and features.get("fma", False):
        return AVX2
    return SSE


def _cpu_and_features() -> tuple[str, dict[str, bool]]:
    """LLVM's name of the processor and its features, remembered on disk because asking LLVM means loading it."""
    key = _host_key()
    known = shared_cache().get(key)
    if known is not None:
        cpu, features = json.loads(known)
        return cpu, features
    cpu, features = host_processor()
    shared_cache().put(key, json.dumps([cpu, features]).encode())
    return cpu, features


def _host_key() -> str:
    return f"host {cpu_identity()} {llvm_stamp()}"


def _amx_permitted() -> bool:
    """Asks the kernel, once and for the whole process, for the right to use tile registers."""
    if platform.system() != "Linux":
        return False
    arch_prctl, request_permission, tile_data = 158, 0x1023, 18
    call = ctypes.CDLL(None).syscall
    call.restype = ctypes.c_long
    return call(ctypes.c_long(arch_prctl), ctypes.c_long(request_permission), ctypes.c_long(tile_data)) == 0
