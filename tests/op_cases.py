"""The table from which the suite enumerates operations: how to build each one, on which arrays, and what comes out.

    case("relu", relu, unary(-3, 3), reference=lambda x: np.maximum(x, 0), gradient=True)

Files named op_cases_*.py beside this one register the cases; `all_cases()` imports them. Tests take samples from
`iterate_samples()`, whatever they compute with: a sample has a program, its bindings and, where there is one, the expected
results from NumPy or SciPy.
"""

from __future__ import annotations

import importlib
import pkgutil
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import graphc.ops
from graphc.dtypes import as_dtype
from graphc.graph import Graph
from graphc.operation import DEFINITIONS, Operation, Tensor
from graphc.ops.constants import placeholder
from graphc.program import Program, build_program

Arrays = tuple[np.ndarray, ...]
Build = Callable[..., Any]

FLOATS = ("float32", "float16", "bfloat16", "float64")
INTEGERS = ("int32", "uint8", "int8", "int16", "int64")
SHAPES = ((33,), (), (0,), (1,), (3,), (17,), (3, 17))
PAIRS = (
    ((33,), (33,)), ((3, 17), (17,)), ((3, 1), (1, 17)), ((), (3,)), ((0, 3), (3,)), ((1,), (1,)), ((2, 3, 5), (3, 1)),
)  # fmt: skip
SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, 1e-30, -1e-30, 1e30, -1e30, 3.0)

ROUNDING = {"float16": 2e-3, "bfloat16": 1.6e-2, "float32": 2e-6, "float64": 1e-12}


@dataclass(frozen=True, eq=False)
class Case:
    """Samples of one definition.

    `build` takes tensors and gives a tensor, a list of them or an operation. `reference` takes the arrays and gives the
    expected results; it is independent of `graphc.evaluate`. `gradient_samples` are arrays at which the operation is smooth,
    in float64 where the derivative is taken. `known_rank` says that shapes may be unknown but for their rank; `known_shapes`
    that they have to be known. `rounding` scales what results may differ by from the reference.
    """

    name: str
    label: str
    build: Build
    samples: tuple[Arrays, ...]
    reference: Callable[..., Any] | None
    gradient_samples: tuple[Arrays, ...]
    known_rank: bool
    known_shapes: bool
    rounding: float

    def __str__(self) -> str:
        return f"{self.name}-{self.label}" if self.label else self.name


@dataclass(frozen=True, eq=False)
class Sample:
    """One case on one tuple of arrays."""

    case: Case
    arrays: Arrays

    @property
    def name(self) -> str:
        return self.case.name

    def __str__(self) -> str:
        described = ",".join(f"{as_dtype(a.dtype).short}{list(a.shape)}" for a in self.arrays)
        return f"{self.case}({described})"

    def declare(self, known: str = "shapes") -> Declared:
        """The sample in a graph of its own; placeholders know their shapes, their ranks ("rank") or nothing ("nothing")."""
        with Graph().as_default():
            feeds = [
                placeholder(as_dtype(a.dtype), _declared_shape(a, known), name=f"x{i}")
                for i, a in enumerate(self.arrays)
            ]
            built = self.case.build(*feeds)
        return Declared(self, tuple(feeds), built)

    def expected(self) -> list[np.ndarray] | None:
        """What the reference says, or None where there is none."""
        if self.case.reference is None:
            return None
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing
            found = self.case.reference(*self.arrays)
        return [np.asarray(v) for v in found] if isinstance(found, (list, tuple)) else [np.asarray(found)]


@dataclass(frozen=True, eq=False)
class Declared:
    """A sample in a graph."""

    sample: Sample
    feeds: tuple[Tensor, ...]
    built: Any

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        if isinstance(self.built, Operation):
            return self.built.outputs
        return (self.built,) if isinstance(self.built, Tensor) else tuple(self.built)

    @property
    def program(self) -> Program:
        return build_program(self.outputs, feeds=self.feeds, name="sample")

    @property
    def bindings(self) -> dict[str, np.ndarray]:
        return {t.name: a for t, a in zip(self.feeds, self.sample.arrays)}


def _declared_shape(array: np.ndarray, known: str) -> Any:
    return {"shapes": array.shape, "rank": (None,) * array.ndim, "nothing": None}[known]


# -- registration

_CASES: list[Case] = []


def case(
    name: str,
    build: Build,
    samples: Sequence[Sequence[Any]],
    reference: Callable[..., Any] | None = None,
    gradient: bool | Sequence[Sequence[Any]] = False,
    label: str = "",
    known_rank: bool = False,
    known_shapes: bool = False,
    rounding: float = 1.0,
) -> None:
    """Registers samples of the definition `name`; see Case.

    `gradient` True takes the derivative at the first sample of floats that are all finite; a sequence gives arrays for it.
    Several cases of one definition have different labels.
    """
    if any(c.name == name and c.label == label for c in _CASES):
        raise ValueError(f"two cases of {name} are labelled {label!r}")
    arrays = tuple(tuple(np.asarray(a) for a in sample) for sample in samples)
    if gradient is True:
        points = [_in_double(next(sample for sample in arrays if _is_smooth(sample)))]
    else:
        points = [tuple(np.asarray(a) for a in sample) for sample in gradient or ()]
    _CASES.append(Case(name, label, build, arrays, reference, tuple(points), known_rank, known_shapes, rounding))


