"""Kernels to addresses: shared in memory, found on disk, compiled on several threads, freed at last."""

import ctypes
import gc
import os
import subprocess
import sys
import threading

import pytest

from graphc.runtime.jit import engine, stored
from graphc.runtime.jit.engine import load_kernels, start_compiling
from graphc.runtime.jit.target import CompileError, assembly, optimised_ir, verify_ir
from graphc.runtime.kernel import Kernel, make_kernel
from graphc.runtime.schedule.machine import AVX2, SSE, host_machine

KERNEL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)


def adding_kernel(number: int, salt: str = "") -> Kernel:
    """Adds `number` to the i64 that the first operand points to."""
    return make_kernel("adding", f"""
define void @kernel_entry(ptr %operands, i64 %chunk) nounwind {{
  %cell = load ptr, ptr %operands{salt}
  %x = load i64, ptr %cell
  %y = add i64 %x, {number}
  store i64 %y, ptr %cell
  ret void
}}""")


def run(address: int, start: int = 0) -> int:
    cell = ctypes.c_int64(start)
    KERNEL(address)((ctypes.c_void_p * 1)(ctypes.addressof(cell)), 0)
    return cell.value


@pytest.fixture
def cache_folder(monkeypatch, tmp_path):
    """A cache on disk of the test's own, and nothing in memory."""
    monkeypatch.setenv("GRAPHC_CACHE_DIR", str(tmp_path))
    host_machine()
    engine._engine.cache_clear()
    yield tmp_path
    engine._engine.cache_clear()


def count_compilations(monkeypatch) -> list[str]:
    compiled: list[str] = []
    original = stored.compile_object

    def compile_object(text: str, *rest) -> bytes:
        if "@adding_" in text:
            compiled.append(text)
        return original(text, *rest)

    monkeypatch.setattr(stored, "compile_object", compile_object)
    return compiled


def test_a_kernel_is_compiled_once(cache_folder, monkeypatch):
    compiled = count_compilations(monkeypatch)
    kernels = [adding_kernel(n) for n in range(5)]
    first = load_kernels(kernels)
    assert [run(first[k.name], 10) for k in kernels] == [10, 11, 12, 13, 14]
    assert load_kernels(kernels[1:3]) == {k.name: first[k.name] for k in kernels[1:3]}
    engine._engine.cache_clear()  # as a new process would find it
    again = load_kernels([*kernels, adding_kernel(7)])
    assert [run(again[k.name]) for k in kernels] == list(range(5))
    assert len(compiled) == 6


def test_without_a_cache_on_disk(cache_folder, monkeypatch):
    monkeypatch.setenv("GRAPHC_CACHE", "off")
    before = os.listdir(cache_folder)
    assert run(load_kernels([adding_kernel(21)])[adding_kernel(21).name]) == 21
    assert os.listdir(cache_folder) == before


def test_a_damaged_object_is_rebuilt(cache_folder, monkeypatch):
    compiled = count_compilations(monkeypatch)
    kernel = adding_kernel(31)
    load_kernels([kernel])
    for path in cache_folder.iterdir():
        data = bytearray(path.read_bytes())
        data[-5] ^= 0xFF
        path.write_bytes(data)
    engine._engine.cache_clear()
    assert run(load_kernels([kernel])[kernel.name]) == 31
    assert len(compiled) == 2


def test_machines_have_code_of_their_own(cache_folder, monkeypatch):
    monkeypatch.delenv("GRAPHC_MACHINE", raising=False)
    compiled = count_compilations(monkeypatch)
    kernel = adding_kernel(41)
    addresses = {load_kernels([kernel], machine)[kernel.name] for machine in (SSE, AVX2, host_machine())}
    assert len(addresses) == len(compiled) == 3 and {run(a) for a in addresses} == {41}


def test_a_text_that_llvm_refuses_is_shown():
    kernel = make_kernel("broken", "define void @kernel_entry(ptr %a, i64 %b) {\n  %x = add i64 %b, %nothing\n ret void\n}")
    with pytest.raises(CompileError, match="(?s)use of undefined value '%nothing'.*define void"):
        load_kernels([kernel])
    with pytest.raises(CompileError):
        load_kernels([kernel, adding_kernel(1)])


