//! Which shard has what. A card's is known by a key of the HSM, a token's and a request's to everybody.

use dukpt::{Key, KeyError, KeyId, KeyStore};
use p2pe_crypto::Pan;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{Row, Shard};

impl Shard {
    /// Whether this is the shard to which a token leads.
    pub(crate) fn has_token(&self, tenant: &str, token: &str) -> bool {
        of_token(self.of, tenant, token) == self.number
    }
}

/// The shards of card numbers: HMAC-SHA-256 of `p2pe vault shard of card v1` ‖ `00` ‖ length of the tenant (8, big endian) ‖
/// tenant ‖ digits. The expiry date is not in it: all tokens of a number are in one shard.
pub(crate) fn of_cards<'a>(
    keys: &impl KeyStore,
    key: &KeyId,
    of: u32,
    tenant: &str,
    pans: impl Iterator<Item = &'a Pan>,
) -> Result<Vec<u32>, KeyError> {
    const DOMAIN: &[u8] = b"p2pe vault shard of card v1\0";
    let key = keys.key(key)?;
    let place = |pan: &Pan| {
        let mut message = Zeroizing::new(Vec::with_capacity(DOMAIN.len() + 8 + tenant.len() + 19));
        for part in [DOMAIN, &(tenant.len() as u64).to_be_bytes(), tenant.as_bytes(), pan.expose().as_bytes()] {
            message.extend_from_slice(part);
        }
        Ok(number(&key.hmac_sha256(&message)?, of))
    };
    pans.map(place).collect()
}

/// The shard of a token: SHA-256 of `p2pe vault shard of token v1` ‖ `00` ‖ length of the tenant (8, big endian) ‖ tenant ‖ token.
pub(crate) fn of_token(of: u32, tenant: &str, token: &str) -> u32 {
    hashed(b"p2pe vault shard of token v1\0", of, tenant, token)
}

/// The shard that knows to which shard the name of a request belongs, likewise.
pub(crate) fn of_request(of: u32, tenant: &str, name: &str) -> u32 {
    hashed(b"p2pe vault shard of request v1\0", of, tenant, name)
}

fn hashed(domain: &[u8], of: u32, tenant: &str, text: &str) -> u32 {
    let hash = Sha256::new().chain_update(domain).chain_update((tenant.len() as u64).to_be_bytes());
    number(&hash.chain_update(tenant).chain_update(text).finalize().into(), of)
}

/// 1 to `of`: the first eight bytes, big endian, modulo `of`, and one more.
fn number(hash: &[u8; 32], of: u32) -> u32 {
    let place = hash[..8].iter().fold(0, |rest, byte| (rest * 256 + u64::from(*byte)) % u64::from(of.max(1)));
    // Less than `of`.
    1 + u32::try_from(place).unwrap_or(0)
}

/// Whether a row stands where its token and its card are looked for.
pub(crate) fn is_right(keys: &impl KeyStore, shard: Option<&Shard>, row: &Row, pan: &Pan) -> Result<bool, KeyError> {
    let Some(shard) = shard else { return Ok(true) };
    let of_card = of_cards(keys, &shard.routing_key, shard.of, &row.tenant, [pan].into_iter())?;
    Ok(shard.has_token(&row.tenant, &row.token) && of_card == [shard.number])
}

/// An HMAC by which a routing key is recognised, and that no shard passes for another: of `p2pe vault shard check v1` ‖ `00` ‖
/// set ‖ number ‖ how many (4 each, big endian).
pub(crate) fn check(
    keys: &impl KeyStore,
    key: &KeyId,
    set: &[u8; 16],
    number: u32,
    of: u32,
) -> Result<[u8; 32], KeyError> {
    let message = [&b"p2pe vault shard check v1\0"[..], set, &number.to_be_bytes(), &of.to_be_bytes()].concat();
    keys.key(key)?.hmac_sha256(&message)
}

#[cfg(test)]
mod tests {
    use super::{number, of_request, of_token};

    /// Tokens are led back by this in years to come: the answers stay.
    #[test]
    fn known_answers() {
        // By Python's hashlib.
        let tokens = [3, 5, 256].map(|of| of_token(of, "shop", "vtok_1"));
        assert_eq!((tokens, of_request(256, "shop", "order 1")), ([1, 1, 146], 47));
        let mut hash = [0; 32];
        assert_eq!(number(&hash, 7), 1);
        hash[7] = 6;
        assert_eq!((number(&hash, 7), number(&hash, 3), number(&hash, 1)), (7, 1, 1));
        hash[..8].fill(0xFF);
        assert_eq!(u64::from(number(&hash, 1000)), 1 + u64::MAX % 1000);
    }
}
