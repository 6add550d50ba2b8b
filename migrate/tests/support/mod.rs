//! Tokens under keys in memory, test numbers, and files in a temporary folder.
#![allow(dead_code, reason = "each test uses its part")]

use std::{
    cell::Cell,
    fs,
    path::{Path, PathBuf},
};

use dukpt::{KeyId, KeyImport, KeyMaterial, Lifetime, MemoryStore};
use p2pe_crypto::{MerchantId, Pan, TokenError, Tokenizer};
use p2pe_migrate::{Error, Format, KeyedTokens, Options, Report, Tokens};

/// Keyed tokens, and how many numbers were asked for.
pub(crate) struct Counted {
    tokens: KeyedTokens<MemoryStore>,
    pub(crate) asked: Cell<usize>,
    /// So many batches are answered.
    pub(crate) answers: Cell<usize>,
}

impl Tokens for Counted {
    fn tokens(&self, pans: &[&Pan]) -> Result<Vec<Result<String, TokenError>>, Error> {
        self.asked.set(self.asked.get() + pans.len());
        match self.answers.get() {
            0 => return Err(TokenError::Random.into()),
            left => self.answers.set(left - 1),
        }
        self.tokens.tokens(pans)
    }

    fn settings(&self) -> String {
        self.tokens.settings()
    }
}

pub(crate) fn store() -> MemoryStore {
    let mut store = MemoryStore::new();
    for (name, kind, byte, size) in
        [("tokens", "hmac", 1, 32), ("fingerprints", "hmac", 2, 32), ("wrapping", "wrap", 3, 32), ("ff1", "ff1", 4, 32)]
    {
        let key = KeyMaterial::new(kind, &vec![byte; size]).unwrap();
        store.import(&KeyId::new(name).unwrap(), &key, Lifetime::Session).unwrap();
    }
    store
}

pub(crate) fn merchant(name: &str) -> MerchantId {
    MerchantId::new(name).unwrap()
}

pub(crate) fn tokens() -> Counted {
    let tokenizer = Tokenizer::new(store(), KeyId::new("tokens").unwrap());
    let tokens = KeyedTokens::new(tokenizer, merchant("shop"));
    Counted { tokens, asked: Cell::new(0), answers: Cell::new(usize::MAX) }
}

pub(crate) fn token(number: &str) -> String {
    tokens().tokens(&[&Pan::new(number.as_bytes()).unwrap()]).unwrap().remove(0).unwrap()
}

/// Test number `i`: a Visa range, with its check digit.
pub(crate) fn number(i: u64) -> String {
    let numbers = (0..10).map(|check| format!("49999{i:010}{check}"));
    numbers.into_iter().find(|number| Pan::new(number.as_bytes()).unwrap().luhn()).unwrap()
}

pub(crate) const CSV: Format = Format::Csv { delimiter: b',' };

pub(crate) struct Folder(pub(crate) tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    pub(crate) fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    /// All files that are there, by name.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(self.0.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Whether bytes stand in any file but this one.
    pub(crate) fn holds(&self, bytes: &[u8], but: &str) -> Option<String> {
        self.names().into_iter().filter(|name| name != but).find(|name| stands_in(bytes, &self.read(name)))
    }

    /// Moves `in` to `out`.
    pub(crate) fn moved(&self, bytes: impl AsRef<[u8]>, options: &Options) -> Result<Report, Error> {
        self.write("in", bytes);
        run(&self.path("in"), &self.path("out"), &tokens(), options)
    }
}

pub(crate) fn run(input: &Path, output: &Path, tokens: &dyn Tokens, options: &Options) -> Result<Report, Error> {
    p2pe_migrate::run(input, output, tokens, options, &mut |_| ())
}

pub(crate) fn stands_in(secret: &[u8], bytes: &[u8]) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret)
}
