"""All vectors through Python: the suite over each store, and each payload by its objects."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support import VECTORS, Json, key_files, vectors_of, vector_files

import p2pe_crypto as p2pe

PAYLOADS = vectors_of("payload", "track")


def check_report(report: p2pe.Report, kind: str) -> None:
    """Everything passed but what a token has no operation for, and the report says so in each of its forms."""
    tests = [test for file in vector_files() for test in file["tests"]]
    everything = [test["id"] for test in tests]
    beyond = [test["id"] for test in tests if "token-unsupported" in test["flags"]]
    skipped = beyond if kind == "pkcs11" else []
    assert sorted(case.id for case in report.cases if case.outcome != "passed") == sorted(skipped)
    passed = len(everything) - len(skipped)
    assert (report.passed, report.failed, report.skipped) == (passed, 0, len(skipped))
    assert sorted(case.id for case in report.cases) == sorted(everything)
    assert report.store["kind"] == kind
    assert sorted(report.vectors) == sorted(path.name for path in VECTORS.glob("*.json"))
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in report.vectors.values())
    assert abs((datetime.now(UTC) - datetime.fromisoformat(report.time)).total_seconds()) < 60

    parsed = json.loads(report.to_json())
    assert parsed["time"] == report.time and parsed["tool"] == report.tool
    assert parsed["summary"] == {"passed": report.passed, "failed": 0, "skipped": len(skipped)}
    assert parsed["cases"][0] == {
        name: getattr(report.cases[0], name)
        for name in ("file", "id", "type", "custody", "outcome", "microseconds")
    }


def test_conformance_in_memory() -> None:
    check_report(p2pe.run_conformance(p2pe.Store.memory()), "memory")


def test_conformance_in_the_token(token_store: p2pe.Store) -> None:
    report = p2pe.run_conformance(token_store)
    check_report(report, "pkcs11")
    assert {case.custody for case in report.cases} == {"", "token", "hybrid"}


def test_conformance_with_files_of_the_caller(tmp_path: Path) -> None:
    assert p2pe.run_conformance(p2pe.Store.memory(), VECTORS).failed == 0
    one = p2pe.run_conformance(p2pe.Store.memory(), vectors=str(VECTORS / "ksn.json"))
    assert list(one.vectors) == ["ksn.json"]
    with pytest.raises(p2pe.ConfigError, match="no .json file"):
        p2pe.run_conformance(p2pe.Store.memory(), tmp_path)


def test_a_wrong_answer_fails_and_a_wrong_key_is_skipped(tmp_path: Path) -> None:
    vectors = json.loads((VECTORS / "ksn.json").read_text())
    broken = next(test for test in vectors["tests"] if test.get("counter"))
    broken["counter"] += 1
    (tmp_path / "broken.json").write_text(json.dumps(vectors))
    report = p2pe.run_conformance(p2pe.Store.memory(), tmp_path)
    failed = [case for case in report.cases if case.outcome == "failed"]
    assert (
        report.failed == 1 and [case.id for case in failed] == [broken["id"]] and failed[0].reason
    )

    files = key_files(tmp_path)
    files["bdk-ansi"] = files["bdk-2025-osaka"]
    report = p2pe.run_conformance(p2pe.Store.memory(files), VECTORS / "idtech_enhanced.json")
    assert report.failed == 0 and report.skipped > 0


def parse(test: Json) -> p2pe.Payload:
    """The payload of a test, given as a Python program would."""
    if test["type"] == "track":
        # Hex digits and bytes are the same.
        tracks = [
            track if n % 2 else bytes.fromhex(track) for n, track in enumerate(test["tracks"])
        ]
        return p2pe.Payload.from_tracks(ksn=test["ksn"], tracks=tracks)
    frame = test["payload"]
    if test["encoding"] == "hex":
        frame = bytearray.fromhex(frame)
    return p2pe.Payload(frame, format=test["format"]) if "format" in test else p2pe.Payload(frame)


def gateway_of(test: Json, store: p2pe.Store) -> p2pe.Gateway:
    """A gateway for the device of a test."""
    return p2pe.Gateway(store, devices=[p2pe.Device(**test["device"])])


def ids(test: Json) -> str:
    return str(test["id"])


@pytest.mark.parametrize("test", [t for t in PAYLOADS if t["result"] == "valid"], ids=ids)
def test_valid_payload(test: Json, store: p2pe.Store) -> None:
    payload = parse(test)
    frame = test.get("frame")
    if frame and "format" in frame:
        assert (payload.format, payload.ksn) == (frame["format"], frame["ksn"])
    elif frame:
        assert payload.format == "idtech"
        assert (payload.ksn, payload.entry) == (frame["ksn"], frame["entry"])
        assert (payload.serial, payload.extra) == tuple(
            text and text.encode() for text in (frame["serial"], frame["extra"])
        )
        assert payload.form == ("keyboard" if test["encoding"] == "ascii" else "binary") or (
            payload.form == "hex" and bytes.fromhex(test["payload"])
        )
    elif test["type"] == "track":
        assert (payload.format, payload.ksn) == ("track", test["ksn"])
        assert (payload.form, payload.entry, payload.serial, payload.extra) == (None,) * 4
    if not test.get("device"):
        return
    card = gateway_of(test, store).decrypt(payload)
    in_token = "token" if len(payload.ksn) == 24 else "hybrid"
    assert card.keys_in == ("memory" if repr(store) == "Store(memory)" else in_token)
    if expected := test.get("card"):
        code = card.sensitive.security_code
        tracks = [card.sensitive.track(1), card.sensitive.track(2), card.sensitive.track(3)]
        assert {
            "pan": card.pan.reveal(),
            "expiry": card.expiry,
            "name": card.name,
            "service_code": card.service_code,
            "security_code": code and code.reveal(),
            "entry": card.entry,
            "luhn": card.pan.luhn,
            "tracks": [track and track.reveal() for track in tracks],
            "emv": card.emv.hex().upper(),
            "session_id": card.session_id and card.session_id.hex().upper(),
            "jis2": card.sensitive.jis2 and card.sensitive.jis2.reveal(),
        } == {"emv": "", "session_id": None, "jis2": None} | expected
        assert expected["pan"] not in "".join(map(repr, (card, card.pan, payload, *tracks)))


@pytest.mark.parametrize("test", [t for t in PAYLOADS if t["result"] == "invalid"], ids=ids)
def test_invalid_payload(test: Json, store: p2pe.Store) -> None:
    if test.get("stage") in ("decrypt", "configuration"):
        payload = parse(test)
        if right := test.get("right_device"):
            gateway_of({"device": right}, store).decrypt(payload)
        with pytest.raises(p2pe.Error) as raised:
            gateway_of(test, store).decrypt(payload)
    else:
        with pytest.raises(p2pe.PayloadError) as raised:
            parse(test)
    assert raised.value.code == test["error"]
    if isinstance(raised.value, p2pe.PayloadError):
        assert raised.value.offset == test.get("offset")
    alarm = isinstance(raised.value, p2pe.ClearAccountDataError)
    assert alarm == (test["error"] == "clear_account_data")
    assert not re.search(r"\d{12}", str(raised.value))


def test_a_format_by_name() -> None:
    keypad = next(t for t in vectors_of("payload") if t["id"] == "idtech-keyed-kb-cvv-zip-tdes")
    assert p2pe.Payload(keypad["payload"], format="idtech").format == "idtech"
    with pytest.raises(p2pe.PayloadError):
        p2pe.Payload(keypad["payload"], format="magtek-report")
    with pytest.raises(p2pe.ArgumentError, match="no payload format"):
        p2pe.Payload(keypad["payload"], format="idteck")


def test_a_batch_is_each_payload_alone(gateway: p2pe.Gateway) -> None:
    keypad = next(t for t in vectors_of("payload") if t["id"] == "idtech-keyed-kb-cvv-zip-tdes")
    good = p2pe.Payload(keypad["payload"])
    unknown = p2pe.Payload.from_tracks(ksn="62994901190000000002", tracks=["00" * 8])
    results = gateway.decrypt_batch([good, unknown, keypad["payload"], "not a frame", good])
    cards = [result for result in results if isinstance(result, p2pe.CardData)]
    assert [card.pan.reveal() for card in cards] == [keypad["card"]["pan"]] * 3
    assert {card.keys_in for card in cards} == {gateway.decrypt(good).keys_in}
    assert isinstance(results[1], p2pe.DeviceError) and isinstance(results[3], p2pe.PayloadError)
    assert gateway.decrypt_batch([]) == []
