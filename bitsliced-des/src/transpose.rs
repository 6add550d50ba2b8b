//! From blocks to planes and back: 64×64 bit transposes, one in each 64-bit element.

use crate::word::Word;

/// One step: the off-diagonal fields of `N` bits of each pair of rows that are `N` apart change places.
#[inline(always)]
fn step<W: Word, const N: u32>(group: &mut [W; 8], apart: usize, mask: u64) {
    let mask = W::splat(mask);
    for i in (0..8).filter(|i| i & apart == 0) {
        (group[i], group[i + apart]) = W::exchange::<N>(group[i], group[i + apart], mask);
    }
}

/// The transpose in two passes of eight rows, so that a group stays in registers for three of the six steps.
#[inline(always)]
pub(crate) fn transpose<W: Word>(rows: &mut [W; 64]) {
    for k in 0..8 {
        let mut g = [W::ZERO; 8];
        for i in 0..8 {
            g[i] = rows[8 * i + k];
        }
        step::<W, 32>(&mut g, 4, 0x0000_0000_FFFF_FFFF);
        step::<W, 16>(&mut g, 2, 0x0000_FFFF_0000_FFFF);
        step::<W, 8>(&mut g, 1, 0x00FF_00FF_00FF_00FF);
        for i in 0..8 {
            rows[8 * i + k] = g[i];
        }
    }
    for k in 0..8 {
        let mut g = [W::ZERO; 8];
        for i in 0..8 {
            g[i] = rows[8 * k + i];
        }
        step::<W, 4>(&mut g, 4, 0x0F0F_0F0F_0F0F_0F0F);
        step::<W, 2>(&mut g, 2, 0x3333_3333_3333_3333);
        step::<W, 1>(&mut g, 1, 0x5555_5555_5555_5555);
        for i in 0..8 {
            rows[8 * k + i] = g[i];
        }
    }
}
