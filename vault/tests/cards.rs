//! Cards with expiry dates, all tokens of a card number, and requests that come again.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{cell::Cell, collections::BTreeSet, sync::Arc, thread, time::Duration};

use p2pe_crypto::{Bin, CardShaped, Expiry, Kept, Pan, Policy, Purpose, TokenForm};
use support::{
    behind_its_back, by_store, database, everything_in, keys, made, merchant, opened, pan, policy, stands_in,
};
use vault::{Card, Orphan, Vault, VaultError, VaultStore};

thread_local!(static NOW: Cell<u64> = const { Cell::new(1_000_000) });

fn with_expiry(shop: &str, version: u32) -> Policy {
    let policy = Policy::new(merchant(shop), version, TokenForm::Vault).purposes(&[Purpose::Payment]);
    policy.with_expiry().unwrap()
}

fn expiry(year: u8, month: u8) -> Option<Expiry> {
    Some(Expiry::new(year, month).unwrap())
}

#[test]
fn with_expiry_dates() {
    let folder = tempfile::tempdir().unwrap();
    let vault = made(folder.path());
    let (plain, dated, number) = (policy("shop"), with_expiry("shop", 2), pan(1));
    let card = |expiry| Card { pan: &number, expiry };
    let of_number = vault.tokenize(&plain, &number, None).unwrap();
    let (old, new) = (expiry(25, 12), expiry(30, 12));
    let first = vault.tokenize(&dated, card(old), None).unwrap();
    let second = vault.tokenize(&dated, card(new), None).unwrap();
    assert!(first != second && first != of_number && second != of_number);
    assert_eq!(vault.tokenize(&dated, card(old), None).unwrap(), first);
    let batch = vault.tokenize_batch(&dated, &[card(new), card(None), card(old)]).unwrap();
    assert!(matches!(&batch[..], [Ok(a), Err(VaultError::Expiry), Ok(b)] if *a == second && *b == first));
    assert!(matches!(vault.tokenize(&plain, card(old), None), Err(VaultError::Expiry)));
    // The date comes back with the number, where it belongs to the token.
    for (token, right) in [(&first, old), (&second, new), (&of_number, None)] {
        let back = vault.detokenize("till", &dated, Purpose::Payment, token).unwrap();
        assert_eq!((back.pan.expose(), back.expiry), (number.expose(), right));
    }
    // All tokens of the number, and of no other number or shop.
    vault.tokenize(&plain, &pan(2), None).unwrap();
    vault.tokenize(&policy("other"), &number, None).unwrap();
    let mut wanted = [first, second, of_number];
    let mut found = vault.tokens_of(&merchant("shop"), &number).unwrap();
    wanted.sort();
    found.sort();
    assert_eq!(found, wanted);
    assert!(vault.tokens_of(&merchant("shop"), &pan(3)).unwrap().is_empty());
    assert!(vault.verify().unwrap().problems.is_empty());
    // The fingerprint of the number stands in its place, or `verify` says so.
    let change = format!("UPDATE tokens SET pan_fingerprint = sealed_of_32 WHERE token = '{}'", wanted[0]);
    let zeros = by_store("zeroblob(32)", "decode(repeat('00', 32), 'hex')");
    behind_its_back(folder.path(), &change.replace("sealed_of_32", zeros));
    assert_eq!(vault.verify().unwrap().problems.len(), 1);
}

#[test]
fn requests_that_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let vault = made(folder.path()).with_clock(|| NOW.get());
    let once = policy("shop").single_use().unwrap();
    let many = Policy::new(merchant("shop"), 2, TokenForm::Vault);
    let ask = |policy: &Policy, number, name: &str| vault.tokenize(policy, &pan(number), Some(name));
    let reused = |result| matches!(result, Err(VaultError::RequestReused));
    for (policy, other) in [(&once, &many), (&many, &once)] {
        let name = |i| format!("order {i} of {}", policy.version());
        let token = ask(policy, 1, &name(1)).unwrap();
        assert_eq!(ask(policy, 1, &name(1)).unwrap(), token);
        assert!(reused(ask(policy, 2, &name(1))), "another card");
        assert!(reused(ask(other, 1, &name(1))), "another policy");
        // Of a request that made no row, too.
        let second = ask(policy, 1, &name(2)).unwrap();
        assert_eq!(second == token, policy == &many);
        assert!(reused(ask(policy, 2, &name(2))) && reused(ask(other, 1, &name(2))));
        assert_eq!(ask(policy, 1, &name(2)).unwrap(), second);
        // The refused card got no token by that.
        assert!(vault.tokens_of(&merchant("shop"), &pan(2)).unwrap().is_empty());
    }
    assert_ne!(ask(&once, 1, "order 3").unwrap(), ask(&once, 1, "order 4").unwrap());
    // Each merchant has names of its own.
    assert!(vault.tokenize(&policy("other"), &pan(2), Some("order 1 of 1")).is_ok());
    for name in ["", "a\nb", &"a".repeat(65)] {
        assert!(matches!(ask(&once, 1, name), Err(VaultError::Name)));
    }
    assert_eq!(vault.stats().unwrap().requests, 7);
    // Forgotten after a day, and with their row.
    NOW.set(NOW.get() + 24 * 60 * 60);
    let token = ask(&many, 3, "order 1 of 2").unwrap();
    assert_eq!(vault.stats().unwrap().requests, 1, "the others made room");
    assert!(reused(ask(&many, 1, "order 1 of 2")));
    vault.delete(&merchant("shop"), &token).unwrap();
    assert!(ask(&many, 1, "order 1 of 2").is_ok());
    let vault = vault.with_requests_remembered(Duration::from_secs(10));
    let ask = |number| vault.tokenize(&once, &pan(number), Some("short"));
    ask(1).unwrap();
    NOW.set(NOW.get() + 9);
    assert!(reused(ask(2)));
    NOW.set(NOW.get() + 1);
    assert!(ask(2).is_ok());
}

