//! The known answer that must be right before a vault is opened.

use aes_gcm::{Aes256Gcm, KeyInit, aead::Aead};

/// Whether AES-256-GCM gives the known answer (the GCM specification of McGrew and Viega, test case 14) on this host, there
/// and back, and refuses a changed tag. Under a `flawed` key, of which one bit is another one, it must not.
/// [`Vault::open`](crate::Vault::open) asks this by itself.
#[must_use]
pub fn passes_self_test(flawed: bool) -> bool {
    let mut key = [0; 32];
    key[0] = u8::from(flawed);
    let (cipher, nonce) = (Aes256Gcm::new(&key.into()), [0; 12].into());
    let answer = *b"\xCE\xA7\x40\x3D\x4D\x60\x6B\x6E\x07\x4E\xC5\xD3\xBA\xF3\x9D\x18\
        \xD0\xD1\xC8\xA7\x99\x99\x6B\xF0\x26\x5B\x98\xB5\xD4\x8A\xB9\x19";
    let mut changed = answer;
    changed[31] ^= 1;
    cipher.encrypt(&nonce, &[0; 16][..]).is_ok_and(|sealed| sealed == answer)
        && cipher.decrypt(&nonce, &answer[..]).is_ok_and(|clear| clear == [0; 16])
        && cipher.decrypt(&nonce, &changed[..]).is_err()
}

#[cfg(test)]
mod tests {
    use super::passes_self_test;

    #[test]
    fn right_and_able_to_fail() {
        assert!(passes_self_test(false));
        assert!(!passes_self_test(true));
    }
}
