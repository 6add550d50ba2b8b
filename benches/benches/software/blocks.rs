//! The ciphers of `bitsliced-des` in place of those of `des`: blocks and CBC, at the level of the machine.

use bitsliced_des::{TdesEde2, batch, lanes::Level};
use cipher::{Array, BlockCipherEncrypt, KeyInit};
use p2pe_benches::{Row, Rows};

use crate::{plain::Ciphers, rustcrypto::RustCrypto};

pub(crate) fn rows(rows: &mut Rows) {
    const MANY: usize = 512;
    let row = |work: String, limit| Row { name: format!("{work}, des crate"), target: None, limit };
    let key = [3; 16];
    let (theirs, ours) = (des::TdesEde2::new(&key.into()), TdesEde2::new(&key.into()));
    let (mut a, mut b) = (Array::from([0; 8]), Array::from([0; 8]));
    ours.encrypt_block(&mut a);
    theirs.encrypt_block(&mut b);
    assert_eq!(a, b);
    let single = row("tdes block".into(), "latency");
    rows.measure(&single, (1, || ours.encrypt_block(&mut a)), (1, || theirs.encrypt_block(&mut b)));

    for (blocks, limit) in [(8, "latency"), (14, "latency"), (MANY, "gates")] {
        let (mut a, mut b) = (vec![[7; 8]; blocks], vec![[7; 8]; blocks]);
        let ours = |data: &mut [[u8; 8]]| TdesEde2::new(&key.into()).cbc_decrypt(&[0; 8], data);
        let theirs = |data: &mut [[u8; 8]]| RustCrypto.tdes_cbc_decrypt(&key, data);
        ours(&mut a);
        theirs(&mut b);
        assert_eq!(a, b);
        rows.measure(&row(format!("tdes cbc {blocks} blocks"), limit), (1, || ours(&mut a)), (1, || theirs(&mut b)));
    }

    let keys: Vec<[u8; 16]> =
        (0..MANY).map(|i| core::array::from_fn(|j| u8::try_from((i * 31 + j * 77) % 256).expect("a byte"))).collect();
    let (mut a, mut b) = (vec![[7; 8]; MANY], vec![[7; 8]; MANY]);
    let ours = |data: &mut [[u8; 8]]| batch::tdes_encrypt(Level::best_for(MANY), &keys, data);
    let theirs = |data: &mut [[u8; 8]]| keys.iter().zip(data.chunks_mut(1)).for_each(|(k, b)| RustCrypto.tdes(k, b));
    ours(&mut a);
    theirs(&mut b);
    assert_eq!(a, b);
    rows.measure(&row("tdes blocks, a key each".into(), "gates"), (MANY, || ours(&mut a)), (MANY, || theirs(&mut b)));
}
