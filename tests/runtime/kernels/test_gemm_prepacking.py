"""Products that read an operand packed beforehand: the same bits as those that pack it themselves."""

import numpy as np
import pytest
from kernel_running import guarded, machines, run_kernel
from test_gemm import F32, FUZZED, random_contraction

from graphc import dtypes
from graphc.runtime.kernels.contraction import ContractionOptions, dense_contraction
from graphc.runtime.kernels.gemm import build_contraction, lanes_along_rows
from graphc.runtime.kernels.gemm_prepacking import choose_plan, offer_preparations, prepare_panels, read_prepared
from graphc.runtime.schedule.machine import AVX512

MACHINES = machines()


def product(contraction, views, machine, threads, options, packed=None):
    """What a product adds to ones, as stored."""
    c = contraction
    shape = (*c.batch, c.rows, c.columns) if c.c_column == 1 else (*c.batch, c.columns, c.rows)
    result = guarded(shape, c.result_dtype.numpy)
    result[...] = 1
    operands = list(views)
    if packed is not None:
        number, panels = packed
        operands[number] = panels
    run_kernel(build_contraction(c, machine, threads, options=options), [*operands, result], machine)
    return result


def fuzz(first, count, largest):
    for seed in range(first, first + count):
        machine, dtype = MACHINES[seed % len(MACHINES)], FUZZED[seed % len(FUZZED)]
        contraction, views, _, pick = random_contraction(seed, largest, dtype)
        threads, operand = pick.choice([1, 2, 4]), pick.choice([0, 1])
        options = read_prepared(operand)
        plan = choose_plan(contraction, machine, threads, options, lanes_along_rows(contraction))
        preparation = prepare_panels(contraction, plan, machine)
        panels = guarded(preparation.nbytes, np.uint8, at_end=preparation.nbytes % 64 == 0)
        panels[...] = 0xFF
        run_kernel(preparation.build(machine, threads), [views[operand], panels], machine)
        own = product(contraction, views, machine, threads, ContractionOptions(right_packing="packed"))
        prepared = product(contraction, views, machine, threads, options, (operand, panels))
        np.testing.assert_array_equal(prepared, own, err_msg=f"{seed}: {contraction} {plan}")


def test_random_products_have_the_same_bits():
    fuzz(0, 40, 65)


@pytest.mark.long
@pytest.mark.parametrize("part", range(20))
def test_many_random_products_have_the_same_bits(part):
    fuzz(1000 + 100 * part, 100, 200)


def offered(*shape, **fields):
    return {o.operand: o for o in offer_preparations(dense_contraction(*shape, **fields), AVX512, 1, False)}


def test_a_transposed_operand_gains_most():
    straight, turned = offered(8, 256, 512), offered(8, 256, 512, transpose_b=True)
    assert 1 not in straight
    assert turned[1].saves > 20_000
    assert turned[1].preparation.nbytes == 256 * 512 * 4


def test_rows_that_lie_far_apart_gain_too():
    assert offered(8, 1024, 1024)[1].saves > offered(8, 1024, 1024, transpose_b=True)[1].saves / 2


def test_few_rows_wait_for_a_large_operand_in_any_form():
    assert 1 not in offered(1, 1024, 1024) and 1 not in offered(2, 1024, 1024)


def test_equal_preparations_do_not_depend_on_what_reads_them():
    first, second = (offered(rows, 256, 512, transpose_b=True)[1].preparation for rows in (7, 8))
    assert first == second and hash(first) == hash(second)
    assert first.build(AVX512, 1).name == second.build(AVX512, 1).name
    assert offered(8, 256, 500, transpose_b=True)[1].preparation != first


@pytest.mark.parametrize("shape", [(0, 4, 4), (4, 4, 0), (1, 512, 784)])
def test_no_offer_where_there_is_nothing_to_gain(shape):
    assert offered(*shape, transpose_b=True) == {}  # nothing to do, or the dot products of a matrix and a vector


def test_many_threads_pack_large_operands():
    large, small = (offered(8, size, size, transpose_b=True)[1].preparation for size in (1024, 64))
    assert large.build(AVX512, 4).chunks == 16 and large.build(AVX512, 1).chunks == 1
    assert small.build(AVX512, 4).chunks == 1


def test_doubles_are_prepared_too():
    contraction = dense_contraction(8, 256, 512, transpose_b=True, dtype=dtypes.float64)
    (offer,) = (o for o in offer_preparations(contraction, AVX512, 1, False) if o.operand == 1)
    assert offer.preparation.nbytes == 256 * 512 * 8 and offer.preparation.dtype != F32
