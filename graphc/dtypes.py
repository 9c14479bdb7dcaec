"""Element types: TensorFlow 1's names over NumPy's types.

`bfloat16` has no NumPy type of its own; its array type comes from ml_dtypes, which is imported when first needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.records import identity_record


@identity_record
class DType:
    """One element type. Compares equal to its NumPy type, its name and itself, as in TensorFlow 1."""

    name: str  # "float32"
    short: str  # "f32", as programs print it
    kind: str  # "b" bool, "i" signed, "u" unsigned, "f" floating, "c" complex, "s" string
    bits: int  # of one element in memory; bool takes 8

    def __eq__(self, other: object) -> bool:
        if isinstance(other, DType):
            return self.name == other.name
        if other is None:
            return False
        try:
            return self.name == as_dtype(other).name
        except TypeError:
            return False

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"tf.{self.name}"

    def __str__(self) -> str:
        return f"<dtype: {self.name!r}>"

    def __reduce__(self) -> tuple:
        return as_dtype, (self.name,)

    @property
    def numpy(self) -> np.dtype:
        """The NumPy type of arrays of this type."""
        found = _NUMPY.get(self.name)
        if found is None:
            import ml_dtypes

            found = _NUMPY[self.name] = np.dtype(getattr(ml_dtypes, self.name))
        return found

    @property
    def as_numpy_dtype(self) -> Any:
        return np.object_ if self.kind == "s" else self.numpy.type

    @property
    def is_floating(self) -> bool:
        return self.kind == "f"

    @property
    def is_integer(self) -> bool:
        return self.kind in "iu"

    @property
    def is_unsigned(self) -> bool:
        return self.kind == "u"

    @property
    def is_bool(self) -> bool:
        return self.kind == "b"

    @property
    def is_complex(self) -> bool:
        return self.kind == "c"

    @property
    def is_numeric(self) -> bool:
        return self.kind in "iufc"

    @property
    def size(self) -> int:
        """Bytes of one element."""
        return self.bits // 8

    @property
    def base_dtype(self) -> DType:
        return self

    @property
    def real_dtype(self) -> DType:
        return {"complex64": float32, "complex128": float64}.get(self.name, self)

    @property
    def as_datatype_enum(self) -> str:
        return "DT_" + self.name.upper()

    def is_compatible_with(self, other: object) -> bool:
        return self == other

    @property
    def compute(self) -> DType:
        """The type in which arithmetic on this one is done: f16 and bf16 compute in f32."""
        return float32 if self.kind == "f" and self.bits < 32 else self

    @property
    def min(self) -> Any:
        return self._limits().min

    @property
    def max(self) -> Any:
        return self._limits().max

    def _limits(self) -> Any:
        if self.is_integer:
            return np.iinfo(self.numpy)
        if self.name == "bfloat16":
            import ml_dtypes

            return ml_dtypes.finfo(self.numpy)
        if self.is_floating:
            return np.finfo(self.numpy)
        raise TypeError(f"{self.name} has no smallest and largest value")


bool_ = DType("bool", "bool", "b", 8)
uint8 = DType("uint8", "u8", "u", 8)
uint16 = DType("uint16", "u16", "u", 16)
uint32 = DType("uint32", "u32", "u", 32)
uint64 = DType("uint64", "u64", "u", 64)
int8 = DType("int8", "i8", "i", 8)
int16 = DType("int16", "i16", "i", 16)
int32 = DType("int32", "i32", "i", 32)
int64 = DType("int64", "i64", "i", 64)
float16 = DType("float16", "f16", "f", 16)
bfloat16 = DType("bfloat16", "bf16", "f", 16)
float32 = DType("float32", "f32", "f", 32)
float64 = DType("float64", "f64", "f", 64)
complex64 = DType("complex64", "c64", "c", 64)
complex128 = DType("complex128", "c128", "c", 128)
string = DType("string", "str", "s", 64)

half = float16
double = float64

ALL = (
    bool_, uint8, uint16, uint32, uint64, int8, int16, int32, int64,
    float16, bfloat16, float32, float64, complex64, complex128, string,
)  # fmt: skip
NATIVE = tuple(d for d in ALL if d.kind not in "cs")  # those that compiled code computes with

_BY_NAME = {d.name: d for d in ALL}
_BY_SHORT = {d.short: d for d in ALL}
_NUMPY: dict[str, np.dtype] = {d.name: np.dtype(d.name) for d in ALL if d.name not in ("bfloat16", "string")}
_NUMPY["string"] = np.dtype(object)
_BY_TYPE: dict[Any, DType] = {float: float32, int: int32, bool: bool_, str: string, bytes: string, complex: complex128}


_BY_NUMBER = dict(enumerate((
    float32, float64, int32, uint8, int16, int8, string, complex64, int64, bool_, None, None, None, bfloat16, None, None,
    uint16, complex128, float16, None, None, uint32, uint64,
), start=1))  # fmt: skip
"""TensorFlow's numbers of types; a reference to a variable has 100 more."""


def as_dtype(value: Any) -> DType:
    """The DType of a DType, NumPy type, name, Python type or number of TensorFlow's.

    Raises TypeError where there is none.
    """
    if isinstance(value, DType):
        return value
    try:
        found = _BY_TYPE.get(value)
    except TypeError:
        found = None
    if found is None and type(value) is int:
        found = _BY_NUMBER.get(value % 100)
    if found is not None:
        return found
    if isinstance(value, str):
        found = _BY_NAME.get(value.removesuffix("_ref")) or {"half": float16, "float": float32, "double": float64}.get(value)
        if found is None:
            raise TypeError(f"{value!r} is not the name of an element type")
        return found
    try:
        numpy_type = np.dtype(value)
    except TypeError:
        raise TypeError(f"cannot convert {value!r} to an element type") from None
    found = _BY_NAME.get(numpy_type.name)
    if found is None and numpy_type.kind in "SUO":
        found = string
    if found is None:
        raise TypeError(f"the NumPy type {numpy_type} has no counterpart here")
    if isinstance(value, type):
        _BY_TYPE[value] = found
    return found


def from_short(text: str) -> DType:
    """The type that programs print as `text`, such as f32."""
    return _BY_SHORT[text]