/// A token that has ended is no answer: the request is made anew.
#[test]
fn a_request_whose_token_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let vault = made(folder.path()).with_clock(|| NOW.get());
    let minute = policy("shop").time_to_live(Duration::from_secs(60)).unwrap();
    for policy in [minute.clone(), minute.single_use().unwrap()] {
        let first = vault.tokenize(&policy, &pan(1), Some("order")).unwrap();
        NOW.set(NOW.get() + 59);
        assert_eq!(vault.tokenize(&policy, &pan(1), Some("order")).unwrap(), first);
        NOW.set(NOW.get() + 1);
        assert_ne!(vault.tokenize(&policy, &pan(1), Some("order")).unwrap(), first);
        NOW.set(NOW.get() + 60);
    }
}

/// The same request from everywhere at once gets one token, and of two cards under one name one is refused.
#[test]
fn requests_under_concurrency() {
    let folder = tempfile::tempdir().unwrap();
    drop(made(folder.path()));
    let shared = database(folder.path());
    let workers: Vec<_> = (0..8)
        .map(|worker: u64| {
            let (path, shared): (_, Arc<dyn VaultStore>) = (folder.path().to_owned(), shared.clone());
            thread::spawn(move || {
                let rows = if worker.is_multiple_of(2) { shared } else { database(&path) };
                let vault = Vault::open(rows, keys(1, 2)).unwrap();
                let once = policy("shop").single_use().unwrap();
                let ask = |i| vault.tokenize(&once, &pan(worker / 4), Some(&format!("order {i}")));
                (0..20).map(|i| ask(i).ok()).collect::<Vec<_>>()
            })
        })
        .collect();
    let answers: Vec<Vec<Option<String>>> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
    for i in 0..20 {
        let (one, two): (Vec<_>, Vec<_>) =
            (answers[..4].iter().map(|a| &a[i]).collect(), answers[4..].iter().map(|a| &a[i]).collect());
        let (got, refused) = if one[0].is_some() { (one, two) } else { (two, one) };
        assert!(got[0].is_some() && got.iter().all(|token| *token == got[0]), "{i}: {got:?}");
        assert!(refused.iter().all(|token| token.is_none()), "{i}: {refused:?}");
    }
    let stats = opened(folder.path()).stats().unwrap();
    assert_eq!((stats.keys[0].rows, stats.requests), (20, 20));
}

/// What has no token gets none, under any form, and the vault says why: it is the merchant who asks.
#[test]
fn numbers_that_get_no_token() {
    let folder = tempfile::tempdir().unwrap();
    let vault = made(folder.path());
    let shaped = |version, bin| {
        let form = TokenForm::CardShaped(CardShaped::new(Kept { bin, last_four: true }));
        Policy::new(merchant("shop"), version, form).purposes(&[Purpose::Payment])
    };
    let policies = [policy("shop"), shaped(2, Bin::None), shaped(3, Bin::Six)];
    // Not a card number, by type.
    for text in ["", "4761", "47617390010", "47617390010100104761", "476173900101001x", "vtok_aaaaaaaaaaaaaaaa"] {
        assert!(Pan::new(text.as_bytes()).is_err(), "{text}");
    }
    let code = |policy, pan: &Pan| vault.tokenize(policy, pan, None).map_err(|error| error.code());
    for policy in &policies {
        let mistyped = Pan::new(b"4761739001010011").unwrap();
        assert_eq!(code(policy, &mistyped), Err("check_digit"));
        let token = code(policy, &pan(1)).unwrap();
        // A token is no card number: by type, by its range, or by its check digit.
        match (policy.version(), Pan::new(token.as_bytes())) {
            (1, token) => assert!(token.is_err()),
            (version, token) => {
                let refused = if version == 2 { "already_token" } else { "check_digit" };
                for policy in &policies {
                    assert_eq!(code(policy, token.as_ref().unwrap()), Err(refused));
                }
            }
        }
    }
    assert_eq!(code(&policies[2], &Pan::new(b"6200000000000005").unwrap()), Err("bin_not_kept"));
    assert_eq!(code(&policies[2], &Pan::new(b"621234567890").unwrap()), Err("bin_not_kept"));
    assert_eq!(vault.stats().unwrap().policies.iter().map(|policy| policy.rows).sum::<u64>(), 3);
}

