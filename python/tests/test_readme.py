"""Every Python snippet of both READMEs runs: the package's and the project's."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import PACKAGE, PAN, PROJECT, Token, built, key_files

README = (PACKAGE / "README.md").read_text()
PROJECT_README = (PROJECT / "README.md").read_text()


def blocks(language: str, readme: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the settings and the key files that the README speaks of."""
    if "P2PE_ALL_TESTS" not in os.environ:
        pytest.importorskip("pyarrow")
    files = key_files(tmp_path)
    files["hmac-token"][1].rename(tmp_path / "tokens.hex")
    (settings,) = blocks("toml")
    (tmp_path / "p2pe.toml").write_text(settings)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_snippets(folder: Path) -> None:
    snippets = [code for code in blocks("python") if "# needs " not in code]
    assert len(snippets) == 5
    names: dict[str, object] = {}
    for code in snippets:
        exec(compile(code, "README.md", "exec"), names)


def test_snippets_with_a_token(folder: Path, token: Token) -> None:
    names: dict[str, object] = {}
    for code in (code for code in blocks("python") if "# needs Spark" not in code):
        code = code.replace("/usr/lib/softhsm/libsofthsm2.so", str(token.module))
        code = code.replace("/run/secrets/p2pe-pin", str(token.pin_file))
        exec(compile(code, "README.md", "exec"), names)


def run_of_the_project(folder: Path, shell: str, python: str) -> list[str]:
    """Runs a snippet of Python after the shell snippets that it follows; returns the lines that they print."""
    (folder / "snippet.py").write_text(python)
    path = f"{built('--workspace', '--bin', 'p2pe')}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{shell}\n{sys.executable} snippet.py"],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def test_the_snippet_of_the_project(tmp_path: Path, token: Token) -> None:
    """They make a token of their own."""
    shell = blocks("sh", PROJECT_README)[1].replace(
        "/usr/lib/softhsm/libsofthsm2.so", str(token.module)
    )
    card, made = run_of_the_project(tmp_path, shell, blocks("python", PROJECT_README)[0])[-2:]
    assert card == "476173******0010 2212 hybrid"
    assert made.startswith("tok_")


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_tokens_that_lead_back(
    tmp_path: Path, request: pytest.FixtureRequest, database: str
) -> None:
    """On SQLite as it stands there, and on PostgreSQL by another first line."""
    shell = blocks("sh", PROJECT_README)[-1]
    first, rest = shell.split("\n", 1)
    assert first.startswith("export P2PE_DATABASE=vault.db ")
    if database == "postgres":
        shell = f"export P2PE_DATABASE='{request.getfixturevalue('postgres')()}'\n{rest}"
    printed = run_of_the_project(tmp_path, shell, blocks("python", PROJECT_README)[1])
    made, card = printed[-1].split(" ")
    assert made.startswith("vtok_") and card == "476173******0010"
    assert f"{made}  {card}" in printed  # what the shell had made
    assert PAN not in "".join(printed)
