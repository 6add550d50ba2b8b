//! Every prefix and every single-byte change of every valid payload: refused, or parsed to something consistent. And
//! every single-bit change that a frame's own checks do not tell: refused, or decrypted to the same card.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::thread;

use dukpt::{KeyId, KeyImport, KeyMaterial, KsnPrefix, Lifetime, MemoryStore};
use p2pe_crypto::{Decryptor, Device, Devices, Error, Fields, Format, Holds, Payload, Refusal, idtech::Form};
use p2pe_vectors::{
    VectorFile,
    schema::{Case, Encoding, KeyEntry, PayloadCase, Test, Verdict},
};

/// A valid payload: its id, its bytes as they were sent, how to parse it, and its device if the key is public.
struct Sample {
    id: String,
    bytes: Vec<u8>,
    format: Option<Format>,
    decryptor: Option<Decryptor<MemoryStore>>,
}

impl Sample {
    fn new(keys: &[KeyEntry], test: &Test, case: &PayloadCase) -> Self {
        let bytes = match case.encoding {
            Encoding::Ascii => case.payload.clone().into_bytes(),
            Encoding::Hex => hex::decode(&case.payload).unwrap(),
        };
        let decryptor = case.device.as_ref().map(|entry| {
            let key = keys.iter().find(|key| key.id == entry.base_key).unwrap();
            let (id, mut store) = (KeyId::new(&key.id).unwrap(), MemoryStore::new());
            store.import(&id, &KeyMaterial::new(&key.kind, &key.value.0).unwrap(), Lifetime::Session).unwrap();
            let device = Device { base_key: id, profile: entry.profile.parse().unwrap() };
            let mut devices = Devices::new();
            devices.insert(KsnPrefix::new(device.profile.scheme(), &entry.ksn_prefix.0).unwrap(), device);
            Decryptor::new(store, devices)
        });
        let format = case.format.as_deref().map(|name| Format::ALL.into_iter().find(|f| f.name() == name).unwrap());
        Self { id: test.id.clone(), bytes, format, decryptor }
    }

    fn parse(&self, bytes: &[u8]) -> Result<Payload, Refusal> {
        self.format.map_or_else(|| Payload::parse(bytes), |format| Payload::parse_as(format, bytes))
    }

    /// All that a card tells, or what the refusal is called.
    fn outcome(&self, payload: &Payload) -> Result<Vec<Option<String>>, &'static str> {
        let card = self.decryptor.as_ref().unwrap().decrypt(payload).map_err(|error| match error {
            Error::Payload(error) => error.code(),
            error => error.code(),
        })?;
        let sensitive = card.sensitive();
        Ok(vec![
            Some(card.pan().expose().into()),
            card.expiry().map(|expiry| expiry.to_string()),
            sensitive.security_code().map(|code| code.expose().into()),
        ])
    }

    /// What a damaged payload comes to: a refusal, or the same card. Objects that no envelope holds together may get
    /// lost, and with them what they alone tell.
    fn assert_same_card(&self, payload: &Payload, what: &str) -> bool {
        if self.decryptor.is_none() {
            return false;
        }
        let original = self.outcome(&self.parse(&self.bytes).unwrap()).unwrap();
        match self.outcome(payload) {
            Ok(card) => {
                let lost = has_no_end(payload);
                let same = |(told, original): (&Option<String>, _)| told == original || lost && told.is_none();
                assert!(card.iter().zip(&original).all(same) && card[0].is_some(), "{what}");
                true
            }
            Err(code) => {
                let refusals = ["decrypt_failed", "unknown_device", "profile_mismatch", "clear_account_data"];
                assert!(refusals.contains(&code), "{what} {code}");
                false
            }
        }
    }
}

fn samples() -> Vec<Sample> {
    let mut samples = Vec::new();
    for file in VectorFile::builtin().unwrap() {
        for test in file.tests.iter().filter(|test| test.result == Verdict::Valid) {
            if let Case::Payload(case) = &test.case {
                samples.push(Sample::new(&file.keys, test, case));
            }
        }
    }
    samples
}

