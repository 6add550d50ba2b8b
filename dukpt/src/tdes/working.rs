//! The working keys of one transaction: variants of its key. Each has the operations of its usage only.

use super::{InitialKey, Ksn, TransactionKey, keys};
use crate::{
    CheckMethod, CheckValue, KeyError, KsnError, MacAlgorithm, MacError, MacFormat, Tag,
    clear::ClearKey,
    secret::Secret,
    software::{self, Working},
};

/// Which working key of the transaction a device encrypts its data with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Variant {
    /// The request data key, with the self-encryption step (X9.24-1:2009, A.4.1).
    DataRequest,
    /// The response data key, with the self-encryption step.
    DataResponse,
    /// The PIN key used for data, as many readers do; no self-encryption.
    Pin,
}

impl Variant {
    pub(super) fn working(self) -> Working {
        let (mask, encrypt_under_itself) = match self {
            Self::DataRequest => (Mask::DataRequest, true),
            Self::DataResponse => (Mask::DataResponse, true),
            Self::Pin => (Mask::Pin, false),
        };
        let mut variant = [0; 8];
        variant[mask as usize] = 0xFF;
        Working { variant, encrypt_under_itself }
    }
}

/// The byte of each half that is inverted (X9.24-1:2009, table A-1).
#[derive(Clone, Copy)]
pub(super) enum Mask {
    Pin = 7,
    MacRequest = 6,
    DataRequest = 5,
    MacResponse = 4,
    DataResponse = 3,
}

impl TransactionKey {
    /// The key that decrypts what the device encrypts.
    #[must_use]
    pub fn data_key(&self, variant: Variant) -> DataKey {
        DataKey(match variant {
            Variant::DataRequest => self.self_encrypted(Mask::DataRequest),
            Variant::DataResponse => self.self_encrypted(Mask::DataResponse),
            Variant::Pin => self.variant(Mask::Pin),
        })
    }

    /// The key that encrypts the response: the response data key, with the self-encryption step.
    #[must_use]
    pub fn response_data_key(&self) -> DataEncryptionKey {
        DataEncryptionKey(self.self_encrypted(Mask::DataResponse))
    }

    /// The key of PIN blocks.
    #[must_use]
    pub fn pin_key(&self) -> PinKey {
        PinKey(self.variant(Mask::Pin))
    }

    /// The key that verifies what the device authenticates: the request MAC key.
    #[must_use]
    pub fn mac_key(&self) -> MacVerificationKey {
        MacVerificationKey(self.variant(Mask::MacRequest))
    }

    /// The key that authenticates the response: the response MAC key.
    #[must_use]
    pub fn response_mac_key(&self) -> MacGenerationKey {
        MacGenerationKey(self.variant(Mask::MacResponse))
    }

    /// The check value of the transaction key itself.
    ///
    /// # Errors
    /// None: every TDES key has both.
    pub fn check_value(&self, method: CheckMethod) -> Result<CheckValue, KeyError> {
        method.of(self.expose().into())
    }

    /// Verifies an HMAC-SHA-256 (32 bytes) under the transaction key itself, without any variant, in constant time. No
    /// standard knows this use of the key; ID TECH readers authenticate their frames so.
    ///
    /// # Errors
    /// [`MacError::Mismatch`].
    pub fn verify_hmac_sha256(&self, data: &[u8], mac: &[u8]) -> Result<(), MacError> {
        let format = MacFormat::new(MacAlgorithm::HmacSha256, 32).map_err(|_| KeyError::BadLength)?;
        format.compare(ClearKey::Hmac(self.expose()).mac(format.algorithm(), data)?, mac)
    }

    pub(super) fn variant(&self, mask: Mask) -> Secret<16> {
        Secret::filled(|key| {
            *key = *self.expose();
            key.as_chunks_mut::<8>().0.iter_mut().for_each(|half| half[mask as usize] ^= 0xFF);
        })
    }

    /// Each half of the variant encrypted under the variant (X9.24-1:2009, A.4.1).
    pub(super) fn self_encrypted(&self, mask: Mask) -> Secret<16> {
        let variant = self.variant(mask);
        Secret::filled(|key| {
            *key = *variant.expose();
            if let [left, right] = key.as_chunks_mut().0 {
                software::tdes_encrypt_blocks(variant.expose(), [left, right]);
            }
        })
    }
}

/// The cipher that a device runs under its TDES DUKPT key, in CBC mode.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cipher {
    /// Two-key TDES, 8-byte blocks.
    Tdes,
    /// The 16 bytes of the TDES key used as an AES-128 key, 16-byte blocks. Not AES DUKPT.
    Aes128,
}

