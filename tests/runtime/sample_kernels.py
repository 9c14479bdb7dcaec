"""Small kernels for the tests of what runs them."""

from __future__ import annotations

from graphc.runtime.emit.function import F32, I64, PTR, Function, Module, Value
from graphc.runtime.kernel import Kernel, make_kernel


def _open() -> tuple[Module, Function, Value, Value]:
    module = Module()
    f = Function(module, "kernel_entry", [("operands", PTR), ("chunk", I64)])
    return module, f, *f.arguments


def operand(f: Function, operands: Value, number: int) -> Value:
    return f.load(f.instruction(f"getelementptr ptr, ptr {operands.ref}, i64 {number}", PTR), PTR)


def element(f: Function, base: Value, index: Value, type_: str) -> Value:
    return f.instruction(f"getelementptr {type_}, ptr {base.ref}, {index}", PTR)


def multiply_add(count: int, chunks: int = 1) -> Kernel:
    """third = first * second + 1, `count` floats in equal chunks."""
    module, f, operands, chunk = _open()
    first, second, third = (operand(f, operands, number) for number in range(3))
    each = count // chunks
    start = f.coerce(f.mul(chunk, each), I64)

    def body(index: object, _: object) -> list[Value]:
        at = f.coerce(f.add(start, index), I64)
        product = f.fmul(f.load(element(f, first, at, F32), F32), f.load(element(f, second, at, F32), F32))
        f.store(f.fadd(product, 1.0), element(f, third, at, F32))
        return []

    f.loop(0, each, 1, [], body)
    f.return_void()
    return make_kernel("multiply_add", str(module), chunks=chunks)


def count_chunks(chunks: int, work: int = 1) -> Kernel:
    """Adds `work` ones, one after another, to the i64 with the number of the chunk."""
    module, f, operands, chunk = _open()
    cell = element(f, operand(f, operands, 0), chunk, I64)

    def body(_: object, __: object) -> list[Value]:
        f.emit(f"fence seq_cst ; {work}")
        f.store(f.coerce(f.add(f.load(cell, I64), 1), I64), cell)
        return []

    f.loop(0, work, 1, [], body)
    f.return_void()
    return make_kernel("count_chunks", str(module), chunks=chunks)


def check_bound(bound: int) -> Kernel:
    """out[0] = in[0] where it is below `bound`, else a failed check; the operands are in, out, status."""
    module, f, operands, _ = _open()
    source, target, status = (operand(f, operands, number) for number in range(3))
    value = f.load(source, I64)
    good, bad = f.fresh_label("good"), f.fresh_label("bad")
    f.branch_if(f.icmp("slt", value, bound), good, bad)
    f.place_label(good)
    f.store(value, target)
    f.return_void()
    f.place_label(bad)
    for cell, number in enumerate((f.coerce(1, I64), value, f.coerce(bound, I64))):
        f.store(number, element(f, status, f.coerce(cell, I64), I64))
    f.return_void()
    return make_kernel("check_bound", str(module), checks=("value {value} is not below {bound}",))


def copy_number() -> Kernel:
    """second = first, one i64."""
    module, f, operands, _ = _open()
    f.store(f.load(operand(f, operands, 0), I64), operand(f, operands, 1))
    f.return_void()
    return make_kernel("copy_number", str(module))


def gather_operands(count: int) -> Kernel:
    """The last of `count` + 1 operands gets the sum of one i64 from each of the others."""
    module, f, operands, _ = _open()
    total = f.coerce(0, I64)
    for number in range(count):
        total = f.coerce(f.add(total, f.load(operand(f, operands, number), I64)), I64)
    f.store(total, operand(f, operands, count))
    f.return_void()
    return make_kernel("gather_operands", str(module))


def copy_bytes(count: int) -> Kernel:
    """second = first, `count` bytes."""
    module, f, operands, _ = _open()
    module.declare("llvm.memcpy.p0.p0.i64", "void", [PTR, PTR, I64, "i1"])
    source, target = operand(f, operands, 0), operand(f, operands, 1)
    f.emit(f"call void @llvm.memcpy.p0.p0.i64({target}, {source}, i64 {count}, i1 false)")
    f.return_void()
    return make_kernel("copy_bytes", str(module))


def store_and_wait(most_rounds: int) -> Kernel:
    """first[0] = 1; then waits until second[0] is not zero, a bounded time; third[0] = whether it was."""
    module, f, operands, _ = _open()
    first, second, third = (operand(f, operands, number) for number in range(3))
    f.emit(f"store atomic i64 1, ptr {first.ref} seq_cst, align 8")
    head, step, end = f.fresh_label("head"), f.fresh_label("step"), f.fresh_label("end")
    before = f.block
    f.branch(head)
    f.place_label(head)
    round_ = f.open_phi(I64)
    seen = f.instruction(f"load atomic i64, ptr {second.ref} seq_cst, align 8", I64)
    going = f.bit_and(f.icmp("eq", seen, 0), f.icmp("slt", round_[0], most_rounds))
    f.branch_if(going, step, end)
    f.place_label(step)
    following = f.binary("add", round_[0], 1)
    f.close_phi(round_, (0, before), (following, step))
    f.branch(head)
    f.place_label(end)
    f.store(f.cast("zext", f.icmp("ne", seen, 0), I64), third)
    f.return_void()
    return make_kernel("store_and_wait", str(module))


def overrun(count: int) -> Kernel:
    """Stores one float behind the `count` floats of its only operand."""
    module, f, operands, _ = _open()
    f.store(f.coerce(1.0, F32), element(f, operand(f, operands, 0), f.coerce(count, I64), F32))
    f.return_void()
    return make_kernel("overrun", str(module))
