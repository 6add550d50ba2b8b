//! A set of vaults keeps what one vault promises, and is opened whole and right or not at all.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{
    cell::Cell,
    collections::BTreeSet,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
    thread,
};

use dukpt::{KeyImport, KeyMaterial, Lifetime, MemoryStore};
use p2pe_crypto::{Bin, CardShaped, Kept, Pan, Policy, Purpose, TokenError, TokenForm};
use support::{
    behind_its_back, database, everything_in, id, keys, made, merchant, names, on_postgres, pan, policy, stands_in,
};
use vault::{Claim, New, Orphan, RateLimit, ShardedVault, Stats, Vault, VaultError, VaultStore};

type Set = ShardedVault<MemoryStore>;

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(1_000_000) };
}

/// The folder of a shard's database.
fn part(folder: &Path, number: u64) -> std::path::PathBuf {
    let part = folder.join(number.to_string());
    fs::create_dir_all(&part).unwrap();
    part
}

fn stores(folder: &Path, numbers: &[u64]) -> Vec<Arc<dyn VaultStore>> {
    numbers.iter().map(|number| database(&part(folder, *number))).collect()
}

fn init(folder: &Path, numbers: &[u64]) -> Result<Set, VaultError> {
    ShardedVault::init(stores(folder, numbers), keys(1, 2), names(), id("routing"))
}

fn open(folder: &Path, numbers: &[u64]) -> Result<Set, VaultError> {
    ShardedVault::open(stores(folder, numbers), keys(1, 2))
}

fn new_set(folder: &Path) -> Set {
    init(folder, &[1, 2, 3]).unwrap()
}

fn version(version: u32) -> Policy {
    Policy::new(merchant("shop"), version, TokenForm::Vault).purposes(&[Purpose::Payment])
}

fn rows(stats: &[Stats]) -> Vec<u64> {
    stats.iter().map(|stats| stats.policies.iter().map(|policy| policy.rows).sum()).collect()
}

fn verified(set: &Set, rows: u64) {
    let found = set.verify().unwrap();
    assert!(found.rows == rows && found.problems.is_empty() && found.orphans.is_empty(), "{found:?}");
}

/// The shard that has a merchant's token, by its place in the list.
fn place(folder: &Path, token: &str) -> usize {
    let has = |rows: &Arc<dyn VaultStore>| rows.by_token("shop", token).unwrap().is_some();
    let found: Vec<bool> = stores(folder, &[1, 2, 3]).iter().map(has).collect();
    assert_eq!(found.iter().filter(|has| **has).count(), 1, "in one shard and no other");
    found.iter().position(|has| *has).unwrap()
}