/// Whoever tries tokens learns nothing from the answers: they are the same to the letter.
#[test]
fn tokens_that_do_not_work_are_answered_alike() {
    let folder = tempfile::tempdir().unwrap();
    let vault = made(folder.path()).with_clock(|| NOW.get());
    let minute = policy("shop").time_to_live(Duration::from_secs(60)).unwrap();
    let ended = vault.tokenize(&minute, &pan(1), None).unwrap();
    NOW.set(NOW.get() + 60);
    let once = Policy::new(merchant("shop"), 2, TokenForm::Vault).purposes(&[Purpose::Payment]).single_use().unwrap();
    let used = vault.tokenize(&once, &pan(1), None).unwrap();
    vault.detokenize("till", &once, Purpose::Payment, &used).unwrap();
    let others = vault.tokenize(&policy("other"), &pan(1), None).unwrap();
    let never = p2pe_crypto::VaultToken::from_bytes([7; 16]).to_string();
    let mut answers = BTreeSet::new();
    for token in [&ended[..], &used, &others, &never, "", "4761739001010010", &ended[..36]] {
        let answer = vault.detokenize("till", &policy("shop"), Purpose::Payment, token).unwrap_err();
        answers.insert((answer.code(), format!("{answer} {answer:?}")));
        let deleted = if token == others { vault.delete(&merchant("shop"), token) } else { continue };
        answers.insert((deleted.as_ref().unwrap_err().code(), format!("{0} {0:?}", deleted.unwrap_err())));
    }
    assert_eq!(answers.into_iter().collect::<Vec<_>>(), [("unknown_token", "unknown token Unknown".to_owned())]);
}

/// `verify` finds what belongs to nothing.
#[test]
fn orphans() {
    let folder = tempfile::tempdir().unwrap();
    let vault = made(folder.path());
    let tokens: Vec<String> =
        (0..3).map(|i| vault.tokenize(&policy("shop"), &pan(i), Some(&format!("order {i}"))).unwrap()).collect();
    vault.tokenize(&policy("other"), &pan(1), None).unwrap();
    assert!(vault.verify().unwrap().orphans.is_empty());
    let id = |token: &str| database(folder.path()).by_token("shop", token).unwrap().unwrap().id;
    let (row, ahead) = (id(&tokens[0]), id(&tokens[1]));
    for (change, token) in ["UPDATE tokens SET key_version = 7", "UPDATE tokens SET nonce = 5000", "DELETE FROM tokens"]
        .iter()
        .zip(&tokens)
    {
        behind_its_back(folder.path(), &format!("{change} WHERE token = '{token}'"));
    }
    let found = vault.verify().unwrap();
    let request = Orphan::Request("shop".into(), "order 2".into());
    assert_eq!(found.orphans, [Orphan::NoKey(row), Orphan::Nonce(ahead), request]);
    assert_eq!(found.problems.len(), 2, "neither row decrypts");
    // A data key that is gone takes all of its rows along.
    behind_its_back(folder.path(), "DELETE FROM data_keys WHERE tenant = 'other'");
    assert_eq!(opened(folder.path()).verify().unwrap().problems.len(), 3);
}

/// After a merchant was shredded, nobody goes on with the old key that is still in memory.
#[test]
fn shredded_under_another_caller() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (made(folder.path()), opened(folder.path()));
    let shop = policy("shop");
    two.tokenize(&shop, &pan(1), None).unwrap();
    one.shred(&merchant("shop")).unwrap();
    let token = two.tokenize(&shop, &pan(2), None).unwrap();
    let back = opened(folder.path()).detokenize("till", &shop, Purpose::Payment, &token).unwrap();
    assert_eq!(back.pan.expose(), pan(2).expose());
    assert_eq!(database(folder.path()).key("shop", None).unwrap().unwrap().version, 2);
    assert!(!stands_in(pan(2).expose().as_bytes(), &everything_in(folder.path())));
}
