//! Raw tracks, TLV objects and settings.

use std::path::Path;

use p2pe_config::Config;
use p2pe_crypto::{
    DeviceProfile, Format, Payload, PayloadError, Refusal,
    tlv::{Lengths, Objects},
    tracks,
};

use crate::payload;

/// Ciphertext with its KSN beside it, in bytes and in hex digits. The first byte tells the KSN's length, and how many
/// tracks there are.
pub(crate) fn tracks(data: &[u8]) {
    let (first, rest) = data.split_first().unwrap_or((&0, &[]));
    let (ksn, ciphertext) = rest.split_at((usize::from(first >> 2) % 14).min(rest.len()));
    let count = usize::from(first & 3) + 1;
    let tracks: Vec<&[u8]> = ciphertext.chunks(ciphertext.len().div_ceil(count).next_multiple_of(8).max(8)).collect();
    // A number may be cut by the end of the KSN: the alarm is for each track.
    let parsed = payload::consistent(rest, || Payload::from_tracks(ksn, &tracks));
    assert!(parsed.as_ref().is_ok_and(|payload| payload.format() == Format::Track) || parsed.is_err());
    if tracks.iter().any(|track| payload::clear_number(track).is_some()) {
        assert_eq!(parsed.map_err(|refusal| refusal.error), Err(PayloadError::ClearAccountData), "no alarm");
    }
    let digits = hex::encode(data);
    let read = |text: &[u8]| tracks::from_hex(text).map(|bytes| bytes.to_vec());
    assert_eq!(read(digits.as_bytes()).as_deref(), Ok(data));
    if let Err(Refusal { offset, .. }) = read(data) {
        assert!(offset.is_some_and(|at| at <= data.len()), "{offset:?}");
    }
}

/// Objects lie in what holds them, the walk ends, and nothing is read twice.
pub(crate) fn tlv(data: &[u8]) {
    for lengths in [Lengths::Ber, Lengths::IdTech] {
        let (mut ends, mut primitive, mut count) = (Vec::new(), 0, 0);
        for object in Objects::new(data, lengths) {
            count += 1;
            assert!(count <= data.len(), "more objects than bytes");
            match object {
                Ok(object) => {
                    assert!(object.end <= data.len() && object.depth < 8);
                    assert!(data[..object.end].ends_with(object.value), "a value ends elsewhere");
                    ends.truncate(object.depth);
                    assert!(ends.iter().all(|end| object.end <= *end), "an object leaves its container");
                    ends.push(object.end);
                    primitive += if object.constructed { 0 } else { object.value.len() };
                }
                Err(malformed) => assert!(malformed.offset < data.len()),
            }
        }
        assert!(primitive <= data.len(), "bytes were read twice");
    }
}

/// Settings, with the catalogue of profiles in them, and a profile by its name.
pub(crate) fn settings(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    match Config::parse(text, Path::new("/folder")) {
        Ok(config) => {
            assert!(config.profiles.iter().all(|own| own.name().parse::<DeviceProfile>().is_err()), "a name twice");
            let again = Config::parse(text, Path::new("/folder")).map(|again| format!("{again:?}"));
            assert_eq!(again.ok(), Some(format!("{config:?}")));
        }
        Err(error) => assert!(!format!("{error}").is_empty()),
    }
    if let Ok(profile) = text.parse::<DeviceProfile>() {
        assert_eq!(profile.to_string(), text);
    }
}
