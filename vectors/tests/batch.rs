//! A batch gives for each payload what the payload gives alone: over every payload and track of the vectors, in memory
//! and with the keys in a token.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use dukpt::{
    KeyId, KeyImport, KeyMaterial, KeyStore, KsnPrefix, Lifetime, MemoryStore,
    cache::{Cached, Limits},
};
use p2pe_crypto::{CardData, Decryptor, Device, Devices, Error, Format, Payload, TrackNumber};
use p2pe_vectors::{
    VectorFile,
    schema::{Case, DeviceEntry, Encoding},
};
use pkcs11_backend::{PinSource, Settings, Token, TokenSelector};
use throwaway_token::isolated;

/// All that a card tells, or the error.
fn told(result: &Result<CardData, Error>) -> Result<Vec<String>, Error> {
    let card = result.as_ref().map_err(Clone::clone)?;
    let track = |number| card.sensitive().track(number).map(|track| track.expose().to_owned());
    Ok(vec![
        format!("{:?} {} {:?} {:?}", card.entry(), card.pan().expose(), card.expiry(), card.name()),
        format!("{:?} {:?}", track(TrackNumber::One), track(TrackNumber::Two)),
        format!("{:?} {:?}", track(TrackNumber::Three), card.sensitive().security_code().map(|code| code.expose())),
    ])
}

fn payload(case: &Case) -> Option<(Payload, &DeviceEntry)> {
    match case {
        Case::Payload(case) => {
            let bytes = match case.encoding {
                Encoding::Ascii => case.payload.clone().into_bytes(),
                Encoding::Hex => hex::decode(&case.payload).ok()?,
            };
            let format = case.format.as_ref().and_then(|name| Format::ALL.into_iter().find(|f| f.name() == name));
            let payload = format.map_or_else(|| Payload::parse(&bytes), |format| Payload::parse_as(format, &bytes));
            Some((payload.ok()?, case.right_device.as_ref().or(case.device.as_ref())?))
        }
        Case::Track(case) => {
            let tracks: Vec<&[u8]> = case.tracks.iter().map(|track| track.0.as_slice()).collect();
            Some((Payload::from_tracks(&case.ksn.0, &tracks).ok()?, case.device.as_ref()?))
        }
        _ => None,
    }
}

fn import(store: &mut impl KeyImport) {
    for key in VectorFile::builtin().unwrap().iter().flat_map(|file| &file.keys) {
        let (id, material) = (KeyId::new(&key.id).unwrap(), KeyMaterial::new(&key.kind, &key.value.0).unwrap());
        if store.check_value(&id).is_err() {
            store.import(&id, &material, Lifetime::Session).unwrap();
        }
    }
}

/// One batch over all payloads for each device entry that some test has: most do not fit it, and fail each in its way.
fn compare(store: &impl KeyStore) {
    let files = VectorFile::builtin().unwrap();
    let cases: Vec<_> = files.iter().flat_map(|file| &file.tests).filter_map(|test| payload(&test.case)).collect();
    let payloads: Vec<Payload> = cases.iter().map(|(payload, _)| payload.clone()).collect();
    let mut entries: Vec<(KsnPrefix, Device)> = Vec::new();
    for (_, entry) in &cases {
        let profile: p2pe_crypto::DeviceProfile = entry.profile.parse().unwrap();
        let prefix = KsnPrefix::new(profile.scheme(), &entry.ksn_prefix.0).unwrap();
        let device = Device { base_key: KeyId::new(&entry.base_key).unwrap(), profile };
        if !entries.contains(&(prefix, device.clone())) {
            entries.push((prefix, device));
        }
    }
    // As many maps as it takes for each entry to be in one of them: a prefix has one meaning at a time.
    let mut cards = 0;
    while !entries.is_empty() {
        let mut devices = Devices::new();
        entries.retain(|(prefix, device)| {
            let free = devices.iter().all(|(taken, _)| taken != prefix);
            if free {
                devices.insert(*prefix, device.clone());
            }
            !free
        });
        let decryptor = Decryptor::new(store, devices);
        let batch = decryptor.decrypt_batch(&payloads);
        assert_eq!(batch.len(), payloads.len());
        for (payload, result) in payloads.iter().zip(&batch) {
            assert_eq!(told(result), told(&decryptor.decrypt(payload)), "{payload:?}");
            cards += usize::from(result.is_ok());
        }
    }
    assert!(cards > 90, "{cards}");
}

#[test]
fn in_memory() {
    let mut store = MemoryStore::new();
    import(&mut store);
    compare(&store);
    // Through a cache that has room for two devices, and through one that keeps nothing.
    for room in [2, 0] {
        let limits = Limits { initial_keys: room, paths: room, time_to_live: Duration::from_secs(60) };
        compare(&Cached::new(&store, limits, || Duration::ZERO));
    }
    assert!(Decryptor::new(&store, Devices::new()).decrypt_batch(&[]).is_empty());
}

#[test]
fn in_a_token() -> Result<(), throwaway_token::Error> {
    isolated("in_a_token", |throwaway| {
        let pin = PinSource::File(throwaway.pin_file());
        let settings = Settings::new(throwaway.module(), TokenSelector::label(throwaway.label()), pin);
        let mut store = Token::open(&settings).unwrap().store().unwrap();
        import(&mut store);
        compare(&store);
    })
}
