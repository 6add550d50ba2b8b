//! What a vault promises, on any database.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{cell::Cell, collections::BTreeSet, sync::Arc, thread, time::Duration};

use dukpt::{KeyError, MemoryStore};
use p2pe_crypto::{Bin, CardShaped, FormatPreserving, Kept, Pan, Policy, Purpose, TokenError, TokenForm, VaultToken};
use support::{
    behind_its_back, by_store, database, everything_in, id, keys, made, merchant, names, on_postgres, opened, pan,
    policy, stands_in,
};
use vault::{RateLimit, Vault, VaultError, VaultStore};

fn back(vault: &Vault<MemoryStore>, policy: &Policy, token: &str) -> Result<String, VaultError> {
    vault.detokenize("till", policy, Purpose::Payment, token).map(|card| card.pan.expose().to_owned())
}

#[test]
fn there_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let (vault, shop) = (made(folder.path()), policy("shop"));
    let token = vault.tokenize(&shop, &pan(1), None).unwrap();
    assert!(token.parse::<VaultToken>().is_ok());
    assert_eq!(vault.tokenize(&shop, &pan(1), None).unwrap(), token);
    assert_ne!(vault.tokenize(&shop, &pan(2), None).unwrap(), token);
    assert_eq!(back(&vault, &shop, &token).unwrap(), pan(1).expose());
    // Another shop and another policy version have other tokens; another process has the same.
    assert_ne!(vault.tokenize(&policy("other"), &pan(1), None).unwrap(), token);
    let second = Policy::new(merchant("shop"), 2, TokenForm::Vault).purposes(&[Purpose::Payment]);
    assert_ne!(vault.tokenize(&second, &pan(1), None).unwrap(), token);
    drop(vault);
    let vault = opened(folder.path());
    assert_eq!(vault.tokenize(&shop, &pan(1), None).unwrap(), token);
    assert_eq!(back(&vault, &second, &token).unwrap(), pan(1).expose());
    // Nothing clear stands anywhere.
    let bytes = everything_in(folder.path());
    assert!(stands_in(token.as_bytes(), &bytes));
    assert!(!stands_in(pan(1).expose().as_bytes(), &bytes));
    assert!(vault.verify().unwrap().problems.is_empty());
}

#[test]
fn a_batch_is_so_many_single_calls() {
    let folder = tempfile::tempdir().unwrap();
    let (vault, shop) = (made(folder.path()), policy("shop"));
    let known = vault.tokenize(&shop, &pan(3), None).unwrap();
    let pans: Vec<Pan> = [1, 2, 3, 2, 1].map(pan).into();
    let tokens = vault.tokenize_batch(&shop, &pans.iter().collect::<Vec<_>>()).unwrap();
    let tokens: Vec<String> = tokens.into_iter().map(Result::unwrap).collect();
    assert_eq!((&tokens[0], &tokens[1], &tokens[2]), (&tokens[4], &tokens[3], &known));
    assert_eq!(tokens.iter().collect::<BTreeSet<_>>().len(), 3);
    assert!(vault.tokenize_batch::<&Pan>(&shop, &[]).unwrap().is_empty());
    // One that gets no token is alone in that.
    let shaped = CardShaped::new(Kept { bin: Bin::Six, last_four: true });
    let shaped = Policy::new(merchant("shop"), 3, TokenForm::CardShaped(shaped)).purposes(&[Purpose::Payment]);
    let wrong = Pan::new(b"4761739001010011").unwrap();
    let tokens = vault.tokenize_batch(&shaped, &[&pans[0], &wrong, &pans[1]]).unwrap();
    assert!(matches!(&tokens[..], [Ok(_), Err(VaultError::Token(TokenError::CheckDigit)), Ok(_)]));
    let token = tokens[0].as_ref().unwrap();
    assert_eq!((&token[..6], &token[12..]), (&pans[0].expose()[..6], &pans[0].expose()[12..]));
    assert_eq!(back(&vault, &shaped, token).unwrap(), pans[0].expose());
}

#[test]
fn forms_that_need_no_vault() {
    let folder = tempfile::tempdir().unwrap();
    let vault = made(folder.path());
    let form = FormatPreserving::new(&[(16, Kept { bin: Bin::Six, last_four: true })]).unwrap();
    for form in [TokenForm::Keyed, TokenForm::FormatPreserving(form)] {
        let refused = vault.tokenize(&Policy::new(merchant("shop"), 1, form), &pan(1), None);
        assert!(matches!(refused, Err(VaultError::Token(TokenError::Form))));
    }
}

