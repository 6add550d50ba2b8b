"""`Vault.tokenize_batch` over the Arrow C data interface."""

import os
import sys
from collections.abc import Iterator
from ctypes import CFUNCTYPE, Structure, c_char_p, c_int, c_void_p, cast, py_object, pythonapi
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support import PAN, init_vault, vault_key_files
from test_vault import OTHER, card_numbers, code

import p2pe_crypto as p2pe

if "P2PE_ALL_TESTS" not in os.environ:
    for package in ("pyarrow", "polars", "duckdb", "pandas"):
        pytest.importorskip(package)

import duckdb
import pandas
import polars
import pyarrow as pa

POLICY = p2pe.Policy("shop-1")
WRONG = "4761739001010011"
CELLS = [PAN, None, "", OTHER, f" {PAN}", WRONG, "none", PAN]
REASONS = [None] * 5 + ["check_digit", "not_a_card_number", None]


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[p2pe.Vault]:
    """A vault on SQLite with keys in memory."""
    with p2pe.Store.memory(vault_key_files(tmp_path)) as store:
        with init_vault(store, tmp_path / "vault.db") as opened:
            yield opened


def tokens_of_cells(vault: p2pe.Vault) -> list[str | None]:
    """Of `CELLS`, made one by one."""
    pan, other = vault.tokenize(POLICY, PAN), vault.tokenize(POLICY, OTHER)
    return [pan, None, "", other, f" {pan}", None, None, pan]


def moved(vault: p2pe.Vault, column: Any) -> tuple[list[str | None], list[str | None]]:
    """The tokens and the reasons of a column."""
    made = pa.table(vault.tokenize_batch(POLICY, column))
    assert made.column_names == ["tokens", "reasons"]
    return made["tokens"].to_pylist(), made["reasons"].to_pylist()


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.binary(),
        pa.large_binary(),
        pa.binary_view(),
        pa.dictionary(pa.int8(), pa.string()),
        pa.dictionary(pa.int32(), pa.large_string()),
    ],
    ids=str,
)
def test_arrays_of_text(vault: p2pe.Vault, kind: Any) -> None:
    array = pa.array(CELLS).cast(kind) if not pa.types.is_dictionary(kind) else pa.array(CELLS, kind)
    tokens = tokens_of_cells(vault)
    assert moved(vault, array) == (tokens, REASONS)
    for start in (1, 5):
        assert moved(vault, array[start : start + 3]) == (
            tokens[start : start + 3],
            REASONS[start : start + 3],
        )
    chunks = pa.chunked_array([array[:3], array[3:3], array[3:]], array.type)
    made = pa.table(vault.tokenize_batch(POLICY, chunks))
    assert [len(chunk) for chunk in made["tokens"].chunks] == [3, 0, 5]
    assert moved(vault, chunks) == (tokens, REASONS)


def test_arrays_of_numbers(vault: p2pe.Vault) -> None:
    token = vault.tokenize(POLICY, PAN)
    for kind in (pa.int64(), pa.uint64()):
        assert moved(vault, pa.array([int(PAN), None], kind)) == ([token, None], [None, None])
    decimals = pa.array([Decimal(PAN), None], pa.decimal128(38))
    assert moved(vault, decimals) == ([token, None], [None, None])
    assert moved(vault, pa.array([float(PAN), None])) == ([None, None], ["digits_lost", None])
    assert moved(vault, pa.nulls(2)) == ([None, None], [None, None])
    assert moved(vault, pa.array([], pa.string())) == ([], [])
    assert moved(vault, pa.chunked_array([], pa.string())) == ([], [])


def test_what_a_producer_says_of_a_cell_is_not_told(vault: p2pe.Vault) -> None:
    mixed = pandas.Series([int(OTHER), PAN])
    with pytest.raises(pa.ArrowException, match=PAN):
        pa.chunked_array(mixed)
    with pytest.raises(p2pe.ArgumentError) as raised:
        vault.tokenize_batch(POLICY, mixed)
    error: BaseException | None = raised.value
    assert raised.value.code == "arrow_data"
    while error is not None:
        assert PAN not in f"{error!r}{error}{error.args}"
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("library", ["polars", "polars table", "pandas", "duckdb", "pyarrow"])
def test_columns_of(vault: p2pe.Vault, library: str) -> None:
    table = pa.table({"card": CELLS})
    with duckdb.connect() as connection:
        connection.register("t", table)
        column: dict[str, Any] = {
            "polars": polars.Series(CELLS),
            "polars table": polars.DataFrame({"card": CELLS}),
            "pandas": pandas.Series(CELLS, dtype="str"),
            "duckdb": connection.sql("select card from t"),
            "pyarrow": table,
        }
        assert moved(vault, column[library]) == (tokens_of_cells(vault), REASONS)


def test_who_takes_the_answer(vault: p2pe.Vault) -> None:
    made = vault.tokenize_batch(POLICY, polars.Series(CELLS))
    assert (len(made), repr(made)) == (8, "ArrowTokens(8 rows)")
    tokens = tokens_of_cells(vault)
    for _ in range(2):  # it can be read again
        frame = polars.DataFrame(made)
        assert (frame["tokens"].to_list(), frame["reasons"].to_list()) == (tokens, REASONS)
    with duckdb.connect() as connection:
        connection.register("made", pa.table(made))
        rows = connection.sql("select count(tokens), count(reasons) from made").fetchall()
    assert rows == [(5, 2)]
    views = pa.schema([("tokens", pa.string_view()), ("reasons", pa.large_string())])
    reader = pa.RecordBatchReader.from_stream(made, views)
    assert reader.schema == views and reader.read_all()["tokens"].to_pylist() == tokens


