//! Card numbers under a tenant's data key: AES-256-GCM, with everything about the row as associated data.

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{Aead, Payload},
};
use p2pe_crypto::{Expiry, Pan};
use zeroize::Zeroizing;

use crate::{Card, CardOnFile, Row};

/// Length of the number, digits, padding to 20; year and month, or zeros. All cards are sealed at one length.
const CLEAR: usize = 22;

/// A data key at work, in wiped host memory.
pub(crate) struct DataKey(Box<Aes256Gcm>);

impl DataKey {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(Box::new(Aes256Gcm::new(key.into())))
    }

    /// The card for this row. Its nonce must be new for this key.
    pub(crate) fn seal(&self, row: &Row, card: Card<'_>) -> Option<Vec<u8>> {
        let mut clear = Zeroizing::new([0; CLEAR]);
        let digits = card.pan.expose().as_bytes();
        clear[0] = u8::try_from(digits.len()).ok()?;
        clear[1..=digits.len()].copy_from_slice(digits);
        if let Some(expiry) = card.expiry {
            clear[20..].copy_from_slice(&[expiry.year(), expiry.month()]);
        }
        let aad = associated(row);
        self.0.encrypt(&nonce(row.nonce).into(), Payload { msg: &clear[..], aad: &aad }).ok()
    }

    /// The card of this row; `None` if anything about it was changed.
    pub(crate) fn open(&self, row: &Row) -> Option<CardOnFile> {
        let aad = associated(row);
        let clear = self.0.decrypt(&nonce(row.nonce).into(), Payload { msg: &row.sealed, aad: &aad }).ok()?;
        let clear = Zeroizing::new(clear);
        let (number, expiry) = clear.split_at_checked(20)?;
        let (length, digits) = number.split_first()?;
        let pan = Pan::new(digits.get(..usize::from(*length))?).ok()?;
        let expiry = match *expiry {
            [0, 0] => None,
            [year, month] => Some(Expiry::new(year, month)?),
            _ => return None,
        };
        Some(CardOnFile { pan, expiry })
    }
}

fn nonce(counter: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_be_bytes());
    nonce
}

/// What must not be changed, or exchanged with another row's.
fn associated(row: &Row) -> Vec<u8> {
    // Schema version 1 of what is sealed.
    let mut aad = b"p2pe vault row v1\0".to_vec();
    // A token is never empty.
    for text in [&row.tenant[..], &row.token, row.successor.as_deref().unwrap_or_default()] {
        aad.extend((text.len() as u64).to_be_bytes());
        aad.extend(text.as_bytes());
    }
    aad.extend(row.id.0);
    aad.extend(row.key_version.to_be_bytes());
    aad.extend(row.policy.to_be_bytes());
    aad.extend(row.ends.unwrap_or(u64::MAX).to_be_bytes());
    aad.push(row.single_use.into());
    aad
}
