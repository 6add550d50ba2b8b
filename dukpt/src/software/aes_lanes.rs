//! AES-128 of one block under each of several keys that are used once, as derivation does it. One such key after the other
//! waits for its own schedule; here the rounds of independent keys follow each other.
//!
//! The schedule (FIPS 197, 5.2) goes along with the rounds: a round over a block whose columns each repeat one byte of a
//! key word gives the S-box of these bytes, because MixColumns leaves a column of four equal bytes as it is.

use ::aes::{
    Block,
    hazmat::{Block8, cipher_round_par, inv_mix_columns},
};
use zeroize::Zeroize;

/// Keys at once.
pub(crate) const LANES: usize = GROUPS * GROUP;

/// A group shares eight places of a round: four blocks, and the schedules of their keys behind them.
const GROUP: usize = 4;
const GROUPS: usize = 2;

const ROUND_CONSTANTS: [u8; 10] = [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x1B, 0x36];

/// What passes through the rounds; wiped on drop, and used again until then.
pub(crate) struct Lanes {
    keys: [[u128; GROUP]; GROUPS],
    places: [Block8; GROUPS],
    round_keys: [Block8; GROUPS],
}

impl Lanes {
    pub(crate) fn new() -> Self {
        Self {
            keys: [[0; GROUP]; GROUPS],
            places: [Block8::default(); GROUPS],
            round_keys: [Block8::default(); GROUPS],
        }
    }

    /// Replaces each key by the encryption of the block of its index.
    pub(crate) fn derive(&mut self, keys: &mut [[u8; 16]; LANES], blocks: &[[u8; 16]; LANES]) {
        let Self { keys: schedule, places, round_keys } = self;
        for (i, (key, data)) in keys.iter().zip(blocks).enumerate() {
            let (group, lane) = (i / GROUP, i % GROUP);
            let key = u128::from_le_bytes(*key);
            schedule[group][lane] = key;
            round_keys[group][lane] = block(u128::from_le_bytes(*data) ^ key);
            places[group][GROUP + lane] = block(columns(key));
        }
        // The first round key needs a round of the schedule alone.
        for group in 0..GROUPS {
            cipher_round_par(&mut places[group], &Block8::default());
            for lane in 0..GROUP {
                places[group][lane] = round_keys[group][lane];
            }
            next_keys(&mut schedule[group], &mut places[group], &mut round_keys[group], ROUND_CONSTANTS[0]);
        }
        for constant in &ROUND_CONSTANTS[1..] {
            for group in 0..GROUPS {
                cipher_round_par(&mut places[group], &round_keys[group]);
                next_keys(&mut schedule[group], &mut places[group], &mut round_keys[group], *constant);
            }
        }
        // The last round is without MixColumns.
        for group in 0..GROUPS {
            cipher_round_par(&mut places[group], &Block8::default());
            for lane in 0..GROUP {
                let state = &mut places[group][lane];
                inv_mix_columns(state);
                keys[group * GROUP + lane] = (number(state) ^ schedule[group][lane]).to_le_bytes();
            }
        }
    }
}

/// From the S-boxes in the places of the schedules to the next round keys.
#[inline(always)]
fn next_keys(keys: &mut [u128; GROUP], places: &mut Block8, round_keys: &mut Block8, constant: u8) {
    for lane in 0..GROUP {
        let mut key = keys[lane];
        key ^= key << 32;
        key ^= key << 64;
        key ^= word(number(&places[GROUP + lane])) ^ (EACH_WORD * u128::from(constant));
        keys[lane] = key;
        round_keys[lane] = block(key);
        places[GROUP + lane] = block(columns(key));
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.keys.zeroize();
        self.places.iter_mut().chain(&mut self.round_keys).flatten().for_each(Zeroize::zeroize);
    }
}

const EACH_WORD: u128 = 0x1_0000_0001_0000_0001_0000_0001;

/// Column `j`, after ShiftRows, is four times byte `j` of the key's last word, rotated as the schedule wants it.
fn columns(key: u128) -> u128 {
    let [.., a, b, c, d] = key.to_le_bytes();
    // Row by row downwards, before ShiftRows: column j has byte j - row.
    let first = u32::from_le_bytes([b, a, d, c]);
    let each = [first, first.rotate_left(8), first.rotate_left(16), first.rotate_left(24)];
    each.iter().rev().fold(0, |columns, column| columns << 32 | u128::from(*column))
}

/// The word of which each byte stands in its own column, in all four words.
fn word(columns: u128) -> u128 {
    const OWN: u128 = 0xFF00_0000_00FF_0000_0000_FF00_0000_00FF;
    let own = columns & OWN;
    let own = own | own.rotate_right(64);
    own | own.rotate_right(32)
}

fn block(number: u128) -> Block {
    number.to_le_bytes().into()
}

fn number(block: &Block) -> u128 {
    u128::from_le_bytes((*block).into())
}