def _is_smooth(sample: Arrays) -> bool:
    floating = [a for a in sample if as_dtype(a.dtype).is_floating]
    return any(a.size for a in floating) and all(np.isfinite(a.astype(np.float64)).all() for a in floating)


def _in_double(sample: Arrays) -> Arrays:
    return tuple(a.astype(np.float64) if as_dtype(a.dtype).is_floating else a for a in sample)


def all_cases() -> list[Case]:
    """The cases of all files op_cases_*.py."""
    for path in sorted(Path(__file__).parent.glob("op_cases_*.py")):
        importlib.import_module(path.stem)
    return _CASES


def iterate_samples() -> Iterator[Sample]:
    """All samples of all cases."""
    for item in all_cases():
        for arrays in item.samples:
            yield Sample(item, arrays)


def all_definitions() -> list[str]:
    """The names of all operations of graphc.ops that compute: not those that act outside, nor sources of values."""
    for module in pkgutil.iter_modules(graphc.ops.__path__):
        importlib.import_module(f"graphc.ops.{module.name}")
    sources = ("placeholder", "variable", "run_key", "fused", "no_op")
    own = [d for d in DEFINITIONS.values() if d.infer.__module__.startswith("graphc.ops.")]
    return [d.name for d in own if d.effect is None and d.name not in sources]


# -- arrays


def random_of(*seed: Any) -> np.random.Generator:
    """A generator that depends on nothing but the arguments."""
    return np.random.default_rng(zlib.crc32(repr(seed).encode()))


def floats(shape: Any, low: float = -2.0, high: float = 2.0, dtype: str = "float32", seed: Any = 0) -> np.ndarray:
    """Evenly distributed numbers in [low, high)."""
    values = random_of("floats", shape, low, high, seed).uniform(low, high, shape)
    return np.asarray(values).astype(as_dtype(dtype).numpy)


def integers(shape: Any, low: int = -9, high: int = 9, dtype: str = "int32", seed: Any = 0) -> np.ndarray:
    """Whole numbers in [low, high]; from 0 on for unsigned types."""
    bottom = max(low, 0) if as_dtype(dtype).is_unsigned else low
    return np.asarray(random_of("integers", shape, low, high, seed).integers(bottom, high + 1, shape)).astype(dtype)


def booleans(shape: Any, seed: Any = 0) -> np.ndarray:
    return np.asarray(random_of("booleans", shape, seed).integers(0, 2, shape) > 0)


def unary(low: float, high: float, special: bool = True, kinds: str = "f") -> list[Arrays]:
    """Operands of functions of one number: all types, odd sizes, none and no axes; NaN and infinities."""
    found: list[Arrays] = []
    if "f" in kinds:
        found += [(floats(shape, low, high),) for shape in SHAPES]
        found += [(floats((33,), low, high, dtype),) for dtype in FLOATS[1:]]
    if special and "f" in kinds:
        found += [(np.array(SPECIAL, dtype),) for dtype in ("float32", "float64")]
    if "i" in kinds:
        found += [(integers((33,), int(low), int(high), dtype),) for dtype in INTEGERS]
    return found


def binary(
    low: float,
    high: float,
    special: bool = True,
    kinds: str = "f",
    low2: float | None = None,
    high2: float | None = None,
) -> list[Arrays]:
    """Operands of functions of two numbers, with broadcasting; the second one in [low2, high2)."""
    bottom, top = low if low2 is None else low2, high if high2 is None else high2
    found: list[Arrays] = []
    if "f" in kinds:
        found += [(floats(a, low, high), floats(b, bottom, top, seed=1)) for a, b in PAIRS]
        found += [(floats((3, 17), low, high, d), floats((17,), bottom, top, d, seed=1)) for d in FLOATS[1:]]
    if special and "f" in kinds:
        grid = np.array(SPECIAL, np.float32)
        found.append((grid[:, None], grid[None]))
    if "i" in kinds:
        limits = int(bottom), int(top)
        found += [(integers((3, 17), int(low), int(high), d), integers((17,), *limits, d, seed=1)) for d in INTEGERS]
    return found


# -- comparison


def assert_same(found: Any, expected: np.ndarray, dtype: Any, rounding: float, what: str) -> None:
    """Whether a result is the expected one: of the declared type, exact but for floats, NaN at the same places."""
    array, declared = np.asarray(found), as_dtype(dtype)
    assert array.dtype == declared.numpy, f"{what}: the result is {array.dtype}, declared as {declared.name}"
    assert array.shape == expected.shape, f"{what}: the result has shape {array.shape}, not {expected.shape}"
    if not declared.is_floating:
        np.testing.assert_array_equal(array, expected.astype(declared.numpy), err_msg=what)
        return
    bound = ROUNDING[declared.name] * rounding
    with np.errstate(all="ignore"):
        wanted = expected.astype(declared.numpy).astype(np.float64)
    np.testing.assert_allclose(array.astype(np.float64), wanted, rtol=bound, atol=bound * 1e-2 + 1e-38, err_msg=what)
