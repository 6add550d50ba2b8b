//! Wrapping and unwrapping, and what no key block may do. Known answers are in `vectors/data/key_block.json`.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use dukpt::{
    Key, KeyId, KeyImport, KeyMaterial, KeyStore, Lifetime, MemoryStore,
    aes::{KeyType, WorkingKeyType},
};
use key_block::{
    Algorithm, ClearProtectionKey, Exportability, Header, KeyBlock, KeyBlockError, KeyUsage, ModeOfUse, OptionalBlock,
    StoredProtectionKey, Version, wrap,
};
use proptest::{collection::vec, prelude::*, sample::select};

fn header(version: Version, algorithm: Algorithm) -> Header {
    Header {
        version,
        usage: KeyUsage::BASE_DERIVATION,
        algorithm,
        mode: ModeOfUse::Derive,
        key_version: *b"00",
        exportability: Exportability::NonExportable,
    }
}

fn kbpk(version: Version, length: usize) -> ClearProtectionKey {
    let bytes: Vec<u8> = (0..length).map(|i| u8::try_from(i * 7 + 5).unwrap()).collect();
    match version {
        Version::D => ClearProtectionKey::aes(&bytes).unwrap(),
        _ => ClearProtectionKey::tdes(&bytes).unwrap(),
    }
}

fn fill(padding: &mut [u8]) {
    padding.iter_mut().zip(0x5A..).for_each(|(byte, next)| *byte = next);
}

#[test]
fn what_was_wrapped_is_unwrapped() {
    let (aes, tdes, hmac) = (Algorithm::Aes, Algorithm::Tdes, Algorithm::Hmac);
    for (version, kbpk_length, algorithm, length) in [
        (Version::B, 16, tdes, 16),
        (Version::B, 24, tdes, 16),
        (Version::B, 24, tdes, 24),
        (Version::D, 16, aes, 16),
        (Version::D, 24, aes, 24),
        (Version::D, 32, aes, 16),
        (Version::D, 32, aes, 32),
        (Version::D, 32, tdes, 24),
        (Version::D, 32, hmac, 32),
    ] {
        let (kbpk, key) = (kbpk(version, kbpk_length), vec![0xC3; length]);
        let time = OptionalBlock { id: *b"TS", data: "2026-01-02T03:04:05Z".into() };
        for optional in [vec![], vec![time]] {
            let text = wrap(&header(version, algorithm), &optional, &key, &kbpk, fill).unwrap();
            let block = KeyBlock::parse(text.as_bytes()).unwrap();
            assert_eq!(*block.header(), header(version, algorithm));
            assert!(block.optional().starts_with(&optional));
            assert_eq!(block.unwrap(&kbpk).unwrap().expose(), key);
        }
    }
}

#[test]
fn the_length_of_a_key_does_not_show() {
    let long = |length| {
        let text = wrap(&header(Version::D, Algorithm::Aes), &[], &vec![1; length], &kbpk(Version::D, 32), fill);
        text.unwrap().len()
    };
    assert_eq!([long(16), long(24)], [long(32); 2]);
}

#[test]
fn what_is_not_wrapped() {
    let with = |version, algorithm, length, kbpk: &ClearProtectionKey, optional: &[OptionalBlock]| {
        wrap(&header(version, algorithm), optional, &vec![7; length], kbpk, fill).unwrap_err()
    };
    let (aes, tdes) = (kbpk(Version::D, 16), kbpk(Version::B, 16));
    for version in [Version::A, Version::C, Version::E] {
        assert_eq!(with(version, Algorithm::Tdes, 16, &tdes, &[]).code(), "block_unsupported");
    }
    for algorithm in [Algorithm::Rsa, Algorithm::Dsa, Algorithm::EllipticCurve, Algorithm::Des] {
        assert_eq!(with(Version::B, algorithm, 16, &tdes, &[]).code(), "block_unsupported");
    }
    assert_eq!(with(Version::D, Algorithm::Aes, 32, &aes, &[]), KeyBlockError::TooStrong);
    assert_eq!(with(Version::B, Algorithm::Aes, 16, &tdes, &[]), KeyBlockError::TooStrong);
    assert_eq!(with(Version::B, Algorithm::Tdes, 24, &tdes, &[]), KeyBlockError::TooStrong);
    assert_eq!(with(Version::D, Algorithm::Tdes, 16, &tdes, &[]), KeyBlockError::ProtectionKey);
    assert_eq!(with(Version::B, Algorithm::Tdes, 16, &aes, &[]), KeyBlockError::ProtectionKey);
    assert_eq!(with(Version::D, Algorithm::Aes, 20, &aes, &[]), KeyBlockError::KeyLength);
    assert_eq!(with(Version::D, Algorithm::Aes, 0, &aes, &[]), KeyBlockError::KeyLength);
    let block = |id: &[u8; 2], data: &str| OptionalBlock { id: *id, data: data.into() };
    let d = |optional: &[OptionalBlock]| with(Version::D, Algorithm::Aes, 16, &aes, optional);
    assert_eq!(d(&[block(b"TS", &"x".repeat(252))]), KeyBlockError::OptionalLength);
    assert_eq!(d(&[block(b"TS", "a"), block(b"TS", "b")]), KeyBlockError::OptionalTwice);
    assert_eq!(d(&[block(b"KS", "not a KSN")]), KeyBlockError::Ksn);
    assert_eq!(d(&[block(b"TS", "\n")]), KeyBlockError::NotAscii);
    assert_eq!(d(&(0..100).map(|_| block(b"TS", "")).collect::<Vec<_>>()), KeyBlockError::OptionalLength);
}

