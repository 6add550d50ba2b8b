//! Criterion's view of the same: single blocks, CBC, many keys, the derivation, at each level.

mod plain;

use bitsliced_des::{TdesEde2, batch, lanes::Level, x924};
use cipher::{Array, BlockCipherEncrypt, KeyInit};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn single(c: &mut Criterion) {
    let (theirs, ours) = (des::TdesEde2::new(&[3; 16].into()), TdesEde2::new(&[3; 16].into()));
    let mut g = c.benchmark_group("one block");
    let mut block = Array::from([0; 8]);
    g.bench_function("des", |b| b.iter(|| theirs.encrypt_block(&mut block)));
    g.bench_function("ours", |b| b.iter(|| ours.encrypt_block(&mut block)));
    g.finish();
    let mut g = c.benchmark_group("CBC of 8 blocks");
    let mut data = [[0; 8]; 8];
    g.bench_function("des", |b| b.iter(|| plain::decrypt(&[3; 16], &mut data)));
    for level in Level::ALL.into_iter().filter(|l| l.available()) {
        let id = BenchmarkId::from_parameter(format!("{level:?}"));
        g.bench_function(id, |b| b.iter(|| ours.cbc_decrypt_at(level, &[0; 8], &mut data)));
    }
    g.finish();
}

fn many(c: &mut Criterion) {
    const N: usize = 512;
    let (initial, registers) = plain::devices(N);
    let working = x924::Working { variant: [0, 0, 0, 0, 0, 0xFF, 0, 0], encrypt_under_itself: true };
    let mut g = c.benchmark_group("TDES, a key a block");
    g.throughput(Throughput::Elements(N as u64));
    let mut data = vec![[0; 8]; N];
    for level in Level::ALL.into_iter().filter(|l| l.available()) {
        let id = BenchmarkId::from_parameter(format!("{level:?}"));
        g.bench_function(id, |b| b.iter(|| batch::tdes_encrypt(level, &initial, &mut data)));
    }
    g.finish();
    let mut g = c.benchmark_group("DUKPT data keys");
    g.throughput(Throughput::Elements(N as u64));
    let mut keys = vec![[0; 16]; N];
    g.bench_function("des", |b| {
        b.iter(|| {
            for i in 0..N {
                keys[i] = plain::derive(&initial[i], &registers[i]);
            }
        });
    });
    for level in Level::ALL.into_iter().filter(|l| l.available()) {
        let id = BenchmarkId::from_parameter(format!("{level:?}"));
        g.bench_function(id, |b| b.iter(|| x924::derive(level, &initial, &registers, working, &mut keys)));
    }
    g.finish();
}

criterion_group!(benches, single, many);
criterion_main!(benches);
