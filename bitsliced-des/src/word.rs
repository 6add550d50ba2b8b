//! What a machine word has to do to carry lanes: one bit of each lane in each word.

use zeroize::Zeroize;

/// Which circuits of the S-boxes suit a word best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gates {
    /// and, or, xor, andnot.
    Two,
    /// The same and a bitwise select in one instruction.
    Select,
    /// Any function of three inputs in one instruction.
    Three,
}

pub(crate) mod sealed {
    /// Only this crate makes words: one of a kind the machine lacks must never exist.
    pub trait Sealed {}
}

/// A word of [`Word::LANES`] lanes, one bit each. Sealed; [`crate::lanes::dispatch`] hands one out.
#[expect(clippy::return_self_not_must_use, reason = "gates are always used, and the attribute would be on each")]
pub trait Word: Copy + Send + Sync + sealed::Sealed + 'static {
    /// Bits in a word; a multiple of 64.
    const LANES: usize;
    /// The circuits to use.
    const GATES: Gates;
    /// All bits zero.
    const ZERO: Self;
    /// All bits one.
    const ONES: Self;

    /// Bitwise and.
    fn and(self, other: Self) -> Self;
    /// Bitwise or.
    fn or(self, other: Self) -> Self;
    /// Bitwise exclusive or.
    fn xor(self, other: Self) -> Self;
    /// `self & !other`.
    fn and_not(self, other: Self) -> Self;

    /// Bitwise complement.
    #[inline(always)]
    fn not(self) -> Self {
        self.xor(Self::ONES)
    }

    /// `one` where `self` is set, else `zero`.
    #[inline(always)]
    fn select(self, one: Self, zero: Self) -> Self {
        zero.xor(self.and(one.xor(zero)))
    }

    /// The function of three inputs whose value for (self, b, c) is bit 4·self + 2b + c of `TABLE`.
    #[inline(always)]
    fn lut<const TABLE: i32>(self, b: Self, c: Self) -> Self {
        let by_c = |t: i32| match t & 3 {
            0 => Self::ZERO,
            1 => c.not(),
            2 => c,
            _ => Self::ONES,
        };
        let zero = b.select(by_c(TABLE >> 2), by_c(TABLE));
        let one = b.select(by_c(TABLE >> 6), by_c(TABLE >> 4));
        self.select(one, zero)
    }

    /// Every 64-bit element shifted towards the high end.
    fn shl<const N: u32>(self) -> Self;
    /// Every 64-bit element shifted towards the low end.
    fn shr<const N: u32>(self) -> Self;
    /// The same 64 bits in every element.
    fn splat(element: u64) -> Self;

    /// Of a word the elements: block i of the words, taken as one run of blocks, becomes `block`, first byte lowest.
    fn put(words: &mut [Self; 64], i: usize, block: [u8; 8]);
    /// The inverse of [`Word::put`].
    fn get(words: &[Self; 64], i: usize) -> [u8; 8];
    /// The first element.
    fn low(self) -> u64;
    /// Whether any bit is set. Only for what is public.
    fn any(self) -> bool;

    /// Exchanges the fields of `N` bits that `mask` does not name in `low` with those that it names in `high`.
    #[inline(always)]
    fn exchange<const N: u32>(low: Self, high: Self, mask: Self) -> (Self, Self) {
        let t = low.shr::<N>().xor(high).and(mask);
        (low.xor(t.shl::<N>()), high.xor(t))
    }

    /// In each square of words, as many as a word has elements: element j of word i and element i of word j change places.
    fn turn(words: &mut [Self; 8]);
    /// Zeros that no compiler leaves out.
    fn wipe(words: &mut [Self]);
    /// The 64×64 bit transpose in each element.
    fn transpose(rows: &mut [Self; 64]);
    /// Sixteen rounds; see `rounds`.
    fn rounds(l: &mut [Self; 32], r: &mut [Self; 32], schedule: &crate::rounds::Schedule<Self>, decrypt: bool);
}

impl sealed::Sealed for u64 {}

impl Word for u64 {
    const LANES: usize = 64;
    const GATES: Gates = Gates::Two;
    const ZERO: Self = 0;
    const ONES: Self = Self::MAX;

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        self & other
    }
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        self | other
    }
    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        self ^ other
    }
    #[inline(always)]
    fn and_not(self, other: Self) -> Self {
        self & !other
    }
    #[inline(always)]
    fn shl<const N: u32>(self) -> Self {
        self << N
    }
    #[inline(always)]
    fn shr<const N: u32>(self) -> Self {
        self >> N
    }
    #[inline(always)]
    fn splat(element: u64) -> Self {
        element
    }
    #[inline(always)]
    fn put(words: &mut [Self; 64], i: usize, block: [u8; 8]) {
        words[i] = Self::from_le_bytes(block);
    }
    #[inline(always)]
    fn get(words: &[Self; 64], i: usize) -> [u8; 8] {
        words[i].to_le_bytes()
    }
    #[inline(always)]
    fn low(self) -> u64 {
        self
    }
    #[inline(always)]
    fn any(self) -> bool {
        self != 0
    }
    #[inline(always)]
    fn turn(_: &mut [Self; 8]) {}
    #[inline(always)]
    fn wipe(words: &mut [Self]) {
        words.zeroize();
    }
    #[inline(never)]
    fn transpose(rows: &mut [Self; 64]) {
        crate::transpose::transpose(rows);
    }
    #[inline(never)]
    fn rounds(l: &mut [Self; 32], r: &mut [Self; 32], schedule: &crate::rounds::Schedule<Self>, decrypt: bool) {
        crate::rounds::rounds(l, r, schedule, decrypt);
    }
}
