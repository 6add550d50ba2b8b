//! A received block: read, checked, and then unwrapped.

use alloc::vec::Vec;

use dukpt::{Cbc, KeyMaterial, MacAlgorithm};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{
    Algorithm, Header, KeyBlockError, KeyUsage, ModeOfUse, OptionalBlock, ProtectionKey, Version, header, optional,
    protection::BlockKeys,
};

/// The longest block: its length has four digits.
pub(crate) const LONGEST: usize = 9999;

/// A key block that is well formed. Whether it is genuine shows when it is unwrapped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyBlock {
    header: Header,
    optional: Vec<OptionalBlock>,
    /// Header and optional blocks as they stand there: what the MAC covers.
    head: Vec<u8>,
    payload: Vec<u8>,
    mac: Vec<u8>,
}

/// The key that was in a block. Wiped on drop, never printed.
#[expect(missing_debug_implementations, reason = "holds a clear key")]
pub struct UnwrappedKey {
    bytes: Zeroizing<Vec<u8>>,
}

impl UnwrappedKey {
    /// The clear bytes, for a store's import.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }
}

impl KeyBlock {
    /// Reads a block of characters. It needs no key, and nothing of the header is to be trusted before
    /// [`KeyBlock::unwrap`].
    ///
    /// # Errors
    /// [`KeyBlockError`]; of several faults the one that stands first.
    pub fn parse(text: &[u8]) -> Result<Self, KeyBlockError> {
        if text.len() < header::LENGTH || text.len() > LONGEST {
            return Err(KeyBlockError::Size);
        }
        if !text.iter().all(|byte| (b' '..=b'~').contains(byte)) {
            return Err(KeyBlockError::NotAscii);
        }
        let (header, stated, count) = Header::read(text)?;
        let (optional, rest) = optional::read(&text[header::LENGTH..], count)?;
        if stated != text.len() {
            return Err(KeyBlockError::Length { stated, actual: text.len() });
        }
        let head = &text[..text.len() - rest.len()];
        optional::check(&optional, header.version, head.len())?;
        let mac = rest.len().checked_sub(2 * header.version.mac_length()).ok_or(KeyBlockError::Payload)?;
        let (payload, mac) = rest.split_at(mac);
        let (payload, mac) = (from_hex(payload)?, from_hex(mac)?);
        if payload.is_empty() || !payload.len().is_multiple_of(header.version.block_length()) {
            return Err(KeyBlockError::Payload);
        }
        Ok(Self { header, optional, head: head.to_vec(), payload, mac })
    }

    /// What the block says of its key.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The optional blocks, padding included.
    #[must_use]
    pub fn optional(&self) -> &[OptionalBlock] {
        &self.optional
    }

    /// As [`KeyBlock::unwrap`], for a key that a store takes: a base derivation key (`B0`, mode `X` or `N`), a key block
    /// protection key (`K1`, mode `B` or `N`), an HMAC key (`M7`, mode `C`, `G` or `N`).
    ///
    /// # Errors
    /// [`KeyBlockError::NotTaken`] for another usage or mode, before anything is decrypted; [`KeyBlockError::Weak`];
    /// [`KeyBlockError::KeyLength`], also for a length that the kind of key does not have; [`KeyBlockError::CheckValue`] if the
    /// block has another in its `KC`; as of [`KeyBlock::unwrap`].
    pub fn unwrap_material(&self, protection_key: &impl ProtectionKey) -> Result<KeyMaterial, KeyBlockError> {
        self.must_be_supported()?;
        let Header { usage, algorithm, mode, .. } = self.header;
        let kind = match (usage, algorithm, mode) {
            (KeyUsage::BASE_DERIVATION, Algorithm::Tdes, ModeOfUse::Derive | ModeOfUse::Any) => "tdes-base",
            (KeyUsage::BASE_DERIVATION, Algorithm::Aes, ModeOfUse::Derive | ModeOfUse::Any) => "aes-base",
            (KeyUsage::KEY_BLOCK_PROTECTION, Algorithm::Tdes, ModeOfUse::EncryptAndDecrypt | ModeOfUse::Any) => {
                "tdes-kbpk"
            }
            (KeyUsage::KEY_BLOCK_PROTECTION, Algorithm::Aes, ModeOfUse::EncryptAndDecrypt | ModeOfUse::Any) => {
                "aes-kbpk"
            }
            (KeyUsage::HMAC, Algorithm::Hmac, ModeOfUse::GenerateAndVerify | ModeOfUse::Generate | ModeOfUse::Any) => {
                "hmac"
            }
            _ => return Err(KeyBlockError::NotTaken),
        };
        let key = self.unwrap(protection_key)?;
        let key = KeyMaterial::new(kind, key.expose()).map_err(|_| KeyBlockError::KeyLength)?;
        if key.is_weak() {
            return Err(KeyBlockError::Weak);
        }
        let stated = self.optional.iter().find(|block| block.id == optional::KEY_CHECK);
        match stated {
            Some(stated) if !optional::is_check_value(&stated.data, &key) => Err(KeyBlockError::CheckValue),
            _ => Ok(key),
        }
    }

