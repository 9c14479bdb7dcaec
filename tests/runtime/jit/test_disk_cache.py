"""The cache of compiled code on disk: damage, rights, bounds, several processes."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from graphc.runtime.jit.cache import DiskCache, llvm_stamp, package_stamp, shared_cache


@pytest.fixture
def cache(tmp_path):
    return DiskCache(tmp_path / "code")


def entry_of(cache):
    (name,) = os.listdir(cache.folder)
    return Path(cache.folder) / name


def test_what_was_put_is_found(cache):
    assert cache.get("a") is None
    cache.put("a", b"first")
    cache.put("b", b"")
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (b"first", b"", None)
    cache.put("a", b"second")
    assert DiskCache(cache.folder).get("a") == b"second"
    cache.clear()
    assert cache.get("a") is None


def test_the_folder_is_for_its_user_alone(cache):
    assert stat.S_IMODE(os.stat(cache.folder).st_mode) == 0o700


@pytest.mark.parametrize("damage", [
    lambda data: data[:-1],
    lambda data: data[:10],
    lambda data: b"",
    lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    lambda data: bytes([data[0] ^ 1]) + data[1:],
    lambda data: data + b"more",
])  # fmt: skip
def test_a_damaged_entry_counts_as_absent_and_goes(cache, damage):
    cache.put("a", b"machine code")
    path = entry_of(cache)
    path.write_bytes(damage(path.read_bytes()))
    assert cache.get("a") is None
    assert not path.exists()
    cache.put("a", b"machine code")
    assert cache.get("a") == b"machine code"


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_folder_that_others_can_write_to_is_not_used(tmp_path, mode):
    folder = tmp_path / "code"
    folder.mkdir()
    folder.chmod(mode)
    cache = DiskCache(folder)
    cache.put("a", b"x")
    assert (cache.folder, cache.get("a"), os.listdir(folder)) == (None, None, [])


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_not_used(tmp_path):
    folder = tmp_path / "code"
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, 12345)
    assert DiskCache(folder).folder is None


def test_a_folder_that_cannot_be_made_is_done_without(tmp_path):
    (tmp_path / "file").write_text("")
    cache = DiskCache(tmp_path / "file" / "code")
    cache.put("a", b"x")
    cache.prune()
    cache.clear()
    assert cache.get("a") is None


def test_a_folder_that_vanishes_is_done_without(cache):
    os.rmdir(cache.folder)
    cache.put("a", b"x")
    assert cache.get("a") is None


def test_the_size_is_bounded_and_old_entries_go_first(tmp_path):
    cache = DiskCache(tmp_path / "code", limit=10_000)
    for number in range(40):
        cache.put(str(number), bytes(1000))
        for path in Path(cache.folder).iterdir():  # older by a minute for each later entry
            facts = path.stat()
            os.utime(path, (facts.st_atime - 60, facts.st_mtime - 60))
    assert sum(path.stat().st_size for path in Path(cache.folder).iterdir()) <= 12_500
    assert cache.get("39") is not None and cache.get("0") is None


def test_use_keeps_an_entry(cache):
    cache.put("a", b"x")
    path = entry_of(cache)
    os.utime(path, (0, 0))
    cache.get("a")
    assert path.stat().st_mtime > time.time() - 60


def test_abandoned_files_are_swept(cache):
    left = Path(cache.folder) / "new-abandoned"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    cache.prune()
    assert not left.exists()


def test_the_environment_chooses(monkeypatch, tmp_path):
    monkeypatch.setenv("GRAPHC_CACHE_DIR", str(tmp_path / "here"))
    assert shared_cache().folder == str(tmp_path / "here")
    monkeypatch.delenv("GRAPHC_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    if sys.platform.startswith("linux"):
        assert shared_cache().folder == str(tmp_path / "home" / "graphc")
    monkeypatch.setenv("GRAPHC_CACHE", "off")
    assert shared_cache().folder is None


def test_processes_may_write_the_same_entries_at_once(tmp_path):
    code = f"""
from pathlib import Path
from graphc.runtime.jit.cache import DiskCache
cache = DiskCache(Path({str(tmp_path / "code")!r}))
for turn in range(200):
    key = str(turn % 5)
    found = cache.get(key)
    assert found is None or found == key.encode() * 5000, "another process was seen half-way"
    cache.put(key, key.encode() * 5000)
"""
    running = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert all(not name.startswith("new-") for name in os.listdir(tmp_path / "code"))


def test_stamps_are_stable_within_a_process():
    assert llvm_stamp() == llvm_stamp() != package_stamp() == package_stamp()
