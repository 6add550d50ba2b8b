//! The device's side (X9.24-1:2009, A.3): future key registers and the counter, for virtual devices and tests.

use super::{
    DataEncryptionKey, DataKey, InitialKey, Ksn, MacGenerationKey, MacVerificationKey, PinKey, TransactionKey,
    working::Mask,
};
use crate::{Exhausted, KeyError, MacAlgorithm, Tag, clear::ClearKey};

/// A device: 21 future key registers at most, each with the key of one path. The initial key is not kept.
#[expect(missing_debug_implementations, reason = "holds clear keys")]
pub struct Terminal {
    /// At `i`: the key of the next counter whose lowest set bit is bit `i`.
    registers: [Option<TransactionKey>; 21],
    /// The KSN register: device and key set, counter zero.
    device: Ksn,
    /// Of the next transaction; beyond 21 bits when there is none.
    counter: u32,
}

impl Terminal {
    /// A device with this initial key whose next transaction is that of `ksn`: for a new device, of counter 0 or 1
    /// ("Load Initial Key"). At most 21 paths are derived from the initial key, which the caller then drops.
    #[must_use]
    pub fn new(initial_key: &InitialKey, ksn: &Ksn) -> Self {
        let (device, counter) = (ksn.at(0), ksn.counter().max(1));
        let mut registers = [const { None }; 21];
        // The registers that are full now: that of the next transaction, and above its lowest bit those of the bits
        // that are not set. Each path shares its upper part with the counter.
        let mut prefix: Option<TransactionKey> = None;
        for (bit, slot) in (0..21).zip(&mut registers).rev() {
            let path = counter & (u32::MAX << bit << 1) | 1 << bit;
            let register = device.base_register() | u64::from(path);
            let parent = prefix.as_ref().map_or(initial_key.expose(), TransactionKey::expose);
            let key = TransactionKey::step(parent, register);
            if path & counter != path || path == counter {
                *slot = Some(key);
            } else {
                prefix = Some(key);
            }
            if path == counter {
                break;
            }
        }
        Self { registers, device, counter }
    }

    /// The KSN of the next transaction.
    ///
    /// # Errors
    /// [`Exhausted`].
    pub fn ksn(&self) -> Result<Ksn, Exhausted> {
        if self.counter <= Ksn::LAST_COUNTER { Ok(self.device.at(self.counter)) } else { Err(Exhausted) }
    }

    /// Begins the next transaction: takes its key out of its register, fills the registers below ("New Key"), and moves
    /// the counter on to the next value with at most 10 bits set. A counter never serves twice.
    ///
    /// # Errors
    /// [`Exhausted`] after the last counter, `1FF800`.
    pub fn next_transaction(&mut self) -> Result<Transaction, Exhausted> {
        let (ksn, counter) = (self.ksn()?, self.counter);
        let lowest = counter.trailing_zeros();
        let own = usize::try_from(lowest).map_err(|_| Exhausted)?;
        let (below, rest) = self.registers.split_at_mut_checked(own).ok_or(Exhausted)?;
        let key = rest.first_mut().and_then(Option::take).ok_or(Exhausted)?;
        // There are no keys below a counter with all 10 bits, so that the counter skips them.
        let skip = counter.count_ones() >= Ksn::MAX_COUNTER_BITS;
        if !skip {
            for (bit, register) in (0..).zip(below) {
                let path = self.device.base_register() | u64::from(counter | 1 << bit);
                *register = Some(TransactionKey::step(key.expose(), path));
            }
        }
        self.counter += if skip { 1 << lowest } else { 1 };
        Ok(Transaction { key, ksn })
    }
}

/// One transaction of a device. Its working keys do what the device does.
#[expect(missing_debug_implementations, reason = "holds a clear key")]
pub struct Transaction {
    key: TransactionKey,
    ksn: Ksn,
}

impl Transaction {
    /// The KSN to be sent.
    #[must_use]
    pub fn ksn(&self) -> Ksn {
        self.ksn
    }

    /// The key that encrypts data for the host: the request data key, with the self-encryption step.
    #[must_use]
    pub fn data_key(&self) -> DataEncryptionKey {
        DataEncryptionKey(self.key.self_encrypted(Mask::DataRequest))
    }

    /// The PIN key used for data, as many readers do; no self-encryption.
    #[must_use]
    pub fn pin_variant_data_key(&self) -> DataEncryptionKey {
        DataEncryptionKey(self.key.variant(Mask::Pin))
    }

    /// The key that decrypts the host's response.
    #[must_use]
    pub fn response_data_key(&self) -> DataKey {
        DataKey(self.key.self_encrypted(Mask::DataResponse))
    }

    /// The key of PIN blocks.
    #[must_use]
    pub fn pin_key(&self) -> PinKey {
        PinKey(self.key.variant(Mask::Pin))
    }

    /// The key that authenticates messages for the host: the request MAC key.
    #[must_use]
    pub fn mac_key(&self) -> MacGenerationKey {
        MacGenerationKey(self.key.variant(Mask::MacRequest))
    }

    /// The HMAC-SHA-256 (32 bytes) that [`TransactionKey::verify_hmac_sha256`] verifies.
    ///
    /// # Errors
    /// None: every key has one.
    pub fn hmac_sha256(&self, data: &[u8]) -> Result<Tag, KeyError> {
        ClearKey::Hmac(self.key.expose()).mac(MacAlgorithm::HmacSha256, data)
    }

    /// The key that verifies the host's response: the response MAC key.
    #[must_use]
    pub fn response_mac_key(&self) -> MacVerificationKey {
        MacVerificationKey(self.key.variant(Mask::MacResponse))
    }
}
