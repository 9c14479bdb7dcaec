"""Options and settings of the whole suite."""

import os

os.environ.setdefault("GRAPHC_VERIFY", "1")


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="rewrite expected texts; review the difference by hand")
