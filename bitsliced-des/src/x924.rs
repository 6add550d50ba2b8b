//! The key generation of TDES DUKPT (ANSI X9.24-1:2009, Annex A) in lanes: many devices and counters at once, or one device
//! with both halves of its key at once.

use zeroize::Zeroizing;

use crate::batch::{left, right};
use crate::few;
use crate::lanes::{Job, Level, Planes, Schedule, Word, dispatch};

/// What a key is added to to get the key of its left half (A.2).
const VARIANT: [u8; 8] = [0xC0, 0xC0, 0xC0, 0xC0, 0, 0, 0, 0];

/// Bits of the transaction counter: the low 21 of the KSN.
const COUNTER_BITS: usize = 21;

/// What becomes of the transaction key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Working {
    /// Added to both halves (A.4).
    pub variant: [u8; 8],
    /// Whether each half is then encrypted under the whole (A.4.1, the data keys).
    pub encrypt_under_itself: bool,
}

struct Derive<'a> {
    initial: &'a [[u8; 16]],
    registers: &'a [[u8; 8]],
    working: Working,
    out: &'a mut [[u8; 16]],
}

/// Plane of bit `i` of the counter, lowest first: block bytes are big-endian.
const fn counter_plane(i: usize) -> usize {
    8 * (7 - i / 8) + i % 8
}

/// What a step needs room for, once for all steps: the key schedule, and what will be the two halves.
struct Work<W: Word> {
    schedule: Schedule<W>,
    from_key: Planes<W>,
    from_variant: Planes<W>,
}

/// Left and right half of the key of each lane.
struct Halves<W: Word> {
    left: Planes<W>,
    right: Planes<W>,
}

impl<W: Word> Halves<W> {
    /// One non-reversible step (A.2) in the lanes of `active`, two lanes for each device.
    #[inline(always)]
    fn step_joined(&mut self, register: &Planes<W>, active: W) {
        // Low lanes make the right half with the key itself, high lanes the left half with its variant.
        let high = W::splat(0xFFFF_FFFF_0000_0000);
        let mut key = Planes::join(&self.left, &self.left);
        key.xor_block(&VARIANT, high);
        let mut mask = Planes::join(&self.right, &self.right);
        mask.xor_block(&VARIANT, high);
        let mut x = Planes::join(register, register);
        x.xor(&mask);
        x.des(&[(&key.schedule(), false)]);
        x.xor(&mask);
        let (low, high) = x.split();
        self.right.take(active, &low);
        self.left.take(active, &high);
    }

    /// The same with one lane for each device.
    #[inline(always)]
    fn step(&mut self, register: &Planes<W>, active: W, work: &mut Work<W>) {
        let Work { schedule, from_key, from_variant } = work;
        from_key.set_sum(register, &self.right);
        from_variant.set_sum(register, &self.right);
        from_variant.xor_block(&VARIANT, W::ONES);
        schedule.set(self.left.words());
        from_key.des(&[(schedule, false)]);
        self.left.xor_block(&VARIANT, W::ONES);
        schedule.set(self.left.words());
        from_variant.des(&[(schedule, false)]);
        self.left.xor_block(&VARIANT, W::ONES);
        from_key.xor(&self.right);
        from_variant.xor(&self.right);
        from_variant.xor_block(&VARIANT, W::ONES);
        self.right.take(active, from_key);
        self.left.take(active, from_variant);
    }

    /// Both halves encrypted under the whole.
    #[inline(always)]
    fn encrypt_under_itself(&mut self, joined: bool) {
        if joined {
            let key = Planes::join(&self.left, &self.left).schedule();
            let second = Planes::join(&self.right, &self.right).schedule();
            let mut x = Planes::join(&self.left, &self.right);
            x.tdes_encrypt(&key, &second);
            (self.left, self.right) = x.split();
        } else {
            let (key, second) = (self.left.schedule(), self.right.schedule());
            self.left.tdes_encrypt(&key, &second);
            self.right.tdes_encrypt(&key, &second);
        }
    }
}

/// Takes the highest counter bit left out of `counter` and puts it into the register; the lanes that had one left.
#[inline(always)]
fn next_bit<W: Word>(register: &mut Planes<W>, counter: &mut [W; COUNTER_BITS]) -> W {
    let mut found = W::ZERO;
    for i in (0..COUNTER_BITS).rev() {
        let bit = counter[i].and_not(found);
        found = found.or(counter[i]);
        counter[i] = counter[i].xor(bit);
        let plane = &mut register.words()[counter_plane(i)];
        *plane = plane.or(bit);
    }
    found
}

