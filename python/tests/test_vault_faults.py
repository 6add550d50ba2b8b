"""A vault that is wrong, broken, closed or forked; addresses that cannot be."""

import copy
import os
import pickle
import pty
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import VAULT_KEYS, PAN, Token, built, in_child, init_vault, vault_key_files
from test_vault import OTHER, POLICY, card_numbers, code, refund

import p2pe_crypto as p2pe


@pytest.fixture
def store(tmp_path: Path) -> p2pe.Store:
    """Keys of a vault in memory."""
    return p2pe.Store.memory(vault_key_files(tmp_path))


@pytest.fixture
def vault(store: p2pe.Store, tmp_path: Path) -> p2pe.Vault:
    """A vault in a file, with one worker."""
    return init_vault(store, tmp_path / "vault.db")


def test_made_once_and_opened_with_its_keys(store: p2pe.Store, tmp_path: Path) -> None:
    address = tmp_path / "vault.db"
    assert code(p2pe.Vault.open, store, address) == (p2pe.VaultError, "vault_not_initialised")
    for names in (("nowhere", "wrap"), ("print", "nowhere"), ("wrap", "print")):
        made = {"fingerprint_key": names[0], "wrapping_key": names[1]}
        assert code(p2pe.Vault.init, store, address, **made)[0] is p2pe.KeyStoreError
    assert code(p2pe.Vault.open, store, address) == (p2pe.VaultError, "vault_not_initialised")
    token = init_vault(store, address).tokenize(POLICY, PAN)
    assert code(init_vault, store, address) == (p2pe.VaultError, "vault_already_initialised")
    other = tmp_path / "other"
    other.mkdir()
    for name, kind in (("print", "hmac"), ("wrap", "wrap")):
        wrong = p2pe.Store.memory(vault_key_files(other) | {name: (kind, tmp_path / f"{name}.hex")})
        assert code(p2pe.Vault.open, wrong, address) == (p2pe.VaultError, "vault_wrong_key")
    with p2pe.Vault.open(store, address) as vault:
        assert vault.tokenize(POLICY, PAN) == token


def test_a_set_of_databases_is_opened_whole(store: p2pe.Store, tmp_path: Path) -> None:
    one, two, three, alone = (tmp_path / f"{name}.db" for name in ("1", "2", "3", "alone"))
    refused = (p2pe.VaultError, "vault_no_set")
    names = {"fingerprint_key": "print", "wrapping_key": "wrap"}
    assert code(p2pe.Vault.init, store, one, two, three, **names) == (p2pe.ConfigError, "config")
    assert code(p2pe.Vault.init, store, one, routing_key="route", **names) == refused
    assert code(p2pe.Vault.open, store, one, two, three) == (p2pe.VaultError, "vault_not_initialised")
    with init_vault(store, one, two, three) as vault:
        assert repr(vault) == f'Vault(Store(memory), "{one}", "{two}", "{three}")'
        tokens = vault.tokenize_batch(POLICY, card_numbers(40))
        assert [len(stats["policies"]) for stats in vault.stats()] == [1, 1, 1]
    init_vault(store, alone).close()
    for addresses in ((one, two), (one, two, two), (one, two, three, three), (one, two, alone)):
        assert code(p2pe.Vault.open, store, *addresses) == refused
    assert code(p2pe.Vault.open, store, one)[0] is p2pe.VaultError
    (tmp_path / "other").mkdir()
    route = vault_key_files(tmp_path / "other")["route"]
    others = {name: (kind, tmp_path / f"{name}.hex") for name, kind in VAULT_KEYS.items()}
    wrong = p2pe.Store.memory(others | {"route": route})
    assert code(p2pe.Vault.open, wrong, one, two, three) == (p2pe.VaultError, "vault_wrong_key")
    with p2pe.Vault.open(store, three, one, two) as vault:
        assert vault.tokenize_batch(POLICY, card_numbers(40)) == tokens


@contextmanager
def without_tokens(address: str) -> Iterator[None]:
    """Another process takes the table away: two libraries of SQLite in one process break each other's locks."""
    rename = "import sqlite3; sqlite3.connect({!r}).execute('ALTER TABLE {} RENAME TO {}')"
    assert in_child(rename.format(address, "tokens", "away")).returncode == 0
    yield
    assert in_child(rename.format(address, "away", "tokens")).returncode == 0


