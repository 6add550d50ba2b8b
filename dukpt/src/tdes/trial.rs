//! Keys of wrong derivations, for diagnosis: what a host or a device ends up with that leaves a step out or takes one key
//! for another. No bytes come out; the keys decrypt and do nothing else.

use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::{DataKeys, InitialKey, Ksn, Variant, working::Mask};
use crate::{KsnError, software};

/// What was made of a transaction key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TrialWorking {
    /// What the standard makes of it.
    Right(Variant),
    /// The variant of the request data key without the self-encryption step (X9.24-1:2009, A.4.1).
    RequestNotEncrypted,
    /// The variant of the response data key without the self-encryption step.
    ResponseNotEncrypted,
    /// The request MAC key.
    MacRequest,
    /// The response MAC key.
    MacResponse,
    /// Nothing: the transaction key itself.
    Bare,
}

impl TrialWorking {
    /// Each that there is; the right ones first.
    pub const ALL: [Self; 8] = [
        Self::Right(Variant::DataRequest),
        Self::Right(Variant::Pin),
        Self::Right(Variant::DataResponse),
        Self::RequestNotEncrypted,
        Self::ResponseNotEncrypted,
        Self::MacRequest,
        Self::MacResponse,
        Self::Bare,
    ];

    /// The byte of each half that is inverted, and whether the halves are then encrypted under the whole.
    fn mask(self) -> (Option<Mask>, bool) {
        match self {
            Self::Right(Variant::DataRequest) => (Some(Mask::DataRequest), true),
            Self::Right(Variant::DataResponse) => (Some(Mask::DataResponse), true),
            Self::Right(Variant::Pin) => (Some(Mask::Pin), false),
            Self::RequestNotEncrypted => (Some(Mask::DataRequest), false),
            Self::ResponseNotEncrypted => (Some(Mask::DataResponse), false),
            Self::MacRequest => (Some(Mask::MacRequest), false),
            Self::MacResponse => (Some(Mask::MacResponse), false),
            Self::Bare => (None, false),
        }
    }
}

/// What a base key was taken for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TrialBase {
    /// The initial key of the device.
    InitialKey,
    /// The key of the transaction.
    TransactionKey,
}

/// The transaction keys of many trials, 16 bytes each.
#[expect(missing_debug_implementations, reason = "holds clear keys")]
pub struct TrialKeys(Zeroizing<Vec<[u8; 16]>>);

impl TrialKeys {
    /// Derives the transaction key of each trial in lanes: key `i` from `transactions[i]`.
    ///
    /// # Errors
    /// [`KsnError::CounterZero`] if one of the counters is.
    pub fn derive(transactions: &[(&InitialKey, Ksn)]) -> Result<Self, KsnError> {
        if transactions.iter().any(|(_, ksn)| ksn.counter() == 0) {
            return Err(KsnError::CounterZero);
        }
        let mut initial = Zeroizing::new(Vec::with_capacity(transactions.len()));
        initial.extend(transactions.iter().map(|(key, _)| *key.expose()));
        let registers: Vec<[u8; 8]> = transactions.iter().map(|(_, ksn)| ksn.register().to_be_bytes()).collect();
        let mut keys = Zeroizing::new(alloc::vec![[0; 16]; transactions.len()]);
        let bare = software::Working { variant: [0; 8], encrypt_under_itself: false };
        software::tdes_working_keys(&initial, &registers, bare, &mut keys);
        Ok(Self(keys))
    }

    /// The key of one trial with the counter's bits taken from the lowest, where the standard takes them from the highest
    /// (X9.24-1:2009, A.3). It is the right one if there is but one bit.
    ///
    /// # Errors
    /// [`KsnError::CounterZero`].
    pub fn derive_upwards(initial: &InitialKey, ksn: &Ksn) -> Result<Self, KsnError> {
        if ksn.counter() == 0 {
            return Err(KsnError::CounterZero);
        }
        let mut keys = Zeroizing::new(alloc::vec![*initial.expose()]);
        let (mut register, mut left) = (ksn.base_register(), ksn.counter());
        while left != 0 {
            let lowest = left & left.wrapping_neg();
            left ^= lowest;
            register |= u64::from(lowest);
            keys.iter_mut().for_each(|key| generate(key, register));
        }
        Ok(Self(keys))
    }

    /// The one key that a base key gives when it is taken for another.
    pub(crate) fn of_base(base_key: &[u8; 16], taken: TrialBase, ksn: &Ksn) -> Result<Self, KsnError> {
        match taken {
            TrialBase::InitialKey => Self::derive(&[(&InitialKey::copied(base_key), *ksn)]),
            TrialBase::TransactionKey => Ok(Self(Zeroizing::new(alloc::vec![*base_key]))),
        }
    }

    /// What `working` makes of each key, in the same order.
    #[must_use]
    pub fn data_keys(&self, working: TrialWorking) -> DataKeys {
        let (mask, encrypt) = working.mask();
        let mut keys = Zeroizing::new(self.0.to_vec());
        if let Some(mask) = mask {
            keys.iter_mut().flat_map(|key| key.as_chunks_mut::<8>().0).for_each(|half| half[mask as usize] ^= 0xFF);
        }
        if encrypt {
            let mut under = Zeroizing::new(Vec::with_capacity(2 * keys.len()));
            under.extend(keys.iter().flat_map(|key| [*key; 2]));
            software::tdes_encrypt_lanes(&under, keys.as_flattened_mut().as_chunks_mut().0);
        }
        DataKeys::new(keys)
    }
}

/// One step: a key from the one before (X9.24-1:2009, A.2).
fn generate(key: &mut [u8; 16], register: u64) {
    let mut masked = Zeroizing::new(*key);
    masked.as_chunks_mut::<8>().0.iter_mut().for_each(|half| half[..4].iter_mut().for_each(|byte| *byte ^= 0xC0));
    let (mut left, mut right) = (one_way(&masked, register), one_way(key, register));
    key[..8].swap_with_slice(&mut *left);
    key[8..].swap_with_slice(&mut *right);
}

/// DES of the register under the left half, with the right half added on both sides.
fn one_way(key: &[u8; 16], register: u64) -> Zeroizing<[u8; 8]> {
    let ([left, right], _) = key.as_chunks::<8>() else { return Zeroizing::default() };
    let mut under = Zeroizing::new([0; 16]);
    under.as_chunks_mut().0.fill(*left);
    let mut block = Zeroizing::new(register.to_be_bytes());
    let add = |block: &mut [u8; 8]| block.iter_mut().zip(right).for_each(|(byte, right)| *byte ^= right);
    add(&mut block);
    // Of two equal halves: single DES.
    software::tdes_encrypt_blocks(&under, [&mut *block]);
    add(&mut block);
    block
}
