"""Known answers, sealed settings, and memory that stays with the process."""

import subprocess
import sys
from pathlib import Path

import pytest
from support import PAN, TYPED, key_files

import p2pe_crypto as p2pe


def settings(tmp_path: Path) -> Path:
    kind, file = key_files(tmp_path)["bdk-ansi"]
    path = tmp_path / "p2pe.toml"
    path.write_text(
        "[store]\nkind = 'memory'\n"
        f"[[store.key]]\nid = 'bdk-ansi'\nkind = '{kind}'\nfile = '{file}'\n"
        "[[device]]\nksn_prefix = 'FFFF987654'\nbase_key = 'bdk-ansi'\nprofile = 'idtech-tdes'\n"
    )
    return path


def test_on_demand(tmp_path: Path, token_store: p2pe.Store) -> None:
    token_store.self_test()
    with p2pe.open(settings(tmp_path)) as gateway:
        gateway.self_test()
        assert gateway.decrypt(TYPED).pan.reveal() == PAN
    with pytest.raises(p2pe.StoreError):
        gateway.self_test()


def test_a_seal_that_is_demanded(tmp_path: Path) -> None:
    path = settings(tmp_path)
    for demand in ["seal", "seal:00"]:
        with pytest.raises(p2pe.ConfigError) as refused:
            p2pe.open(path, sealed=demand)
        assert refused.value.code == "config_seal"
    with pytest.raises(p2pe.ConfigError, match="no seal at") as missing:
        p2pe.open(path, sealed="seal:" + "00" * 16)
    assert missing.value.code == "config_seal"
    (tmp_path / "p2pe.toml.seal").write_text("00" * 32)
    with pytest.raises(p2pe.KeyStoreError) as no_key:
        p2pe.open(path, sealed="seal:" + "00" * 16)
    assert no_key.value.code == "key_not_found"


def test_memory_is_protected_or_it_is_said() -> None:
    code = """if True:
        import resource, p2pe_crypto as p2pe
        locked = p2pe.protect_memory(require_lock=False)
        assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
        status = open("/proc/self/status").read()
        kib = int(status.split("VmLck:")[1].split()[0])
        assert (kib > 0) == locked, (kib, locked)
        try:
            assert p2pe.protect_memory() and locked
        except p2pe.MemoryProtectionError as error:
            assert not locked and error.code == "memory_not_locked"
    """
    subprocess.run([sys.executable, "-c", code], check=True)
