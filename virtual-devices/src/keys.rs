//! The key of a virtual device, and the working keys of its transactions.

use dukpt::{
    Key, KeyError, KeyId, KeyImport, KeyMaterial, KeyStore, Ksn, KsnError, Lifetime, MaterialError, MemoryKey,
    MemoryStore, Scheme, Tag, aes, tdes,
};
use p2pe_crypto::Encryption;
use zeroize::Zeroizing;

/// A key to be loaded into virtual devices: a base key, from which each gets its own initial key, or an initial key.
/// Wiped on drop.
#[expect(missing_debug_implementations, reason = "holds a clear key")]
pub struct DeviceKey {
    material: KeyMaterial,
    store: MemoryStore,
    id: KeyId,
    is_initial: bool,
}

impl DeviceKey {
    /// A base key: 16 bytes (TDES DUKPT), or 16, 24 or 32 (AES DUKPT).
    ///
    /// # Errors
    /// [`MaterialError::Length`].
    pub fn base(scheme: Scheme, key: &[u8]) -> Result<Self, MaterialError> {
        Self::new(scheme, key, false)
    }

    /// The initial key of one device, as long as its base key.
    ///
    /// # Errors
    /// [`MaterialError::Length`].
    pub fn initial(scheme: Scheme, key: &[u8]) -> Result<Self, MaterialError> {
        Self::new(scheme, key, true)
    }

    /// The public test base key that vendors load into sample devices (ANSI X9.24-1:2009, annex A; X9.24-3:2017), for an
    /// encryption of either scheme.
    ///
    /// # Errors
    /// None: they are keys.
    pub fn test(encryption: Encryption) -> Result<Self, MaterialError> {
        match encryption {
            Encryption::Tdes(..) => Self::base(Scheme::Tdes, &TEST_TDES),
            Encryption::Aes(suite) => Self::base(Scheme::Aes, &TEST_AES[..suite.base().length()]),
        }
    }

    fn new(scheme: Scheme, key: &[u8], is_initial: bool) -> Result<Self, MaterialError> {
        let kind = match scheme {
            Scheme::Tdes => "tdes-base",
            Scheme::Aes => "aes-base",
        };
        let material = KeyMaterial::new(kind, key)?;
        let mut store = MemoryStore::new();
        // A name in capital letters, and a store that is empty.
        let id = KeyId::new("DEVICE").map_err(|_| MaterialError::Kind)?;
        store.import(&id, &material, Lifetime::Session).map_err(|_| MaterialError::Kind)?;
        Ok(Self { material, store, id, is_initial })
    }

    /// Loads a device whose next transaction is that of `ksn`.
    pub(crate) fn load(&self, encryption: Encryption, ksn: &Ksn) -> Result<Terminal<'_>, KeyError> {
        let key = self.store.key(&self.id)?;
        match (encryption, ksn) {
            (Encryption::Tdes(variant, cipher), Ksn::Tdes(ksn)) => {
                let initial_key = if self.is_initial { self.tdes_initial_key()? } else { key.tdes_initial_key(ksn)? };
                Ok(Terminal::Tdes(Box::new(tdes::terminal::Terminal::new(&initial_key, ksn)), variant, cipher))
            }
            (Encryption::Aes(suite), Ksn::Aes(ksn)) => {
                let initial_key = if self.is_initial { key } else { key.derive(&ksn.initial_key(suite))? };
                let terminal = aes::terminal::Terminal::new(&initial_key, ksn, suite.base())?;
                Ok(Terminal::Aes(Box::new(terminal), suite))
            }
            _ => Err(KeyError::NotPermitted),
        }
    }

    fn tdes_initial_key(&self) -> Result<tdes::InitialKey, KeyError> {
        let bytes: &[u8; 16] = self.material.expose().try_into().map_err(|_| KeyError::NotPermitted)?;
        tdes::InitialKey::try_filled(|key| {
            *key = *bytes;
            Ok(())
        })
    }
}

const TEST_TDES: [u8; 16] = 0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210_u128.to_be_bytes();
const TEST_AES: [u8; 32] = {
    let mut key = [0xF1; 32];
    let left = 0xFEDC_BA98_7654_3210_u64.to_be_bytes();
    let mut at = 0;
    while at < left.len() {
        key[at] = left[at];
        at += 1;
    }
    key
};

