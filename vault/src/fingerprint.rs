//! Fingerprints: HMACs under a key of the HSM, by which a card is found again and nothing leads back.

use dukpt::{Key, KeyError, KeyId, KeyStore};
use zeroize::Zeroizing;

use crate::Card;

/// The fingerprints of a card at a tenant, under one key.
pub(crate) struct Prints {
    /// Of what the token is for: the card number, or card number and expiry date.
    pub(crate) card: [u8; 32],
    /// Of the card number.
    pub(crate) pan: [u8; 32],
}

/// HMAC-SHA-256 of `p2pe vault fingerprint v1` ‖ `00` ‖ length of the tenant (8, big endian) ‖ tenant ‖ digits; with an expiry
/// date, of `p2pe vault fingerprint of card and expiry v1` ‖ `00` ‖ length of the tenant ‖ tenant ‖ YYMM ‖ digits.
pub(crate) fn prints<'a>(
    keys: &impl KeyStore,
    key: &KeyId,
    tenant: &str,
    cards: impl Iterator<Item = Card<'a>>,
) -> Result<Vec<Prints>, KeyError> {
    let key = keys.key(key)?;
    let print = |domain: &[u8], expiry: &[u8], digits: &str| {
        let mut message = Zeroizing::new(Vec::with_capacity(domain.len() + 8 + tenant.len() + expiry.len() + 19));
        for part in [domain, &(tenant.len() as u64).to_be_bytes(), tenant.as_bytes(), expiry, digits.as_bytes()] {
            message.extend_from_slice(part);
        }
        key.hmac_sha256(&message)
    };
    let cards = cards.map(|Card { pan, expiry }| {
        let pan_print = print(b"p2pe vault fingerprint v1\0", b"", pan.expose())?;
        let card = match expiry {
            None => pan_print,
            Some(expiry) => {
                let expiry = expiry.to_string();
                print(b"p2pe vault fingerprint of card and expiry v1\0", expiry.as_bytes(), pan.expose())?
            }
        };
        Ok(Prints { card, pan: pan_print })
    });
    cards.collect()
}

/// An HMAC by which a fingerprint key is recognised.
pub(crate) fn check(keys: &impl KeyStore, key: &KeyId) -> Result<[u8; 32], KeyError> {
    keys.key(key)?.hmac_sha256(b"p2pe vault key check v1\0")
}
