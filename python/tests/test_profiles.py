"""Profiles: the catalogue, one's own, and that their settings do something."""

from pathlib import Path

import pytest
from support import key_files

import p2pe_crypto as p2pe

KSN = "FFFF9876543210E00008"
# Track 1 of a test card under the PIN-variant key of the public test key, from a MagTek reader.
TRACK = (
    "C25C1D1197D31CAA87285D59A892047426D9182EC11353C051ADD6D0F072A6CB"
    "3436560B3071FC1FD11D9F7E74886742D9BEE0CFD1EA1064C213BB55278B2F12"
)


@pytest.fixture
def store(tmp_path: Path) -> p2pe.Store:
    return p2pe.Store.memory({"bdk": key_files(tmp_path)["bdk-ansi"]})


def gateway(store: p2pe.Store, profile: str | p2pe.Profile) -> p2pe.Gateway:
    device = p2pe.Device(ksn_prefix="FFFF987654", base_key="bdk", profile=profile)
    return p2pe.Gateway(store, devices=[device])


def test_catalogue() -> None:
    catalogue = {profile.name: profile for profile in p2pe.profiles()}
    assert len(catalogue) > 100
    neo = catalogue["neo-aes-pin"]
    shown = (neo.format, neo.encryption, neo.mode, neo.iv, neo.scope, neo.inner_tlv, neo.mask)
    assert shown == ("neo", "aes-pin", "cbc", "zero", "field", True, "*")
    assert not neo.mac
    assert repr(neo) == "Profile('neo-aes-pin')"
    assert 'encryption = "aes-pin"' in neo.to_toml()
    same = p2pe.Profile("neo-aes-pin", format="neo", encryption="aes-pin")
    assert same == neo
    assert hash(same) == hash(neo)


def test_ones_own_catalogue(tmp_path: Path, store: p2pe.Store) -> None:
    path = tmp_path / "catalogue.toml"
    own = p2pe.Profile("front-desk", format="track", encryption="tdes-pin")
    path.write_text(own.to_toml())
    *builtin, read = p2pe.profiles(path)
    assert read == own
    assert builtin == p2pe.profiles()
    payload = p2pe.Payload.from_tracks(ksn=KSN, tracks=[TRACK])
    assert gateway(store, read).decrypt(payload).pan.bin == "545230"
    assert gateway(store, "track-tdes-pin").decrypt(payload).pan.bin == "545230"
    # Another mode, or a run that goes over both tracks: not this device's.
    other = [
        p2pe.Profile("ecb", format="track", encryption="tdes-pin", mode="ecb"),
        p2pe.Profile("data", format="track", encryption="tdes"),
    ]
    for profile in other:
        with pytest.raises(p2pe.DecryptError):
            gateway(store, profile).decrypt(payload)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"mode": "ctr"}, "cbc or ecb"),
        ({"iv": "sent"}, "cannot have this iv"),
        ({"scope": "joined"}, "cannot have this scope"),
        ({"inner_tlv": True}, "cannot have this inner_tlv"),
        ({"mask": "*"}, "cannot have this mask"),
        ({"format": "tracks"}, "no format of this name"),
        ({"encryption": "des"}, "no encryption of this name"),
    ],
)
def test_refused(setting: dict[str, object], says: str) -> None:
    settings: dict[str, object] = {"format": "track", "encryption": "tdes", **setting}
    with pytest.raises(p2pe.ConfigError, match=says) as raised:
        p2pe.Profile("own", **settings)  # type: ignore[arg-type]
    assert raised.value.code == "config"
