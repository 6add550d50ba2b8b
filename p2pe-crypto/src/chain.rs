//! How the blocks of a ciphertext hang together, where that is another way than CBC with an IV of zeros.
//!
//! Keys of a store decrypt in that one way. What CBC adds to a block is known, so that the other ways come from its
//! outcome: no key has to leave the store for them.

use crate::{DeviceProfile, EncryptedField, Iv, Mode, Scope};

/// Makes up for it, run by run of one payload.
pub(crate) struct Chain<'p> {
    mode: Mode,
    iv: Iv,
    block: usize,
    goes_on: bool,
    /// The last block of the run before.
    before: &'p [u8],
}

impl<'p> Chain<'p> {
    pub(crate) fn new(profile: &DeviceProfile) -> Self {
        let goes_on = profile.scope() == Scope::Payload;
        Self { mode: profile.mode(), iv: profile.iv(), block: profile.encryption().block(), goes_on, before: &[] }
    }

    /// From what CBC with an IV of zeros gave to the clear text.
    pub(crate) fn apply(&mut self, run: &EncryptedField<'p>, clear: &mut [u8]) {
        let first = match self.iv {
            Iv::Zero => None,
            Iv::Sent => run.iv,
        };
        match self.mode {
            // CBC added the block before.
            Mode::Ecb => {
                let behind = clear.get_mut(self.block..).unwrap_or_default();
                behind.iter_mut().zip(run.ciphertext).for_each(|(clear, sent)| *clear ^= sent);
            }
            Mode::Cbc => {
                let first = first.as_ref().map_or(self.before, |iv| iv);
                clear.iter_mut().zip(first).for_each(|(clear, sent)| *clear ^= sent);
            }
        }
        if self.goes_on {
            self.before = run.ciphertext.len().checked_sub(self.block).map_or(&[], |last| &run.ciphertext[last..]);
        }
    }
}