/// What holds for every payload, however it came about.
fn assert_consistent(payload: &Payload, input: &[u8], what: &str) {
    let features = payload.features();
    assert_eq!((features.format, features.scheme), (payload.format(), payload.ksn().scheme()), "{what}");
    assert!(payload.ksn().counter() > 0, "{what}");
    let (mut fields, mut bytes) = (0, 0);
    for field in payload.encrypted() {
        let whole = field.ciphertext.len().is_multiple_of(features.cipher.map_or(8, |cipher| cipher.block()));
        assert!(whole && !field.ciphertext.is_empty(), "{what}");
        let (length, masked) = match field.holds {
            Holds::Track { length, masked, .. } => (length, masked),
            Holds::Keyed { length, masked } | Holds::JoinedTracks { length, masked, .. } => (Some(length), masked),
            _ => (None, None),
        };
        let padded = length.map(|length| length.next_multiple_of(features.cipher.map_or(8, |cipher| cipher.block())));
        assert!(padded.is_none_or(|padded| padded == field.ciphertext.len()), "{what}");
        assert!(length.zip(masked).is_none_or(|(length, masked)| length == masked.len()), "{what}");
        (fields, bytes) = (fields + 1, bytes + field.ciphertext.len());
    }
    assert!((1..=Fields::MOST).contains(&fields) && bytes < input.len(), "{what}");
    assert_eq!(payload.mac().is_some(), features.mac, "{what}");
    if let Payload::IdTech(frame) = payload {
        assert_eq!(Payload::parse(&frame.encode(frame.form())).as_ref(), Ok(payload), "{what}");
        assert_eq!(Payload::parse(&frame.encode(Form::Binary)).unwrap().ksn(), payload.ksn(), "{what}");
    }
}

/// Shares the samples out to two threads.
fn each_sample(check: impl Fn(&Sample) -> usize + Sync) -> usize {
    let samples = samples();
    assert!(samples.len() > 80, "{}", samples.len());
    let part = |first: usize| samples.iter().skip(first).step_by(2).map(&check).sum::<usize>();
    thread::scope(|scope| {
        let other = scope.spawn(|| part(1));
        part(0) + other.join().unwrap()
    })
}

/// Objects with nothing around them: what is cut behind one of them is whole.
fn has_no_end(payload: &Payload) -> bool {
    match payload {
        Payload::Neo(reply) => reply.header().is_none(),
        Payload::QuickChip(_) | Payload::Verifone(_) => true,
        _ => false,
    }
}

#[test]
fn every_prefix() {
    let parsed = each_sample(|sample| {
        let whole = sample.parse(&sample.bytes).unwrap();
        let mut parsed = 0;
        for end in 0..sample.bytes.len() {
            if let Ok(payload) = sample.parse(&sample.bytes[..end]) {
                let what = format!("{} cut at {end}", sample.id);
                assert_consistent(&payload, &sample.bytes[..end], &what);
                if has_no_end(&payload) {
                    sample.assert_same_card(&payload, &what);
                    continue;
                }
                // Only what fills a report up, or is typed behind a frame, may be missing; of a stream its last field.
                assert_eq!(payload, whole, "{what}");
                let rest = &sample.bytes[end..];
                let blank = rest.iter().all(|byte| *byte == 0 || byte.is_ascii_whitespace());
                assert!(blank || payload.format() == Format::MagTek, "{what}");
                parsed += 1;
            }
        }
        parsed
    });
    assert!(parsed > 0, "no sample has anything behind its frame");
}

#[test]
fn every_changed_byte() {
    let refused = each_sample(|sample| {
        let (mut bytes, mut refused) = (sample.bytes.clone(), 0);
        for at in 0..bytes.len() {
            for change in 1..=255 {
                bytes[at] ^= change;
                match sample.parse(&bytes) {
                    Ok(payload) => assert_consistent(&payload, &bytes, &format!("{} {at} ^ {change:#x}", sample.id)),
                    Err(_) => refused += 1,
                }
                bytes[at] ^= change;
            }
        }
        refused
    });
    assert!(refused > 1_000_000, "{refused}");
}

/// LRC and checksum of an ID TECH frame made right again; other formats as they are.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut sealed = bytes.to_vec();
    if let [0x02, low, high, ..] = *bytes {
        let end = 3 + usize::from(u16::from_le_bytes([low, high]));
        if let Some(data) = bytes.get(3..end).filter(|_| bytes.len() >= end + 2) {
            sealed[end] = data.iter().fold(0, |lrc, byte| lrc ^ byte);
            sealed[end + 1] = data.iter().fold(0, |sum, byte| byte.wrapping_add(sum));
        }
    }
    sealed
}

/// The alarm and the parser refuse some; of the others none may give another card than the device sent.
#[test]
fn every_changed_bit_behind_right_checks() {
    let decrypted = each_sample(|sample| {
        if sample.decryptor.is_none() {
            return 0;
        }
        let mut decrypted = 0;
        for at in 0..sample.bytes.len() {
            for bit in 0..8 {
                let mut bytes = sample.bytes.clone();
                bytes[at] ^= 1 << bit;
                let bytes = sealed(&bytes);
                let what = format!("{} {at} bit {bit}", sample.id);
                let Ok(payload) = sample.parse(&bytes) else { continue };
                assert_consistent(&payload, &bytes, &what);
                decrypted += usize::from(sample.assert_same_card(&payload, &what));
            }
        }
        decrypted
    });
    assert!(decrypted > 1000, "what no check covers, as the masked copy, may be changed: {decrypted}");
}
