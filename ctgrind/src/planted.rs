//! Leaks on purpose: a run that does not report each of them proves nothing.

use std::hint::black_box;

use bitsliced_des::cipher::{BlockCipherEncrypt as _, KeyInit as _};

use crate::case::Case;
use crate::{clear_text, compare};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("branch on a secret bit", 1, |secret, results| {
            if secret[0] & 0x10 != 0 {
                black_box(one());
            } else {
                black_box(other());
            }
            results.put(secret);
            Ok(())
        }),
        Case::new("table look-up at a secret index", 1, |secret, results| {
            let table: [u8; 256] = black_box(std::array::from_fn(|i| i.to_le_bytes()[0].wrapping_mul(7)));
            black_box(table[usize::from(secret[0])]);
            results.put(secret);
            Ok(())
        }),
        compare::planted(),
        Case::new("the table-based des crate", 16, |secret, results| {
            let (key, block) = secret.split_at(8);
            let mut block: [u8; 8] = block.try_into()?;
            des::Des::new(key.try_into()?).encrypt_block((&mut block).into());
            results.put(&block);
            Ok(())
        }),
    ];
    cases.extend(clear_text::planted());
    cases
}

#[inline(never)]
fn one() -> u8 {
    black_box(1)
}

#[inline(never)]
fn other() -> u8 {
    black_box(2)
}
