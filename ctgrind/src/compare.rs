//! Comparisons of secrets, tokens, and keys put together from components.

use std::cell::Cell;

use dukpt::aes::{self, KeyType, Usage, WorkingKeyType};
use dukpt::tdes::{InitialKey, Ksn, TransactionKey};
use dukpt::{
    CheckMethod, CheckValue, Key as _, KeyMaterial, KeyStore as _, MacAlgorithm, MacError, MacFormat, Padding, Tag,
};
use p2pe_crypto::{MerchantId, Pan, Tokenizer};
use subtle::ConstantTimeEq as _;

use crate::case::{Case, Failure, sample};
use crate::tdes::stored;
use crate::valgrind;

const DIGITS: &[u8; 16] = b"5413330089604111";

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![check_values(), hmac(), pans(), tokens(), components(), clear_keys()];
    let tdes = [
        (MacAlgorithm::Retail(Padding::Zeros), 4),
        (MacAlgorithm::Retail(Padding::OneThenZeros), 8),
        (MacAlgorithm::Cmac, 8),
    ];
    let aes = [
        (WorkingKeyType::Tdes3, MacAlgorithm::Cmac, 8),
        (KeyType::Aes128.into(), MacAlgorithm::Cmac, 16),
        (WorkingKeyType::Hmac256, MacAlgorithm::HmacSha256, 32),
    ];
    for wrong in ["right", "wrong at the first byte", "wrong at the last byte"] {
        // An exit at the first difference has another number of branches in each of the three.
        let at = |length: usize| match wrong {
            "right" => None,
            "wrong at the first byte" => Some(0),
            _ => Some(length - 1),
        };
        // Declassified: whether the MAC fits, on which `verify` branches once to return it.
        for (algorithm, length) in tdes {
            let name = format!("tdes verifies {algorithm:?}, {length} bytes, {wrong}");
            cases.push(verification(name, algorithm, length, at(length)).outcomes(1));
        }
        for (key_type, algorithm, length) in aes {
            let name = format!("aes verifies {algorithm:?} ({key_type:?}), {wrong}");
            let format = MacFormat::new(algorithm, length);
            cases.extend(format.map(|format| aes_verification(name, key_type, format, at(length)).outcomes(1)));
        }
    }
    cases
}

/// The MAC key and the message are secret, and what is received is public, as it is on the wire.
fn verification(name: String, algorithm: MacAlgorithm, length: usize, wrong: Option<usize>) -> Case {
    Case::new(name, 16 + 20, move |secret, results| {
        let (key, data) = secret.split_at(16);
        let ksn = Ksn::try_from(&[0xFF, 0xFF, 0x98, 0x76, 0x54, 0x32, 0x10, 0xE0, 0x00, 0x01][..])?;
        let initial = InitialKey::try_filled(|out| {
            out.copy_from_slice(key);
            Ok(())
        })?;
        let format = MacFormat::new(algorithm, length)?;
        // The device's MAC under the same key.
        let mut device = dukpt::tdes::terminal::Terminal::new(&initial, &ksn);
        let tag = device.next_transaction()?.mac_key().generate(format, data)?;
        results.put(tag.as_bytes());
        let key = TransactionKey::derive(&initial, &ksn)?.mac_key();
        as_expected(&key.verify(format, data, &received(&tag, wrong)), wrong)
    })
}

/// The same under a MAC key of AES DUKPT.
fn aes_verification(name: String, key_type: WorkingKeyType, format: MacFormat, wrong: Option<usize>) -> Case {
    Case::new(name, 32 + 20, move |secret, results| {
        let (key, data) = secret.split_at(32);
        let (store, id) = stored("aes-base", key)?;
        let ksn = aes::Ksn::try_from(&[0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56, 0x00, 0x00, 0x00, 0x01][..])?;
        let transaction = aes::TransactionKey::derive(&store.key(&id)?, &ksn, KeyType::Aes256)?;
        let tag = transaction.response_mac_key(key_type, Usage::MacBoth)?.generate(format, data)?;
        results.put(tag.as_bytes());
        let key = transaction.mac_key(key_type, Usage::MacBoth)?;
        as_expected(&key.verify(format, data, &received(&tag, wrong)), wrong)
    })
}

/// Declassified: a MAC on the wire is public. Damaged at `wrong`, if anywhere.
fn received(tag: &Tag, wrong: Option<usize>) -> Vec<u8> {
    let mut mac = tag.as_bytes().to_vec();
    valgrind::public(&mut mac[..]);
    if let Some(at) = wrong {
        mac[at] ^= 1;
    }
    mac
}

