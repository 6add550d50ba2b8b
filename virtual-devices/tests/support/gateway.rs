//! A gateway in memory for any virtual device: the host's side of the same key.
#![allow(dead_code, clippy::allow_attributes, reason = "not every test file uses every helper")]

use dukpt::{KeyId, KeyImport, KeyMaterial, Ksn, KsnPrefix, Lifetime, MemoryStore, Scheme};
use p2pe_crypto::{CardData, Decryptor, Device, DeviceProfile, Devices, Encryption, Error, Payload, tracks};
use p2pe_virtual_devices::{Emission, Form};

pub(crate) const TDES_KSN: [u8; 10] = [0xFF, 0xFF, 0x98, 0x76, 0x54, 0x32, 0x10, 0xE0, 0, 0];
pub(crate) const AES_KSN: [u8; 12] = [0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56, 0, 0, 0, 0];

/// The public test base keys (ANSI X9.24-1:2009, X9.24-3:2017).
pub(crate) fn base_key(encryption: Encryption) -> Vec<u8> {
    match encryption {
        Encryption::Tdes(..) => 0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210_u128.to_be_bytes().into(),
        Encryption::Aes(suite) => {
            let mut key = vec![0xF1; suite.base().length()];
            key[..8].copy_from_slice(&0xFEDC_BA98_7654_3210_u64.to_be_bytes());
            key
        }
    }
}

pub(crate) fn device_id(encryption: Encryption) -> &'static [u8] {
    match encryption.scheme() {
        Scheme::Tdes => &TDES_KSN,
        Scheme::Aes => &AES_KSN,
    }
}

pub(crate) fn gateway(profile: DeviceProfile) -> Decryptor<MemoryStore> {
    gateway_with(profile, &base_key(profile.encryption()))
}

pub(crate) fn gateway_with(profile: DeviceProfile, base_key: &[u8]) -> Decryptor<MemoryStore> {
    let (mut store, mut devices, id) = (MemoryStore::new(), Devices::new(), KeyId::new("bdk").unwrap());
    let (kind, prefix) = match profile.scheme() {
        Scheme::Tdes => ("tdes-base", &TDES_KSN[..5]),
        Scheme::Aes => ("aes-base", &AES_KSN[..4]),
    };
    store.import(&id, &KeyMaterial::new(kind, base_key).unwrap(), Lifetime::Session).unwrap();
    let prefix = KsnPrefix::new(profile.scheme(), prefix).unwrap();
    devices.insert(prefix, Device { base_key: id, profile });
    Decryptor::new(store, devices)
}

/// Parses bytes as those of an emission in this form.
pub(crate) fn parse(bytes: &[u8], form: Form, ksn: &Ksn) -> Result<Payload, Error> {
    if form != Form::Beside {
        return Ok(Payload::parse(bytes)?);
    }
    let runs: Result<Vec<_>, _> = bytes.split(|&byte| byte == b'\n').map(tracks::from_hex).collect();
    let runs = runs?;
    Ok(Payload::from_tracks(ksn.as_bytes(), &runs.iter().map(|run| run.as_slice()).collect::<Vec<_>>())?)
}

pub(crate) fn decrypt(gateway: &Decryptor<MemoryStore>, sent: &Emission) -> Result<CardData, Error> {
    gateway.decrypt(&parse(&sent.bytes, sent.form, &sent.ksn)?)
}
