//! The vault beside the same rows inserted through the database's crate alone: same schema, indices and settings.
#![expect(clippy::expect_used, reason = "a bench may stop")]

mod bare;
mod callers;
mod postgres;

use std::{path::Path, process::ExitCode, sync::Arc};

use arrow_array::{Array, StringArray};
use bare::Bare;
use callers::Callers;
use dukpt::{KeyId, KeyImport, KeyMaterial, KeyStore, Lifetime, MemoryStore};
use p2pe_benches::{Row, Rows, merchant};
use p2pe_crypto::{Pan, Policy, TokenForm};
use p2pe_migrate::{VaultTokens, tokenize_batch};
use pkcs11_backend::{PinSource, Settings, Token, TokenSelector};
use throwaway_token::{Process, reexec_with_token};
use vault::{KeyNames, Sqlite, Vault, VaultStore};

const CALLERS: usize = 64;
/// Cards of each caller in one call of a row: some syncs take twice as long as others, so a call has sixteen.
const TURNS: usize = 16;
const BATCH: usize = 1000;

fn names() -> KeyNames {
    let id = |name| KeyId::new(name).expect("a name");
    KeyNames { fingerprint: id("fingerprints"), wrapping: id("wrapping") }
}

fn import(store: &mut impl KeyImport, lifetime: Lifetime) {
    let KeyNames { fingerprint, wrapping } = names();
    for (name, kind, byte) in [(fingerprint, "hmac", 1), (wrapping, "wrap", 2)] {
        let key = KeyMaterial::new(kind, &[byte; 32]).expect("a key");
        store.import(&name, &key, lifetime).expect("the store takes the key");
    }
}

fn memory() -> MemoryStore {
    let mut store = MemoryStore::new();
    import(&mut store, Lifetime::Session);
    store
}

fn policy() -> Policy {
    Policy::new(merchant(), 1, TokenForm::Vault)
}

/// Card numbers that were not there before.
struct Cards(u64);

impl Cards {
    fn next(&mut self) -> Pan {
        self.0 += 1;
        let mut digits = format!("49999{:010}0", self.0).into_bytes();
        let sum = |(at, digit): (usize, &u8)| match (at % 2, digit - b'0') {
            (0, digit) if digit > 4 => 2 * digit - 9,
            (0, digit) => 2 * digit,
            (_, digit) => digit,
        };
        digits[15] += (10 - digits.iter().enumerate().map(sum).sum::<u8>() % 10) % 10;
        Pan::new(&digits).expect("a card number")
    }
}

fn main() -> Result<ExitCode, throwaway_token::Error> {
    let throwaway = match reexec_with_token()? {
        Process::Inside(token) => token,
        Process::Outside(code) => return Ok(code),
    };
    let mut rows = Rows::from_args();
    let folder = tempfile::tempdir().expect("a folder");
    let target = |name: &str, target, limit| Row { name: format!("vault sqlite {name}, rusqlite"), target, limit };

    let row = target("64 callers", Some(0.8), "the sync of each commit");
    if rows.wants(&row.name) {
        let database: Arc<dyn VaultStore> =
            Arc::new(Sqlite::open(&folder.path().join("callers.db")).expect("a database"));
        drop(Vault::init(Arc::clone(&database), memory(), names()).expect("a vault"));
        let callers = Callers::new(&database, CALLERS, TURNS);
        let mut bare = Bare::new(&folder.path().join("callers-bare.db"));
        let items = CALLERS * TURNS;
        rows.measure(&row, (items, || callers.run()), (items, || (0..TURNS).for_each(|_| bare.insert(CALLERS))));
    }
    batch(&mut rows, &target("batch", Some(0.8), "insertion into six indices"), folder.path(), memory());

    arrow(&mut rows, folder.path());

    postgres::rows(&mut rows);

    let pin = PinSource::File(throwaway.pin_file());
    let settings = Settings::new(throwaway.module(), TokenSelector::label(throwaway.label()), pin);
    let token = Token::open(&settings).expect("the token opens");
    let mut admin = token.admin().expect("a session");
    import(&mut admin, Lifetime::Permanent);
    let store = token.store().expect("a session");
    batch(&mut rows, &target("batch, softhsm", None, "an HMAC in the token for each card"), folder.path(), store);
    Ok(ExitCode::SUCCESS)
}

/// New cards in one transaction, beside as many rows in one.
fn batch(rows: &mut Rows, row: &Row, folder: &Path, keys: impl KeyStore) {
    if !rows.wants(&row.name) {
        return;
    }
    let name = row.name.replace([' ', ','], "-");
    let database = Sqlite::open(&folder.join(format!("{name}.db"))).expect("a database");
    let vault = Vault::init(Arc::new(database), keys, names()).expect("a vault");
    let mut bare = Bare::new(&folder.join(format!("{name}-bare.db")));
    let (policy, mut cards) = (policy(), Cards(0));
    rows.measure(
        row,
        (BATCH, || {
            let pans: Vec<Pan> = (0..BATCH).map(|_| cards.next()).collect();
            let tokens = vault.tokenize_batch(&policy, &pans.iter().collect::<Vec<_>>()).expect("tokens");
            assert!(tokens.iter().all(Result::is_ok));
        }),
        (BATCH, || bare.insert(BATCH)),
    );
}

/// The tokens of an Arrow array of new cards, beside the same cards given to the vault as they are.
fn arrow(rows: &mut Rows, folder: &Path) {
    let name = "vault sqlite Arrow array, the vault's own batch".to_string();
    let row = Row { name, target: None, limit: "the same rows; texts are read and checked" };
    if !rows.wants(&row.name) {
        return;
    }
    let vault = |name| {
        let database = Sqlite::open(&folder.join(name)).expect("a database");
        Vault::init(Arc::new(database), memory(), names()).expect("a vault")
    };
    let (ours, bare) = (vault("arrow.db"), vault("arrow-bare.db"));
    let (tokens, policy) = (VaultTokens::new(&ours, policy()).expect("tokens"), policy());
    let next = |cards: &mut Cards| -> Vec<Pan> { (0..BATCH).map(|_| cards.next()).collect() };
    let (mut cards, mut bare_cards) = (Cards(0), Cards(0));
    rows.measure(
        &row,
        (BATCH, || {
            let array: StringArray = next(&mut cards).iter().map(|pan| Some(pan.expose())).collect();
            let answer = tokenize_batch(&tokens, &array).expect("tokens");
            assert!(answer.tokens.null_count() == 0);
        }),
        (BATCH, || {
            let pans = next(&mut bare_cards);
            let tokens = bare.tokenize_batch(&policy, &pans.iter().collect::<Vec<_>>()).expect("tokens");
            assert!(tokens.iter().all(Result::is_ok));
        }),
    );
}