#[test]
fn there_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let (set, shop) = (new_set(folder.path()).with_rate_limit(RateLimit(u32::MAX)), policy("shop"));
    let pans: Vec<Pan> = (0..90).map(pan).collect();
    let batch = set.tokenize_batch(&shop, &pans.iter().collect::<Vec<_>>()).unwrap();
    let tokens: Vec<String> = batch.into_iter().map(Result::unwrap).collect();
    assert_eq!(tokens.iter().collect::<BTreeSet<_>>().len(), 90);
    let each = rows(&set.stats().unwrap());
    assert!(each.iter().all(|rows| *rows > 10) && each.iter().sum::<u64>() == 90, "{each:?}");
    // Cards of all shards in one batch keep their order; one without a token is alone in that.
    let wrong = Pan::new(b"4761739001010011").unwrap();
    let mixed = set.tokenize_batch(&shop, &[&pans[70], &wrong, &pans[3], &pans[70]]).unwrap();
    assert!(matches!(&mixed[..], [Ok(a), Err(VaultError::Token(TokenError::CheckDigit)), Ok(b), Ok(c)]
        if *a == tokens[70] && *b == tokens[3] && a == c));
    assert!(set.tokenize_batch::<&Pan>(&shop, &[]).unwrap().is_empty());
    drop(set);
    // The order of the databases does not matter.
    let set = open(folder.path(), &[3, 1, 2]).unwrap().with_rate_limit(RateLimit(u32::MAX));
    for (pan, token) in pans.iter().zip(&tokens) {
        assert_eq!(&set.tokenize(&shop, pan, None).unwrap(), token);
        assert_eq!(set.detokenize("till", &shop, Purpose::Payment, token).unwrap().pan.expose(), pan.expose());
        assert_eq!(set.tokens_of(&merchant("shop"), pan).unwrap(), std::slice::from_ref(token));
    }
    // Digits as tokens, and a number of another shop.
    let shaped = TokenForm::CardShaped(CardShaped::new(Kept { bin: Bin::Six, last_four: true }));
    let shaped = Policy::new(merchant("shop"), 2, shaped).purposes(&[Purpose::Payment]);
    for pan in &pans[..10] {
        let token = set.tokenize(&shaped, pan, None).unwrap();
        assert!(token[..6] == pan.expose()[..6] && token[12..] == pan.expose()[12..]);
        assert_eq!(set.detokenize("till", &shaped, Purpose::Payment, &token).unwrap().pan.expose(), pan.expose());
    }
    let other = set.tokenize(&policy("other"), &pans[0], None).unwrap();
    let unknown = |policy: &Policy, token: &str| {
        matches!(set.detokenize("till", policy, Purpose::Payment, token), Err(VaultError::Unknown))
    };
    assert!(unknown(&shop, &other) && unknown(&shop, "") && unknown(&shop, "4761739001010010"));
    let refunds = Policy::new(merchant("shop"), 1, TokenForm::Vault).purposes(&[Purpose::Refund]);
    let refused = set.detokenize("till", &refunds, Purpose::Payment, &tokens[0]);
    assert!(matches!(refused, Err(VaultError::Purpose)));
    verified(&set, 101);
    set.delete(&merchant("shop"), &tokens[0]).unwrap();
    assert!(unknown(&shop, &tokens[0]));
    assert!(matches!(set.delete(&merchant("shop"), &tokens[0]), Err(VaultError::Unknown)));
    assert_eq!(set.shred(&merchant("shop")).unwrap(), 99);
    assert!(unknown(&shop, &tokens[1]));
    verified(&set, 1);
    // On PostgreSQL, `three_servers.rs` looks into the files.
    for number in (1..=3).filter(|_| !on_postgres()) {
        let bytes = everything_in(&part(folder.path(), number));
        assert!(pans.iter().all(|pan| !stands_in(pan.expose().as_bytes(), &bytes)));
    }
}

/// From threads with stores of their own and with shared ones.
#[test]
fn one_token_for_a_card() {
    let folder = tempfile::tempdir().unwrap();
    drop(new_set(folder.path()));
    let shared = stores(folder.path(), &[1, 2, 3]);
    let workers: Vec<_> = (0..6)
        .map(|worker| {
            let (path, shared) = (folder.path().to_owned(), shared.clone());
            thread::spawn(move || {
                let own = if worker % 2 == 0 { shared } else { stores(&path, &[2, 3, 1]) };
                let (set, shop) = (ShardedVault::open(own, keys(1, 2)).unwrap(), policy("shop"));
                (0..30).map(|i| set.tokenize(&shop, &pan(i), None).unwrap()).collect::<Vec<_>>()
            })
        })
        .collect();
    let all: Vec<Vec<String>> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
    assert!(all.iter().all(|tokens| *tokens == all[0]));
    verified(&open(folder.path(), &[1, 2, 3]).unwrap(), 30);
}

