//! Many keys at once: block i under key i, and many CBC messages each under its own key.

use zeroize::{Zeroize, Zeroizing};

use crate::few;
use crate::single;
use crate::lanes::{Job, Level, Planes, Word, dispatch};

/// The most lanes of any level.
const MAX: usize = 512;

/// What is done to each block.
#[derive(Clone, Copy)]
enum Pass {
    Encrypt,
    Decrypt,
}

struct Des<'a>(&'a [[u8; 8]], &'a mut [[u8; 8]], Pass);

impl Job for Des<'_> {
    type Output = ();

    #[inline(always)]
    fn run<W: Word>(self) {
        for (keys, blocks) in self.0.chunks(W::LANES).zip(self.1.chunks_mut(W::LANES)) {
            let schedule = Planes::<W>::load(keys.iter()).schedule();
            let mut p = Planes::<W>::load(blocks.iter());
            p.des(&[(&schedule, matches!(self.2, Pass::Decrypt))]);
            p.store(blocks.iter_mut());
        }
    }
}

struct Tdes<'a>(&'a [[u8; 16]], &'a mut [[u8; 8]], Pass);

impl Job for Tdes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<W: Word>(self) {
        for (keys, blocks) in self.0.chunks(W::LANES).zip(self.1.chunks_mut(W::LANES)) {
            let left = Planes::<W>::load(keys.iter().map(left)).schedule();
            let right = Planes::<W>::load(keys.iter().map(right)).schedule();
            let mut p = Planes::<W>::load(blocks.iter());
            match self.2 {
                Pass::Encrypt => p.tdes_encrypt(&left, &right),
                Pass::Decrypt => p.tdes_decrypt(&left, &right),
            }
            p.store(blocks.iter_mut());
        }
    }
}

/// The first eight bytes of a two-key TDES key.
#[inline(always)]
pub(crate) fn left(key: &[u8; 16]) -> &[u8; 8] {
    &key.as_chunks().0[0]
}

/// The last eight bytes.
#[inline(always)]
pub(crate) fn right(key: &[u8; 16]) -> &[u8; 8] {
    &key.as_chunks().0[1]
}

/// DES of block i under key i (FIPS 46-3). The levels differ in speed only.
///
/// # Panics
/// If there are not as many keys as blocks.
pub fn des_encrypt(level: Level, keys: &[[u8; 8]], blocks: &mut [[u8; 8]]) {
    assert_eq!(keys.len(), blocks.len(), "one key for each block");
    if few::suits(level, blocks.len()) {
        few::each_pair(level, blocks, |at, run| run(&*Zeroizing::new([(at.map(|i| u64::from_le_bytes(keys[i])), false)])));
        return;
    }
    dispatch(level, Des(keys, blocks, Pass::Encrypt));
}

/// The inverse of [`des_encrypt`].
///
/// # Panics
/// If there are not as many keys as blocks.
pub fn des_decrypt(level: Level, keys: &[[u8; 8]], blocks: &mut [[u8; 8]]) {
    assert_eq!(keys.len(), blocks.len(), "one key for each block");
    if few::suits(level, blocks.len()) {
        few::each_pair(level, blocks, |at, run| run(&*Zeroizing::new([(at.map(|i| u64::from_le_bytes(keys[i])), true)])));
        return;
    }
    dispatch(level, Des(keys, blocks, Pass::Decrypt));
}

/// Two-key TDES of block i under key i (SP 800-67, keying option 2).
///
/// # Panics
/// If there are not as many keys as blocks.
pub fn tdes_encrypt(level: Level, keys: &[[u8; 16]], blocks: &mut [[u8; 8]]) {
    assert_eq!(keys.len(), blocks.len(), "one key for each block");
    if few::suits(level, blocks.len()) {
        few::each_pair(level, blocks, |at, run| run(&*few::tdes(at.map(|i| &keys[i]), false)));
        return;
    }
    dispatch(level, Tdes(keys, blocks, Pass::Encrypt));
}

/// The inverse of [`tdes_encrypt`].
///
/// # Panics
/// If there are not as many keys as blocks.
pub fn tdes_decrypt(level: Level, keys: &[[u8; 16]], blocks: &mut [[u8; 8]]) {
    assert_eq!(keys.len(), blocks.len(), "one key for each block");
    if few::suits(level, blocks.len()) {
        few::each_pair(level, blocks, |at, run| run(&*few::tdes(at.map(|i| &keys[i]), true)));
        return;
    }
    dispatch(level, Tdes(keys, blocks, Pass::Decrypt));
}

/// One CBC message: two-key TDES key, IV, and whole blocks to decrypt in place.
#[expect(missing_debug_implementations, reason = "holds a key")]
pub struct Message<'a> {
    /// Left half ‖ right half.
    pub key: &'a [u8; 16],
    /// The block before the first.
    pub iv: [u8; 8],
    /// Ciphertext, then plaintext.
    pub data: &'a mut [[u8; 8]],
}

struct Cbc<'a, 'b>(&'a mut [Message<'b>]);

impl Job for Cbc<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<W: Word>(self) {
        let messages = self.0;
        let (mut keys, mut cipher, mut plain) = ([[0; 16]; MAX], [[0; 8]; MAX], [[0; 8]; MAX]);
        // Lanes are filled across the ends of messages; `at` is the next block: message and place in it.
        let (mut at, mut before) = ((0, 0), [0; 8]);
        while at.0 < messages.len() {
            let (begin, mut n) = (at, 0);
            while n < W::LANES && at.0 < messages.len() {
                let m = &messages[at.0];
                let k = (m.data.len() - at.1).min(W::LANES - n);
                keys[n..n + k].fill(*m.key);
                cipher[n..n + k].copy_from_slice(&m.data[at.1..at.1 + k]);
                n += k;
                at = if at.1 + k == m.data.len() { (at.0 + 1, 0) } else { (at.0, at.1 + k) };
            }
            if n == 0 {
                return;
            }
            let left = Planes::<W>::load(keys[..n].iter().map(left)).schedule();
            let right = Planes::<W>::load(keys[..n].iter().map(right)).schedule();
            let mut p = Planes::<W>::load(cipher[..n].iter());
            p.tdes_decrypt(&left, &right);
            p.store(plain[..n].iter_mut());
            let (mut i, mut to) = (0, begin);
            while i < n {
                let m = &mut messages[to.0];
                let k = (m.data.len() - to.1).min(n - i);
                for j in 0..k {
                    let previous = if to.1 + j == 0 { m.iv } else if i + j == 0 { before } else { cipher[i + j - 1] };
                    let block = u64::from_ne_bytes(plain[i + j]) ^ u64::from_ne_bytes(previous);
                    m.data[to.1 + j] = block.to_ne_bytes();
                }
                i += k;
                to = if to.1 + k == m.data.len() { (to.0 + 1, 0) } else { (to.0, to.1 + k) };
            }
            before = cipher[n - 1];
        }
        keys.as_flattened_mut().zeroize();
        plain.as_flattened_mut().zeroize();
    }
}

/// CBC decryption in place of many messages, each under its own two-key TDES key (SP 800-38A, 6.2); blocks of all messages
/// share the lanes.
pub fn tdes_cbc_decrypt(level: Level, messages: &mut [Message<'_>]) {
    // A single message has one key, and is short or long.
    if let [Message { key, iv, data }] = messages {
        single::cbc_decrypt(level, single::two_key(key).as_slice(), iv, data);
        return;
    }
    dispatch(level, Cbc(messages));
}