#[test]
fn protection_keys_of_other_lengths() {
    for length in [0, 8, 15, 17, 32] {
        assert_eq!(ClearProtectionKey::tdes(&vec![1; length]).err(), Some(KeyBlockError::ProtectionKey));
    }
    for length in [0, 8, 15, 17, 33] {
        assert_eq!(ClearProtectionKey::aes(&vec![1; length]).err(), Some(KeyBlockError::ProtectionKey));
    }
}

/// A key that stays in its store gives the same blocks, but for the versions that need its bytes.
#[test]
fn a_protection_key_in_a_store() {
    let mut store = MemoryStore::new();
    for (kind, length, key_type) in [
        ("tdes-kbpk", 16, WorkingKeyType::Tdes2),
        ("tdes-kbpk", 24, WorkingKeyType::Tdes3),
        ("aes-kbpk", 16, WorkingKeyType::Aes(KeyType::Aes128)),
        ("aes-kbpk", 24, WorkingKeyType::Aes(KeyType::Aes192)),
        ("aes-kbpk", 32, WorkingKeyType::Aes(KeyType::Aes256)),
    ] {
        let bytes: Vec<u8> = (0..length).map(|i| u8::try_from(i * 7 + 5).unwrap()).collect();
        let id = KeyId::new(&format!("{kind} {length}")).unwrap();
        store.import(&id, &KeyMaterial::new(kind, &bytes).unwrap(), Lifetime::Session).unwrap();
        let key = store.key(&id).unwrap();
        let stored = StoredProtectionKey::new(&key, key_type);
        let (version, algorithm) =
            if kind == "aes-kbpk" { (Version::D, Algorithm::Aes) } else { (Version::B, Algorithm::Tdes) };
        let clear = kbpk(version, length);
        let text = wrap(&header(version, algorithm), &[], &[9; 16], &clear, fill).unwrap();
        assert_eq!(wrap(&header(version, algorithm), &[], &[9; 16], &stored, fill).unwrap(), text);
        assert_eq!(KeyBlock::parse(text.as_bytes()).unwrap().unwrap(&stored).unwrap().expose(), [9; 16]);
        // It does nothing else.
        assert!(key.hmac_sha256(b"").is_err() && key.decrypt_cbc(&[0; 16], &mut [0; 16]).is_err());
        assert!(key.mac(dukpt::MacAlgorithm::HmacSha256, b"").is_err());
    }
    let id = KeyId::new("tdes-kbpk 16").unwrap();
    let key = store.key(&id).unwrap();
    let block = b"A0072K0TN00N0000F40D5672C6D0EC86F860BA88D44D00F0CA9A8CE8CD2F640287A9A9EB";
    let refused = KeyBlock::parse(block).unwrap().unwrap(&StoredProtectionKey::new(&key, WorkingKeyType::Tdes2));
    assert_eq!(refused.err(), Some(KeyBlockError::NeedsClearKey));
}