#[test]
fn sets_that_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let says = |opened: Result<Set, VaultError>, text: &str| {
        let error = opened.map(|_| ()).unwrap_err();
        assert!(matches!(error, VaultError::NoSet(_)) && error.to_string().contains(text), "{error}");
    };
    assert!(matches!(open(path, &[1, 2, 3]), Err(VaultError::NotInitialised)));
    says(init(path, &[]), "2 to 256");
    says(init(path, &[1]), "2 to 256");
    drop(new_set(path));
    assert!(matches!(init(path, &[1, 2, 3]), Err(VaultError::AlreadyInitialised)));
    assert!(matches!(init(path, &[1, 2, 3, 4]).map(|_| ()), Err(VaultError::NoSet(_))), "the number is fixed");
    assert!(matches!(open(path, &[4, 1, 2]), Err(VaultError::NotInitialised)), "nothing was made of the fourth");
    for missing in [&[1, 2][..], &[2], &[]] {
        says(open(path, missing), "missing");
    }
    says(open(path, &[1, 2, 2]), "twice");
    drop(init(path, &[11, 12, 13]).unwrap());
    says(open(path, &[1, 2, 13]), "another set");
    says(open(path, &[1, 2, 3, 13]), "too many");
    drop(made(&part(path, 21)));
    says(open(path, &[1, 2, 21]), "alone");
    assert!(matches!(init(path, &[21, 22]), Err(VaultError::AlreadyInitialised)));
    // One of them alone, and a vault that stands alone as what it is.
    let error = Vault::open(database(&part(path, 2)), keys(1, 2)).map(|_| ()).unwrap_err();
    assert!(matches!(error, VaultError::Shard(2, 3)), "{error}");
    let alone = open(path, &[21]).unwrap();
    let token = alone.tokenize(&policy("shop"), &pan(1), Some("order")).unwrap();
    assert_eq!(support::opened(&part(path, 21)).tokenize(&policy("shop"), &pan(1), None).unwrap(), token);
    assert!(alone.detokenize("till", &policy("shop"), Purpose::Payment, &token).is_ok());
    // A key of the routing key's name that is another one, and none.
    let with_routing = |byte: Option<u8>| {
        let mut store = MemoryStore::new();
        for (name, kind, byte) in
            [("fingerprints", "hmac", Some(1)), ("wrapping", "wrap", Some(2)), ("routing", "hmac", byte)]
        {
            let Some(byte) = byte else { continue };
            store.import(&id(name), &KeyMaterial::new(kind, &[byte; 32]).unwrap(), Lifetime::Session).unwrap();
        }
        ShardedVault::open(stores(path, &[1, 2, 3]), store).map(|_| ())
    };
    assert!(matches!(with_routing(Some(0x99)), Err(VaultError::WrongKey(key)) if key == id("routing")));
    assert!(matches!(with_routing(None), Err(VaultError::Key(_))));
    assert!(with_routing(Some(0x88)).is_ok());
    // Shards that somebody has exchanged.
    behind_its_back(&part(path, 2), "UPDATE shard SET number = 3");
    behind_its_back(&part(path, 3), "UPDATE shard SET number = 2");
    assert!(matches!(open(path, &[1, 2, 3]), Err(VaultError::WrongKey(key)) if key == id("routing")));
}

/// A set that was half made is not opened, and made to its end.
#[test]
fn interrupted_when_it_is_made() {
    let folder = tempfile::tempdir().unwrap();
    drop(new_set(folder.path()));
    // As if it had been killed before the first and the third.
    assert!(matches!(open(folder.path(), &[4, 2, 5]), Err(VaultError::NotInitialised)));
    let set = init(folder.path(), &[4, 2, 5]).unwrap();
    let token = set.tokenize(&policy("shop"), &pan(1), None).unwrap();
    assert_eq!(open(folder.path(), &[5, 4, 2]).unwrap().tokenize(&policy("shop"), &pan(1), None).unwrap(), token);
}

#[test]
fn named_requests() {
    let folder = tempfile::tempdir().unwrap();
    let set = new_set(folder.path()).with_clock(|| NOW.get());
    let once = policy("shop").single_use().unwrap();
    let ask = |number, name: &str| set.tokenize(&once, &pan(number), Some(name));
    let reused = |answer| matches!(answer, Err(VaultError::RequestReused));
    // Each name is one card's over all shards.
    for name in ["order 1", "order 2", "order 3"] {
        let token = ask(0, name).unwrap();
        assert!((1..10).all(|number| reused(ask(number, name))), "{name}");
        assert_eq!(ask(0, name).unwrap(), token);
        assert!((1..10).all(|number| set.tokens_of(&merchant("shop"), &pan(number)).unwrap().is_empty()));
    }
    assert_eq!(set.stats().unwrap().iter().map(|stats| stats.requests).sum::<u64>(), 3);
    assert!(set.tokenize(&policy("other"), &pan(5), Some("order 1")).is_ok(), "each merchant has names of its own");
    for name in ["", "a\nb", &"a".repeat(65)] {
        assert!(matches!(ask(0, name), Err(VaultError::Name)));
    }
    // A number that has no token takes no name.
    let mistyped = Pan::new(b"4761739001010011").unwrap();
    for number in 10..16 {
        let name = format!("order {number}");
        assert!(matches!(set.tokenize(&once, &mistyped, Some(&name)), Err(VaultError::Token(_))));
        assert!(ask(number, &name).is_ok());
    }
    // Forgotten a day after it was first sent, for the cards of all shards, however often it was sent.
    let names = ["order 1", "order 2", "order 3"];
    NOW.set(NOW.get() + 24 * 60 * 60 - 1);
    names.iter().for_each(|name| drop(ask(0, name).unwrap()));
    NOW.set(NOW.get() + 1);
    for (number, name) in (4..).zip(names) {
        let token = ask(number, name).unwrap();
        assert!((0..4).all(|number| reused(ask(number, name))), "{name}");
        // The name stays bound to the card's shard when its token is gone.
        set.delete(&merchant("shop"), &token).unwrap();
        let at = place(folder.path(), &set.tokenize(&version(2), &pan(number), None).unwrap());
        for other in 20..30 {
            let there = place(folder.path(), &set.tokenize(&version(2), &pan(other), None).unwrap());
            assert!(there == at || reused(ask(other, name)));
        }
        ask(number, name).unwrap();
    }
}

