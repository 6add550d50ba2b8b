//! The device's side (X9.24-3:2017, 6.5): derivation key registers and the counter, for virtual devices and
//! tests. Over any [`Key`], so that a virtual device can keep its keys in a token as well.

use super::{
    DataEncryptionKey, DataKey, Derivation, KeyEncryptionKey, KeyType, Ksn, MacGenerationKey, MacVerificationKey,
    PinKey, Purpose, TransactionKey, Usage, WorkingKeyType, working,
};
use crate::{Exhausted, Key, KeyError};

/// Where a device is after its last transaction: on the way to its update key, beyond every transaction key.
const END_OF_LIFE: u32 = 0xFFFF_8000;

/// A device: 32 registers at most, each with the key of one future path. The initial key is not kept.
#[expect(missing_debug_implementations, reason = "holds keys")]
pub struct Terminal<K> {
    /// At `i`: the key of the next counter whose lowest set bit is bit `i`.
    registers: [Option<K>; 32],
    initial_key_id: [u8; 8],
    base: KeyType,
    /// Of the next transaction; zero when there is none.
    counter: u32,
}

impl<K: Key> Terminal<K> {
    /// A device with this initial key, of size `base`, whose next transaction is that of `ksn`: for a new device, of
    /// counter 0 or 1. At most 32 paths are derived from the initial key, which the caller then drops.
    ///
    /// # Errors
    /// What the store says.
    pub fn new(initial_key: &K, ksn: &Ksn, base: KeyType) -> Result<Self, KeyError> {
        let counter = ksn.counter().max(1);
        let mut registers = [const { None }; 32];
        // The registers that are full now: that of the next transaction, and above its lowest bit those of the bits
        // that are not set. Each path shares its upper part with the counter.
        let mut prefix: Option<K> = None;
        for bit in (0..u32::BITS).rev() {
            let parent = prefix.as_ref().unwrap_or(initial_key);
            let path = counter & upper(bit) | 1 << bit;
            let key = parent.derive(&Derivation::register(ksn.derivation_id(), path, base))?;
            if path & counter != path || path == counter {
                registers[index(bit)] = Some(key);
            } else {
                prefix = Some(key);
            }
            if path == counter {
                break;
            }
        }
        Ok(Self { registers, initial_key_id: ksn.initial_key_id(), base, counter })
    }

    /// The KSN of the next transaction.
    ///
    /// # Errors
    /// [`Exhausted`].
    pub fn ksn(&self) -> Result<Ksn, Exhausted> {
        match self.counter {
            0 => Err(Exhausted),
            counter => Ok(Ksn::of(self.initial_key_id, counter)),
        }
    }

    /// Begins the next transaction: fills the registers below its key, takes the key out of its own, and moves the
    /// counter on to the next value with at most 16 bits set. A counter never serves twice.
    ///
    /// # Errors
    /// [`KeyError::Exhausted`] after the last counter, `FFFF0000`; else what the store says, and nothing has changed.
    pub fn next_transaction(&mut self) -> Result<Transaction<K>, KeyError> {
        let (ksn, counter) = (self.ksn()?, self.counter);
        let lowest = counter.trailing_zeros();
        let (below, rest) = self.registers.split_at_mut(index(lowest));
        let Some(register) = rest.first_mut() else { return Err(Exhausted.into()) };
        let Some(key) = register.as_ref() else { return Err(Exhausted.into()) };
        // There are no keys below a counter with all 16 bits, so that the counter skips them.
        let skip = counter.count_ones() >= Ksn::MAX_COUNTER_BITS;
        let next = counter.wrapping_add(if skip { 1 << lowest } else { 1 });
        for (bit, register) in (0..).zip(below) {
            let path = counter | 1 << bit;
            if !skip || (next == 0 && path == END_OF_LIFE) {
                *register = Some(key.derive(&Derivation::register(ksn.derivation_id(), path, self.base))?);
            }
        }
        let key = register.take().ok_or(Exhausted)?;
        self.counter = next;
        Ok(Transaction(TransactionKey { key, ksn, base: self.base }))
    }

