//! Words of 128, 256 and 512 bits on x86-64. All `unsafe` of the crate is here: the intrinsics, each of which needs its CPU
//! feature, and the entry into functions compiled for a feature, which [`run`] makes only after the check for it.
//!
//! A value of one of these types is proof of its feature: the types are private, and only [`run`] names them.
#![expect(unsafe_code, reason = "CPU intrinsics")]

use core::arch::x86_64::{
    __m128i, __m256i, __m512i, _mm_and_si128, _mm_andnot_si128, _mm_or_si128, _mm_set_epi64x, _mm_sll_epi64,
    _mm_srl_epi64, _mm_xor_si128, _mm256_and_si256, _mm256_andnot_si256, _mm256_or_si256, _mm256_set1_epi64x,
    _mm256_sll_epi64, _mm256_srl_epi64, _mm256_ternarylogic_epi64, _mm256_xor_si256, _mm512_and_si512,
    _mm512_andnot_si512, _mm512_or_si512, _mm512_set1_epi64, _mm512_sll_epi64, _mm512_srl_epi64,
    _mm512_ternarylogic_epi64, _mm512_xor_si512,
};

use crate::lanes::{Job, Level};
use crate::rounds::Schedule;
use crate::word::{Gates, Word, sealed::Sealed};

cpufeatures::new!(has_avx2, "avx2");
cpufeatures::new!(has_avx512, "avx512f", "avx512vl");

/// Whether this machine can run `level`.
pub(crate) fn available(level: Level) -> bool {
    match level {
        Level::Portable | Level::Bits128 => true,
        Level::Avx2 => has_avx2::get(),
        Level::Avx512Half | Level::Avx512 => has_avx512::get(),
    }
}

/// Runs `job` at `level`, or at the next lower one the machine has.
#[inline]
pub(crate) fn run<J: Job>(level: Level, job: J) -> J::Output {
    match level {
        // SAFETY: the features have been found on this machine.
        Level::Avx512 if has_avx512::get() => unsafe { run_avx512(job) },
        // SAFETY: as above.
        Level::Avx512Half if has_avx512::get() => unsafe { run_avx512_half(job) },
        // SAFETY: as above.
        Level::Avx2 | Level::Avx512 | Level::Avx512Half if has_avx2::get() => unsafe { run_avx2(job) },
        Level::Portable => job.run::<u64>(),
        _ => job.run::<Bits128>(),
    }
}

#[target_feature(enable = "avx2")]
fn run_avx2<J: Job>(job: J) -> J::Output {
    job.run::<Bits256>()
}

#[target_feature(enable = "avx512f,avx512vl")]
fn run_avx512_half<J: Job>(job: J) -> J::Output {
    job.run::<Ternary256>()
}

#[target_feature(enable = "avx512f,avx512vl")]
fn run_avx512<J: Job>(job: J) -> J::Output {
    job.run::<Bits512>()
}

