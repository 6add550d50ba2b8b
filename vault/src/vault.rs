//! Card numbers in, tokens out, and back.

use std::{cell::RefCell, collections::BTreeMap, ops::Range, rc::Rc, sync::Arc};

use dukpt::{Key, KeyId, KeyStore};
use getrandom::{SysRng, rand_core::TryRng};
use p2pe_crypto::{MerchantId, Pan, Policy, Purpose, TokenError, TokenForm, Uses, VaultToken};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{
    Asked, Header, Outcome, Put, RateLimit, Released, Row, RowId, StoredKey, VaultError, VaultStore,
    open::{new_key, unwrap},
    seal::DataKey,
};

/// How often a token is drawn that turns out to be another card number's.
const DRAWS: usize = 64;
/// So many nonces are set aside at once.
const NONCES: u64 = 256;

/// The keys of a new vault, by their names in the key store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyNames {
    /// An HMAC key: of the fingerprints by which a card number is found again.
    pub fingerprint: KeyId,
    /// A wrapping key: of the tenants' data keys.
    pub wrapping: KeyId,
}

/// A vault, as one thread uses it. Each thread opens its own over the same database.
///
/// A data key is unwrapped once and kept in wiped host memory for as long as the `Vault` lives.
#[expect(missing_debug_implementations, reason = "holds clear keys")]
pub struct Vault<K> {
    pub(crate) rows: Arc<dyn VaultStore>,
    pub(crate) keys: K,
    pub(crate) header: RefCell<Header>,
    /// By tenant and version.
    pub(crate) data_keys: RefCell<BTreeMap<(String, u32), Rc<DataKey>>>,
    pub(crate) nonces: RefCell<BTreeMap<(String, u32), Range<u64>>>,
    pub(crate) limit: RateLimit,
    pub(crate) now: fn() -> u64,
}

impl<K: KeyStore> Vault<K> {
    /// With another limit than 600 requests a minute and caller.
    #[must_use]
    pub fn with_rate_limit(self, limit: RateLimit) -> Self {
        Self { limit, ..self }
    }

    /// With another clock, in Unix seconds.
    #[must_use]
    pub fn with_clock(self, now: fn() -> u64) -> Self {
        Self { now, ..self }
    }

    /// The token of a card number. Under a multi-use policy it is the same for the same number, whoever asks at the same
    /// time. A `request` makes it the same for a request that is sent again, under a single-use policy too.
    ///
    /// # Errors
    /// [`VaultError::Token`] for the card number or a policy of computed tokens; [`VaultError::RequestReused`],
    /// [`VaultError::Name`], [`VaultError::KeySpent`], [`VaultError::Key`], [`VaultError::Store`].
    pub fn tokenize(&self, policy: &Policy, pan: &Pan, request: Option<&str>) -> Result<String, VaultError> {
        request.map(name).transpose()?;
        self.issue(policy, &[pan], request)?.pop().unwrap_or(Err(VaultError::Unknown))
    }

    /// The tokens of many card numbers, in one transaction: each result as if it were alone.
    ///
    /// # Errors
    /// As of [`Vault::tokenize`], where one failure is that of all; then nothing is stored.
    pub fn tokenize_batch(
        &self,
        policy: &Policy,
        pans: &[&Pan],
    ) -> Result<Vec<Result<String, VaultError>>, VaultError> {
        self.issue(policy, pans, None)
    }

    fn issue(
        &self,
        policy: &Policy,
        pans: &[&Pan],
        request: Option<&str>,
    ) -> Result<Vec<Result<String, VaultError>>, VaultError> {
        let (tenant, now) = (policy.merchant().as_str(), (self.now)());
        let prints = pans.iter().map(|pan| self.fingerprint(tenant, pan)).collect::<Result<Vec<_>, _>>()?;
        let mut tokens: Vec<Option<Result<String, VaultError>>> = match policy.uses() {
            Uses::Multi => {
                self.rows.find(tenant, policy.version(), &prints, now)?.into_iter().map(|t| t.map(Ok)).collect()
            }
            Uses::Single => pans.iter().map(|_| None).collect(),
        };
        for _ in 0..DRAWS {
            let open: Vec<usize> = (0..pans.len()).filter(|at| tokens[*at].is_none()).collect();
            if open.is_empty() {
                break;
            }
            let (version, key) = self.newest_key(tenant)?;
            let mut rows = Vec::with_capacity(open.len());
            for at in open {
                match draw(policy, pans[at]) {
                    Ok(token) => {
                        // A rotation has removed the key: again with its successor.
                        let Some(nonce) = self.nonce(tenant, version)? else { break };
                        let mut row = Row {
                            id: RowId(random()?),
                            tenant: tenant.into(),
                            policy: policy.version(),
                            token,
                            fingerprint: prints[at],
                            key_version: version,
                            nonce,
                            sealed: Vec::new(),
                            ends: policy.lifetime().map(|time| now.saturating_add(time.as_secs())),
                            single_use: policy.uses() == Uses::Single,
                            used: false,
                            request: request.map(Into::into),
                        };
                        row.sealed = key.seal(&row, pans[at]).ok_or(VaultError::KeySpent)?;
                        rows.push((at, row));
                    }
                    Err(error) => tokens[at] = Some(Err(error.into())),
                }
            }
            let (places, rows): (Vec<usize>, Vec<Row>) = rows.into_iter().unzip();
            for ((at, put), row) in places.into_iter().zip(self.rows.put(&rows, now)?).zip(rows) {
                tokens[at] = match put {
                    Put::Stored => Some(Ok(row.token)),
                    Put::Has(token) => Some(Ok(token)),
                    Put::RequestReused => Some(Err(VaultError::RequestReused)),
                    Put::TokenTaken | Put::OldKey => None,
                };
            }
        }
        Ok(tokens.into_iter().map(|token| token.unwrap_or(Err(TokenError::Exhausted.into()))).collect())
    }