    /// Blocks of which no more than the header is read.
    fn must_be_supported(&self) -> Result<(), KeyBlockError> {
        if self.header.version == Version::E {
            return Err(KeyBlockError::Unsupported("ISO 20038 key blocks (version E)"));
        }
        let asymmetric = matches!(self.header.algorithm, Algorithm::EllipticCurve | Algorithm::Rsa | Algorithm::Dsa);
        if asymmetric || self.header.usage.is_asymmetric() {
            return Err(KeyBlockError::Unsupported("key blocks with asymmetric keys"));
        }
        Ok(())
    }

    /// Decrypts, verifies, and only then looks at what was decrypted.
    ///
    /// # Errors
    /// [`KeyBlockError::Unsupported`], [`KeyBlockError::ProtectionKey`], [`KeyBlockError::NeedsClearKey`],
    /// [`KeyBlockError::MacMismatch`], [`KeyBlockError::KeyLength`], [`KeyBlockError::Key`].
    pub fn unwrap(&self, protection_key: &impl ProtectionKey) -> Result<UnwrappedKey, KeyBlockError> {
        self.must_be_supported()?;
        let keys = BlockKeys::of(protection_key, self.header.version)?;
        let mut clear = Zeroizing::new(self.payload.clone());
        let genuine = match self.header.version {
            Version::A | Version::C => {
                let genuine = self.mac.ct_eq(&cbc_mac(&keys, &self.head, &self.payload)?);
                Cbc::Decrypt.under_clear_key(keys.key_type, &keys.encryption, &first(&self.head), &mut clear)?;
                genuine
            }
            Version::B | Version::D | Version::E => {
                Cbc::Decrypt.under_clear_key(keys.key_type, &keys.encryption, &first(&self.mac), &mut clear)?;
                self.mac.ct_eq(&cmac(&keys, &self.head, &clear)?)
            }
        };
        if !bool::from(genuine) {
            return Err(KeyBlockError::MacMismatch);
        }
        let length = length_of(self.header.algorithm, &clear).ok_or(KeyBlockError::KeyLength)?;
        Ok(UnwrappedKey { bytes: Zeroizing::new(clear[2..2 + length].to_vec()) })
    }
}

/// The length in bytes of the key in a genuine payload: two bytes that count bits, the key, and padding.
fn length_of(algorithm: Algorithm, clear: &[u8]) -> Option<usize> {
    let bits = usize::from(u16::from_be_bytes(*clear.first_chunk()?));
    let length = bits / 8;
    let fits = bits.is_multiple_of(8) && length != 0 && length <= clear.len() - 2;
    let of_algorithm = match algorithm {
        Algorithm::Aes => matches!(length, 16 | 24 | 32),
        Algorithm::Tdes => matches!(length, 16 | 24),
        Algorithm::Des => length == 8,
        _ => true,
    };
    (fits && of_algorithm).then_some(length)
}

/// The CMAC of head and clear payload (versions B and D).
pub(crate) fn cmac(keys: &BlockKeys, head: &[u8], clear: &[u8]) -> Result<Vec<u8>, KeyBlockError> {
    let mut message = Zeroizing::new(Vec::with_capacity(head.len() + clear.len()));
    message.extend_from_slice(head);
    message.extend_from_slice(clear);
    let mac = MacAlgorithm::Cmac.under_clear_key(keys.key_type, &keys.authentication, &message)?;
    Ok(mac.as_bytes().to_vec())
}

/// The first 4 bytes of the CBC-MAC of head and ciphertext (versions A and C; ISO 16609, 4.4).
fn cbc_mac(keys: &BlockKeys, head: &[u8], payload: &[u8]) -> Result<[u8; 4], KeyBlockError> {
    let mut message = [head, payload].concat();
    Cbc::Encrypt.under_clear_key(keys.key_type, &keys.authentication, &[0; 16], &mut message)?;
    let last = message.rchunks_exact(8).next().and_then(|block| block.first_chunk());
    last.copied().ok_or(KeyBlockError::Payload)
}

/// The initialisation vector of a CBC run: the first 16 bytes, or fewer and zeros that TDES does not look at.
pub(crate) fn first(bytes: &[u8]) -> [u8; 16] {
    let mut iv = [0; 16];
    iv.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    iv
}

fn from_hex(text: &[u8]) -> Result<Vec<u8>, KeyBlockError> {
    let digit = |digit: &u8| match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(KeyBlockError::NotHex),
    };
    let (pairs, []) = text.as_chunks::<2>() else { return Err(KeyBlockError::NotHex) };
    pairs.iter().map(|[high, low]| Ok(digit(high)? << 4 | digit(low)?)).collect()
}
