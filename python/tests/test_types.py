"""The stubs: strict, complete, and the same as the module."""

import subprocess
import sys

import pytest
from support import PACKAGE

import p2pe_crypto as p2pe
from p2pe_crypto import _native


def run(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=PACKAGE, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_strict() -> None:
    pytest.importorskip("mypy")
    run("mypy", "--strict", "--cache-dir=/dev/null", "p2pe_crypto", "tests")


def test_stubs_and_module_agree() -> None:
    pytest.importorskip("mypy")
    run("mypy.stubtest", "--mypy-config-file=pyproject.toml", "p2pe_crypto._native")


def test_the_package_names_everything_and_documents_it() -> None:
    native = {name for name in vars(_native) if not name.startswith("__")}
    assert native <= set(p2pe.__all__) == {name for name in p2pe.__all__ if hasattr(p2pe, name)}
    for name in set(p2pe.__all__) - {"__version__"}:
        thing = getattr(p2pe, name)
        assert thing.__doc__
        if thing.__module__ == "p2pe_crypto" and name in native and isinstance(thing, type):
            for member in (m for m in vars(thing) if not m.startswith("_")):
                assert getattr(thing, member).__doc__, f"{name}.{member}"