thread_local!(static NOW: Cell<u64> = const { Cell::new(1_000_000) });

/// One answer for every token that does not work.
#[test]
fn tokens_that_do_not_work() {
    let folder = tempfile::tempdir().unwrap();
    let vault = made(folder.path()).with_clock(|| NOW.get());
    let shop = policy("shop");
    let token = vault.tokenize(&shop, &pan(1), None).unwrap();
    let never = VaultToken::from_bytes([7; 16]).to_string();
    for (policy, token) in
        [(&policy("other"), &token[..]), (&shop, &never), (&shop, "4761739001010010"), (&shop, ""), (&shop, "' OR 1=1")]
    {
        assert!(matches!(back(&vault, policy, token), Err(VaultError::Unknown)), "{token}");
    }
    // Once.
    let once = Policy::new(merchant("shop"), 2, TokenForm::Vault).purposes(&[Purpose::Payment]).single_use().unwrap();
    let (one, two) = (vault.tokenize(&once, &pan(1), None).unwrap(), vault.tokenize(&once, &pan(1), None).unwrap());
    assert_ne!(one, two);
    assert_eq!(back(&vault, &once, &one).unwrap(), pan(1).expose());
    assert!(matches!(back(&vault, &once, &one), Err(VaultError::Unknown)));
    assert_eq!(back(&vault, &once, &two).unwrap(), pan(1).expose());
    // For a minute; then the number gets another token.
    let minute = Policy::new(merchant("shop"), 3, TokenForm::Vault).purposes(&[Purpose::Payment]);
    let minute = minute.time_to_live(Duration::from_secs(60)).unwrap();
    let token = vault.tokenize(&minute, &pan(1), None).unwrap();
    NOW.set(NOW.get() + 59);
    assert_eq!(vault.tokenize(&minute, &pan(1), None).unwrap(), token);
    assert!(back(&vault, &minute, &token).is_ok());
    NOW.set(NOW.get() + 1);
    assert!(matches!(back(&vault, &minute, &token), Err(VaultError::Unknown)));
    let next = vault.tokenize(&minute, &pan(1), None).unwrap();
    assert_ne!(next, token);
    assert!(back(&vault, &minute, &next).is_ok());
}

#[test]
fn purposes_audit_and_rate() {
    let folder = tempfile::tempdir().unwrap();
    let vault = made(folder.path()).with_clock(|| NOW.get()).with_rate_limit(RateLimit(3));
    let shop = policy("shop");
    let token = vault.tokenize(&shop, &pan(1), None).unwrap();
    let ask = |caller, purpose, token| vault.detokenize(caller, &shop, purpose, token).map(|_| ());
    assert!(ask("till", Purpose::Payment, &token).is_ok());
    assert!(matches!(ask("till", Purpose::Refund, &token), Err(VaultError::Purpose)));
    assert!(matches!(ask("till", Purpose::Payment, "4761739001010010"), Err(VaultError::Unknown)));
    assert!(matches!(ask("till", Purpose::Payment, &token), Err(VaultError::RateLimited)));
    assert!(ask("other till", Purpose::Payment, &token).is_ok());
    NOW.set(NOW.get() + 60);
    assert!(ask("till", Purpose::Payment, &token).is_ok());
    for caller in ["", "a\nb", &"a".repeat(65)] {
        assert!(matches!(ask(caller, Purpose::Payment, &token), Err(VaultError::Name)));
    }
    let sql = "SELECT caller, purpose, outcome, CASE WHEN row IS NULL THEN 'no' ELSE 'yes' END FROM audit \
               ORDER BY time, caller, purpose, outcome";
    assert_eq!(
        behind_its_back(folder.path(), sql),
        [
            "other till|payment|granted|yes",
            "till|payment|granted|yes",
            "till|payment|unknown|no",
            "till|refund|purpose|yes",
            "till|payment|granted|yes",
        ]
    );
    // What was asked for in place of a token could be a card number: it is not kept.
    assert!(!stands_in(b"4761739001010010", &everything_in(folder.path())));
}