/// Whoever was killed when the name was bound and nothing was stored yet: the same request goes on, another card of that shard may have
/// the name, and one of another shard waits until its time has ended.
#[test]
fn a_name_that_was_bound_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let set = new_set(folder.path()).with_clock(|| NOW.get());
    let at = |number| place(folder.path(), &set.tokenize(&version(2), &pan(number), None).unwrap());
    let own = at(0);
    let (same, other) = ((1..).find(|number| at(*number) == own).unwrap(), (1..).find(|n| at(*n) != own).unwrap());
    let bind = |name: &str| {
        let claim = Claim { shard: u32::try_from(own).unwrap() + 1, ends: NOW.get() + 100 };
        for rows in stores(folder.path(), &[1, 2, 3]) {
            assert_eq!(rows.claim("shop", name, claim, NOW.get()).unwrap(), claim);
            // Bound once: not to another one, and for no longer.
            let later = Claim { ends: claim.ends + 1, shard: 4 };
            assert_eq!(rows.claim("shop", name, later, NOW.get()).unwrap(), claim);
        }
    };
    let ask = |number, name| set.tokenize(&policy("shop"), &pan(number), Some(name));
    bind("order 1");
    let token = ask(0, "order 1").unwrap();
    assert_eq!(ask(0, "order 1").unwrap(), token);
    assert!(matches!(ask(same, "order 1"), Err(VaultError::RequestReused)));
    bind("order 2");
    assert!(ask(same, "order 2").is_ok());
    bind("order 3");
    NOW.set(NOW.get() + 99);
    assert!(matches!(ask(other, "order 3"), Err(VaultError::RequestReused)));
    NOW.set(NOW.get() + 1);
    assert!(ask(other, "order 3").is_ok());
    // The request went with its name, before its own day was over.
    assert!(ask(same, "order 1").is_ok());
    set.shred(&merchant("shop")).unwrap();
    assert!(ask(other, "order 1").is_ok(), "names go with their merchant");
}

/// Two cards under one name at the same time, of whichever shards: one has it.
#[test]
fn requests_under_concurrency() {
    let folder = tempfile::tempdir().unwrap();
    drop(new_set(folder.path()));
    let shared = stores(folder.path(), &[1, 2, 3]);
    let workers: Vec<_> = (0..6)
        .map(|worker: u64| {
            let (path, shared) = (folder.path().to_owned(), shared.clone());
            thread::spawn(move || {
                let own = if worker.is_multiple_of(2) { shared } else { stores(&path, &[1, 2, 3]) };
                let set = ShardedVault::open(own, keys(1, 2)).unwrap();
                let once = policy("shop").single_use().unwrap();
                // Other cards with each name, so that pairs are of one shard and of two.
                let ask = |i: u64| set.tokenize(&once, &pan(10 * i + worker / 3), Some(&format!("order {i}")));
                (0..15_u64).map(|i| ask(i).ok()).collect::<Vec<_>>()
            })
        })
        .collect();
    let answers: Vec<Vec<Option<String>>> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
    for i in 0..15 {
        let (one, two): (Vec<_>, Vec<_>) =
            (answers[..3].iter().map(|a| &a[i]).collect(), answers[3..].iter().map(|a| &a[i]).collect());
        let (got, refused) = if one[0].is_some() { (one, two) } else { (two, one) };
        assert!(got[0].is_some() && got.iter().all(|token| *token == got[0]), "{i}: {got:?}");
        assert!(refused.iter().all(|token| token.is_none()), "{i}: {refused:?}");
    }
    let set = open(folder.path(), &[1, 2, 3]).unwrap();
    verified(&set, 15);
}

