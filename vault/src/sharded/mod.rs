//! One vault over several databases: each is a whole vault, and has its part of the cards.

mod open;
pub(crate) mod place;
mod upkeep;

use std::{
    cell::{OnceCell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use dukpt::KeyStore;
use p2pe_crypto::{MerchantId, Pan, Policy, Purpose};

use crate::{
    Card, CardOnFile, Claim, RateLimit, Request, Shard, Vault, VaultError, VaultStore,
    issue::{Answer, admitted},
    observe,
};

/// A set of vaults that answers as one, as one thread uses it. Each shard has a database of its own, and all that belongs to its
/// cards: tokens, data keys, audit. A vault that stands alone is a set of one.
///
/// A call for one card or token goes to one shard; one for many is asked of the shards in turn.
#[expect(missing_debug_implementations, reason = "holds clear keys")]
pub struct ShardedVault<K> {
    keys: Rc<K>,
    /// By number, those that were opened.
    shards: Vec<OnceCell<Vault<K>>>,
    /// What all have in common; none if one stands alone.
    set: OnceCell<Shard>,
    /// Databases that have not answered yet.
    waiting: RefCell<Vec<Arc<dyn VaultStore>>>,
    limit: RateLimit,
    remembered: Duration,
    now: fn() -> u64,
}

impl<K: KeyStore> ShardedVault<K> {
    /// With another limit than 600 requests a minute and caller. It is divided: each shard grants its part, so that all together
    /// never grant more; but one, if there are more shards than that. `u32::MAX` is none.
    #[must_use]
    pub fn with_rate_limit(self, limit: RateLimit) -> Self {
        Self { limit, ..self }.set_up_all()
    }

    /// With named requests remembered for so long, in place of 24 hours.
    #[must_use]
    pub fn with_requests_remembered(self, time: Duration) -> Self {
        Self { remembered: time, ..self }.set_up_all()
    }

    /// With another clock, in Unix seconds.
    #[must_use]
    pub fn with_clock(self, now: fn() -> u64) -> Self {
        Self { now, ..self }.set_up_all()
    }

    /// As [`Vault::tokenize`]. The name of a request is bound to the card's shard first, in a shard that is found by the name:
    /// both have to answer. A card of another shard is [`VaultError::RequestReused`] until the time of the name has ended,
    /// whatever became of the token.
    ///
    /// # Errors
    /// As of [`Vault::tokenize`]; of a shard that does not answer, [`VaultError::Store`].
    pub fn tokenize<'a>(&self, policy: &Policy, card: impl Into<Card<'a>>, request: Option<&str>) -> Answer {
        let card = card.into();
        observe::tokenized(|| self.issue(policy, card, request).map(|answer| vec![Ok(answer)]))?
            .pop()
            .unwrap_or(Err(VaultError::Unknown))
    }

    fn issue(&self, policy: &Policy, card: Card<'_>, request: Option<&str>) -> Answer {
        admitted(policy, card)?;
        let tenant = policy.merchant().as_str();
        let number = self.of_cards(tenant, &[card])?.pop().unwrap_or(1);
        let shard = self.shard(number)?;
        let mut request = request.map(|name| shard.request(name)).transpose()?;
        if let (Some(Request { name, ends }), Some(set)) = (&mut request, self.set.get()) {
            let home = self.shard(place::of_request(set.of, tenant, name))?;
            let claim = Claim { shard: number, ends: *ends };
            let bound = observe::stored("claim", || home.rows.claim(tenant, name, claim, (self.now)()))?;
            if bound.shard != number {
                return Err(VaultError::RequestReused);
            }
            // The request is not remembered for longer than its name is bound.
            *ends = bound.ends;
        }
        shard.issue(policy, &[card], request)?.pop().unwrap_or(Err(VaultError::Unknown))
    }

    /// The tokens of many cards, in one transaction for each shard: each result as if it were alone. Where a shard fails, its cards
    /// have that error and nothing of them is stored; those of other shards have their tokens.
    ///
    /// # Errors
    /// [`VaultError::Key`] of the routing key; others are answers. Of a vault that stands alone, as of [`Vault::tokenize_batch`].
    pub fn tokenize_batch<'a, C: Copy + Into<Card<'a>>>(
        &self,
        policy: &Policy,
        cards: &[C],
    ) -> Result<Vec<Answer>, VaultError> {
        let cards: Vec<Card<'a>> = cards.iter().map(|card| (*card).into()).collect();
        observe::tokenized(|| {
            if self.set.get().is_none() {
                return self.shard(1)?.issue(policy, &cards, None);
            }
            let numbers = self.of_cards(policy.merchant().as_str(), &cards)?;
            let mut answers: Vec<Option<Answer>> = cards.iter().map(|_| None).collect();
            for number in 1..=self.of() {
                let places: Vec<usize> = (0..cards.len()).filter(|at| numbers[*at] == number).collect();
                if places.is_empty() {
                    continue;
                }
                let own: Vec<Card<'_>> = places.iter().map(|at| cards[*at]).collect();
                match self.shard(number).and_then(|shard| shard.issue(policy, &own, None)) {
                    Ok(issued) => places.into_iter().zip(issued).for_each(|(at, answer)| answers[at] = Some(answer)),
                    Err(error) => places.into_iter().for_each(|at| answers[at] = Some(Err(error.clone()))),
                }
            }
            Ok(answers.into_iter().map(|answer| answer.unwrap_or(Err(VaultError::Unknown))).collect())
        })
    }

    /// As [`Vault::detokenize`].
    ///
    /// # Errors
    /// As of [`Vault::detokenize`].
    pub fn detokenize(
        &self,
        caller: &str,
        policy: &Policy,
        purpose: Purpose,
        token: &str,
    ) -> Result<CardOnFile, VaultError> {
        self.of_token(policy.merchant(), token)?.detokenize(caller, policy, purpose, token)
    }

    /// As [`Vault::tokens_of`].
    ///
    /// # Errors
    /// As of [`Vault::tokens_of`].
    pub fn tokens_of(&self, merchant: &MerchantId, pan: &Pan) -> Result<Vec<String>, VaultError> {
        let number = self.of_cards(merchant.as_str(), &[pan.into()])?.pop().unwrap_or(1);
        self.shard(number)?.tokens_of(merchant, pan)
    }

    /// As [`Vault::delete`].
    ///
    /// # Errors
    /// As of [`Vault::delete`].
    pub fn delete(&self, merchant: &MerchantId, token: &str) -> Result<(), VaultError> {
        self.of_token(merchant, token)?.delete(merchant, token)
    }

    /// The shard to which a token leads.
    fn of_token(&self, merchant: &MerchantId, token: &str) -> Result<&Vault<K>, VaultError> {
        self.shard(place::of_token(self.of(), merchant.as_str(), token))
    }

    /// How many shards there are.
    fn of(&self) -> u32 {
        self.set.get().map_or(1, |set| set.of)
    }

    /// The shards of cards, by number.
    fn of_cards(&self, tenant: &str, cards: &[Card<'_>]) -> Result<Vec<u32>, VaultError> {
        let Some(set) = self.set.get() else { return Ok(vec![1; cards.len()]) };
        let pans = cards.iter().map(|card| card.pan);
        Ok(place::of_cards(&*self.keys, &set.routing_key, set.of, tenant, pans)?)
    }

    /// The shard of this number. One that did not answer so far is asked again.
    fn shard(&self, number: u32) -> Result<&Vault<K>, VaultError> {
        let place = self.shards.get((number as usize).wrapping_sub(1)).ok_or(VaultError::Unknown)?;
        let mut failed = None;
        self.waiting
            .borrow_mut()
            .retain(|rows| place.get().is_some() || self.take(rows).map_err(|error| failed = Some(error)).is_err());
        place.get().ok_or_else(|| failed.unwrap_or(VaultError::Unknown))
    }

    fn set_up(&self, number: u32, vault: Vault<K>) -> Vault<K> {
        let (RateLimit(limit), of) = (self.limit, self.of());
        let part = if limit == u32::MAX { limit } else { limit / of + u32::from(number <= limit % of) };
        // A shard that grants nothing would keep its cards for ever.
        let part = part.max(limit.min(1));
        vault.with_rate_limit(RateLimit(part)).with_requests_remembered(self.remembered).with_clock(self.now)
    }

    fn set_up_all(mut self) -> Self {
        let shards = std::mem::take(&mut self.shards);
        let set_up = |(number, place): (u32, OnceCell<Vault<K>>)| match place.into_inner() {
            Some(vault) => OnceCell::from(self.set_up(number, vault)),
            None => OnceCell::new(),
        };
        let shards = (1..).zip(shards).map(set_up).collect();
        self.shards = shards;
        self
    }
}
