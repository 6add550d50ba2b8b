//! What is recorded: typed fields only, so that card data has no way in.

use std::fmt;

use dukpt::{KeyId, Ksn};

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Record<'e> {
    pub(crate) event: Event,
    pub(crate) result: &'static str,
    pub(crate) key: Option<&'e KeyId>,
    pub(crate) ksn: Option<Ksn>,
    pub(crate) custody: Option<dukpt::Custody>,
    pub(crate) subject: Option<&'e Label>,
    pub(crate) caller: Option<&'e Label>,
    pub(crate) purpose: Option<&'e Label>,
}

impl<'e> Record<'e> {
    /// An event and how it ended: `ok`, or the stable code of the error.
    #[must_use]
    pub fn new(event: Event, result: &'static str) -> Self {
        Self { event, result, key: None, ksn: None, custody: None, subject: None, caller: None, purpose: None }
    }

    /// The key that was used.
    #[must_use]
    pub fn key(self, key: &'e KeyId) -> Self {
        Self { key: Some(key), ..self }
    }

    /// The transaction.
    #[must_use]
    pub fn ksn(self, ksn: &Ksn) -> Self {
        Self { ksn: Some(*ksn), ..self }
    }

    /// Where the working keys were: names the TDES hybrid whenever it is used.
    #[must_use]
    pub fn custody(self, custody: dukpt::Custody) -> Self {
        Self { custody: Some(custody), ..self }
    }

    /// On whose behalf, as a merchant or a custodian.
    #[must_use]
    pub fn subject(self, subject: &'e Label) -> Self {
        Self { subject: Some(subject), ..self }
    }

    /// Who asked the program for it.
    #[must_use]
    pub fn caller(self, caller: &'e Label) -> Self {
        Self { caller: Some(caller), ..self }
    }

    /// What for.
    #[must_use]
    pub fn purpose(self, purpose: &'e Label) -> Self {
        Self { purpose: Some(purpose), ..self }
    }
}

/// The kinds of things that are recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A program opened its key store.
    Start,
    /// Known answers were executed.
    SelfTest,
    /// A payload was decrypted.
    Decrypt,
    /// A token was made.
    Tokenize,
    /// A token was turned back.
    Detokenize,
    /// Clear account data came in.
    Alarm,
    /// A custodian entered a component.
    Component,
    /// A key was put into the store.
    ImportKey,
    /// A key was made in the store.
    GenerateKey,
    /// A key was deleted.
    DeleteKey,
    /// A key began or ended its service.
    ChangeKey,
    /// Keys were looked at: attributes or check values.
    InspectKey,
    /// Stored data was moved to another key.
    Rotate,
    /// A card number was deleted with its token.
    DeleteToken,
    /// A merchant's data and keys were deleted.
    Shred,
    /// Test vectors were executed.
    Conformance,
    /// A key was asked for and not to be had.
    FindKey,
    /// A key of a device or transaction was derived from a base key.
    DeriveKey,
    /// Data was encrypted under a stored key.
    Encrypt,
    /// Data was decrypted under a stored key.
    DecryptData,
    /// A MAC was computed under a stored key.
    Authenticate,
    /// Another key was wrapped.
    WrapKey,
    /// A wrapped key came out into host memory.
    UnwrapKey,
    /// Known causes were tried on a payload that does not decrypt.
    Diagnose,
}

impl Event {
    /// The name in the record.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::SelfTest => "self-test",
            Self::Decrypt => "decrypt",
            Self::Tokenize => "tokenize",
            Self::Detokenize => "detokenize",
            Self::Alarm => "alarm",
            Self::Component => "component",
            Self::ImportKey => "import-key",
            Self::GenerateKey => "generate-key",
            Self::DeleteKey => "delete-key",
            Self::ChangeKey => "change-key",
            Self::InspectKey => "inspect-key",
            Self::Rotate => "rotate",
            Self::DeleteToken => "delete-token",
            Self::Shred => "shred",
            Self::Conformance => "conformance",
            Self::FindKey => "find-key",
            Self::DeriveKey => "derive-key",
            Self::Encrypt => "encrypt",
            Self::DecryptData => "decrypt-data",
            Self::Authenticate => "authenticate",
            Self::WrapKey => "wrap-key",
            Self::UnwrapKey => "unwrap-key",
            Self::Diagnose => "diagnose",
        }
    }
}

/// A short text for a record: 1 to 64 printable ASCII characters, with no run of 12 digits that could be a card number.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Label(Box<str>);

impl Label {
    /// # Errors
    /// [`LabelError`] unless the text is as the type says.
    pub fn new(text: &str) -> Result<Self, LabelError> {
        let printable = (1..=64).contains(&text.len()) && text.bytes().all(|b| (0x20..0x7F).contains(&b));
        // Spaces and dashes inside a number do not hide it.
        let mut run = 0;
        let mut longest = 0;
        for byte in text.bytes() {
            run = if byte.is_ascii_digit() {
                run + 1
            } else if matches!(byte, b' ' | b'-') {
                run
            } else {
                0
            };
            longest = longest.max(run);
        }
        if printable && longest < 12 { Ok(Self(text.into())) } else { Err(LabelError) }
    }

    /// A label that tells of any name as much as it may: 64 characters of it, `?` for those that are not printable, and of
    /// digits that could be a card number the first six and the last four. `None` for an empty one.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let text = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
        let mut text: String = name.chars().take(64).map(text).collect();
        if Self::new(&text).is_err() {
            let digits = text.bytes().filter(u8::is_ascii_digit).count();
            let mut at = 0;
            text = text
                .chars()
                .map(|c| {
                    at += usize::from(c.is_ascii_digit());
                    if c.is_ascii_digit() && at > 6 && at + 4 <= digits { '*' } else { c }
                })
                .collect();
        }
        Self::new(&text).ok()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Not a text for a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a text for the audit log is 1 to 64 printable ASCII characters, with no run of 12 digits")]
pub struct LabelError;
