#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod lane;
mod modulus;
mod self_test;

use alloc::vec::Vec;

use dukpt::{Key, KeyError};
use zeroize::Zeroizing;

pub use self_test::passes_self_test;

use crate::lane::{Direction, Lane, ROUNDS};

/// The fewest digits: a domain of a million values (NIST SP 800-38G rev. 1, 2nd draft, 5.2).
pub const SHORTEST: usize = 6;
/// The most digits: two halves that fit into 64 bits.
pub const LONGEST: usize = 38;
/// The longest tweak in bytes: a limit of this crate, not of FF1.
pub const LONGEST_TWEAK: usize = 255;

/// So many messages at most go through the store in one call.
const BATCH: usize = 512;

/// FF1 over decimal digits, under a key of kind `ff1`.
#[derive(Debug)]
pub struct Ff1<K> {
    key: K,
}

/// Digits to be encrypted or decrypted in place, and their tweak.
#[expect(missing_debug_implementations, reason = "holds clear digits")]
pub struct Message<'a> {
    /// Public context, 0 to 255 bytes: the same digits under another tweak become others.
    pub tweak: &'a [u8],
    /// 6 to 38 ASCII digits.
    pub digits: &'a mut [u8],
}

impl<K: Key> Ff1<K> {
    /// Under this key. Keep it for as long as there is work: a key in memory is expanded when it is asked for.
    pub fn new(key: K) -> Self {
        Self { key }
    }

    /// Encrypts ASCII digits in place (SP 800-38G, algorithm 7).
    ///
    /// # Errors
    /// [`Ff1Error`]; the digits are then what they were.
    pub fn encrypt(&self, tweak: &[u8], digits: &mut [u8]) -> Result<(), Ff1Error> {
        self.encrypt_batch(&mut [Message { tweak, digits }])
    }

    /// Decrypts ASCII digits in place (SP 800-38G, algorithm 8).
    ///
    /// # Errors
    /// [`Ff1Error`]; the digits are then what they were.
    pub fn decrypt(&self, tweak: &[u8], digits: &mut [u8]) -> Result<(), Ff1Error> {
        self.decrypt_batch(&mut [Message { tweak, digits }])
    }

