"""What tests use of the machine beside Python: what is missing leaves them out, but in CI it is a fault."""

import os
from typing import NoReturn

import pytest


def lacks(what: str) -> NoReturn:
    words = f"{what} is not installed; `make test-deps` installs it on Debian."
    if os.environ.get("CI"):
        pytest.fail(words)
    pytest.skip(words)
