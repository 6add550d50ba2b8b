"""What a gateway remembers of devices from call to call, as its settings file says."""

import os
from pathlib import Path

import pytest
from support import PAN, TYPED, key_files

import p2pe_crypto as p2pe


def settings(tmp_path: Path, cache: str) -> Path:
    kind, file = key_files(tmp_path)["bdk-ansi"]
    path = tmp_path / "p2pe.toml"
    path.write_text(
        f"[store]\nkind = 'memory'\n{cache}\n"
        f"[[store.key]]\nid = 'bdk-ansi'\nkind = '{kind}'\nfile = '{file}'\n"
        "[[device]]\nksn_prefix = 'FFFF987654'\nbase_key = 'bdk-ansi'\nprofile = 'idtech-tdes'\n"
    )
    return path


@pytest.mark.parametrize("cache", ["", "cache = { devices = 1, seconds = 60 }"])
def test_the_same_cards_with_and_without(tmp_path: Path, cache: str) -> None:
    with p2pe.open(settings(tmp_path, cache)) as gateway:
        for _ in range(3):
            assert gateway.decrypt(TYPED).pan.reveal() == PAN
        cards = gateway.decrypt_batch([TYPED] * 3)
        assert all(isinstance(card, p2pe.CardData) and card.pan.reveal() == PAN for card in cards)


def test_limits_are_checked(tmp_path: Path) -> None:
    with pytest.raises(p2pe.ConfigError, match="devices must be a number from 1 to 100000"):
        p2pe.open(settings(tmp_path, "cache = { devices = 0, seconds = 60 }"))


def test_a_fork_has_no_store(tmp_path: Path) -> None:
    with p2pe.open(settings(tmp_path, "")) as gateway:
        if (child := os.fork()) == 0:
            try:
                gateway.decrypt(TYPED)
            except p2pe.StoreError as error:
                os._exit(0 if error.code == "store_closed" else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert gateway.decrypt(TYPED).pan.reveal() == PAN