def test_what_the_parser_does_not_see_is_verified():
    text = """
define i64 @f(i1 %c) {
  br i1 %c, label %a, label %b
a:
  %x = add i64 1, 2
  br label %b
b:
  ret i64 %x
}"""
    with pytest.raises(CompileError, match="does not dominate"):
        verify_ir(text, host_machine())
    verify_ir(adding_kernel(1).text, host_machine())


def test_texts_for_people():
    text = adding_kernel(1).text
    assert "ret" in assembly(text, host_machine())
    assert "define void @adding_" in optimised_ir(text, host_machine())


def test_many_threads_may_load_at_once(cache_folder):
    kernels = [adding_kernel(n) for n in range(100, 112)]
    results: list[list[int]] = []

    def work(offset: int) -> None:
        mine = kernels[offset:] + kernels[:offset]
        loaded = load_kernels(mine)
        results.append([run(loaded[k.name]) for k in kernels])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [list(range(100, 112))] * 6


def test_compiling_may_begin_early(cache_folder, monkeypatch):
    compiled = count_compilations(monkeypatch)
    kernels = [adding_kernel(n) for n in range(200, 204)]
    start_compiling(kernels[:3])
    loaded = load_kernels(kernels)
    assert [run(loaded[k.name]) for k in kernels] == list(range(200, 204))
    start_compiling(kernels)
    assert len(compiled) == 4


def test_an_early_failure_is_raised_when_the_kernel_is_needed(cache_folder):
    kernel = make_kernel("broken", "define void @kernel_entry(ptr %a, i64 %b) {\n  oops\n}")
    start_compiling([kernel])
    for _ in range(2):
        with pytest.raises(CompileError):
            load_kernels([kernel])


def test_code_stays_while_it_is_held_and_goes_at_last(cache_folder, monkeypatch):
    monkeypatch.setattr(engine, "RETAINED_BYTES", 16 << 10)
    held = load_kernels([adding_kernel(300)])
    for number in range(301, 321):
        loaded = load_kernels([adding_kernel(number)])
        assert run(loaded[adding_kernel(number).name]) == number
    assert run(held[adding_kernel(300).name]) == 300
    held_again = load_kernels([adding_kernel(300)])
    assert held_again == held
    del loaded, held, held_again
    gc.collect()
    assert len(engine._engine()._loaded) <= 5


def test_a_forked_child_compiles_for_itself(cache_folder):
    load_kernels([adding_kernel(n) for n in range(400, 403)])
    child = os.fork()
    if child == 0:
        kernels = [adding_kernel(n) for n in range(402, 406)]
        loaded = load_kernels(kernels)
        os._exit(0 if [run(loaded[k.name]) for k in kernels] == list(range(402, 406)) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_second_process_needs_no_llvm(cache_folder):
    code = """
import sys, ctypes
sys.path.insert(0, sys.argv[1])
from test_compile_engine import adding_kernel, run
from graphc.runtime.jit.engine import load_kernels
from graphc.runtime.jit.llvm import is_loaded
loaded = load_kernels([adding_kernel(500)])
print(run(loaded[adding_kernel(500).name]), is_loaded())
"""
    command = [sys.executable, "-c", code, os.path.dirname(__file__)]
    outputs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() for _ in range(2)]
    assert outputs == [["500", "True"], ["500", "False"]]


@pytest.mark.long
def test_thousands_of_recompiles_do_not_grow_memory(cache_folder, monkeypatch):
    monkeypatch.setattr(engine, "RETAINED_BYTES", 1 << 20)
    sizes = []
    for number in range(3000):
        loaded = load_kernels([adding_kernel(number, salt=f" ; {number}")])
        assert run(loaded[adding_kernel(number, salt=f" ; {number}").name]) == number
        if number % 1000 == 999:
            gc.collect()
            sizes.append(resident_bytes())
    assert sizes[-1] - sizes[0] < 8 << 20


def resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
