//! The ciphers as types with the traits of the `cipher` crate.

use core::fmt;

use cipher::{
    AlgorithmName, Array, Block, BlockCipherDecBackend, BlockCipherDecClosure, BlockCipherDecrypt,
    BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, InOut, InOutBuf, Key, KeyInit,
    KeySizeUser, ParBlocks, ParBlocksSizeUser,
    consts::{U8, U16, U24, U64},
    typenum::Unsigned,
};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::lanes::Level;
use crate::single::{self, Pass};

/// What the backends run: the chain of one direction.
struct Backend {
    level: Level,
    passes: Zeroizing<[Pass; 3]>,
    /// How many of the passes there are.
    n: usize,
}

impl Backend {
    fn run(&self, mut blocks: InOut<'_, '_, ParBlocks<Self>>) {
        let mut x = blocks.clone_in();
        single::blocks(self.level, &self.passes[..self.n], Array::cast_slice_to_core_mut(&mut x));
        *blocks.get_out() = x;
    }

    fn one(&self, mut block: InOut<'_, '_, Block<Self>>) {
        let mut x = [block.clone_in().0];
        single::blocks(self.level, &self.passes[..self.n], &mut x);
        block.get_out().0 = x[0];
    }

    /// Fewer blocks than a parallel set: all at once as well.
    fn tail(&self, mut blocks: InOutBuf<'_, '_, Array<u8, U8>>) {
        let mut x = [[0; 8]; U64::USIZE];
        let x = &mut x[..blocks.len()];
        for (x, b) in x.iter_mut().zip(blocks.get_in()) {
            *x = b.0;
        }
        single::blocks(self.level, &self.passes[..self.n], x);
        for (x, b) in x.iter().zip(blocks.get_out()) {
            b.0 = *x;
        }
        x.as_flattened_mut().zeroize();
    }
}

impl BlockSizeUser for Backend {
    type BlockSize = U8;
}

impl ParBlocksSizeUser for Backend {
    type ParBlocksSize = U64;
}

impl BlockCipherEncBackend for Backend {
    fn encrypt_block(&self, block: InOut<'_, '_, Block<Self>>) {
        self.one(block);
    }
    fn encrypt_par_blocks(&self, blocks: InOut<'_, '_, ParBlocks<Self>>) {
        self.run(blocks);
    }
    fn encrypt_tail_blocks(&self, blocks: InOutBuf<'_, '_, Block<Self>>) {
        self.tail(blocks);
    }
}

impl BlockCipherDecBackend for Backend {
    fn decrypt_block(&self, block: InOut<'_, '_, Block<Self>>) {
        self.one(block);
    }
    fn decrypt_par_blocks(&self, blocks: InOut<'_, '_, ParBlocks<Self>>) {
        self.run(blocks);
    }
    fn decrypt_tail_blocks(&self, blocks: InOutBuf<'_, '_, Block<Self>>) {
        self.tail(blocks);
    }
}

macro_rules! block_cipher {
    ($(#[$doc:meta])* $name:ident, $size:ty, $bytes:literal, [$(($half:literal, $decrypt:literal)),*]) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name {
            key: [u8; $bytes],
        }

        impl $name {
            /// The passes of encryption or, in reverse order and inverted, of decryption.
            fn backend(&self, decrypt: bool) -> Backend {
                const PASSES: &[(usize, bool)] = &[$(($half, $decrypt)),*];
                let n = PASSES.len();
                let mut passes = Zeroizing::new([(0, false); 3]);
                for (i, (half, inverse)) in PASSES.iter().enumerate() {
                    let key = u64::from_le_bytes(self.key.as_chunks().0[*half]);
                    passes[if decrypt { n - 1 - i } else { i }] = (key, *inverse != decrypt);
                }
                Backend { level: Level::best_for(1), passes, n }
            }

            /// CBC decryption in place of whole blocks (SP 800-38A, 6.2), all lanes at once. The `cbc` crate does it 64 blocks
            /// at a time, and those left over one by one.
            pub fn cbc_decrypt(&self, iv: &[u8; 8], data: &mut [[u8; 8]]) {
                self.cbc_decrypt_at(Level::best_for(data.len()), iv, data);
            }

            /// The same at a given level.
            pub fn cbc_decrypt_at(&self, level: Level, iv: &[u8; 8], data: &mut [[u8; 8]]) {
                let backend = self.backend(true);
                single::cbc_decrypt(level, &backend.passes[..backend.n], iv, data);
            }
        }

        impl KeySizeUser for $name {
            type KeySize = $size;
        }

        impl KeyInit for $name {
            /// Takes any key, weak ones too, as the `des` crate does; parity bits are not looked at.
            fn new(key: &Key<Self>) -> Self {
                Self { key: key.0 }
            }
        }

        impl BlockSizeUser for $name {
            type BlockSize = U8;
        }

        impl BlockCipherEncrypt for $name {
            fn encrypt_with_backend(&self, f: impl BlockCipherEncClosure<BlockSize = U8>) {
                f.call(&self.backend(false));
            }
        }

        impl BlockCipherDecrypt for $name {
            fn decrypt_with_backend(&self, f: impl BlockCipherDecClosure<BlockSize = U8>) {
                f.call(&self.backend(true));
            }
        }

        impl AlgorithmName for $name {
            fn write_alg_name(f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), " { .. }"))
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                self.key.zeroize();
            }
        }

        impl ZeroizeOnDrop for $name {}
    };
}

block_cipher! {
    /// DES (FIPS 46-3). For what needs it: 56 bits of key are no protection.
    Des, U8, 8, [(0, false)]
}
block_cipher! {
    /// Two-key TDES (SP 800-67, keying option 2), key left half ‖ right half.
    TdesEde2, U16, 16, [(0, false), (1, true), (0, false)]
}
block_cipher! {
    /// Three-key TDES (SP 800-67, keying option 1).
    TdesEde3, U24, 24, [(0, false), (1, true), (2, false)]
}
