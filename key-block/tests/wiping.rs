//! Protection keys, the two keys of a block and the key in it are wiped, also where a block is refused.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

// The guard is one piece of code for all crates.
#[path = "../../dukpt/tests/canary/mod.rs"]
mod canary;

use canary::{Seen, present, watch};
use key_block::{Algorithm, ClearProtectionKey, Header, KeyBlock, KeyBlockError, UnwrappedKey, wrap};

const WIPED: Seen = Seen { held: true, leaks: 0 };
const GONE: Seen = Seen { held: false, leaks: 0 };

// TR-31:2018, A.7.4 and A.7.2.2, and an example of version A of a payShield 10k HSM.
const D: (&str, &str, &str) = (
    "88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6",
    "3F419E1CB7079442AA37474C2EFBF8B8",
    "D0112P0AE00E0000B82679114F470F540165EDFBF7E250FCEA43F810D215F8D207E2E417C07156A27E8E31DA05F7425509593D03A457DC34",
);
const B: (&str, &str, &str) = (
    "DD7515F2BFC17F85CE48F3CA25CB21F6",
    "3F419E1CB7079442AA37474C2EFBF8B8",
    "B0080P0TE00E000094B420079CC80BA3461F86FE26EFC4A3B8E4FA4C5F5341176EED7B727B8A248E",
);
const A: (&str, &str, &str) = (
    "EFE0853B256B583D868F251CE99EA1D9",
    "5DB50B454F8389ADCE573BE50861F2BF",
    "A0072K0TN00N0000F40D5672C6D0EC86F860BA88D44D00F0CA9A8CE8CD2F640287A9A9EB",
);

fn hex(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap()).collect()
}

fn kbpk(bytes: &[u8]) -> ClearProtectionKey {
    if bytes.len() == 32 { ClearProtectionKey::aes(bytes).unwrap() } else { ClearProtectionKey::tdes(bytes).unwrap() }
}

#[test]
fn protection_keys() {
    for (key, ..) in [A, B, D] {
        let key = hex(key);
        assert_eq!(watch(&key, || kbpk(&key)), WIPED);
        let variant: Vec<u8> = key.iter().map(|byte| byte ^ b'E').collect();
        assert_eq!(
            watch(&variant, || KeyBlock::parse(A.2.as_bytes()).unwrap().unwrap(&kbpk(&hex(A.0))).err()).leaks,
            0
        );
    }
}

#[test]
fn keys_in_blocks() {
    for (protection, key, block) in [A, B, D] {
        let (protection, key) = (hex(protection), hex(key));
        let unwrapped =
            || -> UnwrappedKey { KeyBlock::parse(block.as_bytes()).unwrap().unwrap(&kbpk(&protection)).unwrap() };
        assert_eq!(watch(&key, unwrapped), WIPED);
        assert_eq!(watch(&protection, unwrapped), GONE);
        // Refused after the payload was decrypted, and before it was looked at.
        let changed = format!("{}{}", &block[..block.len() - 1], if block.ends_with('0') { "1" } else { "0" });
        let refused = || {
            let refused = KeyBlock::parse(changed.as_bytes()).unwrap().unwrap(&kbpk(&protection)).err();
            assert_eq!(refused, Some(KeyBlockError::MacMismatch));
            assert!(!present());
        };
        assert_eq!(watch(&key, refused), GONE);
    }
}

/// The keys of TR-31:2018, A.7.4: encryption and authentication key, as a CMAC of the protection key gives them.
#[test]
fn keys_of_a_block() {
    use dukpt::{MacAlgorithm, aes::KeyType};
    let protection = hex(D.0);
    for usage in 0..2 {
        let part = |counter| {
            let data = [counter, 0, usage, 0, 0, 4, 1, 0];
            let mac = MacAlgorithm::Cmac.under_clear_key(KeyType::Aes256.into(), &protection, &data);
            mac.unwrap().as_bytes().to_vec()
        };
        let key = [part(1), part(2)].concat();
        let unwrapped = || KeyBlock::parse(D.2.as_bytes()).unwrap().unwrap(&kbpk(&protection)).unwrap();
        assert_eq!(watch(&key, unwrapped), GONE);
    }
}

#[test]
fn a_key_on_its_way_out() {
    let (protection, key) = (hex(D.0), hex("00112233445566778899AABBCCDDEEFF"));
    let header = Header { algorithm: Algorithm::Aes, ..*KeyBlock::parse(D.2.as_bytes()).unwrap().header() };
    let wrapped = || wrap(&header, &[], &key, &kbpk(&protection), |padding| padding.fill(0x3C)).unwrap();
    assert_eq!(watch(&key, wrapped), GONE);
    assert_eq!(watch(&protection, wrapped), GONE);
}