    /// Encrypts many messages, of any lengths and tweaks.
    ///
    /// # Errors
    /// [`Ff1Error`] of the first message that has one, before anything is changed. [`Ff1Error::Key`] may come when
    /// earlier groups of 512 messages are done; those of the failed group are what they were.
    pub fn encrypt_batch(&self, messages: &mut [Message<'_>]) -> Result<(), Ff1Error> {
        self.batch(messages, Direction::Encrypt)
    }

    /// Decrypts many messages, as [`Ff1::encrypt_batch`].
    ///
    /// # Errors
    /// As of [`Ff1::encrypt_batch`].
    pub fn decrypt_batch(&self, messages: &mut [Message<'_>]) -> Result<(), Ff1Error> {
        self.batch(messages, Direction::Decrypt)
    }

    fn batch(&self, messages: &mut [Message<'_>], direction: Direction) -> Result<(), Ff1Error> {
        self_test::before_first_use()?;
        check_all(messages)?;
        messages.chunks_mut(BATCH).try_for_each(|group| self.group(group, direction))
    }

    fn group(&self, messages: &mut [Message<'_>], direction: Direction) -> Result<(), Ff1Error> {
        let mut lanes = Vec::with_capacity(messages.len());
        lanes.extend(messages.iter().map(|message| Lane::new(message.digits, message.tweak.len())));
        let mut blocks = self.set_up(&mut lanes, messages)?;
        for step in 0..ROUNDS {
            let round = match direction {
                Direction::Encrypt => step,
                Direction::Decrypt => ROUNDS - 1 - step,
            };
            lanes.iter().zip(&mut *blocks).for_each(|(lane, block)| *block = lane.input(round, direction));
            self.key.encrypt_blocks(&mut blocks)?;
            lanes.iter_mut().zip(&*blocks).for_each(|(lane, block)| lane.turn(round, direction, block));
        }
        lanes.iter().zip(messages).for_each(|(lane, message)| lane.write(message.digits));
        Ok(())
    }

    /// The CBC-MAC of all that no round changes: the block P, and the tweak up to and with the last block, into which
    /// the rounds write. Returns as many blocks to work in as there are lanes.
    fn set_up(&self, lanes: &mut [Lane], messages: &[Message<'_>]) -> Result<Zeroizing<Vec<[u8; 16]>>, KeyError> {
        let mut blocks = Zeroizing::new(Vec::with_capacity(lanes.len()));
        if let ([lane], [message]) = (&mut *lanes, messages) {
            // In one call: a token charges by the call.
            let mut all = Zeroizing::new(Vec::with_capacity(1 + lane.prefix()));
            all.push(lane.first_block());
            all.extend((0..lane.prefix()).map(|at| tweak_block(message.tweak, at)));
            self.key.encrypt_cbc(&[0; 16], all.as_flattened_mut())?;
            all.last().into_iter().for_each(|chain| lane.chain(chain));
            blocks.push([0; 16]);
        } else {
            blocks.extend(lanes.iter().map(Lane::first_block));
            self.key.encrypt_blocks(&mut blocks)?;
            lanes.iter_mut().zip(&*blocks).for_each(|(lane, block)| lane.chain(block));
            for at in 0..lanes.iter().map(Lane::prefix).max().unwrap_or_default() {
                blocks.clear();
                for (lane, message) in lanes.iter_mut().zip(messages).filter(|(lane, _)| at < lane.prefix()) {
                    lane.mix(&tweak_block(message.tweak, at));
                    blocks.push(lane.chained());
                }
                self.key.encrypt_blocks(&mut blocks)?;
                let deep = lanes.iter_mut().filter(|lane| at < lane.prefix());
                deep.zip(&*blocks).for_each(|(lane, block)| lane.chain(block));
            }
            blocks.resize(lanes.len(), [0; 16]);
        }
        lanes.iter_mut().zip(messages).for_each(|(lane, message)| lane.mix(&tweak_block(message.tweak, lane.prefix())));
        Ok(blocks)
    }
}

/// Block `at` of the tweak with zeros behind it.
fn tweak_block(tweak: &[u8], at: usize) -> [u8; 16] {
    let mut block = [0; 16];
    let bytes = tweak.get(16 * at..).unwrap_or_default();
    block.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    block
}

/// The one place that branches on the digits: whether they are any. By itself, so that tools/ctgrind can tell it.
#[inline(never)]
fn check_all(messages: &[Message<'_>]) -> Result<(), Ff1Error> {
    messages.iter().try_for_each(check)
}

fn check(message: &Message<'_>) -> Result<(), Ff1Error> {
    if !(SHORTEST..=LONGEST).contains(&message.digits.len()) {
        return Err(Ff1Error::Length);
    }
    if message.tweak.len() > LONGEST_TWEAK {
        return Err(Ff1Error::TweakLength);
    }
    // Over all digits, so that only the outcome is told.
    let outside =
        message.digits.iter().fold(0, |any, byte| any | 9u16.wrapping_sub(u16::from(byte.wrapping_sub(b'0'))));
    if outside >> 8 != 0 { Err(Ff1Error::Digit) } else { Ok(()) }
}

/// Why digits were not encrypted or decrypted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Ff1Error {
    /// Under 6 digits, which could be guessed through, or over 38.
    #[error("FF1 takes 6 to 38 digits")]
    Length,
    /// Something else than an ASCII digit.
    #[error("FF1 takes ASCII digits only")]
    Digit,
    /// A tweak of over 255 bytes.
    #[error("a tweak has at most 255 bytes")]
    TweakLength,
    /// The store of the key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Ff1Error {
    /// A stable name of the variant, for reports and logs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Length => "ff1_length",
            Self::Digit => "ff1_digit",
            Self::TweakLength => "ff1_tweak_length",
            Self::Key(error) => error.code(),
        }
    }
}