def test_the_same_as_a_list(opens_vault: Any) -> None:
    vault, numbers = opens_vault(), card_numbers(50)
    assert moved(vault, pa.array(numbers))[0] == vault.tokenize_batch(POLICY, numbers)


def test_a_stream_that_python_makes(vault: p2pe.Vault) -> None:
    """Its producer takes the GIL for each chunk, of which some are longer than one question to the store."""
    numbers, schema = card_numbers(2500), pa.schema([("card", pa.string())])
    parts = [numbers[:1200], [], numbers[1200:1201], numbers[1201:]]
    batches = (pa.record_batch([pa.array(part, pa.string())], schema) for part in parts)
    tokens, reasons = moved(vault, pa.RecordBatchReader.from_batches(schema, batches))
    assert tokens == vault.tokenize_batch(POLICY, numbers) and not any(reasons)


def test_a_producer_that_fails(vault: p2pe.Vault) -> None:
    schema = pa.schema([("card", pa.string())])

    def batches() -> Iterator[Any]:
        yield pa.record_batch([pa.array([PAN])], schema)
        raise ValueError(f"cannot read {OTHER}")

    with pytest.raises(p2pe.ArgumentError) as raised:
        vault.tokenize_batch(POLICY, pa.RecordBatchReader.from_batches(schema, batches()))
    assert raised.value.code == "arrow_data" and OTHER not in str(raised.value)
    assert vault.tokens_of(PAN, merchant="shop-1") == [vault.tokenize(POLICY, PAN)]


def offsets(*ends: int) -> Any:
    """An array of strings with these offsets, unchecked."""
    buffer = b"".join(end.to_bytes(4, sys.byteorder, signed=True) for end in ends)
    return pa.Array.from_buffers(
        pa.string(), len(ends) - 1, [None, pa.py_buffer(buffer), pa.py_buffer(PAN.encode())]
    )


def malformed() -> dict[str, Any]:
    bytes_ = pa.array([PAN.encode(), b"\xff\xfe"])
    index = pa.py_buffer(bytes([0, 7]))
    return {
        "offsets that go back": offsets(0, 16, 8, 12),
        "no UTF-8": pa.Array.from_buffers(pa.string(), 2, bytes_.buffers()),
        "no such value": pa.DictionaryArray.from_arrays(
            pa.Array.from_buffers(pa.int8(), 2, [None, index]), pa.array([PAN]), safe=False
        ),
    }


@pytest.mark.parametrize("what", malformed())
def test_malformed_arrays(vault: p2pe.Vault, what: str) -> None:
    array = malformed()[what]
    for column in (array, pa.chunked_array([array])):
        assert code(vault.tokenize_batch, POLICY, column) == (p2pe.ArgumentError, "arrow_data")
    assert vault.tokens_of(PAN, merchant="shop-1") == []


class Stream(Structure):
    """A stream of the C interface that fails and does not say why."""

    _fields_ = [(name, c_void_p) for name in ("schema", "next", "error", "release", "private")]


class Speechless:
    """Has the schema of a real stream, and then no chunk and no message."""

    def __init__(self) -> None:
        self.real = pa.chunked_array([[PAN]]).__arrow_c_stream__()
        pointer = pythonapi.PyCapsule_GetPointer
        pointer.argtypes, pointer.restype = [py_object, c_char_p], c_void_p
        real = Stream.from_address(pointer(self.real, b"arrow_array_stream"))
        self.next = CFUNCTYPE(c_int, c_void_p, c_void_p)(lambda _stream, _array: 5)
        self.error = CFUNCTYPE(c_void_p, c_void_p)(lambda _stream: None)
        real.next, real.error = cast(self.next, c_void_p), cast(self.error, c_void_p)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.real


def test_a_stream_that_does_not_say_why_it_failed(vault: p2pe.Vault) -> None:
    assert code(vault.tokenize_batch, POLICY, Speechless()) == (p2pe.ArgumentError, "arrow_data")


def test_what_is_refused(vault: p2pe.Vault) -> None:
    cards = pa.array([PAN])
    columns = pa.table({"card": [PAN], "name": ["A. Card"]})
    for column in (pa.array([1, 2], pa.int32()), pa.array([True]), pa.array([[PAN]]), columns):
        raised = code(vault.tokenize_batch, POLICY, column)
        assert raised == (p2pe.ArgumentError, "migrate_array_type")
    once = p2pe.Policy("shop-1", single_use=True)
    assert code(vault.tokenize_batch, once, cards) == (p2pe.ArgumentError, "migrate_single_use")
    dated = p2pe.Policy("shop-1", version=2, with_expiry=True)
    assert code(vault.tokenize_batch, dated, cards) == (p2pe.CardError, "expiry_and_policy")
    wrong: list[Any] = [7, PAN, None]
    for thing in wrong:
        with pytest.raises(TypeError):
            vault.tokenize_batch(POLICY, thing)
    vault.close()
    assert code(vault.tokenize_batch, POLICY, cards) == (p2pe.VaultError, "vault_closed")
