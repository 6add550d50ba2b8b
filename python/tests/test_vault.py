"""The vault: card numbers in, tokens out and back, on every kind of key store and database."""

import copy
import pickle
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from support import PAN, TYPED, OpensVault, init_vault, key_files, vault_key_files

import p2pe_crypto as p2pe

OTHER = "5413330089604111"
POLICY = p2pe.Policy("shop-1", purposes=["refund"])


def card_numbers(count: int) -> list[str]:
    """So many test numbers of Visa's range."""
    bodies = (f"40000000{number:07}" for number in range(count))
    return [body + str(next(digit for digit in range(10) if luhn(f"{body}{digit}"))) for body in bodies]


def luhn(digits: str) -> bool:
    """Whether the Luhn check passes."""
    doubled = [int(digit) * (1 + at % 2) for at, digit in enumerate(reversed(digits))]
    return sum(value - 9 * (value > 9) for value in doubled) % 10 == 0


def refund(vault: p2pe.Vault, token: str, policy: p2pe.Policy = POLICY) -> p2pe.CardOnFile:
    """The card of a token."""
    return vault.detokenize(policy, token, caller="till 7", purpose="refund")


def code(call: Any, *arguments: Any, **named: Any) -> tuple[type, str]:
    """What a call raises."""
    with pytest.raises(p2pe.Error) as raised:
        call(*arguments, **named)
    return type(raised.value), raised.value.code


def test_there_and_back(vault: p2pe.Vault) -> None:
    token = vault.tokenize(POLICY, PAN)
    assert token.startswith("vtok_") and len(token) == 37
    for same in (PAN, PAN.encode(), bytearray(PAN.encode())):
        assert vault.tokenize(POLICY, same) == token
    assert vault.tokenize(POLICY, OTHER) != token
    assert vault.tokenize(p2pe.Policy("shop-2"), PAN) != token
    assert vault.tokenize(p2pe.Policy("shop-1", version=2), PAN) != token
    card = refund(vault, token)
    assert (card.pan.reveal(), card.expiry) == (PAN, None)
    assert (repr(card), str(card)) == ("CardOnFile(pan='476173******0010')",) * 2
    assert vault.tokenize(POLICY, card.pan) == token
    assert len(vault.tokens_of(PAN, merchant="shop-1")) == 2
    vault.delete(token, merchant="shop-1")
    assert len(vault.tokens_of(card.pan, merchant="shop-1")) == 1


def test_the_card_of_a_payload(tmp_path: Path) -> None:
    keypads = p2pe.Device(ksn_prefix="FFFF987654", base_key="bdk-ansi", profile="idtech-tdes")
    keys = p2pe.Store.memory({**key_files(tmp_path), **vault_key_files(tmp_path)})
    with p2pe.Gateway(keys, devices=[keypads]) as gateway:
        with init_vault(gateway.store, tmp_path / "vault.db") as vault:
            token = vault.tokenize(POLICY, gateway.decrypt(TYPED).pan)
            assert refund(vault, token).pan == gateway.decrypt(TYPED).pan


def test_one_answer_for_what_is_unknown(vault: p2pe.Vault) -> None:
    once = p2pe.Policy("shop-1", single_use=True, purposes=["refund"])
    ended = p2pe.Policy("shop-1", version=2, time_to_live=0, purposes=["refund"])
    used = vault.tokenize(once, PAN)
    assert refund(vault, used, once).pan.reveal() == PAN
    deleted = vault.tokenize(p2pe.Policy("shop-1", version=3), PAN)
    vault.delete(deleted, merchant="shop-1")
    unknown = [
        used,
        deleted,
        vault.tokenize(ended, PAN),
        vault.tokenize(p2pe.Policy("shop-2"), PAN),
        "vtok_" + "a" * 32,
        "",
        PAN,
    ]
    answers = set()
    for token in unknown:
        with pytest.raises(p2pe.UnknownTokenError) as raised:
            refund(vault, token, once)
        answers.add((str(raised.value), repr(raised.value), repr(vars(raised.value))))
    assert len(answers) == 1 and "unknown_token" in answers.pop()[1]
    for token in (deleted, "vtok_" + "a" * 32):
        with pytest.raises(p2pe.UnknownTokenError):
            vault.delete(token, merchant="shop-1")


def test_purposes(vault: p2pe.Vault) -> None:
    token = vault.tokenize(POLICY, PAN)
    ask = {"caller": "till 7", "purpose": "fraud"}
    assert code(vault.detokenize, POLICY, token, **ask) == (p2pe.VaultError, "purpose_not_permitted")
    assert code(vault.detokenize, p2pe.Policy("shop-1"), token, **ask)[1] == "purpose_not_permitted"
    wrong: Any = "fun"
    assert code(vault.detokenize, POLICY, token, caller="till 7", purpose=wrong) == (
        p2pe.ArgumentError,
        "purpose",
    )
    assert code(vault.detokenize, POLICY, token, caller="", purpose="refund")[1] == "name_format"
    assert refund(vault, token).pan.reveal() == PAN
    assert sum(stats["audit_records"] for stats in vault.stats()) == 3


