//! A device in software, a host with one base key, and the doctor between them.

use des::cipher::{BlockCipherEncrypt, KeyInit};
use dukpt::{
    Key, KeyId, KeyImport, KeyMaterial, KeyStore, KsnPrefix, Lifetime, MemoryStore, Scheme,
    tdes::{self, Cipher, Variant},
};
use p2pe_crypto::{Decryptor, Device, DeviceProfile, Devices};
use p2pe_doctor::{Case, Code, Diagnosis, Doctor};

/// The public key of ANSI X9.24-1.
const BASE: [u8; 16] = [0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF, 0xFE, 0xDC, 0xBA, 0x98, 0x76, 0x54, 0x32, 0x10];
pub(crate) const KSN: &str = "FFFF9876543210E00008";
pub(crate) const OTHER_KSN: &str = "FFFF9876543200200001";
/// A track 2 of a test card with its check character.
pub(crate) const CARD: &[u8] = b";4761739001010010=22122011143878089?0";
/// An amount, and `57` of the same card.
pub(crate) const TLV: &[u8] =
    b"\x9F\x02\x06\0\0\0\0\x01\0\x57\x11\x47\x61\x73\x90\x01\x01\x00\x10\xD2\x21\x22\x01\x11\x43\x87\x80\x89";

/// A track 1 of the same card with its check character.
pub(crate) const TRACK1: &[u8] = b"%B4761739001010010^TEST/CARD^22122010000000000?M";
/// What a chip sends for an authorisation, with `57` and `5A` of the same card.
pub(crate) const CHIP: &[u8] = b"\x9F\x02\x06\0\0\0\0\x01\0\x9F\x03\x06\0\0\0\0\0\0\x9F\x1A\x02\x03\x92\x95\x05\x80\0\x04\x80\0\x5F\x2A\x02\x03\x92\
    \x5A\x08\x47\x61\x73\x90\x01\x01\0\x10\x5F\x24\x03\x22\x12\x31\x57\x11\x47\x61\x73\x90\x01\x01\0\x10\xD2\x21\x22\x01\x11\x43\x87\x80\x89\
    \x9A\x03\x22\x01\x31\x9C\x01\0\x9F\x37\x04\x11\x22\x33\x44\x82\x02\x3C\0\x9F\x36\x02\0\x1E\x9F\x26\x08\x01\x02\x03\x04\x05\x06\x07\x08\
    \x9F\x27\x01\x80\x9F\x33\x03\xE0\xF8\xC8\x9F\x34\x03\x41\x03\x02\x5F\x34\x01\x01";

pub(crate) struct Bench {
    keys: Vec<(String, [u8; 16])>,
    decryptor: Decryptor<MemoryStore>,
    profile: &'static str,
}

impl Bench {
    pub(crate) fn new(profile: &'static str) -> Self {
        Self::with(profile, vec![("base".into(), BASE)])
    }

    fn with(profile: &'static str, keys: Vec<(String, [u8; 16])>) -> Self {
        let parsed = profile.parse().unwrap();
        Self::with_both(profile, parsed, keys)
    }

    /// The same with a profile of one's own.
    pub(crate) fn with_profile(&self, own: DeviceProfile) -> Self {
        Self::with_both(self.profile, own, self.keys.clone())
    }

    fn with_both(profile: &'static str, parsed: DeviceProfile, keys: Vec<(String, [u8; 16])>) -> Self {
        let mut store = MemoryStore::new();
        for (name, key) in &keys {
            let material = KeyMaterial::new("tdes-base", key).unwrap();
            store.import(&KeyId::new(name).unwrap(), &material, Lifetime::Session).unwrap();
        }
        let mut devices = Devices::new();
        let device = Device { base_key: KeyId::new("base").unwrap(), profile: parsed };
        devices.insert(KsnPrefix::new(Scheme::Tdes, &[0xFF, 0xFF, 0x98]).unwrap(), device);
        Self { keys, decryptor: Decryptor::new(store, devices), profile }
    }

    /// The same with another base key.
    pub(crate) fn with_key(&self, key: &[u8; 16]) -> Self {
        Self::with(self.profile, vec![("base".into(), *key)])
    }

