"""Tokens for a column of a Spark DataFrame, made where its partitions are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import p2pe_crypto as p2pe

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

__all__ = ["tokenize"]


def tokenize(
    frame: DataFrame,
    column: str,
    policy: p2pe.Policy,
    *,
    settings: str,
    database: str | Sequence[str] = (),
    sealed: str | None = None,
    reasons: str = "reasons",
) -> DataFrame:
    """The DataFrame with tokens in place of a column's card numbers, and a new column that says why there is none.

    Each Python worker process of Spark opens the vault once, with the store of the settings file at this path, which is there
    on every executor. ``database`` is the URL of the vault, or several, without a password, or else ``P2PE_DATABASE`` of the
    executors.
    The policy is multi-use, so that a task that Spark runs again makes the same tokens.

    Raises ``ValueError`` for a column that is not there, or a new one that is. What ``Vault.tokenize_batch`` raises, for a
    single-use policy too, ends the job, and tells no card number.
    """
    from pyspark.sql.types import StringType, StructField, StructType

    if frame.columns.count(column) != 1:
        raise ValueError(f"there is no one column {column!r}")
    if reasons in frame.columns:
        raise ValueError(f"there is a column {reasons!r} already")
    fields = [
        StructField(field.name, StringType()) if field.name == column else field
        for field in frame.schema.fields
    ]
    databases = (database,) if isinstance(database, str) else tuple(database)
    task = _Task(column, reasons, policy, settings, databases, sealed)
    return frame.mapInArrow(task, StructType([*fields, StructField(reasons, StringType())]))


@dataclass(frozen=True)
class _Task:
    """What Spark sends to its workers: names, and nothing secret."""

    column: str
    reasons: str
    policy: p2pe.Policy
    settings: str
    databases: tuple[str, ...]
    sealed: str | None

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        vault = _vault(self.settings, self.databases, self.sealed)
        for batch in batches:
            at = batch.schema.names.index(self.column)
            made = vault.tokenize_batch(self.policy, batch.column(at))
            # One array in, one batch out.
            tokens, reasons = pa.RecordBatchReader.from_stream(made).read_next_batch().columns
            columns = [*batch.columns, reasons]
            columns[at] = tokens
            yield pa.RecordBatch.from_arrays(columns, [*batch.schema.names, self.reasons])


@cache
def _vault(settings: str, databases: tuple[str, ...], sealed: str | None) -> p2pe.Vault:
    """The vault of this process; it ends with it."""
    return p2pe.Vault.open(p2pe.open(settings, sealed=sealed).store, *databases)
