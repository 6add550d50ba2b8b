//! Many blocks under one key.

use zeroize::Zeroizing;

use crate::few;
use crate::lanes::{Job, Level, Planes, Word, dispatch};

/// One DES of a chain: the key as a little-endian integer, and whether to decrypt.
pub(crate) type Pass = (u64, bool);

/// Two-key TDES decryption.
pub(crate) fn two_key(key: &[u8; 16]) -> Zeroizing<[Pass; 3]> {
    let [l, r] = [0, 1].map(|i| u64::from_le_bytes(key.as_chunks().0[i]));
    Zeroizing::new([(l, true), (r, false), (l, true)])
}

struct Chain<'a>(&'a [Pass], &'a mut [[u8; 8]]);

impl Job for Chain<'_> {
    type Output = ();

    #[inline(always)]
    fn run<W: Word>(self) {
        for blocks in self.1.chunks_mut(W::LANES) {
            let mut p = Planes::<W>::load(blocks);
            for (key, decrypt) in self.0 {
                p.des(&[(&Planes::<W>::splat(&key.to_le_bytes()).schedule(), *decrypt)]);
            }
            p.store(blocks);
        }
    }
}

/// Each block through all passes (up to three).
pub(crate) fn blocks(level: Level, passes: &[Pass], blocks: &mut [[u8; 8]]) {
    if !few::suits(level, blocks.len()) {
        dispatch(level, Chain(passes, blocks));
        return;
    }
    let mut both = Zeroizing::new([([0; 2], false); 3]);
    for (b, (key, decrypt)) in both.iter_mut().zip(passes) {
        *b = ([*key; 2], *decrypt);
    }
    few::each(level, blocks, &both[..passes.len()]);
}

/// CBC decryption in place (SP 800-38A, 6.2), as many blocks at once as there are lanes.
pub(crate) fn cbc_decrypt(level: Level, passes: &[Pass], iv: &[u8; 8], data: &mut [[u8; 8]]) {
    const CHUNK: usize = 512;
    let mut cipher = [[0; 8]; CHUNK];
    let mut before = *iv;
    for chunk in data.chunks_mut(CHUNK) {
        let cipher = &mut cipher[..chunk.len()];
        cipher.copy_from_slice(chunk);
        blocks(level, passes, chunk);
        for (block, c) in chunk.iter_mut().zip(cipher) {
            *block = crate::batch::xor(*block, before);
            before = *c;
        }
    }
}
