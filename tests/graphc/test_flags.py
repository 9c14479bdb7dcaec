import sys

import pytest

from graphc import flags
from graphc.flags import FlagValues


@pytest.fixture
def values():
    values = FlagValues()
    flags.DEFINE_string("name", "none", "A name.", flag_values=values)
    flags.DEFINE_integer("count", 3, "A number.", lower_bound=0, upper_bound=10, flag_values=values)
    flags.DEFINE_float("rate", 1, "A rate.", flag_values=values)
    flags.DEFINE_boolean("train", True, "Whether to train.", flag_values=values)
    flags.DEFINE_bool("verbose", 0, flag_values=values)
    flags.DEFINE_enum("mode", "a", ["a", "b"], flag_values=values)
    flags.DEFINE_list("layers", "10,20", flag_values=values)
    return values


def test_defaults(values):
    values(["script"])
    assert values.flag_values_dict() == {
        "name": "none", "count": 3, "rate": 1.0, "train": True, "verbose": False, "mode": "a", "layers": ["10", "20"],
    }  # fmt: skip
    assert isinstance(values.rate, float)


def test_a_command_line(values):
    rest = values(["script", "--name=x=y", "-count", "7", "file", "--notrain", "--verbose", "--mode=b", "--layers=1, 2,3",
                   "--rate", "-0.5", "--", "--name=z"])  # fmt: skip
    assert rest == ["script", "file", "--name=z"]
    assert (values.name, values.count, values.rate) == ("x=y", 7, -0.5)
    assert (values.train, values.verbose, values.mode, values.layers) == (False, True, "b", ["1", "2", "3"])
    assert values["name"].present
    assert not values["count"].default == 7


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--other"], "Unknown command line flag 'other'"),
        (["--count=x"], "--count=x: invalid literal"),
        (["--count=11"], "11 is not within 0 and 10"),
        (["--train=maybe"], "'maybe' is neither true nor false"),
        (["--mode=c"], r"value should be one of <a\|b>"),
        (["--name"], "Missing value for flag --name"),
    ],
)
def test_command_lines_that_are_wrong(values, words, text):
    with pytest.raises(flags.Error, match=text):
        values(["script", *words])


def test_required_flags(values):
    flags.DEFINE_string("path", None, flag_values=values)
    flags.mark_flag_as_required("path", values)
    with pytest.raises(flags.Error, match="Flag --path must have a value"):
        values(["script"])
    values(["script", "--path=here"])
    assert values.path == "here"


def test_the_command_line_is_read_at_the_first_access(values, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["script", "--count=5", "--of_another_library"])
    assert not values.is_parsed()
    assert values.count == 5
    assert values.is_parsed()


def test_values_may_be_set(values):
    values.mark_as_parsed()
    values.count = 99
    assert values.count == 99
    del values.count
    assert "count" not in values
    assert "name" in list(values)
    assert "name" in dir(values)
    with pytest.raises(AttributeError, match="Unknown command line flag 'other'"):
        values.other = 1
    with pytest.raises(AttributeError, match="Unknown command line flag 'other'"):
        values.other  # noqa: B018


def test_a_flag_is_declared_once(values):
    flags.DEFINE_integer("count", 3, "A number.", flag_values=values)
    with pytest.raises(flags.DuplicateFlagError, match="'count' is defined twice"):
        flags.DEFINE_integer("count", 4, "Another number.", flag_values=values)


def test_run(capsys):
    seen = []

    def main(arguments):
        seen.append(arguments)
        return 3

    with pytest.raises(SystemExit) as end:
        flags.run(main, ["script", "word"])
    assert end.value.code == 3
    assert seen == [["script", "word"]]
    with pytest.raises(SystemExit) as end:
        flags.run(main, ["script", "--nonsense"])
    assert end.value.code == 1
    assert "FATAL Flags parsing error: Unknown command line flag 'nonsense'" in capsys.readouterr().err
