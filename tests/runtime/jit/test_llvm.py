"""LLVM called without llvmlite's Python: the functions are what llvmlite says, and mistakes are told in LLVM's words."""

import ctypes
import gc

import llvmlite.binding as binding
import pytest

from graphc.runtime.jit.llvm import SIGNATURES, LlvmError, Module, Tools, host_processor, is_loaded, llvmlite_folder

PLUS_ONE = "define i64 @plus_one(i64 %x) nounwind {\n  %y = add i64 %x, 1\n  ret i64 %y\n}\n"
UNDECLARED = {  # llvmlite leaves the arguments of these to ctypes; it calls them with what stands in its own functions
    "InitializeNativeTarget",
    "InitializeNativeAsmPrinter",
    "DisposeString",
    "ContextCreate",
    "CreatePipelineTuningOptions",
    "CreateNewModulePassManager",
}


@pytest.fixture(scope="module")
def tools():
    return Tools(binding.get_host_cpu_name(), "")


def kind_of(declared) -> str:
    """Pointers to what only LLVM knows are all alike."""
    if declared in (ctypes.c_char_p, ctypes.POINTER(ctypes.c_char_p), ctypes.c_bool, ctypes.c_int, ctypes.c_size_t, None):
        return str(declared)
    return "pointer"


@pytest.mark.parametrize("name", SIGNATURES)
def test_functions_are_those_that_llvmlite_declares(name):
    result, *arguments = SIGNATURES[name]
    declared = getattr(binding.ffi.lib, f"LLVMPY_{name}")
    assert (declared.argtypes is None) == (name in UNDECLARED)
    if declared.argtypes is not None:
        assert [kind_of(kind) for kind in declared.argtypes] == [kind_of(kind) for kind in arguments]
    if result is not None:  # where nothing is declared, ctypes takes a number, which nobody looks at
        assert kind_of(declared.restype) == kind_of(result)


def test_the_processor_is_the_one_that_llvmlite_finds():
    assert host_processor() == (binding.get_host_cpu_name(), dict(binding.get_host_cpu_features()))
    assert is_loaded()
    assert binding.ffi.lib._name.startswith(llvmlite_folder())


def test_a_module_goes_to_an_object_file_and_to_assembly(tools):
    with Module(PLUS_ONE, tools) as module:
        module.verify()
        assert b"plus_one" in module.object_file()
    with Module(PLUS_ONE, tools) as module:
        assert "plus_one:" in module.assembly()


def test_optimising_makes_values_of_cells(tools):
    text = """
define i64 @kept(i64 %x) {
  %cell = alloca i64
  store i64 %x, ptr %cell
  %y = load i64, ptr %cell
  ret i64 %y
}
"""
    with Module(text, tools) as module:
        assert "alloca" in str(module)
        module.optimise()
        assert "alloca" not in str(module) and "ret i64 %x" in str(module)


def test_what_llvm_refuses_is_told_in_its_words(tools):
    with pytest.raises(LlvmError, match="expected instruction opcode"):
        Module(PLUS_ONE.replace("add", "plus"), tools)
    unknown = """
define i64 @f(i1 %c) {
  br i1 %c, label %a, label %b
a:
  %x = add i64 1, 1
  br label %b
b:
  ret i64 %x
}
"""
    with Module(unknown, tools) as module, pytest.raises(LlvmError, match="does not dominate all uses"):
        module.verify()


def test_tools_are_given_back():
    with Module(PLUS_ONE, Tools(binding.get_host_cpu_name(), "")) as module:
        assert module.object_file()
    gc.collect()
    with Module(PLUS_ONE, Tools(binding.get_host_cpu_name(), "")) as module:
        assert "plus_one" in str(module)
