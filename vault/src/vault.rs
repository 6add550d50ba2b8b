//! The vault, and the way back: a token in, its card out, for a purpose.

use std::{cell::RefCell, collections::BTreeMap, ops::Range, rc::Rc, sync::Arc, time::Duration};

use dukpt::{KeyId, KeyStore};
use p2pe_crypto::{MerchantId, Pan, Policy, Purpose};
use subtle::ConstantTimeEq;

use crate::{
    Asked, Card, CardOnFile, Header, Outcome, RateLimit, Released, Row, VaultError, VaultStore, fingerprint::prints,
    issue::name, observe, seal::DataKey,
};

/// The keys of a new vault, by their names in the key store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyNames {
    /// An HMAC key: of the fingerprints by which a card number is found again.
    pub fingerprint: KeyId,
    /// A wrapping key: of the tenants' data keys.
    pub wrapping: KeyId,
}

/// A vault, as one thread uses it. Each thread opens its own over the same database. Over several: [`crate::ShardedVault`].
///
/// A data key is unwrapped once and kept in wiped host memory for as long as the `Vault` lives.
#[expect(missing_debug_implementations, reason = "holds clear keys")]
pub struct Vault<K> {
    pub(crate) rows: Arc<dyn VaultStore>,
    pub(crate) keys: Rc<K>,
    pub(crate) header: RefCell<Rc<Header>>,
    /// Version of each tenant's newest data key, when it was last looked for.
    pub(crate) newest: RefCell<BTreeMap<String, u32>>,
    /// By tenant and version.
    pub(crate) data_keys: RefCell<BTreeMap<(String, u32), Rc<DataKey>>>,
    pub(crate) nonces: RefCell<BTreeMap<(String, u32), Range<u64>>>,
    pub(crate) limit: RateLimit,
    /// How long the name of a request is remembered.
    pub(crate) remembered: Duration,
    pub(crate) now: fn() -> u64,
}

impl<K: KeyStore> Vault<K> {
    /// With another limit than 600 requests a minute and caller.
    #[must_use]
    pub fn with_rate_limit(self, limit: RateLimit) -> Self {
        Self { limit, ..self }
    }

    /// With named requests remembered for so long, in place of 24 hours.
    #[must_use]
    pub fn with_requests_remembered(self, time: Duration) -> Self {
        Self { remembered: time, ..self }
    }

    /// With another clock, in Unix seconds.
    #[must_use]
    pub fn with_clock(self, now: fn() -> u64) -> Self {
        Self { now, ..self }
    }

    /// The card of a token, for a purpose that the policy permits. It is recorded before it is handed out, as is
    /// each refusal but that for asking too often.
    ///
    /// # Errors
    /// [`VaultError::Unknown`] for a token that is not there, not this merchant's, used or ended;
    /// [`VaultError::Purpose`], [`VaultError::RateLimited`], [`VaultError::Corrupted`], [`VaultError::Name`],
    /// [`VaultError::Key`], [`VaultError::Store`].
    pub fn detokenize(
        &self,
        caller: &str,
        policy: &Policy,
        purpose: Purpose,
        token: &str,
    ) -> Result<CardOnFile, VaultError> {
        observe::detokenized(|| self.lead_back(caller, policy, purpose, token))
    }

    fn lead_back(
        &self,
        caller: &str,
        policy: &Policy,
        purpose: Purpose,
        token: &str,
    ) -> Result<CardOnFile, VaultError> {
        name(caller)?;
        let (tenant, time) = (policy.merchant().as_str(), (self.now)());
        let row = observe::stored("by-token", || self.rows.by_token(tenant, token))?;
        let opened = match &row {
            Some(row) if row.ends.is_none_or(|ends| ends > time) => Some(self.open_row(row)?),
            _ => None,
        };
        let (outcome, card) = match (&row, opened) {
            _ if !policy.permits(purpose) => (Outcome::Purpose, None),
            (None, _) | (_, Some(Opened::Gone)) => (Outcome::Unknown, None),
            (_, None) => (Outcome::Ended, None),
            (_, Some(Opened::Corrupted)) => (Outcome::Corrupted, None),
            (_, Some(Opened::Card(card))) => (Outcome::Granted, Some(card)),
        };
        let asked = Asked { caller, tenant, row: row.as_ref().map(|row| row.id), purpose, time, outcome };
        match (observe::stored("release", || self.rows.release(&asked, self.limit))?, card, asked.row) {
            (Released::Recorded(Outcome::Granted), Some(card), _) => Ok(card),
            (Released::RateLimited, ..) => Err(VaultError::RateLimited),
            (Released::Recorded(Outcome::Purpose), ..) => Err(VaultError::Purpose),
            (Released::Recorded(Outcome::Corrupted), _, Some(id)) => Err(VaultError::Corrupted(id)),
            _ => Err(VaultError::Unknown),
        }
    }

