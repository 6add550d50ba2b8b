//! Known answers that are executed before anything is served: each mechanism once, in memory and in a token alike.
//!
//! Keys and answers are public test values: ANSI X9.24-1:2009 A.4, the supplement of X9.24-3:2017, RFC 4231,
//! NIST SP 800-38B (D.1, D.2) and SP 800-38A (F.2.1), FIPS 197 (C.1).

use alloc::vec;

use crate::{
    Key, KeyError, KeyId, KeyImport, KeyMaterial, KeyStore, Lifetime, MacAlgorithm, MacError, MacFormat, MemoryStore,
    Padding,
    aes::{self, KeyType, Usage},
    software,
    tdes::{self, Cipher, Variant},
};

/// One known answer: a key to be put into a store, and what it must say there.
#[derive(Debug)]
pub struct SelfTest {
    /// Its name, unique, as in `aes-cmac`.
    pub name: &'static str,
    /// What it executes, in words.
    pub what: &'static str,
    kind: &'static str,
    key: &'static [u8],
    ask: Ask,
}

#[derive(Debug)]
enum Ask {
    TdesData,
    TdesRetailMac,
    TdesCmac,
    TdesLanes,
    AesData { size: KeyType, counter: u8, ciphertext: [u8; 16], clear: [u8; 16] },
    AesMac,
    AesLanes,
    Cmac { data: &'static [u8], mac: &'static [u8] },
    Hmac,
    Blocks,
    Wrap,
}

/// What every key store does, a token or memory.
pub const OF_STORE: [SelfTest; 10] = [
    SelfTest {
        name: "tdes-dukpt",
        what: "TDES DUKPT, TDES-CBC",
        kind: "tdes-base",
        key: &TDES_BASE,
        ask: Ask::TdesData,
    },
    SelfTest {
        name: "aes-dukpt-128",
        what: "AES DUKPT, AES-CBC, 128 bits",
        kind: "aes-base",
        key: AES_BASE_128,
        ask: Ask::AesData {
            size: KeyType::Aes128,
            counter: 1,
            ciphertext: 0x9156_64DC_EB2A_1328_DADD_7A4C_4E86_AB48_u128.to_be_bytes(),
            clear: *b"001 CLEAR TEXT O",
        },
    },
    SelfTest {
        name: "aes-dukpt-192",
        what: "AES DUKPT, AES-CBC, 192 bits",
        kind: "aes-base",
        key: AES_BASE_192,
        ask: Ask::AesData {
            size: KeyType::Aes192,
            counter: 2,
            ciphertext: 0x16F6_8B8F_AAC8_8CCD_644B_8207_5373_B387_u128.to_be_bytes(),
            clear: *b"056 CLEAR TEXT O",
        },
    },
    SelfTest {
        name: "aes-dukpt-256",
        what: "AES DUKPT, AES-CBC, 256 bits",
        kind: "aes-base",
        key: AES_BASE_256,
        ask: Ask::AesData {
            size: KeyType::Aes256,
            counter: 2,
            ciphertext: 0xB781_7CE9_6765_FBA4_8FC2_EEA6_B7B1_08CD_u128.to_be_bytes(),
            clear: *b"020 CLEAR TEXT O",
        },
    },
    SelfTest { name: "aes-dukpt-mac", what: "AES DUKPT, CMAC", kind: "aes-base", key: AES_BASE_128, ask: Ask::AesMac },
    SelfTest { name: "hmac-sha256", what: "HMAC-SHA-256", kind: "hmac", key: &[0xAA; 131], ask: Ask::Hmac },
    SelfTest {
        name: "aes-cmac",
        what: "AES-CMAC, key blocks",
        kind: "aes-kbpk",
        key: &0x2B7E_1516_28AE_D2A6_ABF7_1588_09CF_4F3C_u128.to_be_bytes(),
        ask: Ask::Cmac {
            data: &0x6BC1_BEE2_2E40_9F96_E93D_7E11_7393_172A_u128.to_be_bytes(),
            mac: &0x070A_16B4_6B4D_4144_F79B_DD9D_D04A_287C_u128.to_be_bytes(),
        },
    },
    SelfTest {
        name: "tdes-cmac",
        what: "TDES-CMAC, key blocks",
        kind: "tdes-kbpk",
        key: &0x4CF1_5134_A285_0DD5_8A3D_10BA_8057_0D38_u128.to_be_bytes(),
        ask: Ask::Cmac {
            data: &0x6BC1_BEE2_2E40_9F96_u64.to_be_bytes(),
            mac: &0x4FF2_AB81_3C53_CE83_u64.to_be_bytes(),
        },
    },
    SelfTest { name: "aes-blocks", what: "AES-ECB and AES-CBC, FF1", kind: "ff1", key: &NIST_AES, ask: Ask::Blocks },
    SelfTest { name: "aes-wrap", what: "AES key wrap with padding", kind: "wrap", key: &COUNTING, ask: Ask::Wrap },
];

