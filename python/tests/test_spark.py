"""`p2pe_crypto.spark` on a local cluster, with the vault on PostgreSQL."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support import PAN, init_vault, vault_key_files
from test_readme import blocks
from test_vault import card_numbers

import p2pe_crypto as p2pe

if "P2PE_ALL_TESTS" not in os.environ:
    pytest.importorskip("pyspark")

SETTINGS = """
[store]
kind = "memory"
[[store.key]]
id = "print"
kind = "hmac"
file = "print.hex"
[[store.key]]
id = "wrap"
kind = "wrap"
file = "wrap.hex"
[[store.key]]
id = "route"
kind = "hmac"
file = "route.hex"
"""


@pytest.fixture
def vault(tmp_path: Path, postgres: Callable[[], str]) -> p2pe.Vault:
    """A vault over two databases of PostgreSQL, with a settings file beside its keys."""
    store = p2pe.Store.memory(vault_key_files(tmp_path))
    (tmp_path / "p2pe.toml").write_text(SETTINGS)
    urls = [postgres(), postgres()]
    (tmp_path / "urls").write_text("\n".join(urls))
    return init_vault(store, *urls)


# Behind the example: what it wrote, and how many vaults each worker process has opened.
PRINTS = """
for row in sorted(spark.read.parquet("moved").collect(), key=lambda row: int(row.order)):
    print(row.order, row.card, row.reasons)

def opened(batches):
    import os, pyarrow
    from p2pe_crypto import spark
    assert list(batches)
    count = spark._vault.cache_info().misses
    yield pyarrow.record_batch({"process": [os.getpid()], "opened": [count]})

found = orders.mapInArrow(opened, "process long, opened long").collect()
print(*{row.process: row.opened for row in found}.values())
"""


# Jobs that cannot be done.
FAILS = """
import p2pe_crypto as p2pe

cards = spark.createDataFrame([("4761739001010010", 1)], "card string, other int")
policy = Policy("shop-1")
nowhere = "postgres:///?host=/nowhere"
jobs = [
    lambda: tokenize(cards, "card", Policy("shop-1", single_use=True), settings="p2pe.toml"),
    lambda: tokenize(cards, "card", policy, settings="nowhere.toml"),
    lambda: tokenize(cards, "card", policy, settings="p2pe.toml", database=nowhere),
    lambda: tokenize(cards, "other", policy, settings="p2pe.toml"),
    lambda: tokenize(cards, "nowhere", policy, settings="p2pe.toml"),
    lambda: tokenize(cards, "card", policy, settings="p2pe.toml", reasons="other"),
]
for job in jobs:
    try:
        print(job().collect())
    except Exception as error:
        print(str(error).replace("\\n", " "))
"""

WHY = [
    "ArgumentError",
    "ConfigError",
    "DatabaseError",
    "ArgumentError",
    "there is no one column 'nowhere'",
    "there is a column 'other' already",
]


def test_the_example_and_jobs_that_fail(tmp_path: Path, vault: p2pe.Vault) -> None:
    numbers = [PAN, *card_numbers(300)]
    cells = [*numbers, PAN, "none", ""]
    rows = "".join(f"{row},{cell}\n" for row, cell in enumerate(cells))
    (tmp_path / "orders.csv").write_text(f"order,card\n{rows}")
    (example,) = (code for code in blocks("python") if "# needs Spark" in code)
    (tmp_path / "job.py").write_text(example + PRINTS + FAILS)
    ran = subprocess.run(
        [sys.executable, "job.py"],
        cwd=tmp_path,
        env={
            **os.environ,
            "P2PE_DATABASE": (tmp_path / "urls").read_text(),
            "PYSPARK_PYTHON": sys.executable,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=600,
    )
    shown = ran.stdout + ran.stderr
    assert not [number for number in numbers if number in shown]
    assert ran.returncode == 0, ran.stderr[-5000:]
    printed = ran.stdout.splitlines()
    moved, opened, failed = printed[: len(cells)], printed[len(cells)], printed[len(cells) + 1 :]
    tokens = [*vault.tokenize_batch(p2pe.Policy("shop-1"), [*numbers, PAN]), None, None]
    reasons = [*[None] * len(tokens[:-2]), "not_a_card_number", None]
    assert moved == [f"{row} {tokens[row]} {reasons[row]}" for row in range(len(cells))]
    assert set(opened.split()) in ({"1"}, {"0", "1"})  # by each process, not by each of 8 tasks
    assert len(failed) == len(WHY)
    assert all(word in line for line, word in zip(failed, WHY, strict=True)), failed