    /// All tokens that a merchant has for a card number, with any expiry date and under any policy version, ended and used ones
    /// too.
    ///
    /// # Errors
    /// [`VaultError::Key`], [`VaultError::Store`].
    pub fn tokens_of(&self, merchant: &MerchantId, pan: &Pan) -> Result<Vec<String>, VaultError> {
        let (tenant, header) = (merchant.as_str(), self.reload()?);
        let prints = header.fingerprint_keys.iter().map(|key| {
            let of_key = prints(&*self.keys, &key.key, tenant, [Card::from(pan)].into_iter())?;
            Ok(of_key.into_iter().map(|prints| prints.pan))
        });
        let prints: Vec<[u8; 32]> = prints.collect::<Result<Vec<_>, VaultError>>()?.into_iter().flatten().collect();
        Ok(self.rows.by_pan(tenant, &prints)?.into_iter().map(|row| row.token).collect())
    }

    /// Deletes a token: its row is gone from the file and its log.
    ///
    /// # Errors
    /// [`VaultError::Unknown`], [`VaultError::Store`].
    pub fn delete(&self, merchant: &MerchantId, token: &str) -> Result<(), VaultError> {
        if self.rows.delete(merchant.as_str(), token)? { Ok(()) } else { Err(VaultError::Unknown) }
    }

    /// The card of a row that was read.
    pub(crate) fn open_row(&self, row: &Row) -> Result<Opened, VaultError> {
        let mut row = row.clone();
        loop {
            let key = match self.data_key(&row.tenant, row.key_version) {
                Err(VaultError::Unknown) => None,
                key => Some(key?),
            };
            if let Some(card) = key.and_then(|key| key.open(&row))
                && self.agrees(&row, &card)?
            {
                return Ok(Opened::Card(card));
            }
            // A rotation may have moved the row and removed its key since it was read.
            let moved = |now: &Row| (now.key_version, now.nonce, now.print_version);
            match self.rows.by_token(&row.tenant, &row.token)? {
                None => return Ok(Opened::Gone),
                Some(now) if now.id == row.id && moved(&now) != moved(&row) => row = now,
                Some(_) => return Ok(Opened::Corrupted),
            }
        }
    }

    /// Whether a row's fingerprints are those of its card.
    fn agrees(&self, row: &Row, card: &CardOnFile) -> Result<bool, VaultError> {
        let find = |header: Rc<Header>| {
            header.fingerprint_keys.iter().find(|key| key.version == row.print_version).map(|key| key.key.clone())
        };
        // A rotation may have added the key since this vault was opened, or removed it since the row was read.
        let known = find(self.header());
        let Some(key) = known.map_or_else(|| self.reload().map(find), |key| Ok(Some(key)))? else { return Ok(false) };
        let found = prints(&*self.keys, &key, &row.tenant, [Card::from(card)].into_iter())?;
        let same = |found: &crate::fingerprint::Prints| {
            bool::from(found.card.ct_eq(&row.fingerprint) & found.pan.ct_eq(&row.pan_fingerprint))
        };
        Ok(found.first().is_some_and(same))
    }
}

/// What became of a row on its way out.
pub(crate) enum Opened {
    Card(CardOnFile),
    /// Not as it was stored.
    Corrupted,
    /// Deleted since it was read.
    Gone,
}
