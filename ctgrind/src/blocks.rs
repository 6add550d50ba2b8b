//! Key blocks under a secret protection key.

use key_block::{ClearProtectionKey, KeyBlock, KeyBlockError};

use crate::case::Case;

/// Published blocks: TR-31:2018, A.7.4 and A.7.2.2, and an example of version A.
const BLOCKS: [(&str, usize, &str); 3] = [
    (
        "D",
        32,
        "D0112P0AE00E0000B82679114F470F540165EDFBF7E250FCEA43F810D215F8D207E2E417C07156A27E8E31DA05F7425509593D03A457DC34",
    ),
    ("B", 16, "B0080P0TE00E000094B420079CC80BA3461F86FE26EFC4A3B8E4FA4C5F5341176EED7B727B8A248E"),
    ("A", 16, "A0072K0TN00N0000F40D5672C6D0EC86F860BA88D44D00F0CA9A8CE8CD2F640287A9A9EB"),
];

/// The block of version A with another last byte, and its protection key.
const WRONG_AT_THE_END: &str = "A0072K0TN00N0000F40D5672C6D0EC86F860BA88D44D00F0CA9A8CE8CD2F640287A9A9EC";
const WRONG_AT_THE_END_KEY: [u8; 16] =
    [0xEF, 0xE0, 0x85, 0x3B, 0x25, 0x6B, 0x58, 0x3D, 0x86, 0x8F, 0x25, 0x1C, 0xE9, 0x9E, 0xA1, 0xD9];

/// The sample secret is not the block's protection key, so the block's keys are derived, the payload is decrypted, the MAC is
/// computed, and it does not fit. Declassified: that it does not.
pub(crate) fn cases() -> Vec<Case> {
    let case = |(version, length, text): (&str, usize, &'static str)| {
        let work = move |secret: &[u8], _: &mut _| {
            let kbpk = if length == 32 { ClearProtectionKey::aes(secret)? } else { ClearProtectionKey::tdes(secret)? };
            match KeyBlock::parse(text.as_bytes())?.unwrap(&kbpk) {
                Err(KeyBlockError::MacMismatch) => Ok(()),
                _ => Err("a block under another protection key was taken".into()),
            }
        };
        Case::new(format!("key block of version {version}, refused"), length, work).outcomes(1)
    };
    let mut cases: Vec<Case> = BLOCKS.map(case).into();
    // Under its own protection key a block of version A, whose MAC is over the ciphertext, can be wrong in the last byte
    // only: an exit at the first difference has more branches there. Versions B and D decrypt with the MAC as their IV.
    cases.push(case(("A, wrong in the last byte", 16, WRONG_AT_THE_END)).with(&WRONG_AT_THE_END_KEY));
    cases
}
