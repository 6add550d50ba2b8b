//! Looking after a vault: counts, and whether every row is as it was stored.

use dukpt::KeyStore;

use crate::{Orphan, RowId, Stats, Vault, VaultError, sharded::place, vault::Opened};

const GROUP: usize = 500;

/// What a look at every row found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verification {
    /// Rows that were looked at.
    pub rows: u64,
    /// Those that are not as they were stored.
    pub problems: Vec<Problem>,
    /// What belongs to nothing.
    pub orphans: Vec<Orphan>,
}

/// A row that does not decrypt under a data key of its tenant, or not to what its fingerprint says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Which row.
    pub row: RowId,
}

impl<K: KeyStore> Vault<K> {
    /// Decrypts every row, compares fingerprints, and looks for what belongs to nothing.
    ///
    /// # Errors
    /// [`VaultError::Key`], [`VaultError::Store`]; a corrupted row is no error here.
    pub fn verify(&self) -> Result<Verification, VaultError> {
        let (mut found, mut last, header) = (Verification::default(), None, self.header());
        loop {
            let rows = self.rows.rows_after(last, GROUP)?;
            let Some(end) = rows.last() else { break };
            last = Some(end.id);
            for row in &rows {
                found.rows += 1;
                match self.open_row(row)? {
                    Opened::Corrupted => found.problems.push(Problem { row: row.id }),
                    Opened::Card(card) if !place::is_right(&*self.keys, header.shard.as_ref(), row, &card.pan)? => {
                        found.orphans.push(Orphan::Misplaced(row.id));
                    }
                    Opened::Card(_) | Opened::Gone => {}
                }
            }
        }
        found.orphans.extend(self.rows.orphans()?);
        Ok(found)
    }

    /// Counts of rows, data keys and audit records.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub fn stats(&self) -> Result<Stats, VaultError> {
        Ok(self.rows.stats()?)
    }
}