    /// The update key ([`super::update_key`]), under which the device gets its next initial key: at any time, after its last
    /// transaction too. Nothing is used up. The initial key comes in a key block under it (X9.24-3:2017, 6.5.2, wants
    /// TR-31), and with its own initial key id it makes a new device, of counter zero: [`Terminal::new`].
    ///
    /// # Errors
    /// As of [`super::update_key`].
    pub fn update_key(&self, key_type: WorkingKeyType) -> Result<KeyEncryptionKey<K>, KeyError> {
        let counter = if self.counter == 0 { END_OF_LIFE } else { self.counter };
        // Of the chain to the update key, the device has the key at the counter's leading ones: with the bit below them, if
        // that register is full; else the next transaction's.
        let bit = counter.trailing_zeros().max((!counter).checked_ilog2().unwrap_or_default());
        let parent = self.registers.get(index(bit)).and_then(Option::as_ref).ok_or(Exhausted)?;
        working::update_key_from(parent, None, bit, self.initial_key_id, self.base, key_type)
    }
}

/// The bits above `bit`.
fn upper(bit: u32) -> u32 {
    (u32::MAX << bit) << 1
}

fn index(bit: u32) -> usize {
    usize::try_from(bit).unwrap_or_default()
}

/// One transaction of a device. Its working keys do what the device does.
#[expect(missing_debug_implementations, reason = "is a key")]
pub struct Transaction<K>(TransactionKey<K>);

impl<K: Key> Transaction<K> {
    /// The KSN to be sent.
    #[must_use]
    pub fn ksn(&self) -> Ksn {
        self.0.ksn
    }

    /// The key that encrypts data for the host: [`Usage::DataEncrypt`] or [`Usage::DataBoth`].
    ///
    /// # Errors
    /// [`KeyError::TooStrong`]; [`KeyError::NotPermitted`] for another usage or an HMAC key; else what the store says.
    pub fn data_key(&self, key_type: WorkingKeyType, usage: Usage) -> Result<DataEncryptionKey<K>, KeyError> {
        let usage = usage.one_of([Usage::DataEncrypt, Usage::DataBoth])?;
        self.0.working(key_type.cipher()?, usage, Purpose::Encrypt).map(DataEncryptionKey)
    }

    /// The key that decrypts the host's response: [`Usage::DataDecrypt`] or [`Usage::DataBoth`].
    ///
    /// # Errors
    /// As of [`Transaction::data_key`].
    pub fn response_data_key(&self, key_type: WorkingKeyType, usage: Usage) -> Result<DataKey<K>, KeyError> {
        let usage = usage.one_of([Usage::DataDecrypt, Usage::DataBoth])?;
        self.0.working(key_type.cipher()?, usage, Purpose::Decrypt).map(DataKey)
    }

    /// The key of PIN blocks, [`Usage::Pin`].
    ///
    /// # Errors
    /// As of [`Transaction::data_key`].
    pub fn pin_key(&self, key_type: WorkingKeyType) -> Result<PinKey<K>, KeyError> {
        self.0.working(key_type.cipher()?, Usage::Pin, Purpose::Pin).map(PinKey)
    }

    /// The key that authenticates messages for the host: [`Usage::MacGenerate`] or [`Usage::MacBoth`].
    ///
    /// # Errors
    /// As of [`Transaction::data_key`], but HMAC keys are permitted.
    pub fn mac_key(&self, key_type: WorkingKeyType, usage: Usage) -> Result<MacGenerationKey<K>, KeyError> {
        let usage = usage.one_of([Usage::MacGenerate, Usage::MacBoth])?;
        self.0.working(key_type, usage, Purpose::Mac).map(MacGenerationKey)
    }

    /// The key that verifies the host's response: [`Usage::MacVerify`] or [`Usage::MacBoth`].
    ///
    /// # Errors
    /// As of [`Transaction::mac_key`].
    pub fn response_mac_key(&self, key_type: WorkingKeyType, usage: Usage) -> Result<MacVerificationKey<K>, KeyError> {
        let usage = usage.one_of([Usage::MacVerify, Usage::MacBoth])?;
        self.0.working(key_type, usage, Purpose::Mac).map(MacVerificationKey)
    }
}
