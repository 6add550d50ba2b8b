"""What is shown and what is not: card data masked, keys nowhere, nothing copied."""

import copy
import gc
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from support import PAN, TYPED, Token, key_files, vector_files

import p2pe_crypto as p2pe


@pytest.fixture
def card(gateway: p2pe.Gateway) -> p2pe.CardData:
    return gateway.decrypt(TYPED)


def test_everything_is_shown_masked(card: p2pe.CardData, gateway: p2pe.Gateway) -> None:
    code, track = card.sensitive.security_code, card.sensitive.track(2)
    assert code is not None and track is not None
    assert (str(card.pan), repr(card.pan)) == ("476173******0010", "Pan('476173******0010')")
    assert f"{card.pan} {card.pan!r} %s" % card.pan == (
        "476173******0010 Pan('476173******0010') 476173******0010"
    )
    assert repr(card) == str(card) == "CardData(entry='keyed', pan='476173******0010')"
    assert (repr(code), str(track), repr(card.sensitive)) == (
        "Secret(***)",
        "***",
        "SensitiveData(***)",
    )
    assert repr(p2pe.Payload(TYPED)) == "Payload(format='idtech', ksn='FFFF987654004300025A')"
    assert repr(gateway) in (
        "Gateway(Store(memory), devices=1)",
        'Gateway(Store(pkcs11, token="p2pe"), devices=1)',
    )


def test_the_parts_of_a_number(card: p2pe.CardData) -> None:
    pan = card.pan
    assert (pan.masked, pan.bin, pan.last_four, pan.luhn) == (
        "476173******0010",
        "476173",
        "0010",
        True,
    )
    assert pan.reveal() == PAN
    with pytest.raises(TypeError):
        f"{pan:>20}"


def test_numbers_compare_and_do_not_hash(card: p2pe.CardData, gateway: p2pe.Gateway) -> None:
    again = gateway.decrypt(TYPED)
    assert card.pan == again.pan and card.pan is not again.pan
    assert card.pan != PAN and card.pan is card.pan
    with pytest.raises(TypeError, match="unhashable"):
        hash(card.pan)


def test_a_kept_number_does_not_keep_the_card(card: p2pe.CardData, gateway: p2pe.Gateway) -> None:
    pan = gateway.decrypt(TYPED).pan
    gc.collect()
    assert pan.reveal() == PAN
    assert not any(isinstance(other, p2pe.CardData) for other in gc.get_referents(pan))


COPIES: list[Callable[[object], object]] = [
    copy.copy,
    copy.deepcopy,
    *(lambda thing, n=n: pickle.dumps(thing, n) for n in range(pickle.HIGHEST_PROTOCOL + 1)),
]


@pytest.mark.parametrize("duplicate", COPIES)
def test_nothing_secret_is_copied(
    duplicate: Callable[[object], object],
    card: p2pe.CardData,
    store: p2pe.Store,
    gateway: p2pe.Gateway,
) -> None:
    for thing in (card, card.pan, card.sensitive, card.sensitive.track(2), store, gateway):
        with pytest.raises(TypeError, match="cannot copy or pickle"):
            duplicate(thing)


def test_objects_are_closed_to_python(card: p2pe.CardData, store: p2pe.Store) -> None:
    device = p2pe.Device(ksn_prefix="FFFF987654", base_key="bdk-ansi", profile="idtech-tdes")
    assert (
        repr(device)
        == "Device(ksn_prefix='FFFF987654', base_key=\"bdk-ansi\", profile='idtech-tdes')"
    )
    for thing in (card, card.pan, card.sensitive, store, device, p2pe.Payload(TYPED)):
        assert not hasattr(thing, "__dict__")
        for name in ("note", "pan", "profile"):
            with pytest.raises(AttributeError):
                setattr(thing, name, 1)
        with pytest.raises(TypeError, match="not an acceptable base type"):
            type("Sub", (type(thing),), {})
    for cls in (p2pe.Pan, p2pe.CardData, p2pe.SensitiveData, p2pe.Secret, p2pe.Store):
        with pytest.raises(TypeError, match="cannot create|No constructor"):
            cls()


def test_no_key_is_ever_a_python_object(tmp_path: Path) -> None:
    files = key_files(tmp_path)
    store = p2pe.Store.memory(files)
    assert {name for name in dir(store) if not name.startswith("__")} == {
        "close",
        "health",
        "memory",
        "pkcs11",
        "self_test",
    }
    for name in dir(store):
        assert not isinstance(getattr(store, name), bytes | bytearray | memoryview)
    assert gc.get_referents(store) in ([], [p2pe.Store])

    # What this file itself read is let go; then no text or bytes of a key is left. The collector
    # does not track texts themselves: look into what holds them.
    keys = [key["value"] for file in vector_files() for key in file.get("keys", [])]
    digests = {hash(form) for key in keys for form in (key, key + "\n", bytes.fromhex(key))}
    del keys
    p2pe.run_conformance(store)
    gc.collect()
    held = (part for owner in gc.get_objects() for part in gc.get_referents(owner))
    found = [type(part) for part in held if isinstance(part, str | bytes) and hash(part) in digests]
    assert found == []


def test_no_traceback_shows_card_data() -> None:
    clear = "4111111111111111"
    unencrypted = f"02C100C037001C078692;{clear}=2212:123?"
    for frame in (
        unencrypted,
        unencrypted.encode(),
        unencrypted + "\udc80",
        bytearray(b"\x02" * 40),
    ):
        with pytest.raises(p2pe.PayloadError) as raised:
            p2pe.Payload(frame)
        error: BaseException | None = raised.value
        while error is not None:
            text = "".join(traceback.format_exception_only(error)) + repr(vars(error))
            assert clear not in text and clear not in repr(error.args)
            error = error.__cause__ or error.__context__


def test_a_pin_is_no_parameter(token: Token) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'pin'"):
        p2pe.Store.pkcs11(module=token.module, token="p2pe", pin="1234")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="positional"):
        p2pe.Store.pkcs11(token.module, "p2pe", "1234")  # type: ignore[call-arg]
    with pytest.raises(p2pe.ConfigError, match="must not be in a URI") as raised:
        p2pe.Store.pkcs11(module=token.module, uri="pkcs11:token=p2pe?pin-value=7351")
    assert "7351" not in str(raised.value)