fn as_expected(verified: &Result<(), MacError>, wrong: Option<usize>) -> Result<(), Failure> {
    match (verified, wrong) {
        (Ok(()), None) | (Err(MacError::Mismatch), Some(_)) => Ok(()),
        _ => Err("the MAC was verified wrongly".into()),
    }
}

fn check_values() -> Case {
    Case::new("CheckValue::agrees", 5, |secret, results| {
        let (legacy, cmac) = (CheckValue::legacy(secret).ok_or("short")?, CheckValue::cmac(secret).ok_or("short")?);
        let mut other = secret.to_vec();
        other[0] ^= 1;
        results.put_bool(legacy.agrees(&cmac));
        results.put_bool(cmac.agrees(&cmac));
        results.put_bool(cmac.agrees(&CheckValue::cmac(&other).ok_or("short")?));
        Ok(())
    })
}

fn hmac() -> Case {
    Case::new("HMAC-SHA-256", 32 + 200, |secret, results| {
        let (key, data) = secret.split_at(32);
        let (store, id) = stored("hmac", key)?;
        for length in [0, 55, 64, 200] {
            results.put(&store.key(&id)?.hmac_sha256(&data[..length])?);
        }
        Ok(())
    })
}

/// A PAN is only made of public digits (it looks at each); they become secret when it is there.
fn secret_pan(digits: &[u8]) -> Result<Pan, Failure> {
    let pan = Pan::new(digits)?;
    valgrind::secret_shared(pan.expose().as_bytes());
    Ok(pan)
}

fn pans() -> Case {
    Case::new("Pan::ct_eq", 0, |_, results| {
        let pan = secret_pan(DIGITS)?;
        for other in [DIGITS.as_slice(), b"6413330089604111", b"5413330089604110"] {
            results.put_bool(pan.ct_eq(&secret_pan(other)?).into());
        }
        Ok(())
    })
}

fn tokens() -> Case {
    Case::new("Tokenizer::token, Token::eq", 32, |secret, results| {
        let (store, id) = stored("hmac", secret)?;
        let tokenizer = Tokenizer::new(store, id);
        let [merchant, other] = [MerchantId::new("merchant")?, MerchantId::new("other")?];
        let token = tokenizer.token(&merchant, &secret_pan(DIGITS)?)?;
        results.put_shown(token);
        results.put_bool(token == tokenizer.token(&merchant, &secret_pan(DIGITS)?)?);
        results.put_bool(token == tokenizer.token(&other, &secret_pan(DIGITS)?)?);
        Ok(())
    })
}

/// Components of a key ceremony.
fn components() -> Case {
    Case::new("KeyMaterial::from_components", 48, |secret, results| {
        let parts = secret.as_chunks::<16>().0;
        let material = KeyMaterial::from_components("tdes-base", &[&parts[0], &parts[1], &parts[2]])?;
        results.put(material.expose());
        results.put(&*material.tdes_variant().ok_or("no variant")?);
        Ok(())
    })
    // Declassified: of each pair of components, whether they are equal, and whether the key is weak.
    .outcomes(4)
}

fn clear_keys() -> Case {
    Case::new("CheckMethod::of_clear_key, KeyMaterial::check_value", 32, |secret, results| {
        let types = [WorkingKeyType::Tdes2, WorkingKeyType::Tdes3, KeyType::Aes128.into(), KeyType::Aes256.into()];
        for method in [CheckMethod::Legacy, CheckMethod::Cmac] {
            for key_type in types {
                results.put_shown(method.of_clear_key(key_type, &secret[..key_type.length()])?);
            }
        }
        for (kind, length) in [("tdes-base", 16), ("aes-base", 24), ("hmac", 32)] {
            results.put_shown(KeyMaterial::new(kind, &secret[..length])?.check_value());
        }
        Ok(())
    })
}

/// What must be caught: a MAC compared up to the first difference, under the same allowance as the real verification.
pub(crate) fn planted() -> Case {
    let received = Cell::new([0; 8]);
    Case::new("MAC compared up to the first difference", 8, move |secret, results| {
        // The first run is on public bytes and notes them: the second compares equal ones.
        if valgrind::undefined(secret).is_none_or(|bits| bits.iter().all(|bits| *bits == 0)) {
            received.set(secret.try_into()?);
        }
        let equal = received.get().iter().zip(secret).all(|(a, b)| a == b);
        results.put(secret);
        if equal { Ok(()) } else { Err("unequal".into()) }
    })
    .with(&sample(8))
    .outcomes(1)
}
