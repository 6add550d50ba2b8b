//! Cards in, tokens out.

use dukpt::KeyStore;
use getrandom::{SysRng, rand_core::TryRng};
use p2pe_crypto::{Pan, Policy, TokenError, TokenForm, Uses, VaultToken};

use crate::{
    Card, New, Put, Request, Row, RowId, Shard, Vault, VaultError,
    fingerprint::{Prints, prints},
    observe,
};

/// How often a token is drawn that turns out to be another card's; and for each shard, until one leads to the right one.
const DRAWS: usize = 64;

pub(crate) type Answer = Result<String, VaultError>;

impl<K: KeyStore> Vault<K> {
    /// The token of a card. Under a multi-use policy it is the same for the same card, whoever asks at the same time. A
    /// `request` makes it the same for a request that is sent again within a day, under a single-use policy too.
    ///
    /// # Errors
    /// [`VaultError::Token`] for the card number or a policy of computed tokens; [`VaultError::Expiry`],
    /// [`VaultError::RequestReused`], [`VaultError::PolicyReplaced`], [`VaultError::Name`], [`VaultError::KeySpent`],
    /// [`VaultError::Key`], [`VaultError::Store`].
    pub fn tokenize<'a>(&self, policy: &Policy, card: impl Into<Card<'a>>, request: Option<&str>) -> Answer {
        let request = request.map(|name| self.request(name)).transpose()?;
        observe::tokenized(|| self.issue(policy, &[card.into()], request))?.pop().unwrap_or(Err(VaultError::Unknown))
    }

    /// A request that is made now.
    pub(crate) fn request(&self, named: &str) -> Result<Request, VaultError> {
        name(named)?;
        Ok(Request { name: named.into(), ends: (self.now)().saturating_add(self.remembered.as_secs()) })
    }

    /// The tokens of many cards, in one transaction: each result as if it were alone.
    ///
    /// # Errors
    /// As of [`Vault::tokenize`], where one failure is that of all; then nothing is stored.
    pub fn tokenize_batch<'a, C: Copy + Into<Card<'a>>>(
        &self,
        policy: &Policy,
        cards: &[C],
    ) -> Result<Vec<Answer>, VaultError> {
        let cards: Vec<_> = cards.iter().map(|card| (*card).into()).collect();
        observe::tokenized(|| self.issue(policy, &cards, None))
    }

    pub(crate) fn issue(
        &self,
        policy: &Policy,
        cards: &[Card<'_>],
        request: Option<Request>,
    ) -> Result<Vec<Answer>, VaultError> {
        let (tenant, now) = (policy.merchant().as_str(), (self.now)());
        let mut tokens: Vec<Option<Answer>> = cards.iter().map(|card| admitted(policy, *card).err().map(Err)).collect();
        // A card alone is mostly known. Of many, most are new: those that are not are found when they are to be stored.
        let look = policy.uses() == Uses::Multi && request.is_none() && cards.len() == 1;
        for _ in 0..DRAWS {
            let mut open = Open { places: places(&tokens), prints: Vec::new() };
            if open.places.is_empty() {
                break;
            }
            self.fingerprint(tenant, cards, &mut open)?;
            if look {
                self.find(policy, &open, &mut tokens, now)?;
            }
            let (places, rows) = self.rows(policy, cards, open, &mut tokens, &request)?;
            if rows.is_empty() {
                continue;
            }
            let drawn: Vec<String> = rows.iter().map(|new| new.row.token.clone()).collect();
            for ((at, put), token) in
                places.into_iter().zip(observe::stored("put", || self.rows.put(rows, now))?).zip(drawn)
            {
                tokens[at] = match put {
                    Put::Stored => Some(Ok(token)),
                    Put::Has(token) => Some(Ok(token)),
                    Put::RequestReused => Some(Err(VaultError::RequestReused)),
                    Put::PolicyReplaced => Some(Err(VaultError::PolicyReplaced)),
                    Put::TokenTaken => None,
                    Put::OldKey => {
                        self.reload()?;
                        self.forget_newest(tenant);
                        None
                    }
                };
            }
        }
        Ok(tokens.into_iter().map(|token| token.unwrap_or(Err(TokenError::Exhausted.into()))).collect())
    }

    /// The fingerprints of the open cards, under each key of the header, the newest first.
    fn fingerprint(&self, tenant: &str, cards: &[Card<'_>], open: &mut Open) -> Result<(), VaultError> {
        for key in self.header().fingerprint_keys.iter().rev() {
            let cards = open.places.iter().map(|at| cards[*at]);
            open.prints.push((key.version, prints(&*self.keys, &key.key, tenant, cards)?));
        }
        Ok(())
    }

    /// Takes the tokens that are there already. A row that moves to the newest fingerprint key between two looks is found when
    /// its card is to be stored.
    fn find(&self, policy: &Policy, open: &Open, tokens: &mut [Option<Answer>], now: u64) -> Result<(), VaultError> {
        for (_, prints) in &open.prints {
            for (at, print) in
                open.places.iter().zip(prints).filter(|(at, _)| tokens[**at].is_none()).collect::<Vec<_>>()
            {
                let (tenant, version) = (policy.merchant().as_str(), policy.version());
                let found = observe::stored("find", || self.rows.find(tenant, version, &[print.card], now))?;
                tokens[*at] = found.into_iter().flatten().next().map(Ok);
            }
        }
        Ok(())
    }

    /// A row for each card that has no answer yet, and its place.
    fn rows(
        &self,
        policy: &Policy,
        cards: &[Card<'_>],
        open: Open,
        tokens: &mut [Option<Answer>],
        request: &Option<Request>,
    ) -> Result<(Vec<usize>, Vec<New>), VaultError> {
        let tenant = policy.merchant().as_str();
        let (mut places, mut rows) = (Vec::new(), Vec::new());
        let Some(((print_version, newest), earlier)) = open.prints.split_first() else { return Ok((places, rows)) };
        let missing: Vec<usize> = (0..open.places.len()).filter(|i| tokens[open.places[*i]].is_none()).collect();
        if missing.is_empty() {
            return Ok((places, rows));
        }
        let ((version, key), header, mut random) = (self.newest_key(tenant)?, self.header(), Random::default());
        let count = missing.len();
        for i in missing {
            let at = &open.places[i];
            let token = match draw(policy, cards[*at].pan, header.shard.as_ref(), &mut random) {
                Ok(token) => token,
                Err(error) => {
                    tokens[*at] = Some(Err(error.into()));
                    continue;
                }
            };
            let Some(nonce) = self.nonce(tenant, version, count - rows.len())? else {
                // A rotation has removed the key: again with its successor.
                self.forget_newest(tenant);
                break;
            };
            let mut row = Row {
                id: RowId(random.bytes()?),
                tenant: tenant.into(),
                policy: policy.version(),
                token,
                print_version: *print_version,
                fingerprint: newest[i].card,
                pan_fingerprint: newest[i].pan,
                key_version: version,
                nonce,
                sealed: Vec::new(),
                ends: policy.lifetime().map(|time| (self.now)().saturating_add(time.as_secs())),
                single_use: policy.uses() == Uses::Single,
                used: false,
                successor: None,
            };
            row.sealed = key.seal(&row, cards[*at]).ok_or(VaultError::KeySpent)?;
            let earlier = earlier.iter().map(|(_, prints)| prints[i].card).collect();
            places.push(*at);
            rows.push(New { row, earlier, request: request.clone() });
        }
        Ok((places, rows))
    }
}

/// Cards without an answer yet.
struct Open {
    /// Where they stand.
    places: Vec<usize>,
    /// By version of the fingerprint key, the newest first.
    prints: Vec<(u32, Vec<Prints>)>,
}

fn places(tokens: &[Option<Answer>]) -> Vec<usize> {
    (0..tokens.len()).filter(|at| tokens[*at].is_none()).collect()
}

/// Whether a policy has tokens for this card at all.
pub(crate) fn admitted(policy: &Policy, card: Card<'_>) -> Result<(), VaultError> {
    policy.admits(card.pan)?;
    if card.expiry.is_some() == policy.has_expiry() { Ok(()) } else { Err(VaultError::Expiry) }
}

/// A random token; in a set of vaults, one that leads to the shard in which its card is.
fn draw(policy: &Policy, pan: &Pan, shard: Option<&Shard>, random: &mut Random) -> Result<String, TokenError> {
    let draws = shard.map_or(1, |shard| DRAWS.saturating_mul(shard.of as usize));
    for _ in 0..draws {
        let token = match policy.form() {
            TokenForm::Vault => VaultToken::from_bytes(random.bytes()?).to_string(),
            TokenForm::CardShaped(shape) => shape.draw(pan, &mut SysRng)?.to_string(),
            TokenForm::FormatPreserving(_) | TokenForm::Keyed => return Err(TokenError::Form),
        };
        if shard.is_none_or(|shard| shard.has_token(policy.merchant().as_str(), &token)) {
            return Ok(token);
        }
    }
    Err(TokenError::Exhausted)
}

/// The system's random bytes, fetched for many tokens at once.
#[derive(Default)]
struct Random {
    bytes: Vec<[u8; 16]>,
}

impl Random {
    fn bytes(&mut self) -> Result<[u8; 16], TokenError> {
        if let Some(bytes) = self.bytes.pop() {
            return Ok(bytes);
        }
        let mut fresh = [[0; 16]; 16];
        SysRng.try_fill_bytes(fresh.as_flattened_mut()).map_err(|_| TokenError::Random)?;
        let [first, others @ ..] = fresh;
        self.bytes.extend(others);
        Ok(first)
    }
}

/// Of a caller or a request.
pub(crate) fn name(name: &str) -> Result<(), VaultError> {
    let right = (1..=64).contains(&name.len()) && !name.chars().any(char::is_control);
    if right { Ok(()) } else { Err(VaultError::Name) }
}