def test_named_requests(vault: p2pe.Vault) -> None:
    once = p2pe.Policy("shop-1", single_use=True)
    token = vault.tokenize(once, PAN, request="order 17")
    assert vault.tokenize(once, PAN, request="order 17") == token
    assert len({token, vault.tokenize(once, PAN), vault.tokenize(once, PAN)}) == 3
    assert code(vault.tokenize, once, OTHER, request="order 17") == (p2pe.VaultError, "request_reused")
    for name in ("", "x" * 65, "line\nfeed"):
        assert code(vault.tokenize, once, PAN, request=name) == (p2pe.ArgumentError, "name_format")


def test_who_asks_too_often_waits(opens_vault: OpensVault) -> None:
    vault = opens_vault(rate_limit=2 * len(opens_vault.databases))  # each grants its part
    token = vault.tokenize(POLICY, PAN)
    for _ in range(2):
        refund(vault, token)
    with pytest.raises(p2pe.RateLimitedError) as raised:
        refund(vault, token)
    assert raised.value.code == "rate_limited"
    card = vault.detokenize(POLICY, token, caller="till 8", purpose="refund")
    assert card.pan.reveal() == PAN


def test_number_and_expiry_date(vault: p2pe.Vault) -> None:
    dated = p2pe.Policy("shop-1", version=2, with_expiry=True, purposes=["refund"])
    plain, old, new = (
        vault.tokenize(POLICY, PAN),
        vault.tokenize(dated, PAN, "2212"),
        vault.tokenize(dated, PAN, expiry="2712"),
    )
    assert len({plain, old, new}) == 3
    assert sorted(vault.tokens_of(PAN, merchant="shop-1")) == sorted([plain, old, new])
    card = refund(vault, new, dated)
    assert (card.pan.reveal(), card.expiry) == (PAN, "2712")
    for policy, expiry in ((dated, None), (POLICY, "2212")):
        assert code(vault.tokenize, policy, PAN, expiry) == (p2pe.CardError, "expiry_and_policy")
    for text in ("2213", "22-1", "", "12/22", "２２１２", "\udc80"):
        assert code(vault.tokenize, dated, PAN, text) == (p2pe.CardError, "expiry_format")


def test_tokens_of_the_shape_of_a_card(vault: p2pe.Vault) -> None:
    plain = p2pe.Policy("shop-1", form="card-shaped", keep_last_four=True, purposes=["refund"])
    token = vault.tokenize(plain, PAN)
    assert len(token) == 16 and token.isdigit() and token[:2] == "99" and token[-4:] == PAN[-4:]
    assert not luhn(token) and refund(vault, token, plain).pan.reveal() == PAN
    kept = p2pe.Policy("shop-1", version=2, form="card-shaped", keep_bin=8, keep_last_four=True)
    with_bin = vault.tokenize(kept, PAN)
    assert (with_bin[:8], with_bin[-4:], luhn(with_bin)) == (PAN[:8], PAN[-4:], False)
    for policy, number, why in [
        (plain, token, "already_token"),
        (POLICY, with_bin, "check_digit"),
        (kept, "6200000000000005", "bin_not_kept"),
        (kept, "340000000000009", "token_length"),
    ]:
        assert code(vault.tokenize, policy, number) == (p2pe.CardError, why)


@pytest.mark.parametrize(
    "number", ["", "4761", "4" * 20, "4761 7390 0101 0010", "４７６１７３９００１０１００１０", PAN + "\udc80"]
)
def test_what_is_no_card_number(vault: p2pe.Vault, number: str) -> None:
    assert issubclass(p2pe.CardError, ValueError)
    for call in (
        lambda: vault.tokenize(POLICY, number),
        lambda: vault.tokens_of(number, merchant="shop-1"),
    ):
        with pytest.raises(p2pe.CardError) as raised:
            call()
        assert raised.value.code == "pan_format"
        error: BaseException | None = raised.value
        while error is not None:
            text = "".join(traceback.format_exception_only(error)) + repr(vars(error))
            assert "4761" not in text and "４７６１" not in text
            error = error.__cause__ or error.__context__


def test_what_is_no_text(vault: p2pe.Vault) -> None:
    number: Any
    for number in (int(PAN), None, 4761.0, [PAN]):
        for call in (
            lambda: vault.tokenize(POLICY, number),
            lambda: vault.tokenize_batch(POLICY, [PAN, number]),
            lambda: vault.tokenize_batch(POLICY, [(number, "2212")]),
        ):
            with pytest.raises(TypeError) as raised:
                call()
            assert PAN not in str(raised.value)
    pair: Any
    for pair in ((), (PAN,), (PAN, "2212", "2212"), (PAN, 2212)):
        with pytest.raises(TypeError, match="number and expiry date"):
            vault.tokenize_batch(POLICY, [pair])