macro_rules! word {
    ($doc:literal, $name:ident, $vector:ty, $elements:literal, $features:literal, $gates:expr,
     $and:ident, $or:ident, $xor:ident, $andnot:ident, $shl:ident, $shr:ident, $splat:expr, $turn:ident
     $(, $ternary:ident)?) => {
        #[doc = $doc]
        #[derive(Clone, Copy)]
        #[repr(transparent)]
        pub(crate) struct $name($vector);

        impl Sealed for $name {}

        // SAFETY of every block below: a value exists, or the type is named, only where `run` has found the feature.
        impl Word for $name {
            const LANES: usize = 64 * $elements;
            const GATES: Gates = $gates;
            // SAFETY: the vector and the array are of one size, and every bit pattern is a vector.
            const ZERO: Self = Self(unsafe { core::mem::transmute::<[u64; $elements], $vector>([0; $elements]) });
            // SAFETY: the same.
            const ONES: Self = Self(unsafe { core::mem::transmute::<[u64; $elements], $vector>([u64::MAX; $elements]) });

            #[inline(always)]
            fn and(self, other: Self) -> Self {
                // SAFETY: the feature is there.
                Self(unsafe { $and(self.0, other.0) })
            }
            #[inline(always)]
            fn or(self, other: Self) -> Self {
                // SAFETY: the feature is there.
                Self(unsafe { $or(self.0, other.0) })
            }
            #[inline(always)]
            fn xor(self, other: Self) -> Self {
                // SAFETY: the feature is there.
                Self(unsafe { $xor(self.0, other.0) })
            }
            #[inline(always)]
            fn and_not(self, other: Self) -> Self {
                // SAFETY: the feature is there. The instruction inverts its first operand.
                Self(unsafe { $andnot(other.0, self.0) })
            }
            $(
                #[inline(always)]
                fn lut<const TABLE: i32>(self, b: Self, c: Self) -> Self {
                    // SAFETY: the feature is there.
                    Self(unsafe { $ternary::<TABLE>(self.0, b.0, c.0) })
                }
                #[inline(always)]
                fn select(self, one: Self, zero: Self) -> Self {
                    self.lut::<0b1100_1010>(one, zero)
                }
                #[inline(always)]
                fn exchange<const N: u32>(low: Self, high: Self, mask: Self) -> (Self, Self) {
                    (mask.select(low, high.shl::<N>()), mask.select(low.shr::<N>(), high))
                }
            )?
            #[inline(always)]
            fn shl<const N: u32>(self) -> Self {
                // SAFETY: the feature is there.
                Self(unsafe { $shl(self.0, _mm_set_epi64x(0, N as i64)) })
            }
            #[inline(always)]
            fn shr<const N: u32>(self) -> Self {
                // SAFETY: the feature is there.
                Self(unsafe { $shr(self.0, _mm_set_epi64x(0, N as i64)) })
            }
            #[inline(always)]
            fn splat(element: u64) -> Self {
                // SAFETY: the feature is there.
                Self(unsafe { $splat(element.cast_signed()) })
            }
            #[inline(always)]
            fn put(words: &mut [Self; 64], i: usize, block: [u8; 8]) {
                assert!(i < Self::LANES, "a lane");
                // SAFETY: the words are 64 times $elements runs of eight bytes, and i is below that.
                unsafe { words.as_mut_ptr().cast::<[u8; 8]>().add(i).write(block) }
            }
            #[inline(always)]
            fn get(words: &[Self; 64], i: usize) -> [u8; 8] {
                assert!(i < Self::LANES, "a lane");
                // SAFETY: as in `put`; every byte of a vector is initialised.
                unsafe { words.as_ptr().cast::<[u8; 8]>().add(i).read() }
            }
            #[inline(always)]
            fn low(self) -> u64 {
                // SAFETY: the vector and the array are of one size, and every bit pattern is an array.
                let x = unsafe { core::mem::transmute::<$vector, [u64; $elements]>(self.0) };
                x[0]
            }
            #[inline(always)]
            fn any(self) -> bool {
                // SAFETY: as in `low`.
                let x = unsafe { core::mem::transmute::<$vector, [u64; $elements]>(self.0) };
                x != [0; $elements]
            }
            #[inline(always)]
            fn turn(words: &mut [Self; 8]) {
                for square in words.as_chunks_mut::<$elements>().0 {
                    // SAFETY: the feature is there, and a word is nothing but its vector.
                    unsafe { crate::turn::$turn(&mut *square.as_mut_ptr().cast()) }
                }
            }
            #[inline(always)]
            fn wipe(words: &mut [Self]) {
                #[target_feature(enable = $features)]
                fn compiled(words: &mut [$name]) {
                    for w in words {
                        // SAFETY: a valid, aligned place, as it comes from a reference.
                        unsafe { core::ptr::write_volatile(w, <$name>::ZERO) }
                    }
                    core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::SeqCst);
                }
                // SAFETY: the feature is there.
                unsafe { compiled(words) }
            }
            #[inline(always)]
            fn transpose(rows: &mut [Self; 64]) {
                #[target_feature(enable = $features)]
                #[inline(never)]
                fn compiled(rows: &mut [$name; 64]) {
                    crate::transpose::transpose(rows);
                }
                // SAFETY: the feature is there.
                unsafe { compiled(rows) }
            }
            #[inline(always)]
            fn rounds(l: &mut [Self; 32], r: &mut [Self; 32], schedule: &Schedule<Self>, decrypt: bool) {
                #[target_feature(enable = $features)]
                #[inline(never)]
                fn compiled(l: &mut [$name; 32], r: &mut [$name; 32], schedule: &Schedule<$name>, decrypt: bool) {
                    // A local that has to be in memory: without one the compiler does not align the stack, and each word
                    // that it spills lies across two cache lines.
                    let mut aligned = [<$name>::ZERO];
                    crate::rounds::rounds(l, r, schedule, decrypt);
                    <$name>::wipe(&mut aligned);
                }
                // SAFETY: the feature is there.
                unsafe { compiled(l, r, schedule, decrypt) }
            }
        }
    };
}

word!(
    "SSE2, which every x86-64 has.",
    Bits128,
    __m128i,
    2,
    "sse2",
    Gates::Two,
    _mm_and_si128,
    _mm_or_si128,
    _mm_xor_si128,
    _mm_andnot_si128,
    _mm_sll_epi64,
    _mm_srl_epi64,
    |x| _mm_set_epi64x(x, x),
    two
);
word!(
    "AVX2.",
    Bits256,
    __m256i,
    4,
    "avx2",
    Gates::Two,
    _mm256_and_si256,
    _mm256_or_si256,
    _mm256_xor_si256,
    _mm256_andnot_si256,
    _mm256_sll_epi64,
    _mm256_srl_epi64,
    _mm256_set1_epi64x,
    four
);
word!(
    "AVX-512VL: half the width, three instructions a cycle, and ternary logic.",
    Ternary256,
    __m256i,
    4,
    "avx512f,avx512vl",
    Gates::Three,
    _mm256_and_si256,
    _mm256_or_si256,
    _mm256_xor_si256,
    _mm256_andnot_si256,
    _mm256_sll_epi64,
    _mm256_srl_epi64,
    _mm256_set1_epi64x,
    four,
    _mm256_ternarylogic_epi64
);
word!(
    "AVX-512.",
    Bits512,
    __m512i,
    8,
    "avx512f,avx512vl",
    Gates::Three,
    _mm512_and_si512,
    _mm512_or_si512,
    _mm512_xor_si512,
    _mm512_andnot_si512,
    _mm512_sll_epi64,
    _mm512_srl_epi64,
    _mm512_set1_epi64,
    eight,
    _mm512_ternarylogic_epi64
);
