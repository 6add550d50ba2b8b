"""Values and helpers that several test files use."""

import json
import os
import secrets
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import p2pe_crypto as p2pe

PACKAGE = Path(__file__).parents[1]
PROJECT = PACKAGE.parent
VECTORS = PROJECT / "vectors" / "data"

# What a SREDKey keypad typed: a published test payload.
TYPED = (
    "02C100C037001C078692;4761********0010=2212:***?*098745=ACF828DC27C1BB4E1DAA43F06A25BDD1"
    "B661394C0BFA22248608AE55765ECA2D000000000000000000000000000000000000000037343254303930303934"
    "FFFF987654004300025A453D03"
)
PAN = "4761739001010010"
# Names and kinds of a vault's keys; the last one is for several databases.
VAULT_KEYS = {"print": "hmac", "wrap": "wrap", "route": "hmac"}

Json = dict[str, Any]


@dataclass(frozen=True)
class OpensVault:
    """Opens a vault over databases, and closes it."""

    store: p2pe.Store
    databases: list[str]
    opened: ExitStack

    def __call__(self, *, workers: int = 1, rate_limit: int = 600) -> p2pe.Vault:
        vault = p2pe.Vault.open(self.store, *self.databases, workers=workers, rate_limit=rate_limit)
        return self.opened.enter_context(vault)


@dataclass(frozen=True)
class Token:
    """Where a throwaway token is."""

    module: Path
    label: str
    pin_file: Path

    def open(self) -> p2pe.Store:
        """A store over it."""
        return p2pe.Store.pkcs11(module=self.module, token=self.label, pin_file=self.pin_file)


def vector_files() -> list[Json]:
    """Every file of vectors."""
    return [json.loads(path.read_text()) for path in sorted(VECTORS.glob("*.json"))]


def vectors_of(*types: str) -> list[Json]:
    """Every test of these types."""
    return [test for file in vector_files() for test in file["tests"] if test["type"] in types]


def key_files(folder: Path) -> dict[str, tuple[Any, Path]]:
    """The keys of all vectors, written to files, as `Store.memory` takes them."""
    files: dict[str, tuple[Any, Path]] = {}
    for key in (key for file in vector_files() for key in file.get("keys", [])):
        path = folder / f"{key['id']}.hex"
        path.write_text(key["value"] + "\n")
        files[key["id"]] = (key["kind"], path)
    return files


def vault_key_files(folder: Path) -> dict[str, tuple[Any, Path]]:
    """New keys of a vault, written to files, as `Store.memory` takes them."""
    files = {name: (kind, folder / f"{name}.hex") for name, kind in VAULT_KEYS.items()}
    for _, path in files.values():
        path.write_text(secrets.token_hex(32))
    return files


def init_vault(store: p2pe.Store, *addresses: Path | str) -> p2pe.Vault:
    """A new vault with those keys."""
    routing_key = "route" if len(addresses) > 1 else None
    return p2pe.Vault.init(
        store, *addresses, fingerprint_key="print", wrapping_key="wrap", routing_key=routing_key
    )


def built(*what: str) -> Path:
    """The folder of the project's programs, with this one built.

    With the features of the workspace it is what the tests of Rust have built.
    """
    subprocess.run(["cargo", "build", "--quiet", "--locked", *what], cwd=PROJECT, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target")) / "debug"


def in_child(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a Python of its own, which has no terminal; returns when it ended."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=120,
    )