/// Many threads and connections, few cards: one token for each card, and no two for one.
#[test]
fn one_card_one_token_under_concurrency() {
    let folder = tempfile::tempdir().unwrap();
    drop(made(folder.path()));
    let shared = database(folder.path());
    let workers: Vec<_> = (0..8)
        .map(|worker| {
            let path = folder.path().to_owned();
            let shared: Arc<dyn VaultStore> = shared.clone();
            thread::spawn(move || {
                // Half of them share a connection, half have their own, as processes do.
                let rows: Arc<dyn VaultStore> = if worker % 2 == 0 { shared } else { database(&path) };
                let vault = Vault::open(rows, keys(1, 2)).unwrap();
                (0..40).map(|i| vault.tokenize(&policy("shop"), &pan(i % 10), None).unwrap()).collect::<Vec<_>>()
            })
        })
        .collect();
    let tokens: Vec<Vec<String>> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
    assert!(tokens.iter().all(|of_worker| of_worker == &tokens[0]));
    let stats = opened(folder.path()).stats().unwrap();
    assert_eq!(stats.keys.iter().map(|key| key.rows).sum::<u64>(), 10);
}

/// Of one single-use token, one caller gets the number.
#[test]
fn a_single_use_under_concurrency() {
    let folder = tempfile::tempdir().unwrap();
    let once = policy("shop").single_use().unwrap();
    let token = made(folder.path()).tokenize(&once, &pan(1), None).unwrap();
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let (path, once, token) = (folder.path().to_owned(), once.clone(), token.clone());
            thread::spawn(move || back(&opened(&path), &once, &token).is_ok())
        })
        .collect();
    assert_eq!(workers.into_iter().filter(|_| true).map(|worker| worker.join().unwrap()).filter(|got| *got).count(), 1);
}

#[test]
fn deleted_and_shredded() {
    let folder = tempfile::tempdir().unwrap();
    let (vault, shop, other) = (made(folder.path()), policy("shop"), policy("other"));
    let token = vault.tokenize(&shop, &pan(1), None).unwrap();
    let kept = vault.tokenize(&other, &pan(1), None).unwrap();
    vault.delete(&merchant("shop"), &token).unwrap();
    assert!(matches!(vault.delete(&merchant("shop"), &token), Err(VaultError::Unknown)));
    assert!(matches!(vault.delete(&merchant("shop"), &kept), Err(VaultError::Unknown)));
    assert!(matches!(back(&vault, &shop, &token), Err(VaultError::Unknown)));
    // PostgreSQL keeps what is deleted until it is vacuumed.
    if !on_postgres() {
        assert!(!stands_in(token.as_bytes(), &everything_in(folder.path())), "in the file or its log");
    }
    let tokens: Vec<String> = (1..5).map(|i| vault.tokenize(&shop, &pan(i), None).unwrap()).collect();
    let wrapped = database(folder.path()).key("shop", None).unwrap().unwrap().wrapped;
    assert!(stands_in(&wrapped, &everything_in(folder.path())));
    assert_eq!(vault.shred(&merchant("shop")).unwrap(), 4);
    if !on_postgres() {
        let bytes = everything_in(folder.path());
        assert!(!stands_in(&wrapped, &bytes) && !tokens.iter().any(|token| stands_in(token.as_bytes(), &bytes)));
    }
    assert_eq!(back(&vault, &other, &kept).unwrap(), pan(1).expose());
    // The merchant may come back, with new keys.
    let again = vault.tokenize(&shop, &pan(1), None).unwrap();
    assert_eq!(back(&vault, &shop, &again).unwrap(), pan(1).expose());
}

