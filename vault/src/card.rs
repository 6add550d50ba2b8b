//! What a token is for: a card number, alone or with its expiry date.

use p2pe_crypto::{Expiry, Pan};

/// A card on its way into the vault. A `&Pan` is one without expiry date. Nothing else of a card is one:
///
/// ```
/// # use {dukpt::KeyStore, p2pe_crypto::*, vault::Vault};
/// fn keep<K: KeyStore>(vault: &Vault<K>, policy: &Policy, number: &Pan) {
///     let _ = vault.tokenize(policy, number, None);
/// }
/// ```
/// ```compile_fail,E0277
/// # use {dukpt::KeyStore, p2pe_crypto::*, vault::Vault};
/// fn keep<K: KeyStore>(vault: &Vault<K>, policy: &Policy, code: &SecurityCode) {
///     let _ = vault.tokenize(policy, code, None);
/// }
/// ```
/// ```compile_fail,E0277
/// # use {dukpt::KeyStore, p2pe_crypto::*, vault::Vault};
/// fn keep<K: KeyStore>(vault: &Vault<K>, policy: &Policy, track: &Track) {
///     let _ = vault.tokenize(policy, track, None);
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Card<'a> {
    /// The card number.
    pub pan: &'a Pan,
    /// For policies with expiry date, and for those only.
    pub expiry: Option<Expiry>,
}

impl<'a> From<&'a Pan> for Card<'a> {
    fn from(pan: &'a Pan) -> Self {
        Self { pan, expiry: None }
    }
}

impl<'a> From<&'a CardOnFile> for Card<'a> {
    fn from(card: &'a CardOnFile) -> Self {
        Self { pan: &card.pan, expiry: card.expiry }
    }
}

/// A card on its way out of the vault.
#[derive(Debug)]
pub struct CardOnFile {
    /// The card number.
    pub pan: Pan,
    /// If the token is for card number and expiry date.
    pub expiry: Option<Expiry>,
}