impl Job for Derive<'_> {
    type Output = ();

    #[inline(always)]
    fn run<W: Word>(self) {
        let mut work = Work::<W> { schedule: Schedule::ZERO, from_key: Planes::ZERO, from_variant: Planes::ZERO };
        let chunks = self.initial.chunks(W::LANES).zip(self.registers.chunks(W::LANES));
        for ((initial, registers), out) in chunks.zip(self.out.chunks_mut(W::LANES)) {
            let mut key = Halves::<W> {
                left: Planes::load_each(initial.len(), |i| *left(&initial[i])),
                right: Planes::load_each(initial.len(), |i| *right(&initial[i])),
            };
            let mut register = Planes::<W>::load(registers);
            let mut counter = [W::ZERO; COUNTER_BITS];
            for (i, bit) in counter.iter_mut().enumerate() {
                core::mem::swap(bit, &mut register.words()[counter_plane(i)]);
            }
            let joined = initial.len() <= W::LANES / 2;
            // How many steps there are follows from the counters, which are public.
            loop {
                let active = next_bit(&mut register, &mut counter);
                if !active.any() {
                    break;
                }
                if joined {
                    key.step_joined(&register, active);
                } else {
                    key.step(&register, active, &mut work);
                }
            }
            key.left.xor_block(&self.working.variant, W::ONES);
            key.right.xor_block(&self.working.variant, W::ONES);
            if self.working.encrypt_under_itself {
                key.encrypt_under_itself(joined);
            }
            key.left.store_each(out.len(), |i, half| out[i].as_chunks_mut().0[0] = half);
            key.right.store_each(out.len(), |i, half| out[i].as_chunks_mut().0[1] = half);
        }
    }
}

/// One device: the two blocks of each step side by side.
fn derive_one(level: Level, initial: &[u8; 16], register: [u8; 8], working: Working) -> [u8; 16] {
    let variant = u64::from_le_bytes(VARIANT);
    let full = u64::from_be_bytes(register);
    let counter = full & ((1 << COUNTER_BITS) - 1);
    let mut register = full ^ counter;
    let mut key = Zeroizing::new([left(initial), right(initial)].map(|h| u64::from_le_bytes(*h)));
    for bit in (0..COUNTER_BITS).rev().map(|i| 1 << i).filter(|bit| counter & bit != 0) {
        register |= bit;
        // The left half comes from the variant of the key, the right half from the key itself.
        let mask = Zeroizing::new([key[1] ^ variant, key[1]]);
        let under = Zeroizing::new([([key[0] ^ variant, key[0]], false)]);
        let out = few::des(level, mask.map(|m| register.swap_bytes() ^ m), under.as_slice());
        *key = [out[0] ^ mask[0], out[1] ^ mask[1]];
    }
    for half in key.iter_mut() {
        *half ^= u64::from_le_bytes(working.variant);
    }
    if working.encrypt_under_itself {
        let [l, r] = *key;
        let under = Zeroizing::new([([l, l], false), ([r, r], true), ([l, l], false)]);
        *key = few::des(level, *key, under.as_slice());
    }
    let mut out = [0; 16];
    for (half, k) in out.as_chunks_mut().0.iter_mut().zip(*key) {
        *half = k.to_le_bytes();
    }
    out
}

/// Working keys from initial keys: for each lane one non-reversible step for each set counter bit, high to low, then the
/// variant and, if asked for, the self-encryption.
///
/// `registers` are the right 64 bits of the KSNs, counters included; `out` gets left half ‖ right half. Counters are taken for
/// public, keys are not.
///
/// # Panics
/// If the slices are not of one length.
pub fn derive(level: Level, initial: &[[u8; 16]], registers: &[[u8; 8]], working: Working, out: &mut [[u8; 16]]) {
    assert_eq!(initial.len(), registers.len(), "one register for each key");
    assert_eq!(initial.len(), out.len(), "room for each key");
    if few::suits_devices(level, initial.len()) {
        for ((initial, register), out) in initial.iter().zip(registers).zip(out) {
            *out = derive_one(level, initial, *register, working);
        }
        return;
    }
    dispatch(level, Derive { initial, registers, working, out });
}