/// All shards together grant no more than the limit, whoever asks for what through which process.
#[test]
fn rate_limit() {
    let folder = tempfile::tempdir().unwrap();
    let limited = |set: Set, limit| set.with_clock(|| NOW.get()).with_rate_limit(RateLimit(limit));
    let shop = policy("shop");
    let one = limited(new_set(folder.path()), 20);
    let tokens: Vec<String> = (0..40).map(|number| one.tokenize(&shop, &pan(number), None).unwrap()).collect();
    let two = limited(open(folder.path(), &[3, 2, 1]).unwrap(), 20);
    let granted = |caller: &str, sets: &[&Set], tokens: &[&String]| {
        let asked = tokens.iter().enumerate().map(|(i, token)| {
            match sets[i % sets.len()].detokenize(caller, &shop, Purpose::Payment, token) {
                Ok(_) => 1,
                Err(VaultError::RateLimited) => 0,
                Err(error) => panic!("{error}"),
            }
        });
        asked.sum::<u32>()
    };
    let many: Vec<&String> = tokens.iter().cycle().take(120).collect();
    assert_eq!(granted("till", &[&one, &two], &many), 20);
    assert_eq!(granted("till", &[&one, &two], &many), 0);
    assert_eq!(granted("till 2", &[&one], &[&tokens[0]; 20]), if place(folder.path(), &tokens[0]) < 2 { 7 } else { 6 });
    NOW.set(NOW.get() + 60);
    assert_eq!(granted("till", &[&one, &two], &many), 20);
    let (small, free) = (limited(one, 2), limited(two, u32::MAX));
    // One for each shard, where the limit has not one for each.
    assert_eq!(granted("till 3", &[&small], &many), 3);
    assert_eq!(granted("till 3", &[&free], &many), 120);
}

