//! Rotations, counts and checks over all shards, one after the other in the order of their numbers. One that does not answer stops them;
//! called again, they go on.

use dukpt::{KeyId, KeyStore};
use p2pe_crypto::{MerchantId, Policy};

use super::ShardedVault;
use crate::{PolicyRotation, Rotation, Stats, Vault, VaultError, Verification};

impl<K: KeyStore> ShardedVault<K> {
    /// As [`Vault::rotate_data_key`], where the merchant has cards. Each shard has data keys of its own; `key` names them all. Goes on in the
    /// shard in which it was interrupted; between two shards, it begins anew. `progress` gets how many rows were moved in all,
    /// and about how many are left in the shard that is at work.
    ///
    /// # Errors
    /// As of [`Vault::rotate_data_key`].
    pub fn rotate_data_key(
        &self,
        merchant: &MerchantId,
        progress: impl FnMut(u64, u64),
    ) -> Result<Rotation, VaultError> {
        let mut at_work = Vec::new();
        for shard in self.all()? {
            if let Some((_, interrupted)) = shard.newest_and_left(merchant.as_str())? {
                at_work.push((shard, interrupted));
            }
        }
        // Those before it were done.
        let first = at_work.iter().position(|(_, interrupted)| *interrupted).unwrap_or(0);
        let shards = at_work.split_off(first).into_iter().map(|(shard, _)| shard);
        in_turn(shards, progress, |shard, progress| shard.rotate_data_key(merchant, progress))
    }

    /// As [`Vault::rotate_wrapping_key`], with `progress` as of [`ShardedVault::rotate_data_key`].
    ///
    /// # Errors
    /// As of [`Vault::rotate_wrapping_key`].
    pub fn rotate_wrapping_key(
        &self,
        wrapping: &KeyId,
        progress: impl FnMut(u64, u64),
    ) -> Result<Rotation, VaultError> {
        in_turn(self.all()?.into_iter(), progress, |shard, progress| shard.rotate_wrapping_key(wrapping, progress))
    }

    /// As [`Vault::rotate_fingerprint_key`], with `progress` as of [`ShardedVault::rotate_data_key`]. No card changes its shard.
    ///
    /// # Errors
    /// As of [`Vault::rotate_fingerprint_key`].
    pub fn rotate_fingerprint_key(&self, key: &KeyId, progress: impl FnMut(u64, u64)) -> Result<Rotation, VaultError> {
        in_turn(self.all()?.into_iter(), progress, |shard, progress| shard.rotate_fingerprint_key(key, progress))
    }

    /// As [`Vault::rotate_policy`], with `progress` as of [`ShardedVault::rotate_data_key`]. A shard takes cards under the old version until
    /// its turn.
    ///
    /// # Errors
    /// As of [`Vault::rotate_policy`].
    pub fn rotate_policy(
        &self,
        version: u32,
        policy: &Policy,
        ends: u64,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<PolicyRotation, VaultError> {
        let mut done = PolicyRotation { moved: 0, refused: Vec::new() };
        for shard in self.all()? {
            let before = done.moved;
            let of_shard = shard.rotate_policy(version, policy, ends, |moved, left| progress(before + moved, left))?;
            done.moved += of_shard.moved;
            done.refused.extend(of_shard.refused);
        }
        Ok(done)
    }

    /// As [`Vault::successors`].
    ///
    /// # Errors
    /// As of [`Vault::successors`].
    pub fn successors(
        &self,
        merchant: &MerchantId,
        version: u32,
        after: &str,
        most: usize,
    ) -> Result<Vec<(String, String)>, VaultError> {
        let mut pairs = Vec::new();
        for shard in self.all()? {
            pairs.extend(shard.successors(merchant, version, after, most)?);
        }
        pairs.sort_unstable();
        pairs.truncate(most);
        Ok(pairs)
    }

    /// As [`Vault::shred`], in every shard.
    ///
    /// # Errors
    /// As of [`Vault::shred`]: then it was done in some shards, and is to be called again.
    pub fn shred(&self, merchant: &MerchantId) -> Result<u64, VaultError> {
        self.all()?.into_iter().map(|shard| shard.shred(merchant)).sum()
    }

    /// As [`Vault::verify`], and whether each row stands in the shard in which its card and its token are looked for.
    ///
    /// # Errors
    /// As of [`Vault::verify`].
    pub fn verify(&self) -> Result<Verification, VaultError> {
        let mut found = Verification::default();
        for shard in self.all()? {
            let Verification { rows, problems, orphans } = shard.verify()?;
            found.rows += rows;
            found.problems.extend(problems);
            found.orphans.extend(orphans);
        }
        Ok(found)
    }

    /// As [`Vault::stats`], of each shard, in the order of their numbers.
    ///
    /// # Errors
    /// As of [`Vault::stats`].
    pub fn stats(&self) -> Result<Vec<Stats>, VaultError> {
        self.all()?.into_iter().map(Vault::stats).collect()
    }

    fn all(&self) -> Result<Vec<&Vault<K>>, VaultError> {
        (1..=self.of()).map(|number| self.shard(number)).collect()
    }
}

/// The same rotation in each shard.
fn in_turn<'s, K: KeyStore + 's>(
    shards: impl Iterator<Item = &'s Vault<K>>,
    mut progress: impl FnMut(u64, u64),
    mut rotate: impl FnMut(&'s Vault<K>, &mut dyn FnMut(u64, u64)) -> Result<Rotation, VaultError>,
) -> Result<Rotation, VaultError> {
    let (mut keys, mut total) = (Vec::new(), 0);
    for shard in shards {
        let Rotation { key, moved } = rotate(shard, &mut |moved, left| progress(total + moved, left))?;
        total += moved;
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    if keys.is_empty() { Err(VaultError::Unknown) } else { Ok(Rotation { key: keys.join(", "), moved: total }) }
}
