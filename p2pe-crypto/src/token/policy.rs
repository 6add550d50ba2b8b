//! A merchant's token policy: which form its tokens have, how often and how long they work, and for what.

use alloc::vec::Vec;
use core::time::Duration;

use super::{CardShaped, FormatPreserving, MerchantId, card_number};
use crate::{Pan, TokenError};

/// How the tokens of one merchant are made and what they are good for. Whoever changes a policy gives it a new version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    merchant: MerchantId,
    version: u32,
    form: TokenForm,
    uses: Uses,
    time_to_live: Option<Duration>,
    expiry: bool,
    purposes: Vec<Purpose>,
}

/// What a token looks like and where it comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TokenForm {
    /// [`VaultToken`](super::VaultToken): 128 random bits, which only a vault leads back. The default.
    Vault,
    /// [`CardShaped`]: random digits, as many as the card number has.
    CardShaped(CardShaped),
    /// [`FormatPreserving`]: FF1, which whoever may use the key leads back without a vault.
    FormatPreserving(FormatPreserving),
    /// [`Token`](super::Token): a keyed hash, which nothing leads back.
    Keyed,
}

/// How often a token leads back to its card number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Uses {
    /// Once. Each request gets a token of its own.
    Single,
    /// Always. The same card number has the same token.
    Multi,
}

/// What a card number is wanted back for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Purpose {
    /// A payment that the cardholder just asked for.
    Payment,
    /// A payment in a series that the cardholder agreed to.
    Recurring,
    /// Money back.
    Refund,
    /// A chargeback or another dispute.
    Dispute,
    /// A search for fraud.
    Fraud,
    /// A move to another vault or processor.
    Migration,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Payment, Self::Recurring, Self::Refund, Self::Dispute, Self::Fraud, Self::Migration];

    /// The name in settings and audit records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Recurring => "recurring",
            Self::Refund => "refund",
            Self::Dispute => "dispute",
            Self::Fraud => "fraud",
            Self::Migration => "migration",
        }
    }
}

impl Policy {
    /// A policy for multi-use tokens that never end, and that may be led back for no purpose yet.
    #[must_use]
    pub fn new(merchant: MerchantId, version: u32, form: TokenForm) -> Self {
        Self { merchant, version, form, uses: Uses::Multi, time_to_live: None, expiry: false, purposes: Vec::new() }
    }

    /// With tokens that work once.
    ///
    /// # Errors
    /// [`PolicyError`] for a form that is computed.
    pub fn single_use(self) -> Result<Self, PolicyError> {
        self.random()?;
        Ok(Self { uses: Uses::Single, ..self })
    }

    /// With tokens that end so long after they were made.
    ///
    /// # Errors
    /// [`PolicyError`] for a form that is computed.
    pub fn time_to_live(self, time: Duration) -> Result<Self, PolicyError> {
        self.random()?;
        Ok(Self { time_to_live: Some(time), ..self })
    }

    /// With tokens for a card number together with its expiry date, which is led back too: a renewed card has another token.
    ///
    /// # Errors
    /// [`PolicyError`] for a form that is computed.
    pub fn with_expiry(self) -> Result<Self, PolicyError> {
        self.random()?;
        Ok(Self { expiry: true, ..self })
    }

    /// With tokens that may be led back for these purposes.
    #[must_use]
    pub fn purposes(self, purposes: &[Purpose]) -> Self {
        Self { purposes: purposes.to_vec(), ..self }
    }

    fn random(&self) -> Result<(), PolicyError> {
        match self.form {
            TokenForm::Vault | TokenForm::CardShaped(_) => Ok(()),
            TokenForm::FormatPreserving(_) | TokenForm::Keyed => Err(PolicyError),
        }
    }

    /// Whose tokens these are.
    #[must_use]
    pub fn merchant(&self) -> &MerchantId {
        &self.merchant
    }

    /// Which policy of the merchant this is.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// What the tokens look like.
    #[must_use]
    pub fn form(&self) -> &TokenForm {
        &self.form
    }

    /// How often a token works.
    #[must_use]
    pub fn uses(&self) -> Uses {
        self.uses
    }

    /// How long a token works; `None` for ever.
    #[must_use]
    pub fn lifetime(&self) -> Option<Duration> {
        self.time_to_live
    }

    /// Whether a token is for a card number together with its expiry date.
    #[must_use]
    pub fn has_expiry(&self) -> bool {
        self.expiry
    }

    /// Whether the number may have a token at all: one that is a token already, or mistyped, has none. A form may refuse more.
    ///
    /// # Errors
    /// [`TokenError::AlreadyToken`], [`TokenError::CheckDigit`].
    pub fn admits(&self, pan: &Pan) -> Result<(), TokenError> {
        card_number::checked(pan).map(|_| ())
    }

    /// Whether tokens may be led back for this.
    #[must_use]
    pub fn permits(&self, purpose: Purpose) -> bool {
        self.purposes.contains(&purpose)
    }
}

/// Single use, an end or an expiry date were asked of tokens that are computed from the card number: the same one would be
/// made again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a token that is computed from the card number cannot be single-use, nor end, nor be for an expiry date")]
pub struct PolicyError;

impl PolicyError {
    /// A stable name, for reports and logs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "policy_computed"
    }
}
