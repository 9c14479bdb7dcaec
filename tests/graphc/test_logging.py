import pytest

from graphc import logging


@pytest.fixture(autouse=True)
def verbosity():
    before = logging.get_verbosity()
    yield
    logging.set_verbosity(before)


def test_levels(capsys):
    logging.info("not shown")
    logging.warning("shown %d", 1)
    logging.set_verbosity(logging.INFO)
    logging.info("now %s", "shown")
    logging.debug("not this")
    logging.set_verbosity("DEBUG")
    logging.debug("but this")
    logging.set_verbosity(logging.ERROR)
    logging.warn("no")
    logging.error("yes")
    logging.log(logging.FATAL, "too")
    logging.flush()
    assert capsys.readouterr().err.splitlines() == [
        "WARNING:graphc:shown 1", "INFO:graphc:now shown", "DEBUG:graphc:but this", "ERROR:graphc:yes", "CRITICAL:graphc:too",
    ]  # fmt: skip


def test_some_of_many(capsys):
    for i in range(5):
        logging.log_every_n(logging.WARN, "every %d", 2, i)
        logging.log_first_n(logging.WARN, "first %d", 2, i)
        logging.log_if(logging.WARN, "if %d", i == 3, i)
    lines = [line.split(":")[-1] for line in capsys.readouterr().err.splitlines()]
    assert sorted(lines) == ["every 0", "every 2", "every 4", "first 0", "first 1", "if 3"]
