"""Threads: the GIL is released while a store works, and one store may be shared.

Progress of another thread is counted, not timed. With a switch interval of minutes a thread loses
the GIL only where it lets it go, so a count that moved during a call proves that the call did so.
"""

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from support import PAN, TYPED, Token, in_child

import p2pe_crypto as p2pe

# So many that one of them must give way, though the shortest takes microseconds.
CALLS = 100_000


class Counter:
    """A thread that counts whenever it gets the GIL."""

    def __init__(self) -> None:
        self.count = 0
        self.stop = False
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        while not self.stop:
            self.count += 1
            time.sleep(0)  # lets the GIL go

    def moves_during(self, call: Callable[[], object]) -> bool:
        """Whether it counts while the call runs."""
        before = self.count
        call()
        return self.count > before


@pytest.fixture(autouse=True)
def deadline() -> Iterator[None]:
    """Ends the run if a test hangs: with the GIL held nothing else could."""
    faulthandler.dump_traceback_later(60, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def counter() -> Iterator[Counter]:
    interval = sys.getswitchinterval()
    counter = Counter()
    sys.setswitchinterval(600)
    try:
        counter.thread.start()
        while counter.count == 0:
            time.sleep(0.001)
        yield counter
    finally:
        counter.stop = True
        sys.setswitchinterval(interval)
        counter.thread.join()


def test_the_count_stands_still_while_the_gil_is_held(counter: Counter) -> None:
    # The control: parsing reaches no token and holds the GIL.
    assert not any(counter.moves_during(lambda: p2pe.Payload(TYPED)) for _ in range(CALLS))


def test_many_calls_let_others_run(counter: Counter, gateway: p2pe.Gateway) -> None:
    pan = gateway.decrypt(TYPED).pan
    for call in (lambda: gateway.decrypt(TYPED), lambda: gateway.token(pan, merchant="shop-1")):
        assert any(counter.moves_during(call) for _ in range(CALLS))


def test_a_vault_lets_others_run(counter: Counter, vault: p2pe.Vault) -> None:
    policy = p2pe.Policy("shop-1")
    for call in (
        lambda: vault.tokenize(policy, PAN),
        lambda: vault.tokenize_batch(policy, [PAN]),
        vault.stats,
    ):
        assert any(counter.moves_during(call) for _ in range(CALLS))


def test_one_long_call_lets_others_run(counter: Counter, store: p2pe.Store) -> None:
    assert counter.moves_during(lambda: p2pe.run_conformance(store))


@pytest.mark.parametrize("kind", ["memory", "pkcs11", "settings"])
def test_opening_lets_others_run(token: Token, tmp_path: Path, kind: str) -> None:
    # Opening waits for what another thread writes into a pipe; that thread needs the GIL to write.
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    settings = tmp_path / "p2pe.toml"
    settings.write_text(
        f"[store]\nkind = 'pkcs11'\nmodule = '{token.module}'\ntoken = '{token.label}'\n"
        f"pin = {{ file = '{pipe}' }}\n"
    )
    pin = token.pin_file.read_text()
    written = "00" * 32 if kind == "memory" else pin
    opens: dict[str, Callable[[], object]] = {
        "memory": lambda: p2pe.Store.memory({"tokens": ("hmac", pipe)}),
        "pkcs11": lambda: replace(token, pin_file=pipe).open(),
        "settings": lambda: p2pe.open(settings),
    }
    writer = threading.Thread(target=pipe.write_text, args=[written])
    writer.start()
    opens[kind]()  # or hangs
    writer.join()


@pytest.mark.parametrize("call", ["decrypt", "token", "close", "__exit__"])
def test_waiting_for_a_busy_store_lets_others_run(
    counter: Counter, gateway: p2pe.Gateway, token: Token, call: str
) -> None:
    pan = gateway.decrypt(TYPED).pan

    def waits() -> bool:
        """Calls while another thread has the store; whether the others ran in the meantime."""
        store = token.open()
        busy = p2pe.Gateway(store, devices=[], token_key="hmac-token")
        calls: dict[str, Callable[[], object]] = {
            "decrypt": lambda: pytest.raises(p2pe.DeviceError, busy.decrypt, TYPED),
            "token": lambda: busy.token(pan, merchant="shop-1"),
            "close": busy.close,
            "__exit__": lambda: store.__exit__(None, None, None),
        }
        with ThreadPoolExecutor(1) as pool:
            run = pool.submit(p2pe.run_conformance, store)
            time.sleep(0.02)
            moved = counter.moves_during(calls[call])
            assert run.result().failed == 0
            return moved

    assert any(waits() for _ in range(20))


def test_eight_threads_on_one_store(gateway: p2pe.Gateway) -> None:
    start = threading.Barrier(8)
    token = gateway.token(gateway.decrypt(TYPED).pan, merchant="shop-1")

    def work(_: int) -> int:
        start.wait()
        for _ in range(100):
            card = gateway.decrypt(TYPED)
            assert card.pan.reveal() == PAN and card.expiry == "2212"
            assert gateway.token(card.pan, merchant="shop-1") == token
        return 100

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(8))) == 800


def test_closing_while_others_work(token: Token) -> None:
    store = token.open()
    p2pe.run_conformance(store)
    keypads = p2pe.Device(ksn_prefix="FFFF987654", base_key="bdk-ansi", profile="idtech-tdes")
    gateway = p2pe.Gateway(store, devices=[keypads])
    started = threading.Barrier(5)

    def until_closed(_: int) -> str:
        started.wait()
        try:
            while True:
                assert gateway.decrypt(TYPED).pan.reveal() == PAN
        except p2pe.StoreError as error:
            return error.code

    with ThreadPoolExecutor(4) as pool:
        ends = pool.map(until_closed, range(4))
        started.wait()
        store.close()
        assert list(ends) == ["store_closed"] * 4


# In a process of its own: while the token has a user, a second login need not check the PIN.
LOGGED_OUT = """
import threading
import p2pe_crypto as p2pe

def open_with(name):
    return p2pe.Store.pkcs11(module={module!r}, token={label!r}, pin_env=name)

stores = [open_with("RIGHT")]
gateways = [p2pe.Gateway(stores[0], devices=[])]
{end}
try:
    open_with("WRONG")
except p2pe.WrongPinError:
    print("logged out")
"""


@pytest.mark.parametrize(
    "end",
    [
        "stores[0].close()",
        "gateways[0].close()",
        "stores.clear(); gateways.clear()",
        "stores.clear(); t = threading.Thread(target=gateways.clear); t.start(); t.join()",
    ],
)
def test_closing_and_collecting_log_out(token: Token, end: str) -> None:
    code = LOGGED_OUT.format(module=str(token.module), label=token.label, end=end)
    child = in_child(code, RIGHT=token.pin_file.read_text(), WRONG="7351462")
    assert (child.stdout, child.returncode) == ("logged out\n", 0), child.stderr


def test_a_store_left_open_does_not_hinder_the_end(token: Token) -> None:
    code = LOGGED_OUT.format(module=str(token.module), label=token.label, end="raise SystemExit(3)")
    child = in_child(code, RIGHT=token.pin_file.read_text())
    assert (child.stdout, child.stderr, child.returncode) == ("", "", 3)
