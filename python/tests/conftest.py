"""What the tests share: the repository's vectors, memory stores, a throwaway SoftHSM token."""

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support import (
    VAULT_KEYS,
    OpensVault,
    Token,
    built,
    init_vault,
    key_files,
    vault_key_files,
)

import p2pe_crypto as p2pe

# SoftHSM reads this when its module is initialised, so it is set before any test opens a token.
_DIRECTORY = Path(tempfile.mkdtemp(prefix="p2pe-python-tests-"))
os.environ["SOFTHSM2_CONF"] = str(_DIRECTORY / "softhsm2.conf")

_MODULES = (
    os.environ.get("P2PE_SOFTHSM_MODULE", ""),
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)


def pytest_unconfigure() -> None:
    """Removes the token."""
    shutil.rmtree(_DIRECTORY, ignore_errors=True)


@pytest.fixture(scope="session")
def token() -> Token:
    """A SoftHSM token that only this run knows, without keys."""
    module = next((Path(path) for path in _MODULES if path and Path(path).is_file()), None)
    if module is None or shutil.which("softhsm2-util") is None:
        missing = "SoftHSM is not installed (apt install softhsm2)"
        if "P2PE_ALL_TESTS" in os.environ:
            pytest.fail(missing)
        pytest.skip(missing)
    (_DIRECTORY / "tokens").mkdir()
    (_DIRECTORY / "softhsm2.conf").write_text(
        f"directories.tokendir = {_DIRECTORY / 'tokens'}\n"
        "objectstore.backend = file\nlog.level = ERROR\n"
    )
    pin, label = secrets.token_hex(8), "p2pe"
    pin_file = _DIRECTORY / "pin"
    pin_file.write_text(pin + "\n")
    initialise = [
        "softhsm2-util",
        "--init-token",
        "--free",
        "--label",
        label,
        "--module",
        str(module),
    ]
    secret = ["--pin", pin, "--so-pin", secrets.token_hex(8)]
    subprocess.run(initialise + secret, check=True, capture_output=True)
    return Token(module, label, pin_file)


@pytest.fixture
def token_store(token: Token) -> Iterator[p2pe.Store]:
    """An open store over the token."""
    with token.open() as store:
        yield store


@pytest.fixture(scope="session")
def token_store_with_keys(token: Token) -> Iterator[p2pe.Store]:
    """An open store over the token, with the keys of the vectors: imported by a run of them."""
    with token.open() as store:
        p2pe.run_conformance(store)
        yield store


@pytest.fixture(scope="session")
def memory_store(tmp_path_factory: pytest.TempPathFactory) -> p2pe.Store:
    """A memory store with the keys of the vectors."""
    return p2pe.Store.memory(key_files(tmp_path_factory.mktemp("keys")))


@pytest.fixture(params=["memory", "token"])
def store(request: pytest.FixtureRequest) -> p2pe.Store:
    """A store with the keys of the vectors, of either kind."""
    name = {"memory": "memory_store", "token": "token_store_with_keys"}[request.param]
    found = request.getfixturevalue(name)
    assert isinstance(found, p2pe.Store)
    return found


@pytest.fixture(scope="session")
def token_with_vault_keys(token: Token) -> Token:
    """The token, with the keys of a vault: made by `p2pe`, they never leave it."""
    program = built("--workspace", "--bin", "p2pe") / "p2pe"
    for name, kind in VAULT_KEYS.items():
        generate: list[str | Path] = [program, "keys", "generate", "--id", name, "--kind", kind]
        generate += ["--module", token.module, "--token", token.label, "--pin-file", token.pin_file]
        subprocess.run(generate, check=True, capture_output=True)
    return token


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], str]]:
    """Makes databases on a server that only this run knows, and names their URLs."""
    program = built("--workspace", "--example", "serve") / "examples" / "serve"
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as serve:
        assert serve.stdin is not None and serve.stdout is not None
        serve_input, urls = serve.stdin, serve.stdout

        def database() -> str:
            serve_input.write("\n")
            serve_input.flush()
            url = urls.readline().strip()
            if not url:
                missing = "there is no PostgreSQL server (apt install postgresql)"
                if "P2PE_ALL_TESTS" in os.environ:
                    pytest.fail(missing)
                pytest.skip(missing)
            return url

        yield database


@pytest.fixture(
    params=[
        "memory, sqlite",
        "token, sqlite",
        "memory, postgres",
        "token, postgres",
        "memory, three of sqlite",
        "token, three of postgres",
    ]
)
def opens_vault(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpensVault]:
    """Opens vaults over a new database or three, with keys of either kind, and closes them."""
    keys, databases = request.param.split(", ")
    if keys == "memory":
        store = p2pe.Store.memory(vault_key_files(tmp_path))
    else:
        store = request.getfixturevalue("token_with_vault_keys").open()
    numbers = range(3 if "three" in databases else 1)
    if "sqlite" in databases:
        addresses = [str(tmp_path / f"vault-{number}.db") for number in numbers]
    else:
        addresses = [request.getfixturevalue("postgres")() for _ in numbers]
    init_vault(store, *addresses).close()
    with ExitStack() as opened:
        opened.enter_context(store)
        yield OpensVault(store, addresses, opened)


@pytest.fixture
def vault(opens_vault: OpensVault) -> p2pe.Vault:
    """A vault with four workers."""
    return opens_vault(workers=4)


@pytest.fixture
def gateway(store: p2pe.Store) -> p2pe.Gateway:
    """The keypads of `support.TYPED` over a store of either kind."""
    keypads = p2pe.Device(ksn_prefix="FFFF987654", base_key="bdk-ansi", profile="idtech-tdes")
    return p2pe.Gateway(store, devices=[keypads], token_key="hmac-token")
