//! Square transposes of 64-bit elements on x86-64: element j of word i and element i of word j change places.

use core::arch::x86_64::{
    __m128i, __m256i, __m512i, _mm_unpackhi_epi64, _mm_unpacklo_epi64, _mm256_permute2x128_si256,
    _mm256_unpackhi_epi64, _mm256_unpacklo_epi64, _mm512_shuffle_i64x2, _mm512_unpackhi_epi64, _mm512_unpacklo_epi64,
};

#[inline]
#[target_feature(enable = "sse2")]
pub(crate) fn two(words: &mut [__m128i; 2]) {
    let [a, b] = *words;
    *words = [_mm_unpacklo_epi64(a, b), _mm_unpackhi_epi64(a, b)];
}

#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn four(words: &mut [__m256i; 4]) {
    let [a, b, c, d] = *words;
    let (even, odd) = (_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
    let (even2, odd2) = (_mm256_unpacklo_epi64(c, d), _mm256_unpackhi_epi64(c, d));
    *words = [
        _mm256_permute2x128_si256::<0x20>(even, even2),
        _mm256_permute2x128_si256::<0x20>(odd, odd2),
        _mm256_permute2x128_si256::<0x31>(even, even2),
        _mm256_permute2x128_si256::<0x31>(odd, odd2),
    ];
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn eight(words: &mut [__m512i; 8]) {
    /// The transpose of four by four quarters.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn quarters(a: __m512i, b: __m512i, c: __m512i, d: __m512i) -> [__m512i; 4] {
        let (low, low2) = (_mm512_shuffle_i64x2::<0x44>(a, b), _mm512_shuffle_i64x2::<0x44>(c, d));
        let (high, high2) = (_mm512_shuffle_i64x2::<0xEE>(a, b), _mm512_shuffle_i64x2::<0xEE>(c, d));
        [
            _mm512_shuffle_i64x2::<0x88>(low, low2),
            _mm512_shuffle_i64x2::<0xDD>(low, low2),
            _mm512_shuffle_i64x2::<0x88>(high, high2),
            _mm512_shuffle_i64x2::<0xDD>(high, high2),
        ]
    }
    let [a, b, c, d, e, f, g, h] = *words;
    let [a0, a2, a4, a6] = quarters(
        _mm512_unpacklo_epi64(a, b),
        _mm512_unpacklo_epi64(c, d),
        _mm512_unpacklo_epi64(e, f),
        _mm512_unpacklo_epi64(g, h),
    );
    let [a1, a3, a5, a7] = quarters(
        _mm512_unpackhi_epi64(a, b),
        _mm512_unpackhi_epi64(c, d),
        _mm512_unpackhi_epi64(e, f),
        _mm512_unpackhi_epi64(g, h),
    );
    *words = [a0, a1, a2, a3, a4, a5, a6, a7];
}