#[test]
fn rotations() {
    let folder = tempfile::tempdir().unwrap();
    let (set, shop) = (new_set(folder.path()).with_rate_limit(RateLimit(u32::MAX)), policy("shop"));
    assert!(matches!(set.rotate_data_key(&merchant("shop"), |_, _| ()), Err(VaultError::Unknown)));
    let pans: Vec<Pan> = (0..90).map(pan).collect();
    let pans: Vec<&Pan> = pans.iter().collect();
    let tokens: Vec<String> = set.tokenize_batch(&shop, &pans).unwrap().into_iter().map(Result::unwrap).collect();
    // A merchant of one card has a data key in one shard.
    set.tokenize(&policy("small"), pans[0], None).unwrap();
    let small = set.rotate_data_key(&merchant("small"), |_, _| ()).unwrap();
    assert_eq!((small.key.as_str(), small.moved), ("small 2", 1));
    let versions = |tenant: &str| -> Vec<Vec<u32>> {
        let of = |stats: Stats| stats.keys.iter().filter(|key| key.tenant == tenant).map(|key| key.version).collect();
        open(folder.path(), &[1, 2, 3]).unwrap().stats().unwrap().into_iter().map(of).collect()
    };
    assert_eq!(versions("small").concat(), [2]);
    // Interrupted in the second shard, it goes on there.
    let first = rows(&set.stats().unwrap())[0] - u64::from(versions("small")[0] == [2]);
    let interrupted = catch_unwind(AssertUnwindSafe(|| {
        set.rotate_data_key(&merchant("shop"), |moved, left| assert!(moved < first || left == 0, "interrupted"))
            .map(|_| ())
    }));
    assert!(interrupted.is_err());
    assert_eq!(versions("shop"), [vec![2], vec![1, 2], vec![1]]);
    let set = open(folder.path(), &[2, 3, 1]).unwrap().with_rate_limit(RateLimit(u32::MAX));
    let done = set.rotate_data_key(&merchant("shop"), |_, _| ()).unwrap();
    assert_eq!((done.key.as_str(), done.moved), ("shop 2", 90 - first));
    assert_eq!(versions("shop"), [[2], [2], [2]]);
    let mut last = (0, 0);
    let done = set.rotate_fingerprint_key(&id("fingerprints-2"), |moved, left| last = (moved, left)).unwrap();
    assert_eq!((done.key.as_str(), done.moved, last), ("fingerprints-2", 91, (91, 0)));
    let done = set.rotate_wrapping_key(&id("wrapping-2"), |_, _| ()).unwrap();
    assert_eq!((done.key.as_str(), done.moved), ("wrapping-2", 4));
    let other = open(folder.path(), &[1, 2, 3]).unwrap();
    for (pan, token) in pans.iter().zip(&tokens) {
        assert_eq!(&other.tokenize(&shop, *pan, None).unwrap(), token);
    }
    // A policy and its successor: the pairs of all shards, in the order of the old tokens.
    let shaped = Policy::new(
        merchant("shop"),
        2,
        TokenForm::CardShaped(CardShaped::new(Kept { bin: Bin::Six, last_four: true })),
    );
    let done = set.rotate_policy(1, &shaped.purposes(&[Purpose::Payment]), 4_000_000_000, |_, _| ()).unwrap();
    assert_eq!((done.moved, done.refused.len()), (90, 0));
    let mut pairs = Vec::<(String, String)>::new();
    loop {
        let page = set.successors(&merchant("shop"), 1, pairs.last().map_or("", |(old, _)| old), 7).unwrap();
        if page.is_empty() {
            break;
        }
        pairs.extend(page);
    }
    let mut sorted: Vec<&String> = tokens.iter().collect();
    sorted.sort_unstable();
    assert_eq!(pairs.iter().map(|(old, _)| old).collect::<Vec<_>>(), sorted);
    for (old, new) in &pairs {
        let [a, b] = [old, new].map(|token| set.detokenize("till", &shop, Purpose::Payment, token).unwrap().pan);
        assert_eq!(a.expose(), b.expose());
    }
    assert!(matches!(other.tokenize(&shop, &pan(1000), None), Err(VaultError::PolicyReplaced)));
    verified(&set, 181);
}

/// The tokens of a shape are divided among the shards, and each is given once.
#[test]
fn exhaustion() {
    let folder = tempfile::tempdir().unwrap();
    let set = new_set(folder.path());
    let shape = TokenForm::CardShaped(CardShaped::new(Kept { bin: Bin::Eight, last_four: true }));
    let once = Policy::new(merchant("shop"), 1, shape).single_use().unwrap();
    let (card, mut tokens, mut refused) = (pan(1), BTreeSet::new(), 0);
    for answer in (0..4).flat_map(|_| set.tokenize_batch(&once, &[&card; 900]).unwrap()) {
        match answer {
            Ok(token) => assert!(tokens.insert(token)),
            Err(VaultError::Token(TokenError::Exhausted)) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    // A third of 9000.
    assert!((2_700..=3_200).contains(&tokens.len()) && refused > 0, "{} and {refused}", tokens.len());
}

/// A row that somebody has moved to another shard, with its data key: it decrypts, and is named.
#[test]
fn a_row_in_another_shard() {
    let folder = tempfile::tempdir().unwrap();
    let set = new_set(folder.path());
    let token = set.tokenize(&policy("shop"), &pan(1), None).unwrap();
    let all = stores(folder.path(), &[1, 2, 3]);
    let at = place(folder.path(), &token);
    let (from, to) = (&all[at], &all[(at + 1) % 3]);
    let (row, key) = (from.by_token("shop", &token).unwrap().unwrap(), from.key("shop", None).unwrap().unwrap());
    assert_eq!(to.add_key("shop", None, &key.wrapped_by, key.wrapped).unwrap(), Some(key.version));
    to.reserve_nonces("shop", key.version, 256).unwrap();
    to.put(vec![New { row: row.clone(), earlier: Vec::new(), request: None }], 0).unwrap();
    let found = set.verify().unwrap();
    assert_eq!((found.rows, found.problems.len(), found.orphans), (2, 0, vec![Orphan::Misplaced(row.id)]));
}