/// What the host does besides: the rest of TDES DUKPT, and many keys at once at each width that the machine's vectors have.
pub const OF_HOST: [SelfTest; 4] = [
    SelfTest {
        name: "tdes-retail-mac",
        what: "TDES DUKPT, retail MAC",
        kind: "tdes-base",
        key: &TDES_BASE,
        ask: Ask::TdesRetailMac,
    },
    SelfTest {
        name: "tdes-dukpt-cmac",
        what: "TDES DUKPT, CMAC",
        kind: "tdes-base",
        key: &TDES_BASE,
        ask: Ask::TdesCmac,
    },
    SelfTest {
        name: "tdes-lanes",
        what: "TDES DUKPT, every lane of the bitsliced DES",
        kind: "tdes-base",
        key: &TDES_BASE,
        ask: Ask::TdesLanes,
    },
    SelfTest {
        name: "aes-lanes",
        what: "AES DUKPT, every lane",
        kind: "aes-base",
        key: AES_BASE_128,
        ask: Ask::AesLanes,
    },
];

const TDES_BASE: [u8; 16] = 0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210_u128.to_be_bytes();
const AES_BASE_256: &[u8] = b"\xFE\xDC\xBA\x98\x76\x54\x32\x10\xF1\xF1\xF1\xF1\xF1\xF1\xF1\xF1\
    \xFE\xDC\xBA\x98\x76\x54\x32\x10\xF1\xF1\xF1\xF1\xF1\xF1\xF1\xF1";
const AES_BASE_192: &[u8] = AES_BASE_256.split_at(24).0;
const AES_BASE_128: &[u8] = AES_BASE_256.split_at(16).0;
const NIST_AES: [u8; 16] = 0x2B7E_1516_28AE_D2A6_ABF7_1588_09CF_4F3C_u128.to_be_bytes();
const COUNTING: [u8; 32] = {
    let mut bytes = [0; 32];
    let mut n = 0;
    while n < 32 {
        bytes[n as usize] = n;
        n += 1;
    }
    bytes
};

/// A KSN with the ten counter bits that one may have, and one with a single bit.
const TDES_KSN: [u8; 10] = [0xFF, 0xFF, 0x98, 0x76, 0x54, 0x32, 0x10, 0xEF, 0xF8, 0x01];
const TDES_KSN_1: [u8; 10] = [0xFF, 0xFF, 0x98, 0x76, 0x54, 0x32, 0x10, 0xE0, 0x00, 0x01];
const TDES_CIPHERTEXT: [u8; 16] = 0x5537_4FDB_B3B2_B4ED_0751_243F_C0C5_4DB1_u128.to_be_bytes();
const TDES_CLEAR: [u8; 16] = *b"4012345678909D98";
const MESSAGE: &[u8] = b"4012345678909D987";

/// So many keys at once take each width that `bitsliced-des` chooses for any number of them.
const LANES: [usize; 3] = [2, 256, 512];

/// `WRAPPED` is the secret under `COUNTING`.
const SECRET: [u8; 32] = [0xA5; 32];
const WRAPPED: [u8; 40] = *b"\x52\x14\x3B\x22\x70\xA5\x34\x4E\xA1\x04\x59\xB8\xA8\xF2\xE3\x27\x04\x8B\x57\x3B\
    \x2E\x18\x0A\x66\x15\x04\x02\x1C\x3F\x18\x50\xCF\x3B\x77\x62\x9B\x16\x46\x15\x7E";

