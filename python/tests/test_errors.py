"""The exceptions: one hierarchy, stable codes, and what each of them is raised for."""

import inspect
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import PAN, TYPED, Token, in_child, key_files

import p2pe_crypto as p2pe

HIERARCHY = {
    p2pe.ArgumentError: p2pe.Error,
    p2pe.ConfigError: p2pe.Error,
    p2pe.PayloadError: p2pe.Error,
    p2pe.ClearAccountDataError: p2pe.PayloadError,
    p2pe.DeviceError: p2pe.Error,
    p2pe.AuditError: p2pe.Error,
    p2pe.DecryptError: p2pe.Error,
    p2pe.StoreError: p2pe.Error,
    p2pe.KeyStoreError: p2pe.StoreError,
    p2pe.SelfTestError: p2pe.StoreError,
    p2pe.MemoryProtectionError: p2pe.Error,
    p2pe.PoolError: p2pe.StoreError,
    p2pe.TokenOpenError: p2pe.StoreError,
    p2pe.WrongPinError: p2pe.TokenOpenError,
    p2pe.VaultError: p2pe.Error,
    p2pe.CardError: p2pe.VaultError,
    p2pe.UnknownTokenError: p2pe.VaultError,
    p2pe.RateLimitedError: p2pe.VaultError,
    p2pe.DatabaseError: p2pe.VaultError,
}


def test_the_hierarchy_is_complete() -> None:
    classes = [thing for _, thing in inspect.getmembers(p2pe, inspect.isclass)]
    errors = {thing for thing in classes if issubclass(thing, Exception)}
    assert errors == {p2pe.Error, *HIERARCHY}
    for error, parent in HIERARCHY.items():
        assert error.__bases__[0] is parent and error.__module__ == "p2pe_crypto"


def test_an_error_survives_pickling() -> None:
    with pytest.raises(p2pe.PayloadError) as raised:
        p2pe.Payload("")
    again = pickle.loads(pickle.dumps(raised.value))
    assert (type(again), str(again), again.code, again.offset) == (
        p2pe.PayloadError,
        str(raised.value),
        "stx_missing",
        0,
    )
    device = pickle.loads(
        pickle.dumps(p2pe.KeyStoreError("it broke", "key_device", "C_Sign", 0x30))
    )
    assert (device.code, device.function, device.return_code) == ("key_device", "C_Sign", 0x30)
    assert str(device) == "it broke"


@pytest.mark.parametrize(
    ("prefix", "key", "profile", "error", "code"),
    [
        ("FFFF98", "bdk-ansi", "idtech-aes", p2pe.DeviceError, "profile_mismatch"),
        ("FFFF11", "bdk-ansi", "idtech-tdes", p2pe.DeviceError, "unknown_device"),
        ("FFFF98", "nobody", "idtech-tdes", p2pe.KeyStoreError, "key_not_found"),
        ("FFFF98", "hmac-token", "idtech-tdes", p2pe.KeyStoreError, "key_not_permitted"),
        ("FFFF98", "bdk-2025-osaka", "idtech-tdes", p2pe.DecryptError, "decrypt_failed"),
    ],
)
def test_decrypt(
    store: p2pe.Store, prefix: str, key: str, profile: str, error: type[p2pe.Error], code: str
) -> None:
    device = p2pe.Device(ksn_prefix=prefix, base_key=key, profile=profile)
    with pytest.raises(p2pe.Error) as raised:
        p2pe.Gateway(store, devices=[device]).decrypt(TYPED)
    assert (type(raised.value), raised.value.code) == (error, code)
    assert PAN not in str(raised.value)
    if isinstance(raised.value, p2pe.StoreError):
        assert (raised.value.function, raised.value.return_code) == (None, None)


def test_the_longest_prefix_counts(store: p2pe.Store) -> None:
    right = p2pe.Device(ksn_prefix="FFFF987654", base_key="bdk-ansi", profile="idtech-tdes")
    wrong = p2pe.Device(ksn_prefix="FFFF98", base_key="bdk-2025-osaka", profile="idtech-tdes")
    assert p2pe.Gateway(store, devices=[right, wrong]).decrypt(TYPED).pan.reveal() == PAN
    with pytest.raises(p2pe.ConfigError, match="twice"):
        p2pe.Gateway(store, devices=[right, right])