    /// The card number of a token, for a purpose that the policy permits. It is recorded before it is handed out, as is
    /// each refusal but that for asking too often.
    ///
    /// # Errors
    /// [`VaultError::Unknown`] for a token that is not there, not this merchant's, used or ended;
    /// [`VaultError::Purpose`], [`VaultError::RateLimited`], [`VaultError::Corrupted`], [`VaultError::Name`],
    /// [`VaultError::Key`], [`VaultError::Store`].
    pub fn detokenize(&self, caller: &str, policy: &Policy, purpose: Purpose, token: &str) -> Result<Pan, VaultError> {
        name(caller)?;
        let (tenant, time) = (policy.merchant().as_str(), (self.now)());
        let row = self.rows.by_token(tenant, token)?;
        let opened = match &row {
            Some(row) if row.ends.is_none_or(|ends| ends > time) => Some(self.open_row(row)?),
            _ => None,
        };
        let (outcome, pan) = match (&row, opened) {
            _ if !policy.permits(purpose) => (Outcome::Purpose, None),
            (None, _) | (_, Some(Opened::Gone)) => (Outcome::Unknown, None),
            (_, None) => (Outcome::Ended, None),
            (_, Some(Opened::Corrupted)) => (Outcome::Corrupted, None),
            (_, Some(Opened::Pan(pan))) => (Outcome::Granted, Some(pan)),
        };
        let asked = Asked { caller, tenant, row: row.as_ref().map(|row| row.id), purpose, time, outcome };
        match (self.rows.release(&asked, self.limit)?, pan, asked.row) {
            (Released::Recorded(Outcome::Granted), Some(pan), _) => Ok(pan),
            (Released::RateLimited, ..) => Err(VaultError::RateLimited),
            (Released::Recorded(Outcome::Purpose), ..) => Err(VaultError::Purpose),
            (Released::Recorded(Outcome::Corrupted), _, Some(id)) => Err(VaultError::Corrupted(id)),
            _ => Err(VaultError::Unknown),
        }
    }

    /// Deletes a token: its row is gone from the file and its log.
    ///
    /// # Errors
    /// [`VaultError::Unknown`], [`VaultError::Store`].
    pub fn delete(&self, merchant: &MerchantId, token: &str) -> Result<(), VaultError> {
        if self.rows.delete(merchant.as_str(), token)? { Ok(()) } else { Err(VaultError::Unknown) }
    }