def test_a_database_of_a_set_that_fails(
    store: p2pe.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its cards fail and no others; with it back, they have the tokens that they had."""
    addresses = [str(tmp_path / f"{number}.db") for number in (1, 2)]
    numbers = card_numbers(40)
    with init_vault(store, *addresses) as vault:
        before = vault.tokenize_batch(POLICY, numbers)
        monkeypatch.setenv("P2PE_DATABASE", "\n".join(addresses))
        with without_tokens(addresses[1]):
            during = vault.tokenize_batch(POLICY, card_numbers(80))
        failed = [answer for answer in during if not isinstance(answer, str)]
        assert {type(error) for error in failed} == {p2pe.DatabaseError}
        assert 10 < len(failed) < 70
        with p2pe.Vault.open(store) as again:
            assert again.tokenize_batch(POLICY, numbers) == before
            after = again.tokenize_batch(POLICY, card_numbers(80))
        assert all(new == old for new, old in zip(after, during) if isinstance(old, str))


def test_a_corrupted_row_is_named_and_not_returned(vault: p2pe.Vault, tmp_path: Path) -> None:
    token, other = vault.tokenize(POLICY, PAN), vault.tokenize(POLICY, OTHER)
    with sqlite3.connect(tmp_path / "vault.db") as database:
        (table,) = (
            name
            for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if "sealed" in [row[1] for row in database.execute(f"PRAGMA table_info({name})")]
        )
        (sealed,) = database.execute(f"SELECT sealed FROM {table} WHERE token = ?", [token]).fetchone()
        changed = bytes([sealed[0] ^ 1]) + sealed[1:]
        database.execute(f"UPDATE {table} SET sealed = ? WHERE token = ?", [changed, token])
    database.close()
    with pytest.raises(p2pe.VaultError, match="row [0-9a-f]{32} is corrupted") as raised:
        refund(vault, token)
    assert raised.value.code == "row_corrupted"
    assert refund(vault, other).pan.reveal() == OTHER


def test_a_file_that_is_no_database(store: p2pe.Store, tmp_path: Path) -> None:
    (tmp_path / "vault.db").write_bytes(b"no database " * 1_000)
    assert code(p2pe.Vault.open, store, tmp_path / "vault.db") == (p2pe.DatabaseError, "database")
    assert code(p2pe.Vault.open, store, tmp_path / "nowhere" / "vault.db")[0] is p2pe.DatabaseError


def test_addresses(store: p2pe.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("P2PE_DATABASE", raising=False)
    for address in ("postgres://me:hidden@db.example/vault", "postgres:///v?password=hidden"):
        with pytest.raises(p2pe.ConfigError, match="passfile") as refused:
            p2pe.Vault.open(store, address)
        assert "hidden" not in str(refused.value)
    assert code(p2pe.Vault.open, store, "mysql://db.example/v")[1] == "database_address"
    with pytest.raises(p2pe.ConfigError, match="P2PE_DATABASE"):
        p2pe.Vault.open(store)
    for workers in (0, 1_001):
        with pytest.raises(p2pe.ConfigError, match="1 to 1000 workers"):
            p2pe.Vault.open(store, tmp_path / "vault.db", workers=workers)
    address = f"sqlite://{tmp_path / 'vault.db'}"
    monkeypatch.setenv("P2PE_DATABASE", address)
    vault = init_vault(store)
    assert repr(vault) == f'Vault(Store(memory), "{address}")'
    assert p2pe.Vault.open(store, tmp_path / "vault.db").stats() == vault.stats()


def test_a_password_of_the_environment_is_not_shown(
    store: p2pe.Store, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    url: str = request.getfixturevalue("postgres")()
    url = url.replace("postgres://postgres@", "postgres://postgres:hidden@")
    monkeypatch.setenv("P2PE_DATABASE", url)
    with init_vault(store) as vault:
        assert repr(vault) == 'Vault(Store(memory), "P2PE_DATABASE")'
        assert refund(vault, vault.tokenize(POLICY, PAN)).pan.reveal() == PAN


def test_closing(vault: p2pe.Vault, store: p2pe.Store, tmp_path: Path) -> None:
    token = vault.tokenize(POLICY, PAN)
    with p2pe.Vault.open(store, tmp_path / "vault.db") as second:
        assert second.tokenize(POLICY, PAN) == token
    second.close()
    assert code(second.tokenize, POLICY, PAN) == (p2pe.VaultError, "vault_closed")
    assert code(second.stats) == (p2pe.VaultError, "vault_closed")
    assert vault.tokenize(POLICY, PAN) == token
    store.close()
    for call in (lambda: vault.tokenize(POLICY, PAN), vault.stats, lambda: refund(vault, token)):
        assert code(call) == (p2pe.StoreError, "store_closed")
    assert code(p2pe.Vault.open, store, tmp_path / "vault.db") == (p2pe.StoreError, "store_closed")
    vault.close()


def test_closing_while_others_work(store: p2pe.Store, tmp_path: Path) -> None:
    address = tmp_path / "vault.db"
    init_vault(store, address).close()
    started, numbers = threading.Barrier(5), card_numbers(50)

    def until_closed(vault: p2pe.Vault) -> str:
        started.wait()
        try:
            while True:
                assert len(set(vault.tokenize_batch(POLICY, numbers))) == 50
        except p2pe.Error as error:
            return error.code

    for closed in ("vault_closed", "store_closed"):
        with p2pe.Vault.open(store, address, workers=2) as vault, ThreadPoolExecutor(4) as threads:
            ends = threads.map(until_closed, [vault] * 4)
            started.wait()
            time.sleep(0.05)
            (vault if closed == "vault_closed" else store).close()
            assert list(ends) == [closed] * 4


def test_a_fork_is_refused(vault: p2pe.Vault) -> None:
    token = vault.tokenize(POLICY, PAN)
    if (child := os.fork()) == 0:
        try:
            vault.tokenize(POLICY, PAN)
        except p2pe.StoreError as error:
            vault.close()
            del vault
            os._exit(0 if error.code == "store_closed" else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert vault.tokenize(POLICY, PAN) == token


def test_a_fork_during_a_call_closes_at_once(vault: p2pe.Vault) -> None:
    with ThreadPoolExecutor(1) as other:
        call = other.submit(vault.tokenize_batch, POLICY, card_numbers(20_000))
        time.sleep(0.1)
        assert not call.done()
        if (child := os.fork()) == 0:
            # The call's lock is held by a thread that the fork does not have.
            signal.alarm(20)
            vault.close()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert len(call.result()) == 20_000


def test_over_a_pool(token_with_vault_keys: Token, tmp_path: Path) -> None:
    token = token_with_vault_keys
    with p2pe.Store.pkcs11(
        module=token.module, token=token.label, pin_file=token.pin_file, workers=2
    ) as store:
        vault = init_vault(store, tmp_path / "vault.db")
        assert refund(vault, vault.tokenize(POLICY, PAN)).pan.reveal() == PAN
    assert code(vault.stats) == (p2pe.StoreError, "store_closed")


TYPED_PIN = """
import p2pe_crypto as p2pe

store = p2pe.Store.pkcs11(module={module!r}, token={label!r})
try:
    p2pe.Vault.open(store, {database!r})
except p2pe.ConfigError as error:
    print(error)
"""


def test_a_pin_that_somebody_typed(token_with_vault_keys: Token, tmp_path: Path) -> None:
    token = token_with_vault_keys
    program = TYPED_PIN.format(
        module=str(token.module), label=token.label, database=str(tmp_path / "vault.db")
    )
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", program])
    with open(terminal, "r+b", buffering=0) as screen:
        shown = screen.read(1_000)  # the question
        screen.write(token.pin_file.read_bytes() * 2)  # if it is asked for again
        while os.waitpid(child, os.WNOHANG) == (0, 0) and b"vault" not in shown:
            shown += screen.read(1_000)
    assert b"a vault opens the token again after a fault" in shown


def test_nothing_is_copied_or_made_by_hand(vault: p2pe.Vault) -> None:
    card = refund(vault, vault.tokenize(POLICY, PAN))
    for thing in (vault, card):
        for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="cannot copy or pickle"):
                duplicate(thing)
        with pytest.raises(TypeError, match="cannot create|No constructor"):
            type(thing)()
        assert not hasattr(thing, "__dict__")


FAULTS = """
import pathlib
import p2pe_crypto as p2pe

script = pathlib.Path({script!r})
store = p2pe.Store.pkcs11(module={module!r}, token={label!r}, pin_file={pin!r})
databases = {databases!r}
keys = {{"fingerprint_key": "print", "wrapping_key": "wrap"}}
vault = p2pe.Vault.init(store, *databases, routing_key="route" if len(databases) > 1 else None, **keys)
policy = p2pe.Policy("shop-1")
token = vault.tokenize(policy, {pan!r})

def refused(call):
    try:
        call()
    except p2pe.StoreError as error:
        return f"{{type(error).__name__}} {{error.code}}"

def raises(answer):
    raise answer

tokenize = lambda: vault.tokenize(policy, {pan!r})
script.write_text("C_Sign 30 from={working}\\n")
print(refused({call}))
script.write_text("C_OpenSession 32 from=1\\n")
print(refused(tokenize))
script.write_text("")
print(tokenize() == token)
script.write_text("C_Sign wrong from=1\\n")
print(refused(store.self_test))
script.write_text("")
print(refused(tokenize))
print(refused(lambda: p2pe.Vault.open(store, *databases)))
"""


@pytest.mark.parametrize("databases", [1, 2])
def test_a_token_that_fails(
    token_with_vault_keys: Token, tmp_path: Path, databases: int
) -> None:
    """Of two databases, for the one that has the card: its number is led to it by the first call of the token."""
    token = token_with_vault_keys
    child = in_child(
        FAULTS.format(
            script=str(tmp_path / "script"),
            module=str(built("--package", "fault-module") / "libfault_module.so"),
            label=token.label,
            pin=str(token.pin_file),
            databases=[str(tmp_path / f"{number}.db") for number in range(databases)],
            working=databases,
            call="tokenize" if databases == 1 else "lambda: raises(vault.tokenize_batch(policy, [%r])[0])" % PAN,
            pan=PAN,
        ),
        FAULT_MODULE_BEHIND=str(token.module),
        FAULT_MODULE_SCRIPT=str(tmp_path / "script"),
    )
    assert child.stdout.splitlines() == [
        "KeyStoreError key_device",
        "TokenOpenError token_open",
        "True",
        "SelfTestError self_test",
        "SelfTestError self_test",
        "SelfTestError self_test",
    ], child.stderr
