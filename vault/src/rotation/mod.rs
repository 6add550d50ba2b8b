//! Rotation while the vault serves: each step is a transaction, and a rotation that was interrupted goes on where it stopped.

mod fingerprints;
mod keys;
mod policies;

use dukpt::KeyStore;
pub use policies::{PolicyRotation, Refused};

use crate::{CardOnFile, Changed, Left, Row, Vault, VaultError, vault::Opened};

const GROUP: usize = 200;

/// What a rotation did. When it is returned, nothing is left on an old key: the database looked before it removed them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rotation {
    /// The key that everything is on now.
    pub key: String,
    /// How many rows or data keys were moved to it.
    pub moved: u64,
}

impl<K: KeyStore> Vault<K> {
    /// Moves the rows that are left, in groups, until `finished` says so: a row may have been changed by others between two
    /// calls. `progress` gets how many rows were moved and about how many are left.
    fn sweep(
        &self,
        left: &Left<'_>,
        mut progress: impl FnMut(u64, u64),
        mut turn: impl FnMut(Vec<(Row, CardOnFile)>) -> Result<Vec<Changed>, VaultError>,
        mut finished: impl FnMut() -> Result<bool, VaultError>,
    ) -> Result<u64, VaultError> {
        let (mut moved, total) = (0, self.rows.count_left(left)?);
        loop {
            let mut last: Option<Row> = None;
            loop {
                progress(moved, total.saturating_sub(moved));
                let rows = self.rows.rows_left(left, last.as_ref(), GROUP)?;
                let Some(end) = rows.last() else { break };
                last = Some(end.clone());
                let mut opened = Vec::with_capacity(rows.len());
                for row in rows {
                    match self.open_row(&row)? {
                        Opened::Card(card) => opened.push((row, card)),
                        Opened::Corrupted => return Err(VaultError::Corrupted(row.id)),
                        Opened::Gone => {}
                    }
                }
                moved += self.rows.change(turn(opened)?)?;
            }
            if finished()? {
                return Ok(moved);
            }
        }
    }
}

/// A row as it was read, to be changed.
fn changed(row: Row) -> Changed {
    Changed { from_key: row.key_version, from_nonce: row.nonce, from_print: row.print_version, row }
}
