"""A pool: many threads at once, deadlines, back-pressure, health.

That calls run at once is not timed: short ones end while long ones have not.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from support import PAN, TYPED, Token

import p2pe_crypto as p2pe

# Payloads in a call that is to be long.
LONG = 1500

DEVICES = [
    p2pe.Device(ksn_prefix="FFFF987654", base_key="bdk-ansi", profile="idtech-tdes"),
    p2pe.Device(ksn_prefix="12345678", base_key="bdk-x9243-128", profile="track-aes-dukpt-128"),
]


def long_call(gateway: p2pe.Gateway) -> Callable[[], int]:
    """Seconds of work for the token: as many payloads, each under keys of its own. How many failed."""
    payloads = [
        p2pe.Payload.from_tracks(ksn=f"1234567890123456{counter:08X}", tracks=["00" * 16])
        for counter in range(0x10001, 0x10001 + LONG)
    ]
    return lambda: sum(isinstance(card, p2pe.Error) for card in gateway.decrypt_batch(payloads))


@pytest.fixture
def pooled(
    token: Token, token_store_with_keys: p2pe.Store
) -> Iterator[Callable[..., p2pe.Gateway]]:
    """Opens pools over the token with the keys of the vectors, and closes them."""
    opened: list[p2pe.Gateway] = []

    def pool(workers: int, deadline: float = 60.0) -> p2pe.Gateway:
        store = p2pe.Store.pkcs11(
            module=token.module,
            token=token.label,
            pin_file=token.pin_file,
            workers=workers,
            deadline=deadline,
        )
        opened.append(p2pe.Gateway(store, devices=DEVICES, token_key="hmac-token"))
        return opened[-1]

    yield pool
    for gateway in opened:
        gateway.close()


def busy(gateway: p2pe.Gateway) -> int:
    """Workers that have a call."""
    health = gateway.health
    assert health is not None
    return health["busy"]


def busy_for_a_while(gateway: p2pe.Gateway) -> Iterator[int]:
    for _ in range(20):
        yield busy(gateway)
        time.sleep(0.005)


@pytest.mark.parametrize("workers", [4, 3])
def test_as_many_calls_at_once_as_workers(
    pooled: Callable[..., p2pe.Gateway], workers: int
) -> None:
    gateway = pooled(workers=workers)
    work = long_call(gateway)
    with ThreadPoolExecutor(3) as threads:
        running: list[Future[int]] = [threads.submit(work) for _ in range(3)]
        # Three long calls are at work at once ...
        while busy(gateway) < 3:
            assert not any(call.done() for call in running)
            time.sleep(0.001)
        # ... and ten short ones overtake them if there is a worker more, and wait if there is none.
        for _ in range(10):
            assert gateway.decrypt(TYPED).pan.reveal() == PAN
        # The last short one is counted until its worker looks for the next.
        assert (min(busy_for_a_while(gateway)) == 3) == (workers == 4)
        assert [call.result() for call in running] == [LONG] * 3


def test_eight_threads_over_a_pool(pooled: Callable[..., p2pe.Gateway]) -> None:
    gateway = pooled(workers=4)
    token = gateway.token(gateway.decrypt(TYPED).pan, merchant="shop-1")

    def work(_: int) -> None:
        for _ in range(50):
            card = gateway.decrypt(TYPED)
            assert (card.pan.reveal(), card.keys_in) == (PAN, "hybrid")
            assert gateway.token(card.pan, merchant="shop-1") == token

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    health = gateway.health
    assert health is not None and health["state"] == "serving" and health["overdue"] == 0
    (shard,) = health["shards"]
    assert (shard["state"], shard["epoch"], shard["faults"]) == ("serving", 1, 0)
    assert (shard["failures_in_a_row"], shard["last_fault"], shard["last_fault_at"]) == (0, None, None)
    assert json.loads(json.dumps(health)) == health


def test_a_deadline(pooled: Callable[..., p2pe.Gateway]) -> None:
    gateway = pooled(workers=1, deadline=0.05)
    with pytest.raises(p2pe.PoolError) as raised:
        long_call(gateway)()
    assert raised.value.code == "pool_deadline"
    health = gateway.health
    assert health is not None and (health["busy"], health["overdue"]) == (1, 1)


def test_back_pressure(
    token: Token, token_store_with_keys: p2pe.Store, tmp_path: Path
) -> None:
    settings = tmp_path / "p2pe.toml"
    settings.write_text(
        f"[store]\nkind = 'pkcs11'\nmodule = '{token.module}'\ntoken = '{token.label}'\n"
        f"pin = {{ file = '{token.pin_file}' }}\n"
        "cache = { devices = 10, seconds = 60 }\n"
        "pool = { workers = 1, queue = 1, deadline_ms = 60_000 }\n"
        "[[device]]\nksn_prefix = 'FFFF987654'\nbase_key = 'bdk-ansi'\nprofile = 'idtech-tdes'\n"
        "[[device]]\nksn_prefix = '12345678'\nbase_key = 'bdk-x9243-128'\n"
        "profile = 'track-aes-dukpt-128'\n"
    )
    with p2pe.open(settings) as gateway, ThreadPoolExecutor(2) as threads:
        assert gateway.decrypt(TYPED).pan.reveal() == PAN
        work = long_call(gateway)
        first = threads.submit(work)
        while busy(gateway) == 0:
            time.sleep(0.001)
        second = threads.submit(work)
        while (health := gateway.health) is None or health["queued"] == 0:
            assert not first.done()
            time.sleep(0.001)
        with pytest.raises(p2pe.PoolError) as raised:
            gateway.decrypt(TYPED)
        assert raised.value.code == "pool_overloaded"
        assert [first.result(), second.result()] == [LONG, LONG]
        assert gateway.decrypt(TYPED).pan.reveal() == PAN


def test_known_answers_closing_and_forks(pooled: Callable[..., p2pe.Gateway], token: Token) -> None:
    store = p2pe.Store.pkcs11(
        module=token.module, token=token.label, pin_file=token.pin_file, workers=2
    )
    assert "workers=2" in repr(store) and token.label in repr(store)
    gateway = p2pe.Gateway(store, devices=DEVICES)
    report = p2pe.run_conformance(store)
    assert report.failed == 0 and report.passed > 0
    if (child := os.fork()) == 0:
        try:
            gateway.decrypt(TYPED)
        except p2pe.StoreError as error:
            os._exit(0 if error.code == "store_closed" else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert gateway.decrypt(TYPED).pan.reveal() == PAN
    store.close()
    for call in (lambda: gateway.decrypt(TYPED), lambda: gateway.health, lambda: store.health):
        with pytest.raises(p2pe.StoreError, match="closed"):
            call()


def test_a_pool_that_cannot_be(token: Token) -> None:
    def pool(**how: float) -> p2pe.Store:
        return p2pe.Store.pkcs11(
            module=token.module,
            token=token.label,
            pin_file=token.pin_file,
            **how,  # type: ignore[arg-type]
        )

    for wrong in ({"workers": 0}, {"workers": 1001}, {"shards": 0}, {"shards": 101}):
        with pytest.raises(p2pe.ConfigError, match="1 to 1000 workers and 1 to 100 shards"):
            pool(**wrong)
    for seconds in (0.0, -1.0, 601.0, float("nan"), float("inf")):
        with pytest.raises(p2pe.ConfigError, match="0.001 to 600 seconds"):
            pool(deadline=seconds)
    # Nobody is asked for a PIN when the pool logs in again.
    with pytest.raises(p2pe.TokenOpenError, match="file or an environment variable"):
        p2pe.Store.pkcs11(module=token.module, token=token.label, workers=2)


def test_a_store_of_one_session_has_no_health() -> None:
    assert p2pe.Store.memory().health is None
    assert p2pe.Gateway(p2pe.Store.memory(), devices=[]).health is None
