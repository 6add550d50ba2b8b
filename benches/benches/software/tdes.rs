//! TDES DUKPT: many devices at once and one alone, at each level and as `dukpt` chooses. Counters have ten bits set, the
//! most there are; messages are 112 bytes, a magnetic stripe's worth.

use std::hint::black_box;

use bitsliced_des::{batch, lanes::Level, x924};
use dukpt::{Key, KeyStore, Ksn, MemoryStore, tdes};
use p2pe_benches::{Bench, Row, Rows, TDES_10_BITS};

use crate::plain::{self, Ciphers};

const BLOCKS: usize = 14;
/// Devices of a batch: the widest words filled twice.
const MANY: usize = 1024;
/// What the yardstick does in one call; one after another is as fast for any number.
const FEW: usize = 8;
const WORKING: x924::Working = x924::Working { variant: [0, 0, 0, 0, 0, 0xFF, 0, 0], encrypt_under_itself: true };

/// Base key and KSNs of many devices, and what they sent.
struct Work {
    base_key: [u8; 16],
    ksns: Vec<[u8; 10]>,
    data: Vec<[u8; 8]>,
}

impl Work {
    fn new(bench: &Bench) -> Self {
        let base_key = bench.example(TDES_10_BITS).key.expose().try_into().expect("16 bytes");
        let one: [u8; 10] = bench.payload(TDES_10_BITS).ksn().as_bytes().try_into().expect("10 bytes");
        let device = |i: usize| {
            let mut ksn = one;
            ksn[5..7].copy_from_slice(&u16::try_from(i).expect("few").to_be_bytes());
            ksn
        };
        Self { base_key, ksns: (0..MANY).map(device).collect(), data: vec![[7; 8]; MANY * BLOCKS] }
    }

    fn clear(&self, ciphers: &mut impl Ciphers) -> Vec<[u8; 8]> {
        let mut data = self.data[..FEW * BLOCKS].to_vec();
        for (ksn, data) in self.ksns.iter().zip(data.chunks_mut(BLOCKS)) {
            plain::tdes(ciphers, &self.base_key, ksn, data);
        }
        data
    }
}

/// The same over `bitsliced-des`, level by level.
struct Lanes {
    base_keys: Vec<[u8; 16]>,
    blocks: Vec<[u8; 8]>,
    initial: Vec<[u8; 16]>,
    registers: Vec<[u8; 8]>,
    working: Vec<[u8; 16]>,
    data: Vec<[u8; 8]>,
}

impl Lanes {
    fn new(work: &Work, devices: usize) -> Self {
        let variant: [u8; 16] = core::array::from_fn(|i| work.base_key[i] ^ if i % 8 < 4 { 0xC0 } else { 0 });
        let registers = work.ksns[..devices].iter().map(|ksn| ksn[2..].try_into().expect("8 bytes"));
        Self {
            base_keys: [vec![work.base_key; devices], vec![variant; devices]].concat(),
            blocks: vec![[0; 8]; 2 * devices],
            initial: vec![[0; 16]; devices],
            registers: registers.collect(),
            working: vec![[0; 16]; devices],
            data: work.data[..devices * BLOCKS].to_vec(),
        }
    }

    fn initial_keys(&mut self, level: Level, ksns: &[[u8; 10]]) {
        let (left, right) = self.blocks.split_at_mut(ksns.len());
        for (ksn, (left, right)) in ksns.iter().zip(left.iter_mut().zip(&mut *right)) {
            left.copy_from_slice(&ksn[..8]);
            left[7] &= 0xE0;
            *right = *left;
        }
        batch::tdes_encrypt(level, &self.base_keys, &mut self.blocks);
        let (left, right) = self.blocks.split_at(ksns.len());
        for (key, (left, right)) in self.initial.iter_mut().zip(left.iter().zip(right)) {
            key[..8].copy_from_slice(left);
            key[8..].copy_from_slice(right);
        }
    }

    fn derive(&mut self, level: Level) {
        x924::derive(level, &self.initial, &self.registers, WORKING, &mut self.working);
    }

    fn decrypt(&mut self, level: Level, ksns: &[[u8; 10]]) {
        self.initial_keys(level, ksns);
        self.derive(level);
        let messages = self.working.iter().zip(self.data.chunks_mut(BLOCKS));
        let mut messages: Vec<_> = messages.map(|(key, data)| batch::Message { key, iv: [0; 8], data }).collect();
        batch::tdes_cbc_decrypt(level, &mut messages);
    }
}

/// The same over `dukpt`.
struct Library<'s> {
    base_key: dukpt::MemoryKey<'s>,
    ksns: Vec<tdes::Ksn>,
    initial: Vec<tdes::InitialKey>,
    data: Vec<[u8; 8]>,
}

impl<'s> Library<'s> {
    fn new(store: &'s MemoryStore, bench: &Bench, work: &Work) -> Self {
        let base_key = store.key(&bench.example(TDES_10_BITS).device.base_key).expect("the base key");
        let ksn = |bytes: &[u8; 10]| match Ksn::of_transaction(bytes) {
            Ok(Ksn::Tdes(ksn)) => ksn,
            _ => unreachable!("ten bytes are a KSN of TDES DUKPT"),
        };
        let ksns: Vec<_> = work.ksns.iter().map(ksn).collect();
        let initial = base_key.tdes_initial_keys(&ksns).expect("initial keys");
        Self { base_key, ksns, initial, data: work.data.clone() }
    }