/// Whatever is changed in a row, its number is not handed out, and `verify` names the row.
#[test]
fn a_corrupted_row_is_named_and_never_returned() {
    let zeros = |n: usize| by_store(format!("zeroblob({n})"), format!("decode(repeat('00', {n}), 'hex')"));
    for (change, visible) in [
        (format!("sealed = {}", zeros(37)), true),
        (by_store("sealed = x''", "sealed = ''").to_owned(), true),
        ("nonce = nonce + 1000".to_owned(), true),
        ("policy = 9".to_owned(), true),
        (by_store("single_use = 1", "single_use = true").to_owned(), true),
        ("ends = 99999999999".to_owned(), true),
        (format!("fingerprint = {}", zeros(32)), true),
        (format!("id = {}", zeros(16)), true),
        ("used_at = 1".to_owned(), false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (vault, shop) = (made(folder.path()), policy("shop"));
        let (token, other) =
            (vault.tokenize(&shop, &pan(1), None).unwrap(), vault.tokenize(&shop, &pan(2), None).unwrap());
        let update = format!("UPDATE tokens SET {change} WHERE token = '{token}' RETURNING policy");
        assert_eq!(behind_its_back(folder.path(), &update).len(), 1);
        let row = database(folder.path()).by_token("shop", &token).unwrap().unwrap().id;
        let problems = vault.verify().unwrap().problems;
        if visible {
            assert!(matches!(back(&vault, &shop, &token), Err(VaultError::Corrupted(id)) if id == row), "{change}");
            assert_eq!(problems.iter().map(|problem| problem.row).collect::<Vec<_>>(), [row], "{change}");
        } else {
            assert!(problems.is_empty());
        }
        assert_eq!(back(&vault, &shop, &other).unwrap(), pan(2).expose());
    }
    // Rows whose tokens or sealed numbers were exchanged.
    for change in ["token", "sealed", "nonce"] {
        let folder = tempfile::tempdir().unwrap();
        let (vault, shop) = (made(folder.path()), policy("shop"));
        let tokens = [1, 2].map(|i| vault.tokenize(&shop, &pan(i), None).unwrap());
        let ids: Vec<String> = tokens
            .iter()
            .map(|token| {
                let id = database(folder.path()).by_token("shop", token).unwrap().unwrap().id;
                by_store(format!("x'{id}'"), format!("decode('{id}', 'hex')"))
            })
            .collect();
        let literal = match change {
            "token" => "'''' || token || ''''",
            "sealed" => {
                by_store("'x''' || hex(sealed) || ''''", "'decode(''' || encode(sealed, 'hex') || ''', ''hex'')'")
            }
            _ => "nonce",
        };
        let of = |id: &str| {
            behind_its_back(folder.path(), &format!("SELECT {literal} FROM tokens WHERE id = {id}")).remove(0)
        };
        let (of_a, of_b) = (of(&ids[0]), of(&ids[1]));
        let aside = match change {
            "token" => "'aside'",
            "sealed" => &of_a,
            _ => "99",
        };
        for (value, id) in [(aside, &ids[0]), (&of_a, &ids[1]), (&of_b, &ids[0])] {
            behind_its_back(folder.path(), &format!("UPDATE tokens SET {change} = {value} WHERE id = {id}"));
        }
        for token in &tokens {
            assert!(matches!(back(&vault, &shop, token), Err(VaultError::Corrupted(_))), "{change}");
        }
        assert_eq!(vault.verify().unwrap().problems.len(), 2, "{change}");
    }
}

#[test]
fn opened_with_other_keys_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let empty = Vault::open(database(folder.path()), keys(1, 2));
    assert!(matches!(empty, Err(VaultError::NotInitialised)));
    drop(made(folder.path()));
    assert!(matches!(Vault::init(database(folder.path()), keys(1, 2), names()), Err(VaultError::AlreadyInitialised)));
    let wrong = |keys| Vault::open(database(folder.path()), keys).err();
    assert!(matches!(wrong(keys(9, 2)), Some(VaultError::WrongKey(key)) if key == id("fingerprints")));
    assert!(matches!(wrong(keys(1, 9)), Some(VaultError::WrongKey(key)) if key == id("wrapping")));
    assert!(matches!(wrong(MemoryStore::new()), Some(VaultError::Key(KeyError::NotFound(_)))));
    assert!(wrong(keys(1, 2)).is_none());
}

/// A small space fills up, and says so.
#[test]
fn exhaustion() {
    let folder = tempfile::tempdir().unwrap();
    let (vault, once) = (made(folder.path()), CardShaped::new(Kept { bin: Bin::Eight, last_four: true }));
    let once = Policy::new(merchant("shop"), 1, TokenForm::CardShaped(once)).single_use().unwrap();
    let card = Pan::new(b"4761739001010010").unwrap();
    let mut tokens = BTreeSet::new();
    for _ in 0..20 {
        let results = vault.tokenize_batch(&once, &[&card; 500]).unwrap();
        for result in results {
            match result {
                Ok(token) => assert!(tokens.insert(token)),
                Err(error) => assert!(matches!(error, VaultError::Token(TokenError::Exhausted)), "{error}"),
            }
        }
    }
    assert!((8_900..=9_000).contains(&tokens.len()), "{}", tokens.len());
}
