//! How many times as fast as the `des` crate, in the same run; the table of the README. The least of many short samples, as
//! the machine may have other work.

mod plain;

use std::hint::black_box;
use std::time::{Duration, Instant};

use bitsliced_des::{TdesEde2, batch, lanes::Level, x924};
use cipher::{Array, BlockCipherEncrypt, KeyInit};

/// Blocks of a message: 112 bytes, a magnetic stripe's worth.
const BLOCKS: usize = 14;

/// Nanoseconds for each of `n`.
fn time(n: u32, mut f: impl FnMut()) -> f64 {
    f();
    let mut best = f64::MAX;
    for _ in 0..100 {
        let (begun, mut runs) = (Instant::now(), 0);
        while begun.elapsed() < Duration::from_millis(1) {
            f();
            runs += 1;
        }
        best = best.min(begun.elapsed().as_secs_f64() / f64::from(runs));
    }
    best / f64::from(n) * 1e9
}

const WORKING: x924::Working = x924::Working { variant: [0, 0, 0, 0, 0, 0xFF, 0, 0], encrypt_under_itself: true };

fn derive_and_decrypt(
    level: Level,
    initial: &[[u8; 16]],
    registers: &[[u8; 8]],
    keys: &mut [[u8; 16]],
    data: &mut [[u8; 8]],
) {
    x924::derive(level, initial, registers, WORKING, keys);
    let messages = keys.iter().zip(data.chunks_mut(BLOCKS));
    let mut messages: Vec<_> = messages.map(|(key, data)| batch::Message { key, iv: [0; 8], data }).collect();
    batch::tdes_cbc_decrypt(level, &mut messages);
}

fn main() {
    const FEW: usize = 32;
    const MANY: usize = 1024;
    let (initial, registers) = plain::devices(MANY);
    let mut keys = vec![[0; 16]; MANY];
    let mut data = vec![[7; 8]; MANY * BLOCKS];
    let derive = time(32, || {
        for i in 0..FEW {
            keys[i] = plain::derive(&initial[i], &registers[i]);
        }
    });
    let both = time(32, || {
        for i in 0..FEW {
            let key = plain::derive(&initial[i], &registers[i]);
            plain::decrypt(&key, &mut data[i * BLOCKS..][..BLOCKS]);
        }
    });
    println!("des crate: derivation {derive:.0} ns, and 112 bytes {both:.0} ns");

    let (theirs, ours) = (des::TdesEde2::new(&[3; 16].into()), TdesEde2::new(&[3; 16].into()));
    let mut block = Array::from([0; 8]);
    let (a, b) = (time(1, || theirs.encrypt_block(&mut block)), time(1, || ours.encrypt_block(&mut block)));
    println!("one TDES block: {a:.0} ns, ours {b:.0} ns, {:.2}x", a / b);
    for n in [8, 14, 512] {
        let a = time(1, || plain::decrypt(&[3; 16], &mut data[..n]));
        let b = time(1, || ours.cbc_decrypt(&[0; 8], &mut data[..n]));
        println!("CBC decryption of {n} blocks: {a:.0} ns, ours {b:.0} ns, {:.1}x", a / b);
    }

    for level in Level::ALL.into_iter().filter(|l| l.available()) {
        let d = time(1024, || x924::derive(level, &initial, &registers, WORKING, &mut keys));
        let m = time(1024, || derive_and_decrypt(level, &initial, &registers, &mut keys, &mut data));
        let s = time(1, || {
            derive_and_decrypt(level, black_box(&initial[..1]), &registers[..1], &mut keys[..1], &mut data[..BLOCKS]);
        });
        let t = time(1024, || batch::tdes_encrypt(level, &initial, &mut data[..MANY]));
        println!(
            "{level:?}: derivation {d:.1} ns, {:.1}x; and 112 bytes {m:.1} ns, {:.1}x; a single one {s:.0} ns, {:.2}x; \
             a TDES block of a batch of keys {t:.2} ns",
            derive / d,
            both / m,
            both / s
        );
    }
}