    fn derive(&self, initial: &[tdes::InitialKey]) -> tdes::DataKeys {
        let transactions: Vec<_> = initial.iter().zip(self.ksns.iter().copied()).collect();
        tdes::DataKeys::derive(&transactions, tdes::Variant::DataRequest).expect("data keys")
    }

    fn decrypt(&mut self) {
        let keys = self.base_key.tdes_data_keys(&self.ksns, tdes::Variant::DataRequest).expect("data keys");
        let mut messages: Vec<_> = self.data.chunks_mut(BLOCKS).map(<[_]>::as_flattened_mut).enumerate().collect();
        keys.decrypt_cbc(tdes::Cipher::Tdes, &mut messages).expect("whole blocks");
    }

    fn decrypt_one(&mut self) {
        let ksn = black_box(&self.ksns[0]);
        let initial = self.base_key.tdes_initial_key(ksn).expect("an initial key");
        let key = tdes::DataKey::derive(&initial, ksn, tdes::Variant::DataRequest).expect("a data key");
        let data = self.data[..BLOCKS].as_flattened_mut();
        key.decrypt_cbc(tdes::Cipher::Tdes, &[0; 16], data).expect("whole blocks");
    }
}

/// All works against one yardstick. Targets hold for the `des` crate.
pub(crate) fn rows<C: Ciphers>(
    rows: &mut Rows,
    bench: &Bench,
    store: &MemoryStore,
    ciphers: &mut C,
    has_targets: bool,
) {
    let work = Work::new(bench);
    let row = |work: &str, level: &str, target: Option<f64>, limit| Row {
        name: format!("{work} {level}, {}", C::DES),
        target: target.filter(|_| has_targets),
        limit,
    };
    let mut theirs = Theirs { data: work.data[..FEW * BLOCKS].to_vec(), work: &work };
    let expected = work.clear(ciphers);

    let decrypt_target = |level| match level {
        Level::Portable => Some(15.0),
        Level::Avx2 => Some(40.0),
        Level::Avx512 => Some(100.0),
        _ => None,
    };
    let derive_target = |level| (level == Level::Avx512).then_some(100.0);
    let single_target = |level| Some(if level == Level::Portable { 1.5 } else { 2.3 });
    for level in Level::ALL {
        let named = |work, target, limit| row(work, &format!("{level:?}").to_lowercase(), target, limit);
        let of_work = [
            named("tdes batch decrypt", decrypt_target(level), "gates"),
            named("tdes batch derive", derive_target(level), "gates"),
            named("tdes single decrypt", single_target(level), "latency"),
        ];
        if !level.available() {
            of_work.iter().for_each(|row| rows.absent(row));
            continue;
        }
        let (mut lanes, mut lane) = (Lanes::new(&work, MANY), Lanes::new(&work, 1));
        lanes.decrypt(level, &work.ksns);
        lane.decrypt(level, &work.ksns[..1]);
        assert_eq!(lanes.data[..FEW * BLOCKS], expected, "{level:?}");
        assert_eq!(lane.data, expected[..BLOCKS], "{level:?}");
        let [decrypt, derive, single] = &of_work;
        rows.measure(
            decrypt,
            (MANY, || lanes.decrypt(level, black_box(&work.ksns))),
            (FEW, || theirs.decrypt(ciphers, FEW)),
        );
        rows.measure(derive, (MANY, || lanes.derive(level)), (FEW, || theirs.derive(ciphers)));
        rows.measure(
            single,
            (1, || lane.decrypt(level, black_box(&work.ksns[..1]))),
            (1, || theirs.decrypt(ciphers, 1)),
        );
    }

    let mut library = Library::new(store, bench, &work);
    library.decrypt_one();
    assert_eq!(library.data[..BLOCKS], expected[..BLOCKS]);
    library.data.clone_from(&work.data);
    library.decrypt();
    assert_eq!(library.data[..FEW * BLOCKS], expected);
    let (wide, narrow) = (Level::best_for(MANY), Level::best_for(1));
    let decrypt = row("tdes batch decrypt", "dukpt", decrypt_target(wide), "gates");
    rows.measure(&decrypt, (MANY, || library.decrypt()), (FEW, || theirs.decrypt(ciphers, FEW)));
    let derive = row("tdes batch derive", "dukpt", derive_target(wide), "gates");
    rows.measure(&derive, (MANY, || library.derive(&library.initial)), (FEW, || theirs.derive(ciphers)));
    let single = row("tdes single decrypt", "dukpt", single_target(narrow), "latency");
    rows.measure(&single, (1, || library.decrypt_one()), (1, || theirs.decrypt(ciphers, 1)));
}

/// The yardstick's side.
struct Theirs<'w> {
    work: &'w Work,
    data: Vec<[u8; 8]>,
}

impl Theirs<'_> {
    fn decrypt(&mut self, ciphers: &mut impl Ciphers, devices: usize) {
        for (ksn, data) in black_box(&self.work.ksns)[..devices].iter().zip(self.data.chunks_mut(BLOCKS)) {
            plain::tdes(ciphers, &self.work.base_key, ksn, data);
        }
    }

    /// Any key does as an initial key.
    fn derive(&self, ciphers: &mut impl Ciphers) {
        for ksn in black_box(&self.work.ksns)[..FEW].iter().filter_map(|ksn| ksn.last_chunk()) {
            black_box(plain::data_key(ciphers, &self.work.base_key, *ksn));
        }
    }
}
