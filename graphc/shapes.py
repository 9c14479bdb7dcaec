"""Static shapes: `TensorShape` and `Dimension` as TensorFlow 1 shows them, and arithmetic on plain tuples.

Inside the compiler a shape is a tuple of `int | None` (None for an unknown dimension), or None for an unknown rank.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

Shape = tuple[int | None, ...] | None


class Dimension:
    """One dimension, known or not; arithmetic with an unknown one is unknown."""

    __slots__ = ("value",)

    def __init__(self, value: Any):
        self.value: int | None = None if value is None else _as_size(value)

    def __repr__(self) -> str:
        return f"Dimension({self.value})"

    def __str__(self) -> str:
        return "?" if self.value is None else str(self.value)

    def __eq__(self, other: object) -> Any:
        other_value = other.value if isinstance(other, Dimension) else other
        if self.value is None or other_value is None:
            return None if not (self.value is None and other_value is None) else None
        return self.value == other_value

    def __ne__(self, other: object) -> Any:
        same = self == other
        return None if same is None else not same

    def __hash__(self) -> int:
        return hash(self.value)

    def __int__(self) -> int:
        if self.value is None:
            raise TypeError("the dimension is not known")
        return self.value

    __index__ = __int__

    def __bool__(self) -> bool:
        return bool(self.value)

    def _combine(self, other: Any, function: Any) -> Dimension:
        value = other.value if isinstance(other, Dimension) else other
        return Dimension(None if self.value is None or value is None else function(self.value, int(value)))

    def __add__(self, other: Any) -> Dimension:
        return self._combine(other, lambda a, b: a + b)

    def __radd__(self, other: Any) -> Dimension:
        return self._combine(other, lambda a, b: b + a)

    def __sub__(self, other: Any) -> Dimension:
        return self._combine(other, lambda a, b: a - b)

    def __rsub__(self, other: Any) -> Dimension:
        return self._combine(other, lambda a, b: b - a)

    def __mul__(self, other: Any) -> Dimension:
        return self._combine(other, lambda a, b: a * b)

    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> Dimension:
        return self._combine(other, lambda a, b: a // b)

    __truediv__ = __div__ = __floordiv__

    def __rfloordiv__(self, other: Any) -> Dimension:
        return self._combine(other, lambda a, b: b // a)

    def __mod__(self, other: Any) -> Dimension:
        return self._combine(other, lambda a, b: a % b)

    def __lt__(self, other: Any) -> Any:
        return self._order(other, lambda a, b: a < b)

    def __le__(self, other: Any) -> Any:
        return self._order(other, lambda a, b: a <= b)

    def __gt__(self, other: Any) -> Any:
        return self._order(other, lambda a, b: a > b)

    def __ge__(self, other: Any) -> Any:
        return self._order(other, lambda a, b: a >= b)

    def _order(self, other: Any, function: Any) -> Any:
        value = other.value if isinstance(other, Dimension) else other
        return None if self.value is None or value is None else function(self.value, value)

    def is_compatible_with(self, other: Any) -> bool:
        value = other.value if isinstance(other, Dimension) else other
        return self.value is None or value is None or self.value == value

    def merge_with(self, other: Any) -> Dimension:
        if not self.is_compatible_with(other):
            raise ValueError(f"dimensions {self} and {other} are not compatible")
        return self if self.value is not None else Dimension(other)


class TensorShape:
    """A static shape, as `tensor.shape` and `tensor.get_shape()` give it."""

    __slots__ = ("_sizes",)

    def __init__(self, dims: Any = None):
        self._sizes: Shape = as_shape(dims)

    @property
    def sizes(self) -> Shape:
        """The shape as a plain tuple of int and None, or None for an unknown rank."""
        return self._sizes

    @property
    def dims(self) -> list[Dimension] | None:
        return None if self._sizes is None else [Dimension(s) for s in self._sizes]

    @property
    def ndims(self) -> int | None:
        return None if self._sizes is None else len(self._sizes)

    rank = ndims

    def _known_rank(self) -> tuple[int | None, ...]:
        if self._sizes is None:
            raise ValueError("the rank of the shape is not known")
        return self._sizes

    def __len__(self) -> int:
        return len(self._known_rank())

    def __iter__(self) -> Iterator[Dimension]:
        return iter([Dimension(s) for s in self._known_rank()])

    def __getitem__(self, key: Any) -> Any:
        if self._sizes is None:
            return TensorShape(None) if isinstance(key, slice) else Dimension(None)
        if isinstance(key, slice):
            return TensorShape(self._sizes[key])
        return Dimension(self._sizes[key])

    def __bool__(self) -> bool:
        return self._sizes is not None

    def __repr__(self) -> str:
        if self._sizes is None:
            return "TensorShape(None)"
        return f"TensorShape([{', '.join(repr(Dimension(s)) for s in self._sizes)}])"

    def __str__(self) -> str:
        if self._sizes is None:
            return "<unknown>"
        inside = ", ".join("?" if s is None else str(s) for s in self._sizes)
        return f"({inside},)" if len(self._sizes) == 1 else f"({inside})"

    def __eq__(self, other: object) -> bool:
        try:
            return self._sizes == as_shape(other)
        except TypeError:
            return NotImplemented

    def __hash__(self) -> int:
        return hash(self._sizes)

    def as_list(self) -> list[int | None]:
        """The dimensions as numbers, None where unknown. Raises ValueError where the rank is unknown."""
        if self._sizes is None:
            raise ValueError("as_list() is not defined on an unknown TensorShape.")
        return list(self._sizes)

    def is_fully_defined(self) -> bool:
        return is_known(self._sizes)

    def num_elements(self) -> int | None:
        if self._sizes is None or None in self._sizes:
            return None
        return count_elements(self._sizes)

    def is_compatible_with(self, other: Any) -> bool:
        return are_compatible(self._sizes, as_shape(other))

    def assert_is_compatible_with(self, other: Any) -> None:
        if not self.is_compatible_with(other):
            raise ValueError(f"Shapes {self} and {TensorShape(other)} are incompatible")

    def assert_has_rank(self, rank: int) -> None:
        if self.ndims not in (None, rank):
            raise ValueError(f"Shape {self} must have rank {rank}")

    def assert_is_fully_defined(self) -> None:
        if not self.is_fully_defined():
            raise ValueError(f"Shape {self} is not fully defined")

    def merge_with(self, other: Any) -> TensorShape:
        return TensorShape(merge_shapes(self._sizes, as_shape(other)))

    def concatenate(self, other: Any) -> TensorShape:
        tail = as_shape(other)
        return TensorShape(None if self._sizes is None or tail is None else self._sizes + tail)

    def with_rank(self, rank: int) -> TensorShape:
        return self.merge_with([None] * rank)


def _as_size(value: Any) -> int:
    size = int(value)
    if size < 0:
        raise ValueError(f"Dimension {size} must be >= 0")
    return size


def as_shape(value: Any) -> Shape:
    """A plain shape from a TensorShape, a number, a sequence (None, -1 in placeholders excluded, Dimension) or None."""
    if value is None:
        return None
    if isinstance(value, TensorShape):
        return value.sizes
    if isinstance(value, Dimension):
        return (value.value,)
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        return tuple(_as_dimension(item) for item in value)
    return (_as_size(value),)


def _as_dimension(item: Any) -> int | None:
    if item is None:
        return None
    if isinstance(item, Dimension):
        return item.value
    return _as_size(item)


def is_known(shape: Shape) -> bool:
    return shape is not None and None not in shape


def count_elements(shape: Sequence[int | None]) -> int:
    """The product of known dimensions."""
    count = 1
    for size in shape:
        count *= size  # type: ignore[operator]
    return count


def format_shape(shape: Shape) -> str:
    """`[64,?]`, or `[...]` for an unknown rank."""
    if shape is None:
        return "[...]"
    return "[" + ",".join("?" if s is None else str(s) for s in shape) + "]"


def are_compatible(a: Shape, b: Shape) -> bool:
    if a is None or b is None:
        return True
    return len(a) == len(b) and all(x is None or y is None or x == y for x, y in zip(a, b))


def merge_shapes(a: Shape, b: Shape) -> Shape:
    """The shape that knows all that either knows. Raises ValueError where they contradict."""
    if not are_compatible(a, b):
        raise ValueError(f"shapes {format_shape(a)} and {format_shape(b)} are not compatible")
    if a is None or b is None:
        return b if a is None else a
    return tuple(y if x is None else x for x, y in zip(a, b))


def broadcast_shapes(*shapes: Shape) -> Shape:
    """The shape of an elementwise result under NumPy's rules. Raises ValueError where the shapes do not fit."""
    if any(shape is None for shape in shapes):
        return None
    rank = max((len(s) for s in shapes if s is not None), default=0)
    result: list[int | None] = []
    for axis in range(rank):
        sizes = {s[axis - rank + len(s)] for s in shapes if s is not None and axis - rank + len(s) >= 0}
        result.append(_broadcast_dimension(sizes, shapes))
    return tuple(result)


def _broadcast_dimension(sizes: set[int | None], shapes: Sequence[Shape]) -> int | None:
    known = {s for s in sizes if s is not None and s != 1}
    if len(known) > 1:
        raise ValueError("shapes " + " and ".join(map(format_shape, shapes)) + " do not broadcast")
    if known:
        return known.pop()  # an unknown partner must be 1 or the same
    return None if None in sizes else 1


def normalize_axis(axis: int, rank: int) -> int:
    """A possibly negative axis as one in [0, rank). Raises ValueError outside."""
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} is out of range for rank {rank}")
    return axis + rank if axis < 0 else axis


def is_affine_reshape(source: Sequence[int], result: Sequence[int]) -> bool:
    """Whether an element of the result lies at an affine index of the source: dimensions are only split, or of size 1."""
    if 0 in source:
        return True
    runs = [size for size in result if size != 1]
    for size in source:
        product = 1
        while product < size and runs:
            product *= runs.pop(0)
        if product != size:
            return False
    return not runs