    /// Deletes all of a merchant's tokens and its data keys: what is left in backups, nobody can decrypt but with a backup
    /// of the keys. Returns how many tokens.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub fn shred(&self, merchant: &MerchantId) -> Result<u64, VaultError> {
        let tenant = merchant.as_str();
        self.data_keys.borrow_mut().retain(|(owner, _), _| owner != tenant);
        self.nonces.borrow_mut().retain(|(owner, _), _| owner != tenant);
        Ok(self.rows.shred(tenant)?)
    }

    /// The card number of a row that was read.
    pub(crate) fn open_row(&self, row: &Row) -> Result<Opened, VaultError> {
        let mut row = row.clone();
        loop {
            let key = match self.data_key(&row.tenant, row.key_version) {
                Err(VaultError::Unknown) => None,
                key => Some(key?),
            };
            if let Some(pan) = key.and_then(|key| key.open(&row))
                && bool::from(self.fingerprint(&row.tenant, &pan)?.ct_eq(&row.fingerprint))
            {
                return Ok(Opened::Pan(pan));
            }
            // A rotation may have moved the row and removed its key since it was read.
            match self.rows.by_token(&row.tenant, &row.token)? {
                None => return Ok(Opened::Gone),
                Some(now) if now.id == row.id && now.key_version != row.key_version => row = now,
                Some(_) => return Ok(Opened::Corrupted),
            }
        }
    }

    /// HMAC-SHA-256 of `p2pe vault fingerprint v1` ‖ `00` ‖ length of the tenant (8, big endian) ‖ tenant ‖ digits.
    fn fingerprint(&self, tenant: &str, pan: &Pan) -> Result<[u8; 32], VaultError> {
        const DOMAIN: &[u8] = b"p2pe vault fingerprint v1\0";
        let mut message = Zeroizing::new(Vec::with_capacity(DOMAIN.len() + 8 + tenant.len() + 19));
        for part in [DOMAIN, &(tenant.len() as u64).to_be_bytes(), tenant.as_bytes(), pan.expose().as_bytes()] {
            message.extend_from_slice(part);
        }
        let name = self.header.borrow().fingerprint_key.clone();
        Ok(self.keys.key(&name)?.hmac_sha256(&message)?)
    }

    /// A tenant's newest data key; the first token makes the first one.
    pub(crate) fn newest_key(&self, tenant: &str) -> Result<(u32, Rc<DataKey>), VaultError> {
        if self.rows.key(tenant, None)?.is_none() {
            self.add_key(tenant, 1)?;
        }
        let stored = self.rows.key(tenant, None)?.ok_or(VaultError::Unknown)?;
        Ok((stored.version, self.unwrapped(tenant, &stored)?))
    }

    /// Adds a tenant's data key of this version, unless another caller was faster.
    pub(crate) fn add_key(&self, tenant: &str, version: u32) -> Result<(), VaultError> {
        // The wrapping key may have been changed since this vault was opened.
        *self.header.borrow_mut() = self.rows.header()?.ok_or(VaultError::NotInitialised)?;
        let wrapped_by = self.header.borrow().wrapping_key.clone();
        let (_, wrapped) = new_key(&self.keys, &wrapped_by)?;
        self.rows.add_key(tenant, &StoredKey { version, wrapped_by, wrapped })?;
        Ok(())
    }

    /// # Errors
    /// [`VaultError::Unknown`] if there is none of this version.
    fn data_key(&self, tenant: &str, version: u32) -> Result<Rc<DataKey>, VaultError> {
        if let Some(key) = self.data_keys.borrow().get(&(tenant.into(), version)) {
            return Ok(Rc::clone(key));
        }
        let stored = self.rows.key(tenant, Some(version))?.ok_or(VaultError::Unknown)?;
        self.unwrapped(tenant, &stored)
    }

    fn unwrapped(&self, tenant: &str, stored: &StoredKey) -> Result<Rc<DataKey>, VaultError> {
        let place = (tenant.to_owned(), stored.version);
        if let Some(key) = self.data_keys.borrow().get(&place) {
            return Ok(Rc::clone(key));
        }
        let key = Rc::new(DataKey::new(&*unwrap(&self.keys, &stored.wrapped_by, &stored.wrapped)?));
        self.data_keys.borrow_mut().insert(place, Rc::clone(&key));
        Ok(key)
    }

    /// A nonce that no process has had for this key, and none will; `None` if the key is no more.
    pub(crate) fn nonce(&self, tenant: &str, version: u32) -> Result<Option<u64>, VaultError> {
        let mut all = self.nonces.borrow_mut();
        let own = all.entry((tenant.into(), version)).or_insert(0..0);
        if own.is_empty() {
            *own = match self.rows.reserve_nonces(tenant, version, NONCES)? {
                Some(first) => first..first + NONCES,
                None if self.rows.key(tenant, Some(version))?.is_some() => return Err(VaultError::KeySpent),
                None => return Ok(None),
            };
        }
        Ok(own.next())
    }
}

/// What became of a row on its way out.
pub(crate) enum Opened {
    Pan(Pan),
    /// Not as it was stored.
    Corrupted,
    /// Deleted since it was read.
    Gone,
}

fn draw(policy: &Policy, pan: &Pan) -> Result<String, TokenError> {
    match policy.form() {
        TokenForm::Vault => Ok(VaultToken::draw(&mut SysRng)?.to_string()),
        TokenForm::CardShaped(shape) => Ok(shape.draw(pan, &mut SysRng)?.to_string()),
        TokenForm::FormatPreserving(_) | TokenForm::Keyed => Err(TokenError::Form),
    }
}

fn random<const N: usize>() -> Result<[u8; N], TokenError> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).map_err(|_| TokenError::Random)?;
    Ok(bytes)
}

fn name(name: &str) -> Result<(), VaultError> {
    let right = (1..=64).contains(&name.len()) && !name.chars().any(char::is_control);
    if right { Ok(()) } else { Err(VaultError::Name) }
}
