//! The known answer that must be right before anything is encrypted.

use core::sync::atomic::{AtomicU8, Ordering};

use dukpt::{KeyError, KeyId, KeyImport, KeyMaterial, KeyStore, Lifetime, MemoryStore};

use crate::{Direction, Ff1, Ff1Error, Message};

/// What the first use of this process found: nothing yet, right, or wrong.
static FOUND: AtomicU8 = AtomicU8::new(0);
const RIGHT: u8 = 1;
const WRONG: u8 = 2;

/// Executes the known answer once in a process; a wrong one is never forgotten.
pub(crate) fn before_first_use() -> Result<(), KeyError> {
    once(&FOUND, || passes_self_test(false))
}

fn once(found: &AtomicU8, passes: impl FnOnce() -> bool) -> Result<(), KeyError> {
    if found.load(Ordering::Relaxed) == 0 {
        // Threads that come at the same time find the same.
        found.store(if passes() { RIGHT } else { WRONG }, Ordering::Relaxed);
    }
    if found.load(Ordering::Relaxed) == RIGHT { Ok(()) } else { Err(KeyError::SelfTest("ff1")) }
}

/// Whether FF1 gives the known answer (NIST SP 800-38G, sample 1) on this host, there and back. Under a `flawed` key, of
/// which one bit is another one, it must not. The first use of FF1 in a process asks this by itself.
#[must_use]
pub fn passes_self_test(flawed: bool) -> bool {
    known_answer(flawed).unwrap_or(false)
}

fn known_answer(flawed: bool) -> Result<bool, Ff1Error> {
    let mut key = 0x2B7E_1516_28AE_D2A6_ABF7_1588_09CF_4F3C_u128.to_be_bytes();
    key[0] ^= u8::from(flawed);
    let (mut store, id) = (MemoryStore::new(), KeyId::new("ff1").map_err(|_| KeyError::NotPermitted)?);
    let material = KeyMaterial::new("ff1", &key).map_err(|_| KeyError::BadLength)?;
    store.import(&id, &material, Lifetime::Session)?;
    let ff1 = Ff1::new(store.key(&id)?);
    let mut digits = *b"0123456789";
    ff1.group(&mut [Message { tweak: &[], digits: &mut digits }], Direction::Encrypt)?;
    let right = digits == *b"2433477484";
    ff1.group(&mut [Message { tweak: &[], digits: &mut digits }], Direction::Decrypt)?;
    Ok(right && digits == *b"0123456789")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_and_able_to_fail() {
        assert!(passes_self_test(false));
        assert!(!passes_self_test(true));
        assert_eq!(before_first_use(), Ok(()));
        assert_eq!(FOUND.load(Ordering::Relaxed), RIGHT);
    }

    #[test]
    fn a_wrong_answer_is_never_forgotten() {
        let found = AtomicU8::new(0);
        assert_eq!(once(&found, || false), Err(KeyError::SelfTest("ff1")));
        assert_eq!(once(&found, || true), Err(KeyError::SelfTest("ff1")));
    }
}
