//! Lanes: many blocks, each under its own key, one bit of each in a word. For callers that chain operations without leaving
//! the bit planes in between.
//!
//! Write the work once as a [`Job`], generic over [`Word`], and let [`dispatch`] run it at the width of the machine.

use crate::rounds;
pub use crate::rounds::Schedule;
pub use crate::word::{Gates, Word};

/// How wide the words are. Every level gives the same results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// 64 lanes in a general register; any machine.
    Portable,
    /// 128 lanes: SSE2 on x86-64, a pair of registers elsewhere (which compilers make one NEON register).
    Bits128,
    /// 256 lanes.
    Avx2,
    /// 256 lanes with three-input gates.
    Avx512Half,
    /// 512 lanes with three-input gates.
    Avx512,
}

impl Level {
    /// All levels, narrowest first.
    pub const ALL: [Self; 5] = [Self::Portable, Self::Bits128, Self::Avx2, Self::Avx512Half, Self::Avx512];

    /// Lanes of a word.
    #[must_use]
    pub const fn lanes(self) -> usize {
        match self {
            Self::Portable => 64,
            Self::Bits128 => 128,
            Self::Avx2 | Self::Avx512Half => 256,
            Self::Avx512 => 512,
        }
    }

    /// Whether this machine has it.
    #[must_use]
    pub fn available(self) -> bool {
        imp::available(self)
    }

    /// The fastest level of this machine for so many lanes.
    #[must_use]
    pub fn best_for(lanes: usize) -> Self {
        if Self::Avx512.available() {
            return if lanes <= 256 { Self::Avx512Half } else { Self::Avx512 };
        }
        // Up to its 64 lanes the narrowest word is the quickest; the very few go two at a time whatever the level.
        if lanes <= 64 {
            return Self::Portable;
        }
        if Self::Avx2.available() { Self::Avx2 } else { Self::Bits128 }
    }
}

/// Work that is the same at every width.
pub trait Job {
    /// What comes out of it.
    type Output;

    /// The work, on words of one width. Mark it `#[inline(always)]`, so that it is compiled for the level.
    fn run<W: Word>(self) -> Self::Output;
}

/// Runs `job` at `level`, or at the widest level below it that the machine has.
#[inline]
pub fn dispatch<J: Job>(level: Level, job: J) -> J::Output {
    imp::run(level, job)
}

#[cfg(target_arch = "x86_64")]
use crate::x86 as imp;

#[cfg(not(target_arch = "x86_64"))]
mod imp {
    use super::{Job, Level};

    pub(super) fn available(level: Level) -> bool {
        matches!(level, Level::Portable | Level::Bits128)
    }

    pub(super) fn run<J: Job>(level: Level, job: J) -> J::Output {
        match level {
            Level::Portable => job.run::<u64>(),
            _ => job.run::<crate::pair::Pair>(),
        }
    }
}

/// All ones if bit `i` of `x` is set, else all zeros. By shifts: from a product or a negation of the bit compilers have made a
/// branch.
#[inline(always)]
pub(crate) fn all(x: u64, i: usize) -> u64 {
    ((x << (63 - i)).cast_signed() >> 63).cast_unsigned()
}

/// The 64 bit planes of up to [`Word::LANES`] blocks. Wiped when dropped.
#[expect(missing_debug_implementations, reason = "may hold keys")]
pub struct Planes<W: Word>([W; 64]);

impl<W: Word> Planes<W> {
    /// All lanes zero.
    pub(crate) const ZERO: Self = Self([W::ZERO; 64]);

    /// Before the transpose: block `i`.
    #[inline(always)]
    pub(crate) fn put(&mut self, i: usize, block: [u8; 8]) {
        W::put(&mut self.0, i, block);
    }

    /// After the transpose back: block `i`.
    #[inline(always)]
    pub(crate) fn get(&self, i: usize) -> [u8; 8] {
        W::get(&self.0, i)
    }

    /// Blocks to planes, or planes to blocks.
    #[inline(always)]
    pub(crate) fn transpose(&mut self) {
        W::transpose(&mut self.0);
    }

    /// Lane i gets block i of `blocks`; what the lanes without a block hold is not said.
    ///
    /// # Panics
    /// For more than [`Word::LANES`] blocks.
    #[inline(always)]
    #[must_use]
    pub fn load(blocks: &[[u8; 8]]) -> Self {
        Self::load_each(blocks.len(), |i| blocks[i])
    }

    /// Lane i of the first `n` gets block `block(i)`; each is asked for once, in order.
    ///
    /// # Panics
    /// For more than [`Word::LANES`] blocks.
    #[inline(always)]
    #[must_use]
    pub fn load_each(n: usize, mut block: impl FnMut(usize) -> [u8; 8]) -> Self {
        if n == 1 {
            // A single block needs no transpose: its bits are the planes.
            return Self::splat(&block(0));
        }
        let mut p = Self([W::ZERO; 64]);
        for i in 0..n {
            W::put(&mut p.0, i, block(i));
        }
        W::transpose(&mut p.0);
        p
    }