    /// The same with one more key in the store.
    pub(crate) fn and_key(&self, name: &str, key: &[u8; 16]) -> Self {
        let mut keys = self.keys.clone();
        keys.push((name.into(), *key));
        Self::with(self.profile, keys)
    }

    pub(crate) fn doctor(&self) -> Doctor<'_, MemoryStore> {
        Doctor::new(&self.decryptor).with_keys(self.keys.iter().map(|(name, _)| KeyId::new(name).unwrap()))
    }

    pub(crate) fn doctor_refuses(&self, components: &[&[u8]]) -> bool {
        self.doctor().with_components("tdes-base", components).is_err()
    }

    pub(crate) fn examine(&self, ksns: &[&str], ciphertexts: &[&str]) -> Diagnosis {
        self.doctor().examine(&Case::Raw { ksns, ciphertexts })
    }

    pub(crate) fn examine_payload(&self, bytes: &[u8]) -> Diagnosis {
        self.doctor().examine(&Case::Payload(bytes))
    }

    /// The codes of each finding.
    pub(crate) fn codes(&self, diagnosis: &Diagnosis) -> Vec<Vec<Code>> {
        diagnosis.findings.iter().map(|finding| finding.causes.iter().map(|cause| cause.code).collect()).collect()
    }

    /// One finding with these causes; or, for none, nothing.
    pub(crate) fn names(&self, ksns: &[&str], ciphertext: &str, expected: &[Code]) {
        self.check(&self.examine(ksns, &[ciphertext]), expected);
    }

    pub(crate) fn names_with(&self, components: &[&[u8]], ksns: &[&str], ciphertext: &str, expected: &[Code]) {
        let doctor = self.doctor().with_components("tdes-base", components).unwrap();
        self.check(&doctor.examine(&Case::Raw { ksns, ciphertexts: &[ciphertext] }), expected);
    }

    fn check(&self, diagnosis: &Diagnosis, expected: &[Code]) {
        let findings = self.codes(diagnosis);
        let wanted: Vec<Vec<Code>> = if expected.is_empty() { Vec::new() } else { vec![expected.to_vec()] };
        assert!(!diagnosis.healthy);
        assert_eq!(findings, wanted, "{:#?}", diagnosis.findings);
        assert_eq!(diagnosis.exit(), expected.first().map_or(6, |code| code.exit()));
        assert!(diagnosis.findings.iter().flat_map(|f| &f.causes).all(|c| !c.sentence.is_empty() && !c.fix.is_empty()));
    }

    fn ksn(&self) -> tdes::Ksn {
        tdes::Ksn::try_from(&hex::decode(KSN).unwrap()[..]).unwrap()
    }

    fn initial(&self) -> tdes::InitialKey {
        self.decryptor.store().key(&KeyId::new("base").unwrap()).unwrap().tdes_initial_key(&self.ksn()).unwrap()
    }

    pub(crate) fn initial_key(&self) -> [u8; 16] {
        *self.initial().expose()
    }

    /// Its PIN variant is the only way to see it from outside: undone.
    pub(crate) fn transaction_key(&self) -> [u8; 16] {
        let mut key = *tdes::DataKey::derive(&self.initial(), &self.ksn(), Variant::Pin).unwrap().expose();
        (key[7], key[15]) = (!key[7], !key[15]);
        key
    }

    /// Under the request data key, as hex digits.
    pub(crate) fn encrypt(&self, cipher: Cipher, text: &[u8]) -> String {
        self.encrypt_cbc(cipher, &[0; 16], text)
    }

    pub(crate) fn encrypt_cbc(&self, cipher: Cipher, iv: &[u8; 16], text: &[u8]) -> String {
        let mut data = padded(text, cipher.block());
        self.transaction().data_key().encrypt_cbc(cipher, iv, &mut data).unwrap();
        hex_of(&data)
    }

    pub(crate) fn encrypt_ecb(&self, text: &[u8]) -> String {
        let key = self.transaction().data_key();
        let mut data = padded(text, 8);
        data.chunks_mut(8).for_each(|block| key.encrypt_cbc(Cipher::Tdes, &[0; 16], block).unwrap());
        hex_of(&data)
    }

    /// A track whose ciphertext begins with these digits: the first digits of its card number are counted up.
    pub(crate) fn encrypt_beginning_with(&self, digits: &str) -> String {
        (0..100_000u32)
            .map(|count| {
                // The first block holds the count.
                let head = format!(";4{count:06}901010010=2212201?");
                let check = head.bytes().fold(0, |lrc, byte| lrc ^ byte & 0x0F) + b'0';
                self.encrypt(Cipher::Tdes, &[head.as_bytes(), &[check]].concat())
            })
            .find(|ciphertext| ciphertext.starts_with(digits))
            .unwrap()
    }

    /// Under the transaction key with one byte of each half inverted and nothing else; 8 inverts none.
    pub(crate) fn encrypt_under_variant(&self, byte: usize, text: &[u8]) -> String {
        let mut key = self.transaction_key();
        if byte < 8 {
            (key[byte], key[byte + 8]) = (!key[byte], !key[byte + 8]);
        }
        encrypt_under(key, text)
    }

    /// Under the request data key of a counter whose bits were taken from the lowest; with the KSN.
    pub(crate) fn encrypt_upwards(&self, counter: u32, text: &[u8]) -> (String, String) {
        let des = |key: &[u8], mut block: [u8; 8]| {
            des::Des::new_from_slice(key).unwrap().encrypt_block((&mut block).into());
            block
        };
        let mut ksn = hex::decode(KSN).unwrap();
        ksn[9] = 0;
        let mut key = self.initial_key();
        for bit in (0..16).filter(|bit| counter >> bit & 1 == 1) {
            ksn[9 - bit / 8] |= 1 << (bit % 8);
            let half = |key: [u8; 16]| {
                let add = |at: usize, byte| byte ^ key[8 + at];
                let block = std::array::from_fn(|at| add(at, ksn[2 + at]));
                let out = des(&key[..8], block);
                std::array::from_fn::<u8, 8, _>(|at| add(at, out[at]))
            };
            let masked = std::array::from_fn(|at| if at % 8 < 4 { key[at] ^ 0xC0 } else { key[at] });
            key = [half(masked), half(key)].concat().try_into().unwrap();
        }
        (key[5], key[13]) = (!key[5], !key[13]);
        let cipher = des::TdesEde2::new(&key.into());
        let mut data_key = key;
        data_key.as_chunks_mut::<8>().0.iter_mut().for_each(|half| cipher.encrypt_block(half.into()));
        (hex_of(&ksn), encrypt_under(data_key, text))
    }

    /// The TLV of a Verifone terminal with this clear text.
    pub(crate) fn verifone(&self, text: &[u8]) -> Vec<u8> {
        self.verifone_under(&[0x3C; 16], text)
    }

    /// The same, encrypted with this vector; another one is sent.
    pub(crate) fn verifone_under(&self, used: &[u8; 16], text: &[u8]) -> Vec<u8> {
        let iv = [0x3C; 16];
        let ciphertext = hex::decode(self.encrypt_cbc(Cipher::Tdes, used, text)).unwrap();
        let length = u8::try_from(ciphertext.len()).unwrap();
        let ksn = hex::decode(KSN).unwrap();
        [&[0xDF, 0x90, 0x20, length], &ciphertext[..], &[0xDF, 0x90, 0x21, 10], &ksn, &[0xDF, 0x90, 0x22, 8], &iv[..8]]
            .concat()
    }

    fn transaction(&self) -> tdes::terminal::Transaction {
        tdes::terminal::Terminal::new(&self.initial(), &self.ksn()).next_transaction().unwrap()
    }
}

pub(crate) fn padded(text: &[u8], block: usize) -> Vec<u8> {
    let mut data = text.to_vec();
    data.resize(text.len().next_multiple_of(block), 0);
    data
}

pub(crate) fn hex_of(bytes: &[u8]) -> String {
    hex::encode_upper(bytes)
}

/// TDES-CBC.
fn encrypt_under(key: [u8; 16], text: &[u8]) -> String {
    let cipher = des::TdesEde2::new(&key.into());
    let mut data = padded(text, 8);
    let mut before = [0; 8];
    for block in data.as_chunks_mut::<8>().0 {
        block.iter_mut().zip(before).for_each(|(byte, before)| *byte ^= before);
        cipher.encrypt_block((&mut *block).into());
        before = *block;
    }
    hex_of(&data)
}
