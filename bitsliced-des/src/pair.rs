//! 128 lanes without intrinsics: two elements side by side, which compilers turn into one vector register.

use crate::rounds::Schedule;
use crate::word::{Gates, Word, sealed::Sealed};

#[derive(Clone, Copy, Default)]
pub(crate) struct Pair([u64; 2]);

impl zeroize::DefaultIsZeroes for Pair {}
impl Sealed for Pair {}

impl Word for Pair {
    const LANES: usize = 128;
    // NEON has a select (BSL); elsewhere it costs what its three gates cost.
    const GATES: Gates = if cfg!(target_arch = "aarch64") { Gates::Select } else { Gates::Two };
    const ZERO: Self = Self([0; 2]);
    const ONES: Self = Self([u64::MAX; 2]);

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        Self([self.0[0] & other.0[0], self.0[1] & other.0[1]])
    }
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        Self([self.0[0] | other.0[0], self.0[1] | other.0[1]])
    }
    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        Self([self.0[0] ^ other.0[0], self.0[1] ^ other.0[1]])
    }
    #[inline(always)]
    fn and_not(self, other: Self) -> Self {
        Self([self.0[0] & !other.0[0], self.0[1] & !other.0[1]])
    }
    #[inline(always)]
    fn shl<const N: u32>(self) -> Self {
        Self([self.0[0] << N, self.0[1] << N])
    }
    #[inline(always)]
    fn shr<const N: u32>(self) -> Self {
        Self([self.0[0] >> N, self.0[1] >> N])
    }
    #[inline(always)]
    fn splat(element: u64) -> Self {
        Self([element; 2])
    }
    #[inline(always)]
    fn put(words: &mut [Self; 64], i: usize, block: [u8; 8]) {
        words[i / 2].0[i % 2] = u64::from_le_bytes(block);
    }
    #[inline(always)]
    fn get(words: &[Self; 64], i: usize) -> [u8; 8] {
        words[i / 2].0[i % 2].to_le_bytes()
    }
    #[inline(always)]
    fn low(self) -> u64 {
        self.0[0]
    }
    #[inline(always)]
    fn any(self) -> bool {
        self.0 != [0; 2]
    }
    #[inline(always)]
    fn turn(words: &mut [Self; 8]) {
        for [a, b] in words.as_chunks_mut().0 {
            core::mem::swap(&mut a.0[1], &mut b.0[0]);
        }
    }
    #[inline(always)]
    fn wipe(words: &mut [Self]) {
        zeroize::Zeroize::zeroize(words);
    }
    #[inline(never)]
    fn transpose(rows: &mut [Self; 64]) {
        crate::transpose::transpose(rows);
    }
    #[inline(never)]
    fn rounds(l: &mut [Self; 32], r: &mut [Self; 32], schedule: &Schedule<Self>, decrypt: bool) {
        crate::rounds::rounds(l, r, schedule, decrypt);
    }
}
