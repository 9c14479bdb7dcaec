"""The linear transforms of Winograd's convolutions, and their application to small squares of vectors.

A convolution of a line by three taps, m outputs at a time, takes m + 2 multiplications instead of 3 m:

    outputs = A^T [(G taps) * (B^T inputs)]

and the same in two dimensions, one after the other (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks",
2016). Turned about, the same matrices give both gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from graphc.records import record
from graphc.runtime.emit.function import Function, Value, constant

Matrix = tuple[tuple[float, ...], ...]
Square = list[list[Value | None]]  # None stands for zeros

TAPS = 3


@record
class Transforms:
    """The three matrices for `outputs` results of three taps."""

    inputs: Matrix  # B^T
    taps: Matrix  # G
    results: Matrix  # A^T

    @property
    def outputs(self) -> int:
        return len(self.results)

    @property
    def width(self) -> int:
        """Of a window of inputs, and of the square of products."""
        return len(self.inputs)

    @property
    def points(self) -> int:
        """Products of one channel and filter that a tile takes."""
        return self.width**2

    @cached_property
    def inputs_turned(self) -> Matrix:
        return turned(self.inputs)

    @cached_property
    def taps_turned(self) -> Matrix:
        return turned(self.taps)

    @cached_property
    def results_turned(self) -> Matrix:
        return turned(self.results)


# Evaluation at 0, 1, -1 and infinity: the filter's side has halves and quarters, all else is sums and differences, so that
# nothing is lost beyond the rounding of sums.
TWO_BY_TWO = Transforms(
    inputs=((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
    taps=((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1)),
    results=((1, 1, 1, 0), (0, 1, -1, -1)),
)
# Evaluation at 0, 1, -1, 2 and infinity.
THREE_BY_THREE = Transforms(
    inputs=((2, -1, -2, 1, 0), (0, 2, 1, -1, 0), (0, -2, 3, -1, 0), (0, -1, 0, 1, 0), (0, 2, -1, -2, 1)),
    taps=((1 / 2, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 6, -1 / 6, 1 / 6), (1 / 6, 1 / 3, 2 / 3), (0, 0, 1)),
    results=((1, 1, 1, 1, 0), (0, 1, -1, 2, 0), (0, 1, 1, 4, 1)),
)
# Evaluation at 0, 1, -1, 1/2, -2 and infinity; these points lose least (Barabasz, Anderson, Soodhalter and Gregg, "Error
# analysis and improving the accuracy of Winograd convolution for deep neural networks", 2020).
FOUR_BY_FOUR = Transforms(
    inputs=(
        (2, -3, -4, 3, 2, 0), (0, -2, 1, 5, 2, 0), (0, -2, 5, -1, -2, 0),
        (0, 2, 1, -2, -1, 0), (0, 1, -2, -1, 2, 0), (0, 2, -3, -4, 3, 2),
    ),
    taps=(
        (1 / 2, 0, 0), (1 / 6, 1 / 6, 1 / 6), (1 / 6, -1 / 6, 1 / 6),
        (16 / 15, 8 / 15, 4 / 15), (1 / 30, -1 / 15, 2 / 15), (0, 0, 1 / 2),
    ),
    results=((1, 1, 1, 1, 1, 0), (0, 1, -1, 1 / 2, -2, 0), (0, 1, 1, 1 / 4, 4, 0), (0, 1, -1, 1 / 8, -8, 1)),
)  # fmt: skip
TRANSFORMS = {t.outputs: t for t in (TWO_BY_TWO, THREE_BY_THREE, FOUR_BY_FOUR)}


def turned(matrix: Matrix) -> Matrix:
    return tuple(zip(*matrix))


def transform_square(function: Function, matrix: Matrix, square: Square, has_fma: bool) -> Square:
    """matrix * square * matrix^T."""
    columns = [combine_all(function, matrix, list(column), has_fma) for column in zip(*square)]
    return [combine_all(function, matrix, list(row), has_fma) for row in zip(*columns)]


def combine_all(function: Function, matrix: Matrix, values: Sequence[Value | None], has_fma: bool) -> list[Value | None]:
    return [combine(function, coefficients, values, has_fma) for coefficients in matrix]


def combine(
    function: Function, coefficients: Sequence[float], values: Sequence[Value | None], has_fma: bool
) -> Value | None:
    """The sum of values by coefficients; what is known to be zero costs nothing."""
    terms = [(c, v) for c, v in zip(coefficients, values) if c and v is not None]
    if not terms:
        return None
    terms.sort(key=lambda term: (term[0] != 1, abs(term[0]) != 1))
    (first, total), *rest = terms
    if first == -1:
        total = function.fneg(total)
    elif first != 1:
        total = function.fmul(total, constant(first, total.type))
    for coefficient, value in rest:
        if abs(coefficient) == 1:
            total = function.fadd(total, value) if coefficient == 1 else function.fsub(total, value)
        elif has_fma:
            total = function.fma(value, coefficient, total)
        else:
            total = function.fadd(total, function.fmul(value, constant(coefficient, value.type)))
    return total


def count_operations(matrix: Matrix) -> int:
    """Additions and multiplications of the transform of a square by the matrix."""
    each = sum(max(0, sum(1 for c in row if c) - 1) for row in matrix)
    return each * (len(matrix[0]) + len(matrix))
