"""Writes the files of this folder: pyarrow 26, numbers of test cards only."""

import base64
import datetime
import decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe

VISA, MASTERCARD, AMEX = "4761739001010010", "5413330089604111", "378282246310005"


class Keys(pe.KmsClient):
    """Wraps nothing."""

    def __init__(self, _):
        pe.KmsClient.__init__(self)

    def wrap_key(self, key, _):
        return base64.b64encode(key)

    def unwrap_key(self, key, _):
        return base64.b64decode(key)


table = pa.table(
    {
        "id": pa.array([1, 2, 3, 4], pa.int32()),
        "at": pa.array([datetime.datetime(2026, 1, day) for day in (1, 2, 3, 4)], pa.timestamp("us", tz="Asia/Tokyo")),
        "card": pa.array([VISA, None, MASTERCARD, VISA]).dictionary_encode(),
        # A filter has left numbers in the dictionary that no cell refers to.
        "reference": pa.DictionaryArray.from_arrays(pa.array([0, 0, None, 2], pa.int8()), ["a", MASTERCARD, "c"]),
        "number": pa.array([int(VISA), None, int(AMEX), int(VISA) + 1], pa.int64()),
        "exact": pa.array([decimal.Decimal(VISA), None, None, decimal.Decimal(AMEX)], pa.decimal128(19, 0)),
        "double": pa.array([float(VISA), None, float(AMEX), float(VISA)]),
        "cards": pa.array([[VISA, None], [], None, [AMEX, AMEX, MASTERCARD]], pa.list_(pa.large_string())),
        "owner": pa.array([{"name": "x", "cards": {"a": VISA}}, None, {"name": None, "cards": {}}, {"name": "y"}],
                          pa.struct([("name", pa.string()), ("cards", pa.map_(pa.string(), pa.string()))])),
        "amount": pa.array([decimal.Decimal("1.50")] * 4, pa.decimal128(9, 2)),
    }
)
pq.write_table(table, "pyarrow.parquet", row_group_size=3, compression={"id": "gzip", "card": "zstd", "at": "lz4", "number": "snappy"},
               write_page_index=True)

cards = table.select(["card"])
pq.write_table(cards, "brotli.parquet", compression="brotli")
config = pe.EncryptionConfiguration("footer", column_keys={"column": ["card"]}, plaintext_footer=True, double_wrapping=False)
with pq.ParquetWriter("encrypted.parquet", cards.schema,
                      encryption_properties=pe.CryptoFactory(Keys).file_encryption_properties(
                          pe.KmsConnectionConfig(), config)) as writer:
    writer.write_table(cards)
