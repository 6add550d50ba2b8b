//! A device in software: encrypts tracks and builds ID TECH enhanced frames, apart from the library's own code.

use aes::{
    Aes128,
    cipher::{Block, BlockCipherEncrypt, KeyInit},
};
use des::TdesEde2;
use dukpt::{Key, KeyId, KeyImport, KeyMaterial, KeyStore, KsnPrefix, Lifetime, MemoryStore, Scheme, tdes};
use p2pe_crypto::{Device, Devices, Form};
use tdes::{Cipher, Variant};

/// The public test key of ANSI X9.24.
pub(crate) const ANSI: [u8; 16] = 0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210_u128.to_be_bytes();
pub(crate) const KSN: [u8; 10] = [0xFF, 0xFF, 0x98, 0x76, 0x54, 0x32, 0x10, 0xE0, 0x00, 0x08];

pub(crate) fn id(name: &str) -> KeyId {
    KeyId::new(name).unwrap()
}

/// A store with base keys by name.
pub(crate) fn store(keys: &[(&str, [u8; 16])]) -> MemoryStore {
    let mut store = MemoryStore::new();
    for (name, key) in keys {
        store.import(&id(name), &KeyMaterial::new("tdes-base", key).unwrap(), Lifetime::Session).unwrap();
    }
    store
}

/// KSN prefix, base key and profile of each population.
pub(crate) fn devices(populations: &[(&[u8], &str, &str)]) -> Devices {
    let mut devices = Devices::new();
    for (prefix, base_key, profile) in populations {
        let scheme = if profile.contains("dukpt") { Scheme::Aes } else { Scheme::Tdes };
        let device = Device { base_key: id(base_key), profile: profile.parse().unwrap() };
        devices.insert(KsnPrefix::new(scheme, prefix).unwrap(), device);
    }
    devices
}

/// A track with its check character (ISO/IEC 7811).
pub(crate) fn checked(track: &str) -> Vec<u8> {
    let (base, bits) = if track.starts_with('%') { (0x20, 0x3F) } else { (0x30, 0x0F) };
    let check = track.bytes().fold(0, |lrc, byte| lrc ^ ((byte - base) & bits)) + base;
    [track.as_bytes(), &[check]].concat()
}

/// What an ID TECH device shows of a checked track: the first four and last four digits, the name and separators.
pub(crate) fn masked(track: &[u8]) -> Vec<u8> {
    let pan: Vec<usize> = (0..track.len()).skip_while(|&i| !track[i].is_ascii_digit()).collect();
    let end = pan.iter().position(|&i| !track[i].is_ascii_digit()).map_or(track.len(), |at| pan[at]);
    let separators = b"%;=^?";
    let second = track.iter().rposition(|&byte| byte == b'^').filter(|&at| at > end).unwrap_or(end);
    let shown = |i: usize| {
        (pan[0]..pan[0] + 4).contains(&i) || (end - 4..second).contains(&i) || separators.contains(&track[i])
    };
    let last = track.len() - 1;
    (0..track.len()).map(|i| if shown(i) && i != last { track[i] } else { b'*' }).collect()
}

/// Encrypts as the device with this KSN: zero padding, CBC, zero IV.
pub(crate) fn encrypt(base_key: [u8; 16], ksn: &[u8], variant: Variant, cipher: Cipher, clear: &[u8]) -> Vec<u8> {
    let store = store(&[("key", base_key)]);
    let ksn = tdes::Ksn::try_from(ksn).unwrap();
    let initial_key = store.key(&id("key")).unwrap().tdes_initial_key(&ksn).unwrap();
    let key = tdes::DataKey::derive(&initial_key, &ksn, variant).unwrap();
    match cipher {
        Cipher::Tdes => cbc(&TdesEde2::new(key.expose().into()), clear),
        Cipher::Aes128 => cbc(&Aes128::new(key.expose().into()), clear),
    }
}

fn cbc<C: BlockCipherEncrypt>(cipher: &C, clear: &[u8]) -> Vec<u8> {
    let mut before = Block::<C>::default();
    let mut out = Vec::new();
    for chunk in clear.chunks(before.len()) {
        before.iter_mut().zip(chunk).for_each(|(b, c)| *b ^= c);
        cipher.encrypt_block(&mut before);
        out.extend_from_slice(&before);
    }
    out
}

/// What a device puts into a frame.
#[derive(Clone)]
pub(crate) struct Content {
    pub(crate) keyed: bool,
    pub(crate) base_key: [u8; 16],
    pub(crate) ksn: [u8; 10],
    pub(crate) variant: Variant,
    pub(crate) cipher: Cipher,
    /// The clear tracks, check character included; empty for none.
    pub(crate) tracks: [Vec<u8>; 3],
    /// The clear or masked copies.
    pub(crate) masked: [Option<Vec<u8>>; 3],
}

impl Content {
    /// The tracks of one card, each with its masked copy, under the ANSI key.
    pub(crate) fn of(tracks: [&str; 3]) -> Self {
        let tracks = tracks.map(|track| if track.is_empty() { Vec::new() } else { checked(track) });
        let masked = tracks.clone().map(|track| (!track.is_empty()).then(|| masked(&track)));
        let (variant, cipher) = (Variant::DataRequest, Cipher::Tdes);
        Self { keyed: false, base_key: ANSI, ksn: KSN, variant, cipher, tracks, masked }
    }

    /// The frame, binary.
    pub(crate) fn frame(&self) -> Vec<u8> {
        let lengths = [0, 1, 2].map(|i| match &self.masked[i] {
            Some(masked) => masked.len(),
            None => self.tracks[i].len(),
        });
        let flags = |set: [bool; 3]| (0..3).map(|i| u8::from(set[i]) << i).sum::<u8>();
        let aes = if self.cipher == Cipher::Aes128 { 0x10 } else { 0 };
        let mut data = vec![if self.keyed { 0xC0 } else { 0x80 }, 0x1F];
        data.extend(lengths.map(|length| u8::try_from(length).unwrap()));
        data.push(flags([0, 1, 2].map(|i| self.masked[i].is_some())) | aes | 0x80);
        data.push(flags([0, 1, 2].map(|i| !self.tracks[i].is_empty())) | 0x80);
        data.extend(self.masked.iter().flatten().flatten());
        for track in self.tracks.iter().filter(|track| !track.is_empty()) {
            data.extend(encrypt(self.base_key, &self.ksn, self.variant, self.cipher, track));
        }
        data.extend(b"T0123ABCDE");
        data.extend(self.ksn);
        crate::envelope::close(&data, Form::Binary, 0..0)
    }
}
