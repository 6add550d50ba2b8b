//! Many keys at once: block i under key i, and many CBC messages each under its own key.

use zeroize::{Zeroize, Zeroizing};

use crate::few;
use crate::lanes::{Job, Level, Planes, Word, dispatch};
use crate::single;

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
            let schedule = Planes::<W>::load(keys).schedule();
            let mut p = Planes::<W>::load(blocks);
            p.des(&[(&schedule, matches!(self.2, Pass::Decrypt))]);
            p.store(blocks);
        }
    }
}

struct Tdes<'a>(&'a [[u8; 16]], &'a mut [[u8; 8]], Pass);

impl Job for Tdes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<W: Word>(self) {
        for (keys, blocks) in self.0.chunks(W::LANES).zip(self.1.chunks_mut(W::LANES)) {
            let left = Planes::<W>::load_each(keys.len(), |i| *left(&keys[i])).schedule();
            let right = Planes::<W>::load_each(keys.len(), |i| *right(&keys[i])).schedule();
            let mut p = Planes::<W>::load(blocks);
            match self.2 {
                Pass::Encrypt => p.tdes_encrypt(&left, &right),
                Pass::Decrypt => p.tdes_decrypt(&left, &right),
            }
            p.store(blocks);
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
        few::each_pair(level, blocks, |at, run| {
            run(&*Zeroizing::new([(at.map(|i| u64::from_le_bytes(keys[i])), false)]))
        });
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
        few::each_pair(level, blocks, |at, run| {
            run(&*Zeroizing::new([(at.map(|i| u64::from_le_bytes(keys[i])), true)]))
        });
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
        for group in self.0.chunks_mut(W::LANES) {
            let longest = group.iter().map(|m| m.data.len()).max().unwrap_or(0);
            let total: usize = group.iter().map(|m| m.data.len()).sum();
            // A message a lane saves a key for each block, but leaves lanes empty where lengths differ.
            if 4 * total >= 3 * longest * W::LANES {
                message_a_lane::<W>(group, longest);
            } else {
                block_a_lane::<W>(group);
            }
        }
    }
}

/// Blocks of a message that are moved at a time: a message is looked up and its cache line fetched once for them.
const STEP: usize = 8;

/// `f` of each number below `n`, at most [`STEP`], in runs of constant length, which compilers make moves of whole vectors.
#[inline(always)]
fn each(n: usize, mut f: impl FnMut(usize)) {
    let mut at = 0;
    macro_rules! run {
        ($($length:literal)*) => {$(
            if n - at >= $length {
                (0..$length).for_each(|i| f(at + i));
                at += $length;
            }
        )*};
    }
    run!(8 4 2 1);
    let _ = at;
}

/// A few messages, as many as a word has elements, and from each as many blocks as there are planes: the first words of
/// `tile` are the messages, one after the other; word `row` of `planes[i]` has block i of each.
#[inline(always)]
fn exchange<W: Word>(tile: &mut Planes<W>, planes: &mut [Planes<W>; STEP], row: usize, out: bool) {
    let elements = W::LANES / 64;
    let place = |i: usize| i % elements * (STEP / elements) + i / elements;
    let mut words = [W::ZERO; STEP];
    for i in 0..STEP {
        words[i] = if out { planes[i].words()[row] } else { tile.words()[place(i)] };
    }
    W::turn(&mut words);
    for i in 0..STEP {
        if out {
            tile.words()[place(i)] = words[i];
        } else {
            planes[i].words()[row] = words[i];
        }
    }
}

/// The last blocks of all messages, then those before, so that what is added to a block is still ciphertext.
#[inline(always)]
fn message_a_lane<W: Word>(group: &mut [Message<'_>], longest: usize) {
    let n = group.len();
    let left = Planes::<W>::load_each(n, |i| *left(group[i].key)).schedule();
    let right = Planes::<W>::load_each(n, |i| *right(group[i].key)).schedule();
    let mut planes = [const { Planes::<W>::ZERO }; STEP];
    let mut tile = Planes::<W>::ZERO;
    for begin in (0..longest).step_by(STEP).rev() {
        for (row, messages) in group.chunks(W::LANES / 64).enumerate() {
            for (i, m) in messages.iter().enumerate() {
                let blocks = m.data.get(begin..).unwrap_or_default();
                each(blocks.len().min(STEP), |j| tile.put(STEP * i + j, blocks[j]));
            }
            exchange(&mut tile, &mut planes, row, false);
        }
        for p in planes.iter_mut().take(longest - begin) {
            p.transpose();
            p.tdes_decrypt(&left, &right);
            p.transpose();
        }
        for (row, messages) in group.chunks_mut(W::LANES / 64).enumerate() {
            exchange(&mut tile, &mut planes, row, true);
            for (i, m) in messages.iter_mut().enumerate() {
                let Some((done, blocks)) = m.data.split_at_mut_checked(begin) else { continue };
                let mut before = *done.last().unwrap_or(&m.iv);
                each(blocks.len().min(STEP), |j| {
                    let cipher = blocks[j];
                    blocks[j] = xor(tile.get(STEP * i + j), before);
                    before = cipher;
                });
            }
        }
    }
}

/// Lanes are filled with blocks across the ends of messages.
#[inline(always)]
fn block_a_lane<W: Word>(messages: &mut [Message<'_>]) {
    let (mut keys, mut cipher, mut plain) = ([[0; 16]; MAX], [[0; 8]; MAX], [[0; 8]; MAX]);
    // The next block: message and place in it.
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
            break;
        }
        let left = Planes::<W>::load_each(n, |i| *left(&keys[i])).schedule();
        let right = Planes::<W>::load_each(n, |i| *right(&keys[i])).schedule();
        let mut p = Planes::<W>::load(&cipher[..n]);
        p.tdes_decrypt(&left, &right);
        p.store(&mut plain[..n]);
        let (mut i, mut to) = (0, begin);
        while i < n {
            let m = &mut messages[to.0];
            let k = (m.data.len() - to.1).min(n - i);
            for j in 0..k {
                let previous = if to.1 + j == 0 {
                    m.iv
                } else if i + j == 0 {
                    before
                } else {
                    cipher[i + j - 1]
                };
                m.data[to.1 + j] = xor(plain[i + j], previous);
            }
            i += k;
            to = if to.1 + k == m.data.len() { (to.0 + 1, 0) } else { (to.0, to.1 + k) };
        }
        before = cipher[n - 1];
    }
    keys.as_flattened_mut().zeroize();
    plain.as_flattened_mut().zeroize();
}

/// The sum of two blocks.
pub(crate) fn xor(a: [u8; 8], b: [u8; 8]) -> [u8; 8] {
    (u64::from_ne_bytes(a) ^ u64::from_ne_bytes(b)).to_ne_bytes()
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
