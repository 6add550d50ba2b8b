//! Arithmetic modulo a power of ten, by constants: no branch and no division depends on a value. It is wrapping where
//! nothing can overflow too, because an overflow check is a branch.

/// 10^digits with what its reduction needs.
#[derive(Clone, Copy)]
pub(crate) struct Modulus {
    value: u64,
    /// 2^shift is the highest power of two in the value.
    shift: u32,
    /// ⌊2^64 / value⌋.
    coarse: u64,
    /// ⌊2^(64 + shift) / value⌋.
    fine: u64,
}

impl Modulus {
    #[expect(clippy::cast_possible_truncation, reason = "the quotients are under 2^64: no power of ten is one of two")]
    const fn new(digits: u32) -> Self {
        let value = 10u64.pow(digits);
        let shift = value.ilog2();
        let (coarse, fine) = ((1u128 << 64) / value as u128, (1u128 << (64 + shift)) / value as u128);
        Self { value, shift, coarse: coarse as u64, fine: fine as u64 }
    }

    /// 10^digits, of 3 to 19 digits.
    pub(crate) fn power(digits: usize) -> &'static Self {
        const POWERS: [Modulus; 20] = {
            let mut powers = [Modulus::new(1); 20];
            let mut digits: u8 = 1;
            while (digits as usize) < powers.len() {
                powers[digits as usize] = Modulus::new(digits as u32);
                digits += 1;
            }
            powers
        };
        const { &POWERS }.get(digits).unwrap_or(const { &POWERS[19] })
    }

    /// Bytes that a number below this one takes.
    pub(crate) fn bytes(&self) -> usize {
        // Not the power itself: no power of ten needs a byte more than the number below it.
        (self.shift as usize + 1).div_ceil(8)
    }

    /// `x` modulo this.
    pub(crate) fn reduce(&self, x: u64) -> u64 {
        // The quotient is at most one too small, because coarse is less than 1 below 2^64 / value, and x < 2^64.
        let quotient = high(x, self.coarse);
        below(x.wrapping_sub(quotient.wrapping_mul(self.value)), self.value)
    }

    /// `high` · 2^32 + `low` modulo this.
    pub(crate) fn reduce_wide(&self, high_part: u64, low: u32) -> u64 {
        let x = u128::from(self.reduce(high_part)) << 32 | u128::from(low);
        // x / value < 2^32. Of x, the bits below 2^(shift - 4) are cut off: with that and the two roundings the
        // quotient is at most one too small.
        let cut = self.shift - 4;
        let quotient = (x >> cut).wrapping_mul(self.fine.into()) >> 68;
        let value = u128::from(self.value);
        let (less, borrow) = x.wrapping_sub(quotient.wrapping_mul(value)).overflowing_sub(value);
        #[expect(clippy::cast_possible_truncation, reason = "the rest is below value")]
        let rest = less as u64;
        rest.wrapping_add(self.value & mask(borrow))
    }

    /// a + b modulo this; both below it.
    pub(crate) fn add(&self, a: u64, b: u64) -> u64 {
        self.subtract(a, self.value.wrapping_sub(b))
    }

    /// a − b modulo this; a below it, b at most it.
    pub(crate) fn subtract(&self, a: u64, b: u64) -> u64 {
        let (less, borrow) = a.overflowing_sub(b);
        less.wrapping_add(self.value & mask(borrow))
    }
}

/// `x` or `x` − `value`, whichever is below `value`; `x` is below its double.
fn below(x: u64, value: u64) -> u64 {
    let (less, borrow) = x.overflowing_sub(value);
    less.wrapping_add(value & mask(borrow))
}

fn mask(bit: bool) -> u64 {
    0u64.wrapping_sub(u64::from(bit))
}

/// The upper half of a product.
fn high(a: u64, b: u64) -> u64 {
    (u128::from(a).wrapping_mul(b.into()) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::Modulus;
    use proptest::prelude::*;

    /// Numbers around every multiple that matters: the ends of the range and the multiples of the modulus.
    fn near(value: u64, pick: u64) -> Vec<u64> {
        let multiple = value.wrapping_mul(pick % (u64::MAX / value + 1));
        let around = |x: u64| [x.wrapping_sub(1), x, x.wrapping_add(1)];
        [around(multiple), around(0), [pick; 3]].concat()
    }

    proptest! {
        #[test]
        fn as_by_division(digits in 3usize..20, pick: u64, other: u64, low: u32) {
            let modulus = Modulus::power(digits);
            let value = 10u64.pow(u32::try_from(digits).unwrap());
            for x in near(value, pick) {
                prop_assert_eq!(modulus.reduce(x), x % value);
                for low in [low, 0, 1, u32::MAX] {
                    let wide = u128::from(x) << 32 | u128::from(low);
                    prop_assert_eq!(u128::from(modulus.reduce_wide(x, low)), wide % u128::from(value));
                }
                // Around a multiple of the modulus, above 64 bits.
                let wide = (u128::from(x) << 32) / u128::from(value) * u128::from(value);
                for wide in [wide, wide.saturating_sub(1), wide + 1] {
                    let (high, low) = (u64::try_from(wide >> 32).unwrap(), u32::try_from(wide & 0xFFFF_FFFF).unwrap());
                    prop_assert_eq!(u128::from(modulus.reduce_wide(high, low)), wide % u128::from(value));
                }
                let (a, b) = (x % value, other % value);
                prop_assert_eq!(u128::from(modulus.add(a, b)), (u128::from(a) + u128::from(b)) % u128::from(value));
                prop_assert_eq!(modulus.add(modulus.subtract(a, b), b), a);
            }
        }
    }

    #[test]
    fn bytes_of_numbers() {
        for digits in 3..20 {
            let last = 10u64.pow(u32::try_from(digits).unwrap()) - 1;
            let bytes = 8 - last.leading_zeros() as usize / 8;
            assert_eq!(Modulus::power(digits).bytes(), bytes, "{digits}");
        }
    }
}
