//! Ratios to the `des` crate, quick.
use std::time::Instant;
use bitsliced_des::{batch, lanes::Level, x924};
use cipher::{Array, BlockCipherEncrypt, BlockModeDecrypt, KeyInit, KeyIvInit};
use std::hint::black_box;

fn oracle_derive(initial: &[u8; 16], register: &[u8; 8]) -> [u8; 16] {
    const VARIANT: [u8; 16] = [0xC0, 0xC0, 0xC0, 0xC0, 0, 0, 0, 0, 0xC0, 0xC0, 0xC0, 0xC0, 0, 0, 0, 0];
    let full = u64::from_be_bytes(*register);
    let mut reg = full & !0x1F_FFFF;
    let mut key = *initial;
    for bit in (0..21).rev().map(|b| 1u64 << b).filter(|b| full & b != 0) {
        reg |= bit;
        let half = |key: [u8; 16]| {
            let r = u64::from_be_bytes(key[8..].try_into().unwrap());
            let mut b = Array::from((reg ^ r).to_be_bytes());
            des::Des::new_from_slice(&key[..8]).unwrap().encrypt_block(&mut b);
            (u64::from_be_bytes(b.into()) ^ r).to_be_bytes()
        };
        let (r, l) = (half(key), half(core::array::from_fn(|i| key[i] ^ VARIANT[i])));
        key[..8].copy_from_slice(&l);
        key[8..].copy_from_slice(&r);
    }
    key[5] ^= 0xff; key[13] ^= 0xff;
    let c = des::TdesEde2::new_from_slice(&key).unwrap();
    for h in key.as_chunks_mut::<8>().0 {
        let mut b = Array::from(*h);
        c.encrypt_block(&mut b);
        *h = b.into();
    }
    key
}
fn time(n: usize, mut f: impl FnMut()) -> f64 {
    f();
    let mut best = f64::MAX;
    for _ in 0..60 {
        let mut reps = 0u32;
        let t = Instant::now();
        while t.elapsed().as_millis() < 2 { f(); reps += 1; }
        best = best.min(t.elapsed().as_secs_f64() / f64::from(reps));
    }
    best / n as f64 * 1e9
}
fn main() {
    let n = 2048;
    let initial: Vec<[u8; 16]> = (0..n).map(|i| core::array::from_fn(|j| (i * 31 + j * 77) as u8)).collect();
    let registers: Vec<[u8; 8]> = (0..n).map(|i| [(i >> 8) as u8, i as u8, 3, 4, 0xE5, 0x1f, 0x0f, 0x03]).collect();
    let mut out = vec![[0u8; 16]; n];
    let mut data = vec![[7u8; 8]; n * 14];
    let w = x924::Working { variant: [0, 0, 0, 0, 0, 0xFF, 0, 0], encrypt_under_itself: true };
    println!("bits {}", (u64::from_be_bytes(registers[0]) & 0x1fffff).count_ones());
    let m = 64;
    let plain = time(m, || for i in 0..m { out[i] = oracle_derive(&initial[i], &registers[i]); });
    let dec = |key: &[u8; 16], d: &mut [[u8; 8]]| {
        let blocks = Array::cast_slice_from_core_mut(d);
        cbc::Decryptor::<des::TdesEde2>::new(key.into(), &[0; 8].into()).decrypt_blocks(blocks);
    };
    let both = time(m, || for i in 0..m { let k = oracle_derive(&initial[i], &registers[i]); dec(&k, &mut data[i * 14..][..14]); });
    println!("des crate: derive {plain:.0} ns, with 112 bytes {both:.0} ns");
    {
        let k = [3u8; 16];
        let (a, b) = (des::TdesEde2::new(&k.into()), bitsliced_des::TdesEde2::new(&k.into()));
        let mut x = Array::from([0u8; 8]);
        println!("one block: des {:.0} ours {:.0}", time(1, || a.encrypt_block(&mut x)), time(1, || b.encrypt_block(&mut x)));
        println!("14 blocks cbc: des {:.0} ours {:.0}", time(1, || dec(&k, &mut data[..14])), time(1, || bitsliced_des::TdesEde2::new(&k.into()).cbc_decrypt(&[0;8], &mut data[..14])));
        println!("2048 blocks cbc: des {:.0} ours {:.0}", time(1, || dec(&k, &mut data[..2048])), time(1, || bitsliced_des::TdesEde2::new(&k.into()).cbc_decrypt(&[0;8], &mut data[..2048])));
    }
    for level in Level::ALL.into_iter().filter(|l| l.available()) {
        let d = time(n, || x924::derive(level, &initial, &registers, w, &mut out));
        let b = time(n, || {
            x924::derive(level, &initial, &registers, w, &mut out);
            let mut m: Vec<_> = out.iter().zip(data.chunks_mut(14)).map(|(key, data)| batch::Message { key, iv: [0; 8], data }).collect();
            batch::tdes_cbc_decrypt(level, &mut m);
        });
        let s = time(1, || {
            x924::derive(level, black_box(&initial[..1]), &registers[..1], w, &mut out[..1]);
            batch::tdes_cbc_decrypt(level, &mut [batch::Message { key: &out[0], iv: [0; 8], data: &mut data[..14] }]);
        });
        let t = { let keys = &initial; time(n, || batch::tdes_encrypt(level, keys, &mut data[..n])) };
        println!("{level:?}: derive {d:.1} ns {:.1}x; with 112 bytes {b:.1} {:.1}x; single {s:.0} {:.2}x; tdes block {t:.2}", plain / d, both / b, both / s);
    }
}
