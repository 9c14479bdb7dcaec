"""Scalar meaning as LLVM vectors: the interpreter of `graphc.scalars.Scalars` that emits native code.

Values are `TypedValue`s, of any number of lanes and possibly interleaved chains; Python numbers stand for constants. One
lambda of an `OpDef` so becomes the lanes of an elementwise loop, of a row kernel or of an epilogue alike.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partialmethod
from typing import Any

from graphc.dtypes import DType, bool_, float16, float32, float64, int32, uint32
from graphc.runtime.emit import math_pow
from graphc.runtime.emit.function import I64, Function, Value, constant, vector_type
from graphc.runtime.emit.math_builder import MathBuilder
from graphc.runtime.emit.math_functions import emit_function
from graphc.runtime.emit.vectors import (
    TypedValue,
    extreme_float,
    float_to_bfloat,
    float_to_half,
    from_memory,
    register_type,
    splat,
    typed,
)
from graphc.runtime.schedule.machine import Machine
from graphc.scalars import operand_type

Lanes = TypedValue | int | float | bool


Check = Callable[[Value, TypedValue], None]
"""Reports `value` in the lanes where `holds` fails: check(holds, value). It belongs to what owns the kernel's status cells."""


class VectorScalars:
    """Emits each operation into `function` for `machine`.

    A zero divisor of integers counts as 1 and a negative exponent as 0, reported through `check`. `lanes` is the width of
    constants given by their type alone. `contract` allows a product and a sum to be rounded once.
    """

    def __init__(
        self, function: Function, machine: Machine, check: Check | None = None, lanes: int = 1, contract: bool = False
    ):
        self.function, self.machine, self.check, self.lanes = function, machine, check, lanes
        self._math = MathBuilder(function, machine)
        self._flags = " contract" if contract else ""

    # -- operands

    def constant(self, value: int | float | bool, like: TypedValue | DType | None = None) -> Any:
        if like is None:
            return value
        if isinstance(like, DType):
            return self._constant(value, like, self.lanes)
        return self._constant(value, like.dtype, like.lanes)

    def _constant(self, value: int | float | bool, dtype: DType, lanes: int) -> TypedValue:
        if dtype.is_integer and value != int(value):
            raise TypeError(f"{value} is no {dtype.name}")
        return typed(constant(value, register_type(dtype, lanes)), dtype)

    def _pair(self, operation: str, a: Lanes, b: Lanes) -> tuple[TypedValue, TypedValue, DType]:
        if isinstance(a, TypedValue) and isinstance(b, TypedValue) and a.dtype is b.dtype and a.type == b.type:
            return a, b, a.dtype
        dtype = operand_type(operation, (a, b))
        lanes = max(v.lanes for v in (a, b) if isinstance(v, TypedValue))
        return self._widened(a, dtype, lanes), self._widened(b, dtype, lanes), dtype

    def _widened(self, operand: Lanes, dtype: DType, lanes: int) -> TypedValue:
        if not isinstance(operand, TypedValue):
            return self._constant(operand, dtype, lanes)
        return operand if operand.lanes == lanes else splat(self.function, operand, lanes)

    def _only(self, operation: str, x: Lanes, floating: bool = False) -> TypedValue:
        if not isinstance(x, TypedValue):
            raise TypeError(f"{operation}: no operand says the element type; use constant(number, like)")
        if floating and not x.dtype.is_floating:
            raise TypeError(f"{operation} takes floats, not {x.dtype.name}")
        return x

    # -- conversion

    def cast(self, x: TypedValue, dtype: DType) -> TypedValue:
        source, target = x.dtype, dtype.compute
        if source.is_floating and dtype.is_floating and dtype.bits == 16:
            return self._round_to_16_bits(x, dtype)
        if source is target:
            return self._round_to_16_bits(x, dtype) if dtype is not target else x
        if dtype.is_bool:
            compare = self.function.fcmp("une", x, 0.0) if source.is_floating else self.function.icmp("ne", x, 0)
            return typed(compare, dtype)
        if source.is_floating:
            return self._resize_float(x, target) if target.is_floating else self._float_to_integer(x, target)
        if not target.is_floating:
            return self._resize_integer(x, target)
        opcode = "uitofp" if source.is_bool or source.is_unsigned else "sitofp"
        result = typed(self.function.cast(opcode, x, register_type(target, x.lanes)), target)
        return self._round_to_16_bits(result, dtype) if dtype is not target else result

    def _round_to_16_bits(self, x: TypedValue, dtype: DType) -> TypedValue:
        """A float in a register with the precision of float16 or bfloat16."""
        if x.dtype is not float32:
            x = self._resize_float(x, float32)
        if dtype is float16:
            bits = float_to_half(self.function, self.machine, x)
        else:
            bits = float_to_bfloat(self.function, x)
        return from_memory(self.function, self.machine, bits, dtype)

    def _resize_float(self, x: TypedValue, target: DType) -> TypedValue:
        opcode = "fpext" if target.bits > x.dtype.bits else "fptrunc"
        return typed(self.function.cast(opcode, x, register_type(target, x.lanes)), target)

    def _resize_integer(self, x: TypedValue, target: DType) -> TypedValue:
        source_bits = 1 if x.dtype.is_bool else x.dtype.bits
        if source_bits == target.bits:
            return typed(x, target)
        widening = "zext" if x.dtype.is_bool or x.dtype.is_unsigned else "sext"
        opcode = widening if target.bits > source_bits else "trunc"
        return typed(self.function.cast(opcode, x, register_type(target, x.lanes)), target)

    def _float_to_integer(self, x: TypedValue, target: DType) -> TypedValue:
        f = self.function
        if target.bits < 32:
            return self._resize_integer(self._float_to_integer(x, int32), target)
        bound = 2.0 ** (target.bits - 1)
        integer = register_type(target, x.lanes)
        smallest = constant(-(1 << (target.bits - 1)), integer)
        large = None
        if target.is_unsigned:
            large = f.fcmp("oge", x, bound)
            x = typed(f.select(large, f.fsub(x, bound), x), x.dtype)
        # What is out of range, whose conversion is undefined in LLVM, never gets through the select.
        fits = f.fcmp("olt", f.fabs(x), bound)
        result = f.select(fits, f.cast("fptosi", x, integer), smallest)
        if large is not None:
            result = f.bit_or(result, f.select(large, smallest, 0))
        return typed(result, target)

    def bitcast(self, x: TypedValue, dtype: DType) -> TypedValue:
        if dtype.bits != x.dtype.bits or dtype.bits < 32:
            raise TypeError(f"bitcast from {x.dtype.name} to {dtype.name}")
        if dtype.is_floating == x.dtype.is_floating:
            return typed(x, dtype)
        return typed(self.function.cast("bitcast", x, register_type(dtype, x.lanes)), dtype)

    # -- arithmetic

    def _arithmetic(self, operation: str, a: Lanes, b: Lanes) -> TypedValue:
        left, right, dtype = self._pair(operation, a, b)
        opcode = f"f{operation}{self._flags}" if dtype.is_floating else operation
        return typed(self.function.binary(opcode, left, right), dtype)

    add = partialmethod(_arithmetic, "add")
    sub = partialmethod(_arithmetic, "sub")
    mul = partialmethod(_arithmetic, "mul")

    def div(self, a: Lanes, b: Lanes) -> TypedValue:
        left, right, dtype = self._pair("div", a, b)
        if not dtype.is_floating:
            raise TypeError(f"div takes floats, not {dtype.name}")
        return typed(self.function.fdiv(left, right), dtype)

    def floordiv(self, a: Lanes, b: Lanes) -> TypedValue:
        if self._is_floating(a, b):
            return self.floor(self.div(a, b))
        return self._floor_division(a, b)[0]

    def floormod(self, a: Lanes, b: Lanes) -> TypedValue:
        if not self._is_floating(a, b):
            return self._floor_division(a, b)[1]
        left, right, dtype = self._pair("floormod", a, b)
        rest = self.truncmod(left, right)
        f = self.function
        differ = f.bit_xor(f.fcmp("olt", right, 0.0), f.fcmp("olt", rest, 0.0))
        wrong = f.bit_and(differ, f.fcmp("une", rest, 0.0))
        return typed(f.select(wrong, f.fadd(rest, right), rest), dtype)

    def truncdiv(self, a: Lanes, b: Lanes) -> TypedValue:
        if self._is_floating(a, b):
            return self.trunc(self.div(a, b))
        return self._truncated_division(a, b)[0]

    def truncmod(self, a: Lanes, b: Lanes) -> TypedValue:
        if not self._is_floating(a, b):
            return self._truncated_division(a, b)[1]
        left, right, dtype = self._pair("truncmod", a, b)
        return typed(emit_function(self._math, "fmod", left, right), dtype)

    def _is_floating(self, a: Lanes, b: Lanes) -> bool:
        return operand_type("division", (a, b)).is_floating

    def _floor_division(self, a: Lanes, b: Lanes) -> tuple[TypedValue, TypedValue]:
        """Quotient and remainder, rounded towards minus infinity."""
        quotient, rest, divisor = self._divide_integers(a, b)
        dtype = quotient.dtype
        if dtype.is_unsigned:
            return quotient, rest
        f = self.function
        differ = f.icmp("slt", f.bit_xor(rest, divisor), 0)
        wrong = f.bit_and(differ, f.icmp("ne", rest, 0))
        lower = f.select(wrong, f.binary("sub", quotient, 1), quotient)
        return typed(lower, dtype), typed(f.select(wrong, f.binary("add", rest, divisor), rest), dtype)

    def _truncated_division(self, a: Lanes, b: Lanes) -> tuple[TypedValue, TypedValue]:
        quotient, rest, _ = self._divide_integers(a, b)
        return quotient, rest

    def _divide_integers(self, a: Lanes, b: Lanes) -> tuple[TypedValue, TypedValue, Value]:
        """Quotient towards zero, remainder, and the divisor with 1 in place of 0; the divisor -1 cannot trap."""
        if not isinstance(b, TypedValue) and b == 0:
            raise ZeroDivisionError("integer division by the constant zero")
        checked = isinstance(b, TypedValue)
        left, divisor, dtype = self._pair("division", a, b)
        if not dtype.is_integer:
            raise TypeError(f"division of {dtype.name}")
        f = self.function
        if checked:
            nonzero = f.icmp("ne", divisor, 0)
            if self.check is not None:
                self.check(nonzero, divisor)
            divisor = typed(f.select(nonzero, divisor, 1), dtype)
        safe: Value = divisor
        negated = None
        if not dtype.is_unsigned and (checked or b == -1):
            negated = f.icmp("eq", divisor, -1)
            safe = f.select(negated, constant(1, divisor.type), divisor)
        quotient = self._quotient(left, safe, dtype)
        rest = f.binary("sub", left, f.binary("mul", quotient, safe))
        if negated is not None:
            quotient = f.select(negated, f.binary("sub", 0, quotient), quotient)
        return typed(quotient, dtype), typed(rest, dtype), divisor

    def _quotient(self, a: Value, b: Value, dtype: DType) -> Value:
        """a / b towards zero. Below 64 bits by float64, whose rounded quotient of such integers has the right whole part."""
        f = self.function
        if dtype.bits == 64:
            return f.binary("udiv" if dtype.is_unsigned else "sdiv", a, b)
        to_float, to_integer = ("uitofp", "fptoui") if dtype.is_unsigned else ("sitofp", "fptosi")
        wide = float64 if dtype.bits == 32 else float32
        type_ = register_type(wide, a.lanes)
        quotient = f.fdiv(f.cast(to_float, a, type_), f.cast(to_float, b, type_))
        return f.cast(to_integer, quotient, a.type)

    def pow(self, a: Lanes, b: Lanes) -> TypedValue:
        left, right, dtype = self._pair("pow", a, b)
        if dtype.is_floating:
            return typed(emit_function(self._math, "pow", left, right), dtype)
        if not isinstance(b, TypedValue):
            if b < 0:
                raise ValueError("integers to negative integer powers are not allowed")
            return typed(math_pow.pow_constant_integer(self._math, left, int(b)), dtype)
        bits = dtype.bits
        if not dtype.is_unsigned:
            nonnegative = self.function.icmp("sge", right, 0)
            if self.check is not None:
                self.check(nonnegative, right)
            right = typed(self.function.select(nonnegative, right, 0), dtype)
            bits -= 1
        return typed(math_pow.pow_integer(self._math, left, right, bits), dtype)

    def neg(self, x: Lanes) -> TypedValue:
        x = self._only("neg", x)
        if x.dtype.is_floating:
            return typed(self.function.fneg(x), x.dtype)
        return typed(self.function.binary("sub", 0, x), x.dtype)

    def abs(self, x: Lanes) -> TypedValue:
        x = self._only("abs", x)
        if x.dtype.is_floating:
            return typed(self.function.fabs(x), x.dtype)
        if x.dtype.is_unsigned:
            return x
        negative = self.function.icmp("slt", x, 0)
        return typed(self.function.select(negative, self.function.binary("sub", 0, x), x), x.dtype)

    def square(self, x: Lanes) -> TypedValue:
        return self.mul(x, x)

    def sign(self, x: Lanes) -> TypedValue:
        x, f = self._only("sign", x), self.function
        if x.dtype.is_floating:
            unit = f.copysign(constant(1.0, x.type), x)
            return typed(f.select(f.fcmp("one", x, 0.0), unit, f.fadd(x, 0.0)), x.dtype)  # -0 + 0 is 0
        one, zero = constant(1, x.type), constant(0, x.type)
        if x.dtype.is_unsigned:
            return typed(f.select(f.icmp("ne", x, 0), one, zero), x.dtype)
        negative = f.select(f.icmp("slt", x, 0), constant(-1, x.type), zero)
        return typed(f.select(f.icmp("sgt", x, 0), one, negative), x.dtype)

    def _extreme(self, operation: str, a: Lanes, b: Lanes) -> TypedValue:
        dtype = operand_type(operation, (a, b))
        largest = operation == "maximum"
        if dtype.is_floating:
            return typed(extreme_float(self.function, a, b, largest), dtype)
        left, right, _ = self._pair(operation, a, b)
        predicate = ("u" if dtype.is_unsigned else "s") + ("gt" if largest else "lt")
        return typed(self.function.select(self.function.icmp(predicate, left, right), left, right), dtype)

    maximum = partialmethod(_extreme, "maximum")
    minimum = partialmethod(_extreme, "minimum")

    def clip(self, x: Lanes, low: Lanes, high: Lanes) -> TypedValue:
        return self.maximum(self.minimum(x, high), low)

    # -- functions of floats

    def _function(self, name: str, x: Lanes) -> TypedValue:
        x = self._only(name, x, floating=True)
        return typed(emit_function(self._math, name, x), x.dtype)

    exp = partialmethod(_function, "exp")
    expm1 = partialmethod(_function, "expm1")
    log = partialmethod(_function, "log")
    log1p = partialmethod(_function, "log1p")
    rsqrt = partialmethod(_function, "rsqrt")
    sin = partialmethod(_function, "sin")
    cos = partialmethod(_function, "cos")
    tan = partialmethod(_function, "tan")
    asin = partialmethod(_function, "asin")
    acos = partialmethod(_function, "acos")
    atan = partialmethod(_function, "atan")
    sinh = partialmethod(_function, "sinh")
    cosh = partialmethod(_function, "cosh")
    tanh = partialmethod(_function, "tanh")
    asinh = partialmethod(_function, "asinh")
    acosh = partialmethod(_function, "acosh")
    atanh = partialmethod(_function, "atanh")
    erf = partialmethod(_function, "erf")
    erfc = partialmethod(_function, "erfc")
    sigmoid = partialmethod(_function, "sigmoid")
    softplus = partialmethod(_function, "softplus")
    lgamma = partialmethod(_function, "lgamma")
    digamma = partialmethod(_function, "digamma")

    def sqrt(self, x: Lanes) -> TypedValue:
        x = self._only("sqrt", x, floating=True)
        return typed(self.function.sqrt(x), x.dtype)

    def reciprocal(self, x: Lanes) -> TypedValue:
        return self.div(1.0, self._only("reciprocal", x, floating=True))

    def atan2(self, y: Lanes, x: Lanes) -> TypedValue:
        left, right, dtype = self._pair("atan2", y, x)
        self._only("atan2", left, floating=True)
        return typed(emit_function(self._math, "atan2", left, right), dtype)

    def _whole(self, name: str, x: Lanes) -> TypedValue:
        x = self._only(name, x)
        return typed(self.function.unary_intrinsic(name, x), x.dtype) if x.dtype.is_floating else x

    floor = partialmethod(_whole, "floor")
    ceil = partialmethod(_whole, "ceil")
    trunc = partialmethod(_whole, "trunc")
    round = partialmethod(_whole, "roundeven")
    rint = partialmethod(_whole, "roundeven")

    # -- comparison and choice

    def select(self, condition: TypedValue, a: Lanes, b: Lanes) -> TypedValue:
        left, right, dtype = self._pair("select", a, b)
        if not condition.dtype.is_bool:
            raise TypeError(f"select by {condition.dtype.name}")
        if condition.lanes < left.lanes:
            condition = splat(self.function, condition, left.lanes)
        return typed(self.function.select(condition, left, right), dtype)

    def _compare(self, operation: str, a: Lanes, b: Lanes) -> TypedValue:
        left, right, dtype = self._pair(operation, a, b)
        if dtype.is_floating:
            return typed(self.function.fcmp("une" if operation == "ne" else "o" + operation, left, right), bool_)
        sign = "" if operation in ("eq", "ne") else "u" if dtype.is_unsigned or dtype.is_bool else "s"
        return typed(self.function.icmp(sign + operation, left, right), bool_)

    eq = partialmethod(_compare, "eq")
    ne = partialmethod(_compare, "ne")
    lt = partialmethod(_compare, "lt")
    le = partialmethod(_compare, "le")
    gt = partialmethod(_compare, "gt")
    ge = partialmethod(_compare, "ge")

    def is_nan(self, x: Lanes) -> TypedValue:
        x = self._only("is_nan", x, floating=True)
        return typed(self.function.fcmp("uno", x, x), bool_)

    def is_inf(self, x: Lanes) -> TypedValue:
        x = self._only("is_inf", x, floating=True)
        return typed(self.function.fcmp("oeq", self.function.fabs(x), float("inf")), bool_)

    def is_finite(self, x: Lanes) -> TypedValue:
        x = self._only("is_finite", x, floating=True)
        return typed(self.function.fcmp("olt", self.function.fabs(x), float("inf")), bool_)

    def _bits(self, operation: str, opcode: str, a: Lanes, b: Lanes) -> TypedValue:
        left, right, dtype = self._pair(operation, a, b)
        if dtype.is_floating or dtype.is_bool != operation.startswith("logical"):
            raise TypeError(f"{operation} of {dtype.name}")
        return typed(self.function.binary(opcode, left, right), dtype)

    logical_and = partialmethod(_bits, "logical_and", "and")
    logical_or = partialmethod(_bits, "logical_or", "or")
    logical_xor = partialmethod(_bits, "logical_xor", "xor")
    bit_and = partialmethod(_bits, "bit_and", "and")
    bit_or = partialmethod(_bits, "bit_or", "or")
    bit_xor = partialmethod(_bits, "bit_xor", "xor")

    def logical_not(self, x: Lanes) -> TypedValue:
        return self._bits("logical_not", "xor", x, True)

    def bit_not(self, x: Lanes) -> TypedValue:
        return self._bits("bit_not", "xor", x, -1)

    def shift_left(self, x: Lanes, count: Lanes) -> TypedValue:
        left, right, dtype = self._pair("shift_left", x, count)
        return self._bits("shift_left", "shl", left, self._shift_count(count, right, dtype))

    def shift_right(self, x: Lanes, count: Lanes) -> TypedValue:
        left, right, dtype = self._pair("shift_right", x, count)
        opcode = "lshr" if dtype.is_unsigned else "ashr"
        return self._bits("shift_right", opcode, left, self._shift_count(count, right, dtype))

    def _shift_count(self, given: Lanes, count: TypedValue, dtype: DType) -> Lanes:
        if not isinstance(given, TypedValue):
            return min(max(int(given), 0), dtype.bits - 1)
        return self.clip(count, 0, dtype.bits - 1)

    def mul_high(self, a: Lanes, b: Lanes) -> TypedValue:
        left, right, dtype = self._pair("mul_high", a, b)
        if dtype is not uint32:
            raise TypeError(f"mul_high of {dtype.name}")
        f, wide = self.function, vector_type(I64, left.lanes)
        product = f.binary("mul", f.cast("zext", left, wide), f.cast("zext", right, wide))
        return typed(f.cast("trunc", f.lshr(product, 32), left.type), dtype)

    def unit_float(self, bits: Lanes) -> TypedValue:
        bits, f = self._only("unit_float", bits), self.function
        mantissa = f.bit_or(f.bit_and(bits, 0x7FFFFF), 0x3F800000)
        return typed(f.fsub(f.floats(mantissa), 1.0), float32)
