//! What the key in a block is, and what it may be used for (X9.143:2021, 6.3).

use core::fmt;

use crate::KeyBlockError;

/// Two characters: what the key is for. Numeric ones are proprietary.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyUsage([u8; 2]);

impl KeyUsage {
    /// `B0`: base derivation key.
    pub const BASE_DERIVATION: Self = Self(*b"B0");
    /// `B1`: initial DUKPT key.
    pub const INITIAL_KEY: Self = Self(*b"B1");
    /// `D0`: data encryption.
    pub const DATA_ENCRYPTION: Self = Self(*b"D0");
    /// `K0`: key encryption.
    pub const KEY_ENCRYPTION: Self = Self(*b"K0");
    /// `K1`: key block protection.
    pub const KEY_BLOCK_PROTECTION: Self = Self(*b"K1");
    /// `M7`: HMAC.
    pub const HMAC: Self = Self(*b"M7");
    /// `P0`: PIN encryption.
    pub const PIN_ENCRYPTION: Self = Self(*b"P0");

    /// # Errors
    /// [`KeyBlockError::Usage`] for what the standard does not list.
    pub fn new(code: [u8; 2]) -> Result<Self, KeyBlockError> {
        let last = match code[0] {
            b'B' => b'3',
            b'C' | b'I' => b'0',
            b'D' => b'3',
            b'E' => b'7',
            b'K' => b'4',
            b'M' => b'8',
            b'P' => b'1',
            b'S' => b'2',
            b'V' => b'5',
            b'0'..=b'9' => b'9',
            _ => return Err(KeyBlockError::Usage),
        };
        if (b'0'..=last).contains(&code[1]) { Ok(Self(code)) } else { Err(KeyBlockError::Usage) }
    }

    /// The two characters.
    #[must_use]
    pub fn code(&self) -> [u8; 2] {
        self.0
    }

    /// `S0` to `S2`, `K2` and `K3`: keys that are no bytes of a symmetric cipher.
    pub(crate) fn is_asymmetric(self) -> bool {
        self.0[0] == b'S' || matches!(&self.0, b"K2" | b"K3" | b"D1")
    }
}

impl fmt::Display for KeyUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = self.0.map(char::from);
        write!(f, "{a}{b}")
    }
}

impl fmt::Debug for KeyUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyUsage({self})")
    }
}

/// A field of one character, with the meaning of each.
macro_rules! field {
    ($(#[$doc:meta])* $name:ident, $error:ident, $($(#[$value_doc:meta])* $value:ident = $code:literal),* $(,)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum $name { $($(#[$value_doc])* $value),* }

        impl $name {
            /// The character in the header.
            #[must_use]
            pub fn code(self) -> u8 {
                match self { $(Self::$value => $code),* }
            }

            pub(crate) fn new(code: u8) -> Result<Self, KeyBlockError> {
                match code {
                    $($code => Ok(Self::$value),)*
                    _ => Err(KeyBlockError::$error),
                }
            }
        }
    };
}

field! {
    /// The algorithm that the key is used with.
    Algorithm, Algorithm,
    /// `A`
    Aes = b'A',
    /// `D`: single DES.
    Des = b'D',
    /// `E`
    EllipticCurve = b'E',
    /// `H`
    Hmac = b'H',
    /// `R`
    Rsa = b'R',
    /// `S`
    Dsa = b'S',
    /// `T`
    Tdes = b'T',
}

field! {
    /// What the key may do.
    ModeOfUse, ModeOfUse,
    /// `B`: encrypt and decrypt, wrap and unwrap.
    EncryptAndDecrypt = b'B',
    /// `C`: compute and verify a MAC.
    GenerateAndVerify = b'C',
    /// `D`
    Decrypt = b'D',
    /// `E`
    Encrypt = b'E',
    /// `G`
    Generate = b'G',
    /// `N`: no restriction.
    Any = b'N',
    /// `S`
    Sign = b'S',
    /// `T`: sign and decrypt.
    SignAndDecrypt = b'T',
    /// `V`
    Verify = b'V',
    /// `X`: derive keys.
    Derive = b'X',
    /// `Y`: make key variants.
    Variant = b'Y',
}

field! {
    /// Whether the key may leave the place where it is unwrapped.
    Exportability, Exportability,
    /// `E`: under a key block protection key.
    Exportable = b'E',
    /// `N`: not at all.
    NonExportable = b'N',
    /// `S`: under a key in another form.
    Sensitive = b'S',
}