    /// The same block in every lane.
    #[inline(always)]
    #[must_use]
    pub fn splat(block: &[u8; 8]) -> Self {
        let x = u64::from_le_bytes(*block);
        let mut p = Self([W::ZERO; 64]);
        for i in 0..64 {
            p.0[i] = W::splat(all(x, i));
        }
        p
    }

    /// Lane i is written to block i of `blocks`.
    ///
    /// # Panics
    /// For more than [`Word::LANES`] blocks.
    #[inline(always)]
    pub fn store(&mut self, blocks: &mut [[u8; 8]]) {
        self.store_each(blocks.len(), |i, block| blocks[i] = block);
    }

    /// `block` is given the first `n` lanes, in order. The planes are used up: what is left in them is not said.
    ///
    /// # Panics
    /// For more than [`Word::LANES`] blocks.
    #[inline(always)]
    pub fn store_each(&mut self, n: usize, mut block: impl FnMut(usize, [u8; 8])) {
        if n == 1 {
            block(0, self.first());
            return;
        }
        W::transpose(&mut self.0);
        for i in 0..n {
            block(i, W::get(&self.0, i));
        }
    }

    /// The planes; plane 8k + b is bit b (lowest first) of byte k.
    #[inline(always)]
    pub fn words(&mut self) -> &mut [W; 64] {
        &mut self.0
    }

    /// Adds `other` lane by lane (exclusive or).
    #[inline(always)]
    pub fn xor(&mut self, other: &Self) {
        for i in 0..64 {
            self.0[i] = self.0[i].xor(other.0[i]);
        }
    }

    /// Adds the same block, a public constant (it is branched on), in every lane that `mask` names.
    #[inline(always)]
    pub fn xor_block(&mut self, block: &[u8; 8], mask: W) {
        let mut left = u64::from_le_bytes(*block);
        while left != 0 {
            let plane = &mut self.0[left.trailing_zeros() as usize];
            *plane = plane.xor(mask);
            left &= left - 1;
        }
    }

    /// Lane 0.
    #[inline(always)]
    fn first(&self) -> [u8; 8] {
        let mut x = 0;
        for i in 0..64 {
            x |= (self.0[i].low() & 1) << i;
        }
        x.to_le_bytes()
    }

    /// Becomes the sum of two.
    #[inline(always)]
    pub(crate) fn set_sum(&mut self, a: &Self, b: &Self) {
        for i in 0..64 {
            self.0[i] = a.0[i].xor(b.0[i]);
        }
    }

    /// Takes the lanes of `other` that `mask` names.
    #[inline(always)]
    pub fn take(&mut self, mask: W, other: &Self) {
        for i in 0..64 {
            self.0[i] = mask.select(other.0[i], self.0[i]);
        }
    }

    /// The lanes of `low` in the low halves of the 64-bit elements and those of `high` in the high halves: two operations of up
    /// to LANES / 2 lanes become one of LANES.
    #[inline(always)]
    #[must_use]
    pub fn join(low: &Self, high: &Self) -> Self {
        let mask = W::splat(0xFFFF_FFFF);
        let mut p = Self([W::ZERO; 64]);
        for i in 0..64 {
            p.0[i] = mask.select(low.0[i], high.0[i].shl::<32>());
        }
        p
    }

    /// The inverse of [`Planes::join`]; the other half of the lanes becomes zero.
    #[inline(always)]
    #[must_use]
    pub fn split(&self) -> (Self, Self) {
        let mask = W::splat(0xFFFF_FFFF);
        let (mut low, mut high) = (Self([W::ZERO; 64]), Self([W::ZERO; 64]));
        for i in 0..64 {
            low.0[i] = self.0[i].and(mask);
            high.0[i] = self.0[i].shr::<32>();
        }
        (low, high)
    }

    /// The key schedule of each lane's key (FIPS 46-3, PC-1); parity bits are not looked at.
    #[inline(always)]
    #[must_use]
    pub fn schedule(&self) -> Schedule<W> {
        let mut schedule = Schedule::ZERO;
        schedule.set(&self.0);
        schedule
    }

    /// DES of each lane under its key, several in a row; `true` decrypts.
    #[inline(always)]
    pub fn des(&mut self, passes: &[(&Schedule<W>, bool)]) {
        rounds::chain(&mut self.0, passes);
    }

    /// Two-key TDES encryption (SP 800-67, 3.1, keying option 2).
    #[inline(always)]
    pub fn tdes_encrypt(&mut self, left: &Schedule<W>, right: &Schedule<W>) {
        self.des(&[(left, false), (right, true), (left, false)]);
    }

    /// Two-key TDES decryption.
    #[inline(always)]
    pub fn tdes_decrypt(&mut self, left: &Schedule<W>, right: &Schedule<W>) {
        self.des(&[(left, true), (right, false), (left, true)]);
    }
}

impl<W: Word> Clone for Planes<W> {
    #[inline(always)]
    fn clone(&self) -> Self {
        Self(self.0)
    }
}

impl<W: Word> Drop for Planes<W> {
    #[inline(always)]
    fn drop(&mut self) {
        W::wipe(&mut self.0);
    }
}