def test_token(gateway: p2pe.Gateway, store: p2pe.Store) -> None:
    pan = gateway.decrypt(TYPED).pan
    made = gateway.token(pan, merchant="shop-1")
    assert made == gateway.token(pan, merchant="shop-1") != gateway.token(pan, merchant="shop-2")
    assert made.startswith("tok_") and len(made) == 36
    for merchant in ("", "a" * 65, "shop\n1"):
        with pytest.raises(p2pe.ArgumentError) as raised:
            gateway.token(pan, merchant=merchant)
        assert raised.value.code == "merchant_format" and isinstance(raised.value, ValueError)
    with pytest.raises(p2pe.ConfigError):
        p2pe.Gateway(store, devices=[]).token(pan, merchant="shop-1")
    with pytest.raises(p2pe.KeyStoreError) as of_key:
        p2pe.Gateway(store, devices=[], token_key="nobody").token(pan, merchant="shop-1")
    assert of_key.value.code == "key_not_found"


def test_track_number(gateway: p2pe.Gateway) -> None:
    sensitive = gateway.decrypt(TYPED).sensitive
    assert sensitive.track(1) is None
    for number in (0, 4, -1):
        with pytest.raises(p2pe.ArgumentError) as raised:
            sensitive.track(number)  # type: ignore[arg-type]
        assert raised.value.code == "track_number"


def test_arguments_of_another_type(gateway: p2pe.Gateway) -> None:
    for wrong in (None, 7, ["00"]):
        with pytest.raises(TypeError, match="expected bytes, bytearray or str"):
            p2pe.Payload(wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="expected bytes, bytearray or str"):
            gateway.decrypt(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        p2pe.Payload.from_tracks(ksn="62994901190000000002", tracks="00" * 8)
    with pytest.raises(TypeError):
        gateway.token(PAN, merchant="shop-1")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ksn", "tracks", "code"),
    [
        ("zz", ["00" * 8], "not_hex"),
        ("629", ["00" * 8], "odd_hex_length"),
        ("6299", ["00" * 8], "ksn_length"),
        ("62994901190000000002", ["00" * 7], "ciphertext_length"),
        ("62994901190000000002", [], "ciphertext_length"),
        ("62994901190000000002", ["\udc80" * 2], "not_hex"),
    ],
)
def test_from_tracks(ksn: str, tracks: list[str], code: str) -> None:
    with pytest.raises(p2pe.PayloadError) as raised:
        p2pe.Payload.from_tracks(ksn=ksn, tracks=tracks)
    assert raised.value.code == code


@pytest.mark.parametrize(
    "wrong",
    [{"profile": "idtech"}, {"ksn_prefix": "F"}, {"ksn_prefix": "00" * 8}, {"base_key": ""}],
)
def test_device(wrong: dict[str, str]) -> None:
    right = {"ksn_prefix": "FFFF987654", "base_key": "bdk-ansi", "profile": "idtech-tdes"}
    with pytest.raises(p2pe.ConfigError) as raised:
        p2pe.Device(**{**right, **wrong})
    assert raised.value.code == "config"


def test_memory_store_files(tmp_path: Path) -> None:
    kind, path = key_files(tmp_path)["bdk-ansi"]
    key = path.read_text().strip()
    (tmp_path / "short.hex").write_text(key[:-2])
    (tmp_path / "text.hex").write_text(f"key={key}")
    wrong: list[dict[str, tuple[Any, Path]]] = [
        {"": (kind, path)},
        {"bdk": ("aes", path)},
        {"bdk": (kind, tmp_path / "short.hex")},
        {"bdk": (kind, tmp_path / "text.hex")},
        {"bdk": (kind, tmp_path / "absent.hex")},
    ]
    for files in wrong:
        with pytest.raises(p2pe.ConfigError) as raised:
            p2pe.Store.memory(files)
        assert raised.value.code == "config" and key[:8] not in str(raised.value)


def test_settings_file(tmp_path: Path) -> None:
    settings = tmp_path / "p2pe.toml"
    with pytest.raises(p2pe.ConfigError, match="cannot read"):
        p2pe.open(settings)
    for text in ("[stor]", "", "[store]\nkind = 'memory'\ntokens = 1"):
        settings.write_text(text)
        with pytest.raises(p2pe.ConfigError) as raised:
            p2pe.open(str(settings))
        assert raised.value.code == "config"