def test_a_batch(vault: p2pe.Vault) -> None:
    numbers = card_numbers(1_000)
    known = vault.tokenize(POLICY, numbers[7])
    tokens = vault.tokenize_batch(POLICY, [*numbers, "4761", numbers[0], (numbers[1], "2212")])
    assert tokens[7] == known and tokens[1001] == tokens[0]
    assert len(tokens) == 1_003 and len(set(map(str, tokens[:1_000]))) == 1_000
    assert [(type(error), getattr(error, "code")) for error in (tokens[1_000], tokens[1_002])] == [
        (p2pe.CardError, "pan_format"),
        (p2pe.CardError, "expiry_and_policy"),
    ]
    assert [refund(vault, str(tokens[at])).pan.reveal() for at in (0, 500, 999)] == [
        numbers[at] for at in (0, 500, 999)
    ]
    assert vault.tokenize_batch(POLICY, []) == []
    dated = p2pe.Policy("shop-1", version=2, with_expiry=True)
    first, second = vault.tokenize_batch(dated, [(PAN, "2212"), (card_of(vault, PAN), "2712")])
    assert isinstance(first, str) and isinstance(second, str) and first != second


def card_of(vault: p2pe.Vault, number: str) -> p2pe.Pan:
    """A number as the vault hands it out."""
    return refund(vault, vault.tokenize(POLICY, number)).pan


def test_many_threads_get_one_token_each_card(opens_vault: OpensVault) -> None:
    vaults = [opens_vault(workers=4), opens_vault(workers=1)]
    numbers, start = card_numbers(40), Barrier(8)

    def work(thread: int) -> list[str]:
        start.wait()
        vault = vaults[thread % 2]
        if thread % 4 == 3:
            return [str(token) for token in vault.tokenize_batch(POLICY, numbers)]
        return [vault.tokenize(POLICY, number) for number in numbers]

    with ThreadPoolExecutor(8) as threads:
        first, *others = threads.map(work, range(8))
    assert all(other == first for other in others) and len(set(first)) == 40
    policies = [policy for stats in vaults[0].stats() for policy in stats["policies"]]
    assert sum(policy.pop("tokens") for policy in map(dict[str, Any], policies)) == 40
    expected = {"merchant": "shop-1", "version": 1, "replaced_by": None, "ends": None}
    assert all(policy | {"tokens": 0} == expected | {"tokens": 0} for policy in policies)


def test_what_is_in_it(vault: p2pe.Vault) -> None:
    vault.tokenize(POLICY, PAN, request="order 17")
    (stats,) = [stats for stats in vault.stats() if stats["keys"]]
    (key,), (fingerprint_key,) = stats["keys"], stats["fingerprint_keys"]
    assert (key["merchant"], key["data_key"], key["wrapped_by"], key["tokens"]) == (
        "shop-1",
        1,
        "wrap",
        1,
    )
    assert fingerprint_key == {"key": "print", "version": 1, "tokens": 1}
    assert (stats["requests"], stats["audit_records"]) == (1, 0)
    assert not any(other["requests"] for other in vault.stats() if other != stats)


def test_policies() -> None:
    plain = p2pe.Policy("shop-1")
    assert (plain.merchant, plain.version, plain.form, plain.purposes) == ("shop-1", 1, "vault", ())
    assert (plain.keep_bin, plain.keep_last_four, plain.time_to_live) == (None, False, None)
    assert (plain.single_use, plain.with_expiry) == (False, False)
    full = p2pe.Policy(
        "shop-1",
        version=7,
        form="card-shaped",
        keep_bin=6,
        keep_last_four=True,
        single_use=True,
        time_to_live=90,
        with_expiry=True,
        purposes=["refund", "payment"],
    )
    assert (full.version, full.form, full.keep_bin, full.keep_last_four) == (7, "card-shaped", 6, True)
    assert (full.single_use, full.time_to_live, full.with_expiry) == (True, 90, True)
    assert full.purposes == ("payment", "refund")
    assert repr(full) == "Policy(\"shop-1\", version=7, form='card-shaped')"
    assert plain == p2pe.Policy("shop-1") and plain != full
    for policy in (plain, full):
        assert pickle.loads(pickle.dumps(policy)) == copy.deepcopy(policy) == policy
    cannot: list[dict[str, Any]] = [
        {"keep_bin": 7},
        {"keep_bin": 6, "form": "vault"},
        {"keep_last_four": True},
        {"form": "keyed"},
    ]
    for how in cannot:
        assert code(p2pe.Policy, "shop-1", **how) == (p2pe.ArgumentError, "policy")
    assert code(p2pe.Policy, "shop-1", purposes=["fun"]) == (p2pe.ArgumentError, "purpose")
    assert code(p2pe.Policy, "") == (p2pe.ArgumentError, "merchant_format")
    with pytest.raises(AttributeError):
        plain.version = 2  # type: ignore[misc]


def test_no_clear_number_in_the_files(tmp_path: Path) -> None:
    store = p2pe.Store.memory(vault_key_files(tmp_path))
    address, numbers = tmp_path / "vault.db", card_numbers(300)
    with init_vault(store, address) as vault:
        tokens = vault.tokenize_batch(POLICY, numbers)
        files = b"".join(path.read_bytes() for path in sorted(tmp_path.glob("vault.db*")))
        assert str(tokens[-1]).encode() in files  # it is where they would be
        for number in numbers:
            assert number.encode() not in files and bytes.fromhex(number) not in files
