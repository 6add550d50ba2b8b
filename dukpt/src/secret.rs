//! Bytes of a key: filled in place on the heap, never moved, wiped on drop.

use alloc::boxed::Box;
use zeroize::Zeroize;

/// `N` secret bytes. No `Clone`, no `PartialEq`, no `Debug`; the bytes stay at one heap address for life,
/// so a move leaves no copy behind.
pub(crate) struct Secret<const N: usize>(Box<[u8; N]>);

impl<const N: usize> Secret<N> {
    /// Hands out zeroed memory to be filled in place.
    pub(crate) fn filled(fill: impl FnOnce(&mut [u8; N])) -> Self {
        let mut secret = Self(Box::new([0; N]));
        fill(&mut secret.0);
        secret
    }

    /// Like [`Secret::filled`], for a source that can fail. What was written until then is wiped.
    pub(crate) fn try_filled<E>(fill: impl FnOnce(&mut [u8; N]) -> Result<(), E>) -> Result<Self, E> {
        let mut secret = Self(Box::new([0; N]));
        fill(&mut secret.0)?;
        Ok(secret)
    }

    /// The same in the memory of a secret that is needed no more, if there is one.
    pub(crate) fn try_refilled<E>(
        spent: Option<Self>,
        fill: impl FnOnce(&mut [u8; N]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut secret = match spent {
            Some(mut secret) => {
                secret.0.zeroize();
                secret
            }
            None => Self(Box::new([0; N])),
        };
        fill(&mut secret.0)?;
        Ok(secret)
    }

    /// The bytes. Rare on purpose: every use is one `grep` away.
    pub(crate) fn expose(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> Drop for Secret<N> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