def test_a_pin_in_the_settings_file_is_not_repeated(tmp_path: Path) -> None:
    settings = tmp_path / "p2pe.toml"
    settings.write_text("[store]\nkind = 'pkcs11'\nmodule = 'm'\ntoken = 't'\npin = '735146'\n")
    with pytest.raises(p2pe.ConfigError) as raised:
        p2pe.open(settings)
    assert "735146" not in str(raised.value)


def test_closed_stores(token: Token) -> None:
    for store in (p2pe.Store.memory(), token.open()):
        with p2pe.Gateway(store, devices=[], token_key="tokens") as gateway:
            pass
        gateway.close()
        store.close()
        with pytest.raises(p2pe.StoreError) as raised:
            p2pe.run_conformance(store)
        assert (type(raised.value), raised.value.code) == (p2pe.StoreError, "store_closed")
        with pytest.raises(p2pe.StoreError, match="closed"):
            gateway.decrypt(TYPED)


def test_missing_module_token_and_pin(token: Token, tmp_path: Path) -> None:
    module, label, pin_file = token.module, token.label, token.pin_file
    not_a_module = tmp_path / "module.so"
    not_a_module.write_text("no library")
    attempts: list[Callable[[], p2pe.Store]] = [
        lambda: p2pe.Store.pkcs11(module=tmp_path / "absent.so", token=label, pin_file=pin_file),
        lambda: p2pe.Store.pkcs11(module=not_a_module, token=label, pin_file=pin_file),
        lambda: p2pe.Store.pkcs11(module=module, token="nobody", pin_file=pin_file),
        lambda: p2pe.Store.pkcs11(module=module, token=label, pin_file=tmp_path / "absent"),
        lambda: p2pe.Store.pkcs11(module=module, token=label, pin_env="P2PE_NOT_SET"),
    ]
    for attempt in attempts:
        with pytest.raises(p2pe.TokenOpenError) as raised:
            attempt()
        assert (type(raised.value), raised.value.code) == (p2pe.TokenOpenError, "token_open")
    attempts = [
        lambda: p2pe.Store.pkcs11(token=label, pin_file=pin_file),
        lambda: p2pe.Store.pkcs11(module=module, pin_file=pin_file),
        lambda: p2pe.Store.pkcs11(module=module, token=label, uri="pkcs11:", pin_file=pin_file),
        lambda: p2pe.Store.pkcs11(module=module, token=label, pin_file=pin_file, pin_env="PIN"),
        lambda: p2pe.Store.pkcs11(module=module, uri="http://token", pin_file=pin_file),
    ]
    for attempt in attempts:
        with pytest.raises(p2pe.ConfigError):
            attempt()


def test_the_uri_names_module_and_pin(token: Token) -> None:
    query = f"module-path={token.module}&pin-source=file:{token.pin_file}"
    with p2pe.Store.pkcs11(uri=f"pkcs11:token={token.label}?{query}") as store:
        assert p2pe.run_conformance(store).failed == 0


# In processes of their own: once a user is logged in, a token need not check the PIN again.
OPEN = """
import p2pe_crypto as p2pe
try:
    p2pe.Store.pkcs11(module={module!r}, token={label!r}, pin_env={pin_env!r})
except p2pe.TokenOpenError as error:
    print(type(error).__name__, error.code, error)
"""


@pytest.mark.parametrize(
    ("pin", "told"),
    [
        ("7351462", "WrongPinError token_open the token refuses the PIN"),
        ("", "TokenOpenError token_open the PIN is empty"),
    ],
)
def test_wrong_pin(token: Token, pin: str, told: str) -> None:
    code = OPEN.format(module=str(token.module), label=token.label, pin_env="P2PE_TEST_PIN")
    child = in_child(code, P2PE_TEST_PIN=pin)
    assert child.stdout.strip() == told, child.stderr
    assert pin == "" or pin not in child.stdout + child.stderr


def test_nobody_to_ask_for_the_pin(token: Token) -> None:
    child = in_child(OPEN.format(module=str(token.module), label=token.label, pin_env=None))
    assert child.stdout.startswith("TokenOpenError token_open cannot ask for the PIN"), child.stderr


def test_a_key_that_still_decrypts_has_a_name(token: Token) -> None:
    with pytest.raises(p2pe.ConfigError, match="still_decrypt"):
        p2pe.Store.pkcs11(
            module=token.module, token=token.label, pin_file=token.pin_file, still_decrypt=[""]
        )
