//! What can be wrong: a stable code, one sentence, and what to do about it.

use core::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, exit $exit:literal, prior $prior:literal;)*) => {
        /// The stable name of a cause.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[non_exhaustive]
        pub enum Code { $($(#[$doc])* $name),* }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// As reports have it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            /// The exit code of `p2pe doctor`: 3 settings, 4 the payload, 5 alarm, 6 what the device encrypted, 7 keys.
            #[must_use]
            pub fn exit(self) -> u8 {
                match self { $(Self::$name => $exit),* }
            }

            /// The smaller, the more often it is the cause.
            pub(crate) fn prior(self) -> u32 {
                match self { $(Self::$name => $prior),* }
            }
        }
    };
}

codes! {
    /// A card number stands in the payload unencrypted.
    NotEncrypting = "not_encrypting", exit 5, prior 0;
    /// Nothing in the payload is encrypted, and no card number was seen.
    NothingEncrypted = "nothing_encrypted", exit 4, prior 1;
    /// The payload may be of several formats.
    Ambiguous = "ambiguous", exit 4, prior 1;
    /// The payload uses a feature that is not handled.
    Unsupported = "unsupported", exit 4, prior 1;
    /// The first typed character, or the first byte, is zero and got lost.
    LeadingZeroLost = "leading_zero_lost", exit 4, prior 1;
    /// A hex digit got lost.
    OddNibble = "odd_nibble", exit 4, prior 2;
    /// LRC and checksum of a keyboard form were computed over bytes instead of the typed characters.
    KeyboardChecks = "keyboard_checks", exit 4, prior 2;
    /// The AES flag contradicts the layout.
    CipherFlag = "cipher_flag", exit 4, prior 3;
    /// Binary data went through a text encoding.
    TextEncoding = "text_encoding", exit 4, prior 1;
    /// A whole frame was given in the place of a ciphertext.
    WholeFrame = "whole_frame", exit 4, prior 1;
    /// The ciphertext was cut out of the payload in the wrong place.
    WrongSlice = "wrong_slice", exit 4, prior 3;
    /// The payload is damaged or is none.
    FrameDamaged = "frame_damaged", exit 4, prior 5;
    /// The KSN was padded or cut.
    KsnForm = "ksn_form", exit 4, prior 3;
    /// The KSN names no transaction key.
    KsnInvalid = "ksn_invalid", exit 4, prior 4;
    /// The KSN is that of a neighbouring transaction.
    KsnCounter = "ksn_counter", exit 4, prior 4;
    /// The KSN of another data type of the same device is the right one.
    OtherKsn = "other_ksn", exit 4, prior 2;
    /// No device is configured for the KSN.
    UnknownDevice = "unknown_device", exit 3, prior 1;
    /// The payload does not fit its device's profile.
    ProfileMismatch = "profile_mismatch", exit 3, prior 2;
    /// Another key of the transaction is the right one.
    KeyVariant = "key_variant", exit 3, prior 2;
    /// TDES and AES under the same key are mixed up.
    Cipher = "cipher", exit 3, prior 3;
    /// TDES DUKPT with AES data and AES DUKPT are mixed up.
    AesFlavour = "aes_flavour", exit 3, prior 3;
    /// Another size of AES keys is the right one.
    KeySize = "key_size", exit 3, prior 3;
    /// Another usage of the AES data key is the right one.
    KeyUsage = "key_usage", exit 3, prior 3;
    /// ECB instead of CBC.
    ChainingMode = "chaining_mode", exit 3, prior 6;
    /// The data key's self-encryption was left out.
    SelfEncryption = "self_encryption", exit 3, prior 4;
    /// The clear text is of another kind than the profile says.
    Content = "content", exit 3, prior 3;
    /// Two CBC runs were taken for one.
    JoinedRuns = "joined_runs", exit 3, prior 3;
    /// One CBC run was taken for several.
    ChainedRuns = "chained_runs", exit 3, prior 3;
    /// The device's own initialisation vector was left out.
    IvIgnored = "iv_ignored", exit 3, prior 5;
    /// Padding of PKCS #7.
    Padding = "padding", exit 3, prior 5;
    /// The base key is not in the store.
    KeyMissing = "key_missing", exit 7, prior 0;
    /// The base key is of another kind or size.
    KeyKind = "key_kind", exit 7, prior 1;
    /// Another base key is the right one.
    BaseKey = "base_key", exit 7, prior 4;
    /// The device's initial key and the base key are mixed up.
    InitialKeyAsBaseKey = "initial_key_as_base_key", exit 7, prior 5;
    /// A transaction's key and the base key are mixed up.
    SessionKeyAsBaseKey = "session_key_as_base_key", exit 7, prior 6;
    /// One component was loaded in the place of the key.
    ComponentsNotCombined = "components_not_combined", exit 7, prior 5;
    /// The sender took the bits of the counter in the wrong order.
    CounterOrder = "counter_order", exit 6, prior 6;
    /// The message authentication code is wrong.
    Mac = "mac", exit 6, prior 6;
    /// Keys and settings are right; ciphertext or masked copy are damaged.
    Damaged = "damaged", exit 6, prior 7;
    /// Each part is right by itself, but they are not of one card.
    Contradiction = "contradiction", exit 6, prior 8;
    /// The clear text is readable, but no card's.
    NotACard = "not_a_card", exit 6, prior 8;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cause {
    /// Its stable name.
    pub code: Code,
    /// What is wrong, in one sentence.
    pub sentence: String,
    /// What to do about it.
    pub fix: String,
}

impl Cause {
    pub(crate) fn new(code: Code, sentence: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into(), fix: fix.into() }
    }
}
