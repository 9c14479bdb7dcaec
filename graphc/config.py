"""Options of sessions and runs, as TensorFlow's protocol messages look from a script."""

from __future__ import annotations

from typing import Any, ClassVar


class Options:
    """Named values; any name may be set, a name that was not set is None, or empty options where the class says so."""

    NESTED: ClassVar[dict[str, type[Options]]] = {}
    DEFAULTS: ClassVar[dict[str, Any]] = {}

    def __init__(self, **values: Any):
        for key, value in values.items():
            setattr(self, key, value)

    def __getattr__(self, key: str) -> Any:
        if key.startswith("__"):
            raise AttributeError(key)
        if key in self.NESTED:
            value: Any = self.NESTED[key]()
            setattr(self, key, value)
            return value
        return self.DEFAULTS.get(key)

    def __repr__(self) -> str:
        inside = ", ".join(f"{key}={value!r}" for key, value in vars(self).items())
        return f"{type(self).__name__}({inside})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def HasField(self, key: str) -> bool:
        return key in vars(self)

    def CopyFrom(self, other: Options) -> None:
        vars(self).clear()
        self.MergeFrom(other)

    def MergeFrom(self, other: Options) -> None:
        vars(self).update(vars(other))


class GPUOptions(Options):
    """Options of graphics processors: kept, without effect."""

    DEFAULTS: ClassVar[dict[str, Any]] = {
        "allow_growth": False, "per_process_gpu_memory_fraction": 0.0, "visible_device_list": "", "allocator_type": "",
    }  # fmt: skip


class OptimizerOptions(Options):
    """Options of TensorFlow's graph optimizer: kept, without effect."""

    L0, L1 = -1, 0
    DEFAULT, OFF, ON_1, ON_2 = 0, -1, 1, 2
    DEFAULTS: ClassVar[dict[str, Any]] = {"global_jit_level": 0, "opt_level": 0}


class RewriterConfig(Options):
    """Options of rewriting graphs. `auto_mixed_precision` ON rounds the operands of float32 matrix products to bfloat16 and
    keeps their sums in float32; the others are kept, without effect."""

    DEFAULT, ON, OFF, AGGRESSIVE = 0, 1, 2, 3
    DEFAULTS: ClassVar[dict[str, Any]] = {"auto_mixed_precision": 0}


class GraphOptions(Options):
    """Options of graphs: those of rewriting have an effect."""

    NESTED: ClassVar[dict[str, type[Options]]] = {"optimizer_options": OptimizerOptions, "rewrite_options": RewriterConfig}


class ConfigProto(Options):
    """Options of a session. `intra_op_parallelism_threads` is the number of threads that compute, 0 for one a core."""

    NESTED: ClassVar[dict[str, type[Options]]] = {"gpu_options": GPUOptions, "graph_options": GraphOptions}
    DEFAULTS: ClassVar[dict[str, Any]] = {
        "intra_op_parallelism_threads": 0, "inter_op_parallelism_threads": 0, "allow_soft_placement": False,
        "log_device_placement": False, "device_count": {},
    }  # fmt: skip

    def __init__(self, **values: Any):
        super().__init__(**{"device_count": {}, **values})

    @property
    def matmul_precision(self) -> str:
        """"bf16" where matrix products were asked for in mixed precision, "" where they were forbidden, "default" otherwise."""
        choice = self.graph_options.rewrite_options.auto_mixed_precision
        return {RewriterConfig.ON: "bf16", RewriterConfig.AGGRESSIVE: "bf16", RewriterConfig.OFF: ""}.get(choice, "default")


class RunOptions(Options):
    """Options of one run."""

    NO_TRACE, SOFTWARE_TRACE, HARDWARE_TRACE, FULL_TRACE = 0, 1, 2, 3
    DEFAULTS: ClassVar[dict[str, Any]] = {"trace_level": 0, "timeout_in_ms": 0}


class RunMetadata(Options):
    """What a run reports beside its results."""


__all__ = ["ConfigProto", "GPUOptions", "GraphOptions", "OptimizerOptions", "RunMetadata", "RunOptions"]
