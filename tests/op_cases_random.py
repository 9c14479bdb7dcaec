"""Samples of random bits and of what makes numbers of them."""

import numpy as np
from op_cases import case, random_of
from scipy import special

from graphc.dtypes import as_dtype
from graphc.operation import apply
from graphc.ops import philox, random_values


def bits(shape, seed=0):
    return random_of("bits", shape, seed).integers(0, 1 << 32, shape).astype(np.uint32)


# -- bits


def mix(value):
    value = (value + 0x9E3779B97F4A7C15) % 2**64
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ value >> 27) * 0x94D049BB133111EB % 2**64
    return value ^ value >> 31


def philox_block(counter, key):
    """Ten rounds in plain integers."""
    a, b, c, d = counter
    low, high = key
    for _ in range(10):
        first, second = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = second >> 32 ^ b ^ low, second % 2**32, first >> 32 ^ d ^ high, first % 2**32
        low, high = (low + 0x9E3779B9) % 2**32, (high + 0xBB67AE85) % 2**32
    return a, b, c, d


def words(shape, seeds):
    def reference(run_key):
        root, run = (int(v) % 2**64 for v in run_key)
        key = mix(mix(root if seeds[0] is None else seeds[0]) ^ seeds[1])
        count = int(np.prod(shape))
        blocks = -(-count // 4)
        made = [philox_block((n, 0, run % 2**32, run >> 32), (key % 2**32, key >> 32)) for n in range(blocks)]
        return np.array([made[e % blocks][e // blocks] for e in range(count)], np.uint32).reshape(shape)

    return reference


KEYS = [(np.array(key, np.int64),) for key in ((5, 7), (-3, 1 << 40))]
for shape in ((33,), (), (0,), (3, 17), (4,), (1025,)):
    for seeds in ((None, 11), (1234, 5678)):
        case("random_bits", lambda key, shape=shape, seeds=seeds: apply(philox.RANDOM_BITS, [key], shape=shape, seeds=seeds),
             KEYS, words(shape, seeds), label=f"{shape}{seeds}")  # fmt: skip


# -- numbers

CORNERS = np.array([0, 1, 2**31 - 1, 2**31, 2**31 + 1, 2**32 - 1, 2**30, 3 * 2**30], np.uint32)
ONE_WORD = [(bits((3, 17)),), (bits(()),), (bits((0,)),), (bits((1000,)),), (CORNERS,)]
TWO_WORDS = [(a, bits(a.shape, 1)) for (a,) in ONE_WORD]


def made(definition, dtype):
    return lambda *arrays: apply(definition, arrays, dtype=as_dtype(dtype))


def unit(fraction_bits):
    return lambda word: (word & (2**23 - 2 ** (23 - fraction_bits))) / 2.0**23


for dtype, fraction_bits in (("float32", 23), ("float16", 10), ("bfloat16", 7)):
    case("unit_uniform", made(random_values.UNIT_UNIFORM, dtype), ONE_WORD, unit(fraction_bits), label=dtype)
case("unit_uniform", made(random_values.UNIT_UNIFORM, "float64"), TWO_WORDS,
     lambda high, low: (high >> 6) / 2.0**26 + (low >> 6) / 2.0**52, label="float64")  # fmt: skip


def magnitude(high, low=None):
    """The number in (0, 1] below the sign, in the steps in which float32 has it."""
    if low is None:
        return (((high % 2**31).astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-31)).astype(np.float64)
    return (high % 2**31) / 2.0**31 + (low + 0.5) / 2.0**63


def normal(*arrays):
    return np.where(arrays[0] >> 31, -1, 1) * np.sqrt(2) * special.erfcinv(magnitude(*arrays))


def truncated(*arrays):
    inside = np.float32(special.erf(np.sqrt(2))) if len(arrays) == 1 else special.erf(np.sqrt(2))
    share = magnitude(*arrays)
    share = (share.astype(np.float32) * inside).astype(np.float64) if len(arrays) == 1 else share * inside
    return np.where(arrays[0] >> 31, -1, 1) * np.minimum(np.sqrt(2) * special.erfinv(share), 2)


for definition, reference in (
    (random_values.STANDARD_NORMAL, normal), (random_values.STANDARD_TRUNCATED_NORMAL, truncated),
):  # fmt: skip
    case(definition.name, made(definition, "float32"), ONE_WORD, reference, label="float32")
    case(definition.name, made(definition, "float64"), TWO_WORDS, reference, label="float64", rounding=100)

case("bounded_integer", made(random_values.BOUNDED_INTEGER, "int32"),
     [(bits((33,)), np.array(-5, np.int32), np.array(span, np.uint32)) for span in (1, 12, 2**31, 2**32 - 1)],
     lambda word, low, span: (low + (word.astype(object) * int(span) >> 32) + 2**31) % 2**32 - 2**31)  # fmt: skip
case("bounded_integer", made(random_values.BOUNDED_INTEGER, "int64"),
     [(bits((33,)), bits((33,), 1), np.array(-5, np.int64), np.array(span, np.uint64)) for span in (1, 12, 2**40)],
     lambda high, low, first, span: first + ((high.astype(object) << 32) + low) % int(span), label="int64")  # fmt: skip
