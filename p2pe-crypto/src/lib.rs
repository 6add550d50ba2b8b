#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "observe")]
extern crate std;

mod batch;
mod card;
mod chain;
mod decryptor;
mod error;
mod masked;
mod observe;
mod payload;
mod profile;
mod token;
mod words;

/// What compares clear text, for `tools/ctgrind`, `tools/dudect` and the tests; no part of the interface.
#[doc(hidden)]
pub mod constant_time {
    pub use crate::{card::Charset, masked::agrees};
}

pub use card::{
    Brand, CardData, ChipData, Entry, Expiry, ExpiryError, JisStripe, Pan, PanError, SecurityCode, SensitiveData,
    ServiceCode, Track, TrackNumber, Truncated,
};
pub use decryptor::{Decryptor, Device, Devices};
pub use error::Error;
pub use payload::{
    EncryptedField, Features, Fields, Format, Formats, Holds, Mac, Payload, PayloadError, Refusal, Scope, Unsupported,
    idtech, idtech::Form, magtek, neo, quick_chip, tlv, tracks, verifone,
};
pub use profile::{
    CATALOGUE, Candidates, DeviceProfile, Encryption, Iv, Mode, ProfileError, ProfileSetting, ProfileSettings,
};
pub use token::{
    Bin, CardShaped, CardToken, FormatPreserving, FormatPreservingTokenizer, Kept, KeptError, MerchantId,
    MerchantIdError, Policy, PolicyError, Purpose, Token, TokenError, TokenForm, Tokenizer, Uses, VaultToken,
};