impl SelfTest {
    /// The key that the test asks. A `flawed` one differs in one bit, so that its answers must be wrong: that is how to see
    /// that the test can fail.
    ///
    /// # Errors
    /// None: the lengths are right.
    pub fn material(&self, flawed: bool) -> Result<KeyMaterial, KeyError> {
        let mut key = zeroize::Zeroizing::new(self.key.to_vec());
        if let (true, Some(byte)) = (flawed, key.first_mut()) {
            // No parity bit of a DES key.
            *byte ^= 0x10;
        }
        KeyMaterial::new(self.kind, &key).map_err(|_| KeyError::BadLength)
    }

    /// Whether `key`, made of [`SelfTest::material`], gives the known answer.
    ///
    /// # Errors
    /// What the store says where it does not do this at all.
    pub fn passes<K: Key>(&self, key: &K) -> Result<bool, KeyError> {
        match &self.ask {
            Ask::TdesData => {
                let (ksn, mut data) = (tdes::Ksn::try_from(&TDES_KSN[..])?, TDES_CIPHERTEXT);
                if key.derives_tdes_inside(Variant::DataRequest, Cipher::Tdes) {
                    key.tdes_key_inside(&ksn, Variant::DataRequest)?.decrypt_cbc(&[0; 16], &mut data)?;
                } else {
                    let initial_key = key.tdes_initial_key(&ksn)?;
                    let data_key = tdes::DataKey::derive(&initial_key, &ksn, Variant::DataRequest)?;
                    data_key.decrypt_cbc(Cipher::Tdes, &[0; 16], &mut data)?;
                }
                Ok(data == TDES_CLEAR)
            }
            Ask::TdesRetailMac => tdes_mac(key, MacAlgorithm::Retail(Padding::Zeros), &0x9CCC_7817_u32.to_be_bytes()),
            Ask::TdesCmac => tdes_mac(key, MacAlgorithm::Cmac, &0x2110_03F1_D5B7_9DD7_u64.to_be_bytes()),
            Ask::TdesLanes => {
                let ksn = tdes::Ksn::try_from(&TDES_KSN[..])?;
                LANES.into_iter().try_fold(true, |right, lanes| Ok(right & tdes_lanes(key, ksn, lanes)?))
            }
            Ask::AesData { size, counter, ciphertext, clear } => {
                let mut data = *ciphertext;
                aes::DataKey::derive(key, &aes_ksn(*counter)?, suite(*size)?)?.decrypt_cbc(&[0; 16], &mut data)?;
                Ok(data == *clear)
            }
            Ask::AesMac => {
                let transaction = aes::TransactionKey::derive(key, &aes_ksn(1)?, KeyType::Aes128)?;
                let mac_key = transaction.mac_key(KeyType::Aes128.into(), Usage::MacGenerate)?;
                let format = MacFormat::new(MacAlgorithm::Cmac, 16).map_err(|_| KeyError::BadLength)?;
                fits(mac_key.verify(format, MESSAGE, &0xA2EB_5C1C_3580_9E58_404E_873C_3C41_1E31_u128.to_be_bytes()))
            }
            Ask::AesLanes => {
                let ksns = vec![aes_ksn(1)?; 4 * software::LANES];
                let (mut right, mut failed) = (0, None);
                aes::DataKey::derive_each(key, &ksns, suite(KeyType::Aes128)?, |_, data_key| {
                    match data_key.and_then(|key| Ok((aes_answer(&key)?, key))) {
                        Ok((answer, spent)) => {
                            right += usize::from(answer);
                            Some(spent)
                        }
                        Err(error) => {
                            failed = Some(error);
                            None
                        }
                    }
                });
                failed.map_or(Ok(right == ksns.len()), Err)
            }
            Ask::Cmac { data, mac } => Ok(key.mac(MacAlgorithm::Cmac, data)?.as_bytes() == *mac),
            Ask::Hmac => {
                let data = b"Test Using Larger Than Block-Size Key - Hash Key First";
                let right = b"\x60\xE4\x31\x59\x1E\xE0\xB6\x7F\x0D\x8A\x26\xAA\xCB\xF5\xB7\x7F\
                    \x8E\x0B\xC6\x21\x37\x28\xC5\x14\x05\x46\x04\x0F\x0E\xE3\x7F\x54";
                Ok(key.hmac_sha256(data)? == *right)
            }
            Ask::Blocks => {
                let clear = 0x6BC1_BEE2_2E40_9F96_E93D_7E11_7393_172A_u128.to_be_bytes();
                let (mut blocks, mut chained) = ([clear; 2], clear);
                key.encrypt_blocks(&mut blocks)?;
                key.encrypt_cbc(&core::array::from_fn(|n| COUNTING[n]), &mut chained)?;
                let answers =
                    (0x3AD7_7BB4_0D7A_3660_A89E_CAF3_2466_EF97_u128, 0x7649_ABAC_8119_B246_CEE9_8E9B_12E9_197D_u128);
                Ok(blocks == [answers.0.to_be_bytes(); 2] && chained == answers.1.to_be_bytes())
            }
            Ask::Wrap => {
                let mut secret = [0; 32];
                if key.wrap(&SECRET)? != WRAPPED {
                    return Ok(false);
                }
                match key.unwrap(&WRAPPED, &mut secret) {
                    Err(KeyError::NotWrapped) => Ok(false),
                    done => done.map(|()| secret == SECRET),
                }
            }
        }
    }

