import pytest

from graphc import gfile
from graphc.errors import AlreadyExistsError, NotFoundError


def test_files(tmp_path):
    path = tmp_path / "a.txt"
    with gfile.GFile(path, "w") as file:
        file.write("one\n")
        file.write("twö\n")
        file.flush()
    with gfile.Open(path, "a") as file:
        file.write("three\n")
    with gfile.FastGFile(path) as file:
        assert list(file) == ["one\n", "twö\n", "three\n"]
        file.seek(0)
        assert file.readline() == "one\n"
        assert file.read(3) == "twö"
        assert file.readlines() == ["\n", "three\n"]
        assert file.size() == len("one\ntwö\nthree\n".encode())
    with gfile.GFile(path, "rb") as file:
        assert file.read() == "one\ntwö\nthree\n".encode()
        assert file.tell() == 15


def test_folders(tmp_path):
    folder = str(tmp_path / "x" / "y")
    assert not gfile.Exists(folder)
    gfile.MakeDirs(folder)
    gfile.MakeDirs(folder)
    gfile.MkDir(folder + "/z")
    assert gfile.IsDirectory(folder)
    for name in ("b.txt", "a.txt"):
        gfile.GFile(f"{folder}/{name}", "w").close()
    assert sorted(gfile.ListDirectory(folder)) == ["a.txt", "b.txt", "z"]
    assert gfile.Glob(folder + "/*.txt") == [f"{folder}/a.txt", f"{folder}/b.txt"]
    assert gfile.Glob([folder + "/a*", folder + "/z"]) == [f"{folder}/a.txt", f"{folder}/z"]
    gfile.Copy(f"{folder}/a.txt", f"{folder}/c.txt")
    with pytest.raises(AlreadyExistsError):
        gfile.Copy(f"{folder}/a.txt", f"{folder}/c.txt")
    gfile.Copy(f"{folder}/a.txt", f"{folder}/c.txt", overwrite=True)
    gfile.Rename(f"{folder}/c.txt", f"{folder}/d.txt")
    with pytest.raises(AlreadyExistsError):
        gfile.Rename(f"{folder}/d.txt", f"{folder}/a.txt")
    gfile.Remove(f"{folder}/d.txt")
    assert gfile.Stat(folder).is_directory
    assert gfile.Stat(f"{folder}/a.txt").length == 0
    assert [files for _, _, files in gfile.Walk(folder)][0] != []
    gfile.DeleteRecursively(folder)
    assert not gfile.Exists(folder)


def test_what_is_not_there(tmp_path):
    missing = str(tmp_path / "missing")
    for action in (gfile.GFile, gfile.ListDirectory, gfile.Remove, gfile.DeleteRecursively, gfile.Stat):
        with pytest.raises(NotFoundError, match="No such file or directory"):
            action(missing)
    with pytest.raises(AlreadyExistsError):
        gfile.MkDir(str(tmp_path))
    assert gfile.Glob(missing + "*") == []