/// The KSN of a device at a counter: the device is told by any KSN of it, 10 or 12 bytes.
///
/// # Errors
/// [`KsnError`] for another length, and for a counter with more bits than one may have.
pub fn ksn_at(device: &[u8], counter: u32) -> Result<Ksn, KsnError> {
    let mut ksn = device.to_vec();
    match *ksn.as_mut_slice() {
        [.., ref mut a, ref mut b, ref mut c, ref mut d] if device.len() == 12 => {
            [*a, *b, *c, *d] = counter.to_be_bytes();
            Ok(Ksn::Aes(aes::Ksn::try_from(&ksn[..])?))
        }
        [.., ref mut a, ref mut b, ref mut c] if device.len() == 10 => {
            let [beyond, high, middle, low] = counter.to_be_bytes();
            if beyond != 0 || high > 0x1F {
                return Err(KsnError::CounterBits(counter.count_ones()));
            }
            (*a, *b, *c) = (*a & 0xE0 | high, middle, low);
            Ok(Ksn::Tdes(tdes::Ksn::try_from(&ksn[..])?))
        }
        _ => Err(KsnError::Length(device.len())),
    }
}

/// The registers of a device.
pub(crate) enum Terminal<'k> {
    Tdes(Box<tdes::terminal::Terminal>, tdes::Variant, tdes::Cipher),
    Aes(Box<aes::terminal::Terminal<MemoryKey<'k>>>, aes::Suite),
}

impl<'k> Terminal<'k> {
    pub(crate) fn ksn(&self) -> Result<Ksn, KeyError> {
        Ok(match self {
            Self::Tdes(terminal, ..) => Ksn::Tdes(terminal.ksn()?),
            Self::Aes(terminal, _) => Ksn::Aes(terminal.ksn()?),
        })
    }

    pub(crate) fn next_transaction(&mut self) -> Result<Transaction<'k>, KeyError> {
        Ok(match self {
            Self::Tdes(terminal, variant, cipher) => {
                let transaction = terminal.next_transaction()?;
                let key = match variant {
                    tdes::Variant::DataRequest => transaction.data_key(),
                    tdes::Variant::Pin => transaction.pin_variant_data_key(),
                    tdes::Variant::DataResponse => return Err(KeyError::NotPermitted),
                };
                Transaction {
                    ksn: Ksn::Tdes(transaction.ksn()),
                    key: WorkingKey::Tdes(key, *cipher, Box::new(transaction)),
                }
            }
            Self::Aes(terminal, suite) => {
                let transaction = terminal.next_transaction()?;
                let key = transaction.data_key(suite.data().into(), suite.usage().into())?;
                Transaction { ksn: Ksn::Aes(transaction.ksn()), key: WorkingKey::Aes(key) }
            }
        })
    }
}

/// One transaction: its KSN, and the key that encrypts data for the host.
pub(crate) struct Transaction<'k> {
    ksn: Ksn,
    key: WorkingKey<'k>,
}

enum WorkingKey<'k> {
    Tdes(tdes::DataEncryptionKey, tdes::Cipher, Box<tdes::terminal::Transaction>),
    Aes(aes::DataEncryptionKey<MemoryKey<'k>>),
}

impl Transaction<'_> {
    pub(crate) fn ksn(&self) -> &[u8] {
        self.ksn.as_bytes()
    }

    pub(crate) fn into_ksn(self) -> Ksn {
        self.ksn
    }

    pub(crate) fn block(&self) -> usize {
        match &self.key {
            WorkingKey::Tdes(_, cipher, _) => cipher.block(),
            WorkingKey::Aes(_) => 16,
        }
    }

    /// A CBC run of its own, with an IV of zeros and zeros as padding.
    pub(crate) fn encrypt(&self, clear: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.encrypt_from([0; 16], clear)
    }

    /// The same from another IV; TDES takes the first 8 bytes.
    pub(crate) fn encrypt_from(&self, iv: [u8; 16], clear: &[u8]) -> Result<Vec<u8>, KeyError> {
        let length = clear.len().next_multiple_of(self.block());
        // Room for all of it at once: a buffer that grows leaves what it held behind.
        let mut data = Zeroizing::new(Vec::with_capacity(length));
        data.extend_from_slice(clear);
        data.resize(length, 0);
        match &self.key {
            WorkingKey::Tdes(key, cipher, _) => key.encrypt_cbc(*cipher, &iv, &mut data)?,
            WorkingKey::Aes(key) => key.encrypt_cbc(&iv, &mut data)?,
        }
        Ok(core::mem::take(&mut *data))
    }

    /// HMAC-SHA-256 under the transaction key itself, as ID TECH readers authenticate their frames.
    pub(crate) fn hmac_sha256(&self, message: &[u8]) -> Result<Tag, KeyError> {
        match &self.key {
            WorkingKey::Tdes(_, _, transaction) => transaction.hmac_sha256(message),
            WorkingKey::Aes(_) => Err(KeyError::NotPermitted),
        }
    }
}