#[test]
fn headers_of_what_is_not_supported_are_read() {
    let tdes = kbpk(Version::B, 16);
    let text = wrap(&header(Version::B, Algorithm::Tdes), &[], &[7; 16], &tdes, fill).unwrap();
    // Version E has a longer MAC, and the length stands in the header.
    for (block, version, usage) in [
        (format!("E0112{}{}", &text[5..], "00".repeat(8)), Version::E, *b"B0"),
        (text.replacen("B0TX", "S0RS", 1), Version::B, *b"S0"),
        (text.replacen("B0TX", "K2TX", 1), Version::B, *b"K2"),
        (text.replacen("B0TX", "B0EX", 1), Version::B, *b"B0"),
    ] {
        let read = KeyBlock::parse(block.as_bytes()).unwrap();
        assert_eq!((read.header().version, read.header().usage.code()), (version, usage));
        for refused in [read.unwrap(&tdes).err(), read.unwrap_material(&tdes).err()] {
            assert_eq!(refused.unwrap().code(), "block_unsupported", "{block}");
        }
    }
}

/// Blocks that are known and such that nobody knows are kept; of a check value of the key it must be right.
#[test]
fn what_optional_blocks_say() {
    let (kbpk, key) = (kbpk(Version::B, 16), [0x11, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF].repeat(2));
    let key: Vec<u8> = key.iter().enumerate().map(|(i, byte)| byte ^ u8::try_from(i).unwrap()).collect();
    let material = KeyMaterial::new("tdes-base", &key).unwrap();
    let (legacy, cmac) = (material.check_value().to_string(), material.cmac_check_value().unwrap().to_string());
    let unwrapped = |optional: &[(&[u8; 2], &str)]| {
        let blocks: Vec<_> =
            optional.iter().map(|(id, data)| OptionalBlock { id: **id, data: (*data).into() }).collect();
        let text = wrap(&header(Version::B, Algorithm::Tdes), &blocks, &key, &kbpk, fill).unwrap();
        let block = KeyBlock::parse(text.as_bytes()).unwrap();
        assert!(block.optional().starts_with(&blocks));
        block.unwrap_material(&kbpk).map(|found| found.expose() == key)
    };
    let (legacy, cmac) = (format!("00{legacy}"), format!("01{cmac}"));
    for optional in [
        &[(b"KC", legacy.as_str())][..],
        &[(b"KC", cmac.as_str()), (b"KP", "00123456")],
        &[(b"LB", "base key of the shops"), (b"TS", "2026-01-02T03:04:05Z"), (b"CT", "000000")],
        &[(b"Z9", "whatever it says"), (b"10", "a number of one's own")],
        &[(b"KC", "99A method to come")],
    ] {
        assert_eq!(unwrapped(optional), Ok(true), "{optional:?}");
    }
    let wrong = |method: &str, right: &str| {
        format!(
            "{method}{}",
            right.chars().skip(2).map(|digit| if digit == 'F' { '0' } else { 'F' }).collect::<String>()
        )
    };
    for stated in [wrong("00", &legacy), wrong("01", &cmac), format!("00{}", &cmac[2..]), "00".into(), "01zz".into()] {
        assert_eq!(unwrapped(&[(b"KC", &stated)]), Err(KeyBlockError::CheckValue), "{stated}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_a_panic(text in vec(any::<u8>(), 0..200), printable in "[A-E0-9KSTXNPB]{16,160}") {
        for text in [&text[..], printable.as_bytes()] {
            if let Ok(block) = KeyBlock::parse(text) {
                prop_assert!(block.unwrap(&kbpk(Version::D, 16)).is_err());
                prop_assert!(block.unwrap(&kbpk(Version::B, 16)).is_err());
            }
        }
    }

    /// One character changed, anywhere: refused, by whatever stands first.
    #[test]
    fn no_changed_block_is_unwrapped(
        version in select(vec![Version::B, Version::D]), at in any::<prop::sample::Index>(), to in b' '..=b'~',
    ) {
        let algorithm = if version == Version::D { Algorithm::Aes } else { Algorithm::Tdes };
        let kbpk = kbpk(version, 16);
        let ksn = OptionalBlock { id: *b"KS", data: "FFFF9876543210E00000".into() };
        let text = wrap(&header(version, algorithm), &[ksn], &[9; 16], &kbpk, fill).unwrap();
        let mut changed = text.clone().into_bytes();
        let at = at.index(changed.len());
        prop_assume!(changed[at] != to);
        changed[at] = to;
        prop_assert!(KeyBlock::parse(&changed).and_then(|block| block.unwrap(&kbpk)).is_err());
    }
}
