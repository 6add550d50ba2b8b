//! The Monte Carlo tests of NIST SP 800-20 (ECB and CBC, both ways, one, two and three keys) against the `des` crate: as
//! types, and at every level with a chain in each lane.
//!
//! The whole of it, 400 rounds of 10,000 steps (200 in the lanes), is for `tools/soak`, which sets `MONTE_CARLO=whole`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use bitsliced_des::{Des, TdesEde2, TdesEde3, batch, lanes::Level};
use cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, BlockSizeUser, KeyInit, consts::U8};

type Bytes8 = [u8; 8];

/// The cipher of all chains under their keys.
type Step = Box<dyn FnMut(&mut [Bytes8])>;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    EcbEncrypt,
    EcbDecrypt,
    CbcEncrypt,
    CbcDecrypt,
}

impl Mode {
    const ALL: [Self; 4] = [Self::EcbEncrypt, Self::EcbDecrypt, Self::CbcEncrypt, Self::CbcDecrypt];

    fn decrypts(self) -> bool {
        matches!(self, Self::EcbDecrypt | Self::CbcDecrypt)
    }
}

/// One chain: its keys, what goes into the next step, the chaining value, and the last three results.
#[derive(Clone, PartialEq, Debug)]
struct Chain {
    keys: [Bytes8; 3],
    input: Bytes8,
    chaining: Bytes8,
    results: [Bytes8; 3],
}

