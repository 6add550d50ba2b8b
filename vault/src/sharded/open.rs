//! Making a set and opening it: each shard once, all of one set, in any order.

use std::{cell::OnceCell, cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use dukpt::{KeyId, KeyStore};
use getrandom::{SysRng, rand_core::TryRng};
use p2pe_crypto::TokenError;
use subtle::ConstantTimeEq;

use super::{ShardedVault, place};
use crate::{
    FingerprintKey, Header, KeyNames, RateLimit, Shard, StoreError, Vault, VaultError, VaultStore,
    fingerprint::check,
    open::{clock, new_key},
};

/// A token is drawn so often on average: of more shards, each draw would cost too much.
const MOST: u32 = 256;

const COUNT: VaultError = VaultError::NoSet("it has 2 to 256 databases");
const MISSING: VaultError = VaultError::NoSet("some are missing, or there are too many");
const ALONE: VaultError = VaultError::NoSet("one is a vault that stands alone");
const TWICE: VaultError = VaultError::NoSet("one is named twice");
const OTHER: VaultError = VaultError::NoSet("one belongs to another set");

impl<K: KeyStore> ShardedVault<K> {
    /// Makes a set in empty databases, with keys of kinds `hmac`, `wrap` and, for the routing key, `hmac`. Interrupted, it is
    /// called again. How many shards there are, and the routing key, stay for ever.
    ///
    /// # Errors
    /// [`VaultError::AlreadyInitialised`] if there is nothing to make, or one of them is another vault;
    /// [`VaultError::NoSet`], [`VaultError::Key`], [`VaultError::Store`].
    pub fn init(
        stores: Vec<Arc<dyn VaultStore>>,
        keys: K,
        names: KeyNames,
        routing: KeyId,
    ) -> Result<Self, VaultError> {
        let of = u32::try_from(stores.len()).ok().filter(|of| (2..=MOST).contains(of)).ok_or(COUNT)?;
        let mut headers = stores.iter().map(|rows| rows.header()).collect::<Result<Vec<_>, _>>()?;
        let shards = || headers.iter().flatten().filter_map(|header| header.shard.as_ref());
        if headers.iter().any(Option::is_none) && shards().any(|shard| (shard.of, &shard.routing_key) != (of, &routing))
        {
            return Err(OTHER);
        }
        if headers.iter().all(Option::is_some) || headers.iter().flatten().any(|header| header.shard.is_none()) {
            return Err(VaultError::AlreadyInitialised);
        }
        let make = |rows: &Arc<dyn VaultStore>, set, number| -> Result<Option<Header>, VaultError> {
            let (key, wrapping_key) = (names.fingerprint.clone(), names.wrapping.clone());
            let print = FingerprintKey { version: 1, check: check(&keys, &key)?, key };
            let check = place::check(&keys, &routing, &set, number, of)?;
            let shard = Shard { set, number, of, routing_key: routing.clone(), check };
            let wrapped_check = new_key(&keys, &wrapping_key)?.1;
            let (fingerprint_keys, shard) = (vec![print], Some(shard));
            // `false`: somebody else makes the same set at this moment. Whether it is the same is seen when it is opened.
            rows.initialise(&Header { fingerprint_keys, wrapping_key, wrapped_check, shard })?;
            Ok(rows.header()?)
        };
        // What the first one is decides on the others.
        let known = |headers: &[Option<Header>]| headers.iter().flatten().find_map(|header| header.shard.clone());
        if known(&headers).is_none() {
            let mut set = [0; 16];
            SysRng.try_fill_bytes(&mut set).map_err(|_| TokenError::Random)?;
            headers[0] = make(&stores[0], set, 1)?;
        }
        let set = known(&headers).ok_or(VaultError::AlreadyInitialised)?.set;
        let taken = |headers: &[Option<Header>], number| {
            headers.iter().flatten().filter_map(|header| header.shard.as_ref()).any(|shard| shard.number == number)
        };
        for at in 0..stores.len() {
            if headers[at].is_none() {
                let number = (1..=of).find(|number| !taken(&headers, *number)).ok_or(MISSING)?;
                headers[at] = make(&stores[at], set, number)?;
            }
        }
        Self::open(stores, keys)
    }

    /// Opens a set, its databases in any order; or a vault that stands alone. A database that does not answer
    /// ([`StoreError::Unavailable`]) is opened when it is needed: until then, its cards and tokens have this error.
    ///
    /// # Errors
    /// [`VaultError::NoSet`], [`VaultError::NotInitialised`]; [`VaultError::WrongKey`] for the routing key too;
    /// [`VaultError::Key`], [`VaultError::Store`]. For a database that did not answer, the call that needs it has them.
    pub fn open(stores: Vec<Arc<dyn VaultStore>>, keys: K) -> Result<Self, VaultError> {
        let this = Self {
            keys: Rc::new(keys),
            shards: stores.iter().map(|_| OnceCell::new()).collect(),
            set: OnceCell::new(),
            waiting: RefCell::default(),
            limit: RateLimit(600),
            remembered: Duration::from_secs(24 * 60 * 60),
            now: clock,
        };
        let mut absent = None;
        for rows in stores {
            match this.take(&rows) {
                Err(error @ VaultError::Store(StoreError::Unavailable(_))) => {
                    absent = Some(error);
                    this.waiting.borrow_mut().push(rows);
                }
                taken => taken?,
            }
        }
        match absent {
            _ if this.shards.is_empty() => Err(MISSING),
            Some(error) if this.shards.iter().all(|shard| shard.get().is_none()) => Err(error),
            _ => Ok(this),
        }
    }

    /// Opens one database and puts it in its place.
    pub(super) fn take(&self, rows: &Arc<dyn VaultStore>) -> Result<(), VaultError> {
        let header = rows.header()?.ok_or(VaultError::NotInitialised)?;
        let number = match &header.shard {
            None if self.shards.len() == 1 => 1,
            None => return Err(ALONE),
            Some(shard) => {
                let Shard { set, number, of, routing_key, check } = shard;
                let right = place::check(&*self.keys, routing_key, set, *number, *of)?;
                if !bool::from(right.ct_eq(check)) {
                    return Err(VaultError::WrongKey(routing_key.clone()));
                }
                let known = self.set.get_or_init(|| shard.clone());
                if (known.set, &known.routing_key) != (*set, routing_key) {
                    return Err(OTHER);
                }
                if *of as usize != self.shards.len() {
                    return Err(MISSING);
                }
                *number
            }
        };
        let vault = Vault::with_header(Arc::clone(rows), Rc::clone(&self.keys), header)?;
        let place = self.shards.get((number as usize).wrapping_sub(1)).ok_or(MISSING)?;
        place.set(self.set_up(number, vault)).map_err(|_| TWICE)
    }
}
