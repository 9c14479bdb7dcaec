"""The shape of the project: directions of imports, sizes of files, a light import, a complete wheel."""

import ast
import functools
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LARGEST_FILE = 500  # lines
HEAVY = ("llvmlite", "networkx", "graphviz", "ml_dtypes", "scipy", "wasmtime", "matplotlib", "tqdm", "sklearn")
PEERS = ("tensorflow", "torch", "jax", "pytensor", "onnxruntime")
FACES = {"__init__", "__main__"}


def sources(*folders):
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py") if not path.is_symlink())


def language_sources():
    skipped = (ROOT / "graphc" / "passes", ROOT / "graphc" / "runtime")
    return [path for path in sources("graphc") if not any(link in path.parents for link in skipped)]


def module_of(path):
    """The import name of a source file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts if parts[0] == "graphc" else ("graphc", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def imports_of(path):
    """The modules that a file names in its import statements, wherever they stand; not those for type checkers only."""
    return tuple(find_imports(path))


def find_imports(path):
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    package = module_of(path) if path.stem == "__init__" else module_of(path).rpartition(".")[0]
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            yield name
            yield from (f"{name}.{alias.name}" for alias in node.names)


def belongs_to(name, package):
    return name == package or name.startswith(package + ".")


def test_the_language_knows_nothing_of_what_is_built_on_it():
    wrong = [
        (path.name, name)
        for path in language_sources()
        if not (path.parent == ROOT / "graphc" and path.stem in FACES)
        for name in imports_of(path)
        if belongs_to(name, "graphc.passes") or belongs_to(name, "graphc.runtime")
    ]
    assert not wrong


def test_passes_know_nothing_of_the_runtime():
    wrong = [(path.name, name) for path in sources("passes") for name in imports_of(path) if belongs_to(name, "graphc.runtime")]
    assert not wrong


def test_the_compiler_and_its_backend_alone_know_passes():
    wrong = [
        (path.name, name)
        for path in sources("runtime")
        if path.name not in ("compiler.py", "native_backend.py")
        for name in imports_of(path)
        if belongs_to(name, "graphc.passes")
    ]
    assert not wrong


def test_nobody_inside_imports_the_face():
    wrong = []
    for path in [*language_sources(), *sources("passes", "runtime")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import) and any(alias.name == "graphc" for alias in node.names):
                wrong.append(path.name)
    assert not wrong


def test_the_bare_names_are_not_imported():
    everything = [*language_sources(), *sources("passes", "runtime", "tests", "examples", "benchmarks")]
    wrong = [
        (path.name, name)
        for path in everything
        for name in imports_of(path)
        if name.split(".")[0] in ("passes", "runtime")
    ]
    assert not wrong


def test_the_product_and_its_tests_need_no_peer():
    aliased = {ROOT / "tests" / "graphc" / "test_tensorflow_alias.py"}  # where the name means this package
    for path in {*language_sources(), *sources("passes", "runtime", "tests")} - aliased:
        assert not [name for name in imports_of(path) if name.split(".")[0] in PEERS], path


@pytest.mark.parametrize("folder", ["graphc", "passes", "runtime", "tests", "examples", "benchmarks"])
def test_files_are_of_one_subject(folder):
    files = language_sources() if folder == "graphc" else sources(folder)
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in files}
    assert not {name: count for name, count in lines.items() if count > LARGEST_FILE}


def test_the_links_are_links():
    for name in ("passes", "runtime"):
        link = ROOT / "graphc" / name
        assert link.is_symlink() and link.readlink() == Path("..") / name


def test_import_is_light():
    code = "import graphc, sys; print([m for m in %r if m in sys.modules])" % (HEAVY,)
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "[]"


def test_the_wheel_holds_every_module(tmp_path):
    clean = tmp_path / "source"  # a build folder of an earlier build would be taken along
    ignored = shutil.ignore_patterns(".venv", ".git", "build", "*.egg-info", "__pycache__", ".*_cache", "dist", "demo")
    shutil.copytree(ROOT, clean, symlinks=True, ignore=ignored)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(clean)]
    built = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert built.returncode == 0, built.stderr[-2000:]
    (wheel,) = tmp_path.glob("*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py")}
    expected = {"/".join(module_of(path).split(".")) for path in [*language_sources(), *sources("passes", "runtime")]}
    held_modules = {name.removesuffix(".py").removesuffix("/__init__") for name in held}
    assert expected == held_modules
    assert all(name.split("/")[0] == "graphc" for name in held)
