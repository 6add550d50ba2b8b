"""The audit log from Python: every use of a key, no card data, and what is done to it is found."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support import PAN, TYPED, Json, Token, init_vault, key_files, vault_key_files

import p2pe_crypto as p2pe

ANSI = "bdk-ansi"
KEYPADS = p2pe.Device(ksn_prefix="FFFF987654", base_key=ANSI, profile="idtech-tdes")
CLEAR = f";{PAN}=22122010000000000000?"


def records(folder: Path) -> list[Json]:
    """The records of a log."""
    lines = [
        line for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()
    ]
    return [json.loads(line) for line in lines]


def gateway(folder: Path, log: p2pe.AuditLog) -> p2pe.Gateway:
    """A gateway over keys in memory, which records."""
    token_key = folder / "tokens.hex"
    token_key.write_text("2A" * 32)
    keys = {**key_files(folder), "my-tokens": ("hmac", token_key)}
    store = p2pe.Store.memory(keys, audit=log)
    return p2pe.Gateway(store, devices=[KEYPADS], token_key="my-tokens")


def events(folder: Path) -> list[tuple[str, str]]:
    """What the records of a log tell, and how it ended."""
    return [(record["event"], record["result"]) for record in records(folder)]


def test_every_use_is_recorded_and_no_card_data(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with gateway(tmp_path, p2pe.AuditLog(log, actor="gateway-1")) as opened:
        card = opened.decrypt(TYPED)
        opened.token(card.pan, merchant="shop-1")
        opened.decrypt_batch([TYPED, TYPED])
        with pytest.raises(p2pe.ClearAccountDataError):
            opened.decrypt(CLEAR)
        assert [type(card) for card in opened.decrypt_batch([CLEAR])] == [
            p2pe.ClearAccountDataError
        ]
    found = records(log)
    assert events(log) == [
        ("derive-key", "ok"),
        ("authenticate", "ok"),
        ("derive-key", "ok"),
        ("derive-key", "ok"),
        ("alarm", "clear_account_data"),
        ("alarm", "clear_account_data"),
    ]
    assert found[0]["ksn"] == "FFFF987654004300025A"
    assert {record["actor"] for record in found} == {"gateway-1"}
    assert PAN not in json.dumps(found)
    verified = p2pe.AuditLog.verify(log)
    assert (verified.records, verified.files) == (6, 1)
    assert repr(verified).startswith("Verified(records=6, files=1, last=")


def test_what_is_done_to_a_log_is_found(tmp_path: Path) -> None:
    log = tmp_path / "log"
    audit = p2pe.AuditLog(log, actor="gateway-1", sync=(50, 10))
    with pytest.raises(p2pe.AuditError) as busy:
        p2pe.AuditLog(log, actor="another")
    assert busy.value.code == "audit_busy"
    with gateway(tmp_path, audit) as opened:
        opened.decrypt(TYPED)
        opened.decrypt(TYPED)
    path = log / "audit-00000001.jsonl"
    whole = path.read_text()
    for text, code in [
        (whole.replace("gateway-1", "gateway-2", 1), "audit_changed"),
        ("".join(whole.splitlines(keepends=True)[1:]), "audit_order"),
    ]:
        path.write_text(text)
        with pytest.raises(p2pe.AuditError) as found:
            p2pe.AuditLog.verify(log)
        assert found.value.code == code


def test_without_a_record_no_key_serves(tmp_path: Path) -> None:
    for required in (True, False):
        log = tmp_path / f"log-{required}"
        audit = p2pe.AuditLog(log, actor="a", sync="none", file_size=1, required=required)
        with gateway(tmp_path, audit) as opened:
            opened.decrypt(TYPED)
            (log / "audit-00000002.jsonl").mkdir()  # the next file cannot be made
            if required:
                with pytest.raises(p2pe.KeyStoreError) as refused:
                    opened.decrypt(TYPED)
                assert refused.value.code == "key_not_recorded"
                with pytest.raises(p2pe.ClearAccountDataError):
                    opened.decrypt(CLEAR)  # an alarm is heard all the same
            else:
                assert opened.decrypt(TYPED).pan.masked == "476173******0010"


@pytest.mark.parametrize("workers", [None, 2])
def test_a_token_and_a_pool_record(
    token: Token, token_store_with_keys: p2pe.Store, tmp_path: Path, workers: int | None
) -> None:
    log = tmp_path / "log"
    store = p2pe.Store.pkcs11(
        module=token.module,
        token=token.label,
        pin_file=token.pin_file,
        workers=workers,
        audit=p2pe.AuditLog(log, actor="gateway-1"),
    )
    with p2pe.Gateway(store, devices=[KEYPADS], token_key="hmac-token") as opened:
        card = opened.decrypt(TYPED)
        with ThreadPoolExecutor(4) as threads:
            tokens = list(threads.map(lambda _: opened.token(card.pan, merchant="m"), range(20)))
        assert len(set(tokens)) == 1
        opened.self_test()
    assert events(log) == [
        ("derive-key", "ok"),
        *[("authenticate", "ok")] * 20,
        ("self-test", "ok"),
    ]
    assert records(log)[0]["custody"] == "hybrid"
    assert p2pe.AuditLog.verify(log).records == 22


def test_a_run_of_the_vectors_is_one_record(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with p2pe.Store.memory(audit=p2pe.AuditLog(log, actor="a")) as store:
        assert p2pe.run_conformance(store).failed == 0
    assert events(log) == [("conformance", "ok")]


def test_a_fork_does_not_write_its_parents_log(tmp_path: Path) -> None:
    (tmp_path / "tokens.hex").write_text("2A" * 32)
    code = """if True:
        import os, p2pe_crypto as p2pe
        files = {"my-tokens": ("hmac", "tokens.hex")}
        log = p2pe.AuditLog("log", actor="a", sync=(60_000, 10))
        if not os.fork():
            store = p2pe.Store.memory(files, audit=log)
            try:
                store.self_test()
            except p2pe.AuditError as error:
                print(error.code, flush=True)
            del store, log  # its thread is not here: nobody waits for it
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 7
        p2pe.Store.memory(files, audit=log).self_test()
    """
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "audit_forked\n"), done.stderr
    assert events(tmp_path / "log") == [("self-test", "ok")]
    assert p2pe.AuditLog.verify(tmp_path / "log").records == 1


def test_a_vault_records_who_asked_for_a_card(tmp_path: Path) -> None:
    log = tmp_path / "log"
    store = p2pe.Store.memory(vault_key_files(tmp_path), audit=p2pe.AuditLog(log, actor="gateway-1"))
    policy = p2pe.Policy("shop-1", purposes=["refund"])
    with init_vault(store, tmp_path / "vault.db") as vault:
        before = len(records(log))
        token = vault.tokenize(policy, PAN)
        vault.tokenize_batch(policy, [PAN, "4761"])
        vault.detokenize(policy, token, caller="till 7", purpose="refund")
        vault.delete(token, merchant="shop-1")
        with pytest.raises(p2pe.UnknownTokenError):
            vault.detokenize(policy, token, caller="till 7", purpose="refund")
    told = [record for record in records(log)[before:] if "key" not in record]
    assert [(record["event"], record["result"]) for record in told] == [
        ("tokenize", "ok"),
        ("tokenize", "ok"),
        ("detokenize", "ok"),
        ("delete-token", "ok"),
        ("detokenize", "unknown_token"),
    ]
    assert {record["subject"] for record in told} == {"shop-1"}
    assert (told[2]["caller"], told[2]["purpose"]) == ("till 7", "refund")
    used = {(record["event"], record["key"]) for record in records(log) if "key" in record}
    assert ("authenticate", "print") in used and ("unwrap-key", "wrap") in used
    assert PAN not in json.dumps(records(log))
    assert p2pe.AuditLog.verify(log).records == len(records(log))


@pytest.mark.parametrize("ahead", [1, 2])
def test_a_card_whose_record_cannot_be_written_is_not_handed_out(tmp_path: Path, ahead: int) -> None:
    log = tmp_path / "log"
    audit = p2pe.AuditLog(log, actor="a", sync="none", file_size=1)
    store = p2pe.Store.memory(vault_key_files(tmp_path), audit=audit)
    policy = p2pe.Policy("shop-1", purposes=["refund"])
    with init_vault(store, tmp_path / "vault.db") as vault:
        token = vault.tokenize(policy, PAN)
        # A file for each record: that of the key's use, or that of the card's way out, cannot be made.
        (log / f"audit-{len(list(log.glob('*.jsonl'))) + ahead:08}.jsonl").mkdir()
        with pytest.raises(p2pe.AuditError) as refused:
            vault.detokenize(policy, token, caller="till 7", purpose="refund")
        assert refused.value.code == "audit_file"


def test_the_settings_open_it(tmp_path: Path) -> None:
    (tmp_path / "bdk.hex").write_text("0123456789ABCDEFFEDCBA9876543210")
    settings = tmp_path / "p2pe.toml"
    settings.write_text(
        '[store]\nkind = "memory"\n[[store.key]]\nid = "b"\nkind = "tdes-base"\nfile = "bdk.hex"\n'
        '[[device]]\nksn_prefix = "FFFF987654"\nbase_key = "b"\nprofile = "idtech-tdes"\n'
        '[audit]\nfolder = "log"\nactor = "from-settings"\n'
    )
    with p2pe.open(settings) as opened:
        opened.decrypt(TYPED)
    assert [record["actor"] for record in records(tmp_path / "log")] == ["from-settings"]


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    for actor in ("", PAN, "x" * 65):
        with pytest.raises(p2pe.ArgumentError) as refused:
            p2pe.AuditLog(tmp_path / "log", actor=actor)
        assert refused.value.code == "audit_actor" and PAN not in str(refused.value)
    with pytest.raises(p2pe.ArgumentError) as other:
        p2pe.AuditLog(tmp_path / "log", actor="a", sync="often")  # type: ignore[arg-type]
    assert other.value.code == "audit_sync"
    assert not (tmp_path / "log").exists()
