"""Every Python snippet of both READMEs runs: the package's and the project's."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import PACKAGE, Token, key_files

README = (PACKAGE / "README.md").read_text()
PROJECT = PACKAGE.parent


def blocks(language: str, readme: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the settings and the key files that the README speaks of."""
    files = key_files(tmp_path)
    files["hmac-token"][1].rename(tmp_path / "tokens.hex")
    (settings,) = blocks("toml")
    (tmp_path / "p2pe.toml").write_text(settings)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_snippets(folder: Path) -> None:
    snippets = [code for code in blocks("python") if "# needs a token" not in code]
    assert len(snippets) == 3
    names: dict[str, object] = {}
    for code in snippets:
        exec(compile(code, "README.md", "exec"), names)


def test_snippets_with_a_token(folder: Path, token: Token) -> None:
    names: dict[str, object] = {}
    for code in blocks("python"):
        code = code.replace("/usr/lib/softhsm/libsofthsm2.so", str(token.module))
        code = code.replace("/run/secrets/p2pe-pin", str(token.pin_file))
        exec(compile(code, "README.md", "exec"), names)


def test_the_snippet_of_the_project(tmp_path: Path, token: Token) -> None:
    """After the shell snippets that it follows there: they make a token of their own."""
    readme = (PROJECT / "README.md").read_text()
    build = ["cargo", "build", "--quiet", "--locked", "--package", "p2pe-cli"]
    subprocess.run(build, cwd=PROJECT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target"))
    path = f"{target / 'debug'}{os.pathsep}{os.environ['PATH']}"
    shell = blocks("sh", readme)[1].replace(
        "/usr/lib/softhsm/libsofthsm2.so", str(token.module)
    )
    (python,) = blocks("python", readme)
    run = f"{shell}\n{sys.executable} snippet.py"
    (tmp_path / "snippet.py").write_text(python)
    environment = {**os.environ, "PATH": path}
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", run],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    card, made = ran.stdout.splitlines()[-2:]
    assert card == "476173******0010 2212 hybrid"
    assert made.startswith("tok_")