impl Chain {
    fn new(number: usize, distinct_keys: usize) -> Self {
        let mut x = 0x0123_4567_89AB_CDEF ^ (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut next = || {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x.to_be_bytes()
        };
        let mut chain = Self { keys: [next(), next(), next()], input: next(), chaining: next(), results: [[0; 8]; 3] };
        chain.keys(distinct_keys);
        chain
    }

    /// Sets the parity, and makes equal the keys that are.
    fn keys(&mut self, distinct: usize) {
        for byte in self.keys.as_flattened_mut() {
            *byte = *byte & 0xFE | u8::from((*byte >> 1).count_ones().is_multiple_of(2));
        }
        if distinct < 3 {
            self.keys[2] = self.keys[0];
        }
        if distinct < 2 {
            self.keys[1] = self.keys[0];
        }
    }

    /// What the cipher gets.
    fn block(&self, mode: Mode) -> Bytes8 {
        if mode == Mode::CbcEncrypt { xor(self.input, self.chaining) } else { self.input }
    }

    /// What the cipher gave, and what follows from it (SP 800-20, 5.1 and 5.2).
    fn take(&mut self, mode: Mode, first: bool, out: Bytes8) {
        let before = self.results[0];
        let (result, input, chaining) = match mode {
            Mode::EcbEncrypt | Mode::EcbDecrypt => (out, out, self.chaining),
            Mode::CbcEncrypt => (out, if first { self.chaining } else { before }, out),
            Mode::CbcDecrypt => {
                let plain = xor(out, self.chaining);
                (plain, plain, self.input)
            }
        };
        self.results = [result, before, self.results[1]];
        (self.input, self.chaining) = (input, chaining);
    }

    /// After the steps of a round, the keys of the next.
    fn next_keys(&mut self, distinct: usize) {
        for (key, result) in self.keys.iter_mut().zip(self.results) {
            *key = xor(*key, result);
        }
        self.keys(distinct);
    }
}

fn xor(a: Bytes8, b: Bytes8) -> Bytes8 {
    std::array::from_fn(|i| a[i] ^ b[i])
}

/// Runs the chains, a step of all at a time; `cipher` gets their keys once a round.
fn run(
    chains: &mut [Chain],
    (mode, distinct): (Mode, usize),
    (rounds, steps): (usize, usize),
    mut cipher: impl FnMut(&[[Bytes8; 3]]) -> Step,
) {
    for _ in 0..rounds {
        let mut cipher = cipher(&chains.iter().map(|chain| chain.keys).collect::<Vec<_>>());
        let mut blocks = vec![[0; 8]; chains.len()];
        for step in 0..steps {
            blocks.iter_mut().zip(&*chains).for_each(|(block, chain)| *block = chain.block(mode));
            cipher(&mut blocks);
            chains.iter_mut().zip(&blocks).for_each(|(chain, out)| chain.take(mode, step == 0, *out));
        }
        chains.iter_mut().for_each(|chain| chain.next_keys(distinct));
    }
}

/// One chain with one type of cipher.
fn alone<C>(decrypt: bool, key: &[u8]) -> Step
where
    C: BlockCipherEncrypt + BlockCipherDecrypt + BlockSizeUser<BlockSize = U8> + KeyInit + 'static,
{
    let cipher = C::new_from_slice(key).unwrap();
    Box::new(move |blocks| {
        for block in blocks {
            let block: &mut Array<u8, U8> = block.into();
            if decrypt { cipher.decrypt_block(block) } else { cipher.encrypt_block(block) }
        }
    })
}

/// Chains in the lanes of one level: three keys as three DES, two as TDES, one as DES.
fn lanes(level: Level, decrypt: bool, distinct: usize, keys: &[[Bytes8; 3]]) -> Step {
    let [one, two, three] = [0, 1, 2].map(|i| keys.iter().map(|keys| keys[i]).collect::<Vec<_>>());
    let pairs: Vec<[u8; 16]> = keys.iter().map(|keys| keys[..2].as_flattened().try_into().unwrap()).collect();
    Box::new(move |blocks| match (distinct, decrypt) {
        (1, false) => batch::des_encrypt(level, &one, blocks),
        (1, true) => batch::des_decrypt(level, &one, blocks),
        (2, false) => batch::tdes_encrypt(level, &pairs, blocks),
        (2, true) => batch::tdes_decrypt(level, &pairs, blocks),
        (_, false) => {
            batch::des_encrypt(level, &one, blocks);
            batch::des_decrypt(level, &two, blocks);
            batch::des_encrypt(level, &three, blocks);
        }
        (_, true) => {
            batch::des_decrypt(level, &three, blocks);
            batch::des_encrypt(level, &two, blocks);
            batch::des_decrypt(level, &one, blocks);
        }
    })
}

/// Rounds and steps of a short run and of the whole one.
fn extent(reduced: (usize, usize), whole: (usize, usize)) -> (usize, usize) {
    match std::env::var("MONTE_CARLO") {
        Ok(wanted) if wanted == "whole" => whole,
        Ok(other) => panic!("MONTE_CARLO={other}: whole, or not set"),
        Err(_) => reduced,
    }
}

/// The chain of this number, by the `des` crate.
fn by_des(number: usize, what: (Mode, usize), extent: (usize, usize)) -> Chain {
    let mut chains = [Chain::new(number, what.1)];
    run(&mut chains, what, extent, |keys| alone::<des::TdesEde3>(what.0.decrypts(), keys[0].as_flattened()));
    let [chain] = chains;
    chain
}

fn cases() -> impl Iterator<Item = (Mode, usize)> {
    Mode::ALL.into_iter().flat_map(|mode| [1, 2, 3].map(|distinct| (mode, distinct)))
}

#[test]
fn types() {
    let extent = extent((5, 1000), (400, 10_000));
    for what @ (mode, distinct) in cases() {
        let expected = by_des(0, what, extent);
        assert_ne!(expected.keys, Chain::new(0, distinct).keys);
        let mut chains = [Chain::new(0, distinct)];
        run(&mut chains, what, extent, |keys| match (distinct, keys[0].as_flattened()) {
            (1, key) => alone::<Des>(mode.decrypts(), &key[..8]),
            (2, key) => alone::<TdesEde2>(mode.decrypts(), &key[..16]),
            (_, key) => alone::<TdesEde3>(mode.decrypts(), key),
        });
        assert_eq!(chains[0], expected, "{mode:?}, {distinct} keys");
    }
}

#[test]
fn every_level() {
    let extent = extent((3, 200), (400, 200));
    for what @ (mode, distinct) in cases() {
        let most = Level::ALL.into_iter().filter(|level| level.available()).map(Level::lanes).max().unwrap();
        let watched = [0, 1, 31, 62, most - 1];
        let expected = watched.map(|number| by_des(number, what, extent));
        for level in Level::ALL.into_iter().filter(|level| level.available()) {
            // The first lanes and the last have the chains that are watched.
            let mut chains: Vec<_> = (0..level.lanes()).map(|number| Chain::new(number, distinct)).collect();
            let last = chains.len() - 1;
            chains[last] = Chain::new(most - 1, distinct);
            run(&mut chains, what, extent, |keys| lanes(level, mode.decrypts(), distinct, keys));
            for (number, expected) in watched.iter().zip(&expected) {
                assert_eq!(&chains[last.min(*number)], expected, "{level:?} {mode:?}, {distinct} keys, chain {number}");
            }
        }
    }
}