    /// Whether the ciphers of this host give the known answer.
    ///
    /// # Errors
    /// None, as far as anybody knows: memory does all of this.
    pub fn passes_in_memory(&self, flawed: bool) -> Result<bool, KeyError> {
        let (mut store, id) = (MemoryStore::new(), KeyId::new(self.name).map_err(|_| KeyError::NotPermitted)?);
        store.import(&id, &self.material(flawed)?, Lifetime::Session)?;
        self.passes(&store.key(&id)?)
    }
}

/// Executes [`OF_STORE`] and [`OF_HOST`] in memory: the ciphers of this host, at the widths that the CPU has.
///
/// # Errors
/// [`KeyError::SelfTest`]: the host computes wrongly, and nothing that it computed may be used.
pub fn host() -> Result<(), KeyError> {
    let wrong = |test: &&SelfTest| !matches!(test.passes_in_memory(false), Ok(true));
    match OF_STORE.iter().chain(&OF_HOST).find(wrong) {
        Some(test) => Err(KeyError::SelfTest(test.name)),
        None => Ok(()),
    }
}

fn aes_ksn(counter: u8) -> Result<aes::Ksn, KeyError> {
    let mut ksn = [0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56, 0, 0, 0, 0];
    ksn[11] = counter;
    Ok(aes::Ksn::try_from(&ksn[..])?)
}

fn suite(size: KeyType) -> Result<aes::Suite, KeyError> {
    aes::Suite::new(size, size, aes::DataUsage::Encrypt).map_err(|_| KeyError::TooStrong)
}

/// The answer of `aes-dukpt-128`, by a key that is derived already.
fn aes_answer<K: Key>(key: &aes::DataKey<K>) -> Result<bool, KeyError> {
    let Ask::AesData { mut ciphertext, clear, .. } = OF_STORE[1].ask else { return Ok(false) };
    key.decrypt_cbc(&[0; 16], &mut ciphertext)?;
    Ok(ciphertext == clear)
}

fn tdes_mac<K: Key>(key: &K, algorithm: MacAlgorithm, mac: &[u8]) -> Result<bool, KeyError> {
    let ksn = tdes::Ksn::try_from(&TDES_KSN_1[..])?;
    let transaction = tdes::TransactionKey::derive(&key.tdes_initial_key(&ksn)?, &ksn)?;
    let format = MacFormat::new(algorithm, mac.len()).map_err(|_| KeyError::BadLength)?;
    fits(transaction.mac_key().verify(format, MESSAGE, mac))
}

fn fits(verified: Result<(), MacError>) -> Result<bool, KeyError> {
    match verified {
        Ok(()) => Ok(true),
        Err(MacError::Mismatch) => Ok(false),
        Err(MacError::Key(error)) => Err(error),
    }
}

fn tdes_lanes<K: Key>(key: &K, ksn: tdes::Ksn, lanes: usize) -> Result<bool, KeyError> {
    let mut data = vec![TDES_CIPHERTEXT; lanes];
    let keys = key.tdes_data_keys(&vec![ksn; lanes], Variant::DataRequest)?;
    let mut messages: vec::Vec<_> = data.iter_mut().map(|block| &mut block[..]).enumerate().collect();
    keys.decrypt_cbc(Cipher::Tdes, &mut messages)?;
    Ok(data.iter().all(|block| *block == TDES_CLEAR))
}