impl Cipher {
    /// Block length in bytes.
    #[must_use]
    pub fn block(self) -> usize {
        match self {
            Self::Tdes => 8,
            Self::Aes128 => 16,
        }
    }

    pub(super) fn under(self, key: &Secret<16>) -> ClearKey<'_> {
        match self {
            Self::Tdes => key.expose().into(),
            Self::Aes128 => ClearKey::Aes(key.expose()),
        }
    }
}

/// The data key of one transaction, 16 bytes. Its only operation is decryption.
#[expect(missing_debug_implementations, reason = "holds a clear key")]
pub struct DataKey(pub(super) Secret<16>);

impl DataKey {
    /// Derives the key that `ksn` names: one non-reversible step for each set counter bit, high to low, then the
    /// variant (X9.24-1:2009, A.2 to A.4).
    ///
    /// # Errors
    /// [`KsnError::CounterZero`].
    pub fn derive(initial_key: &InitialKey, ksn: &Ksn, variant: Variant) -> Result<Self, KsnError> {
        keys::working_key(initial_key, ksn, variant.working()).map(Self)
    }

    /// CBC decryption in place with an IV of one block; `data` is whole blocks of the cipher.
    ///
    /// # Errors
    /// [`KeyError::BadLength`] for partial blocks.
    pub fn decrypt_cbc(&self, cipher: Cipher, iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
        cipher.under(&self.0).decrypt_cbc(iv, data)
    }

    /// The clear bytes, for tests against published keys.
    #[must_use]
    pub fn expose(&self) -> &[u8; 16] {
        self.0.expose()
    }
}

/// The data key of one response, 16 bytes. Its only operation is encryption.
#[expect(missing_debug_implementations, reason = "holds a clear key")]
pub struct DataEncryptionKey(pub(super) Secret<16>);

impl DataEncryptionKey {
    /// CBC encryption in place with an IV of one block; `data` is whole blocks of the cipher.
    ///
    /// # Errors
    /// [`KeyError::BadLength`] for partial blocks.
    pub fn encrypt_cbc(&self, cipher: Cipher, iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyError> {
        cipher.under(&self.0).encrypt_cbc(iv, data)
    }
}

/// The PIN key of one transaction, 16 bytes: single TDES blocks (X9.24-1:2009, A.4.1). What a PIN block looks like
/// inside is ISO 9564-1's matter.
#[expect(missing_debug_implementations, reason = "holds a clear key")]
pub struct PinKey(pub(super) Secret<16>);

impl PinKey {
    /// Encryption in place.
    pub fn encrypt_block(&self, block: &mut [u8; 8]) {
        software::tdes_encrypt_blocks(self.0.expose(), [block]);
    }

    /// Decryption in place.
    pub fn decrypt_block(&self, block: &mut [u8; 8]) {
        software::tdes_decrypt_block(self.0.expose(), block);
    }

    /// The check value.
    ///
    /// # Errors
    /// None: every TDES key has both.
    pub fn check_value(&self, method: CheckMethod) -> Result<CheckValue, KeyError> {
        method.of(self.0.expose().into())
    }
}

/// The request MAC key, 16 bytes. Its only operation is verification.
#[expect(missing_debug_implementations, reason = "holds a clear key")]
pub struct MacVerificationKey(pub(super) Secret<16>);

impl MacVerificationKey {
    /// Verifies in constant time; retail MAC or CMAC.
    ///
    /// # Errors
    /// [`MacError::Mismatch`]; [`MacError::Key`] for HMAC, or a format longer than 8 bytes.
    pub fn verify(&self, format: MacFormat, data: &[u8], mac: &[u8]) -> Result<(), MacError> {
        format.compare(ClearKey::from(self.0.expose()).mac(format.algorithm(), data)?, mac)
    }
}

/// The response MAC key, 16 bytes. Its only operation is authentication.
#[expect(missing_debug_implementations, reason = "holds a clear key")]
pub struct MacGenerationKey(pub(super) Secret<16>);

impl MacGenerationKey {
    /// The MAC as the format has it; retail MAC or CMAC.
    ///
    /// # Errors
    /// [`KeyError::NotPermitted`] for HMAC; [`KeyError::BadLength`] for a format longer than 8 bytes.
    pub fn generate(&self, format: MacFormat, data: &[u8]) -> Result<Tag, KeyError> {
        format.cut(ClearKey::from(self.0.expose()).mac(format.algorithm(), data)?)
    }
}
