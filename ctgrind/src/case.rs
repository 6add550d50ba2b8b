//! What a case is and when it passes.

use std::error::Error;
use std::fmt::Display;

use crate::valgrind;

pub(crate) type Failure = Box<dyn Error>;

/// Where a case puts its results: each is looked at (does it depend on the secret?), then declassified, because it is to be
/// compared with the result on public bytes.
#[derive(Default)]
pub(crate) struct Results {
    bytes: Vec<u8>,
    independent: usize,
}

impl Results {
    /// A result of which every byte must depend on the secret.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        let undefined = valgrind::undefined(bytes);
        self.independent += usize::from(undefined.is_some_and(|bits| bits.contains(&0)));
        let mut copy = bytes.to_vec();
        valgrind::public(&mut copy[..]);
        self.bytes.extend_from_slice(&copy);
    }

    /// The result of a comparison, which is public once it is there.
    pub(crate) fn put_bool(&mut self, mut result: bool) {
        self.put_public(&mut result);
        self.bytes.push(result.into());
    }

    /// A result that can only be printed: a check value, a token. Some of it must depend on the secret.
    pub(crate) fn put_shown<T: Display>(&mut self, mut value: T) {
        self.put_public(&mut value);
        self.bytes.extend_from_slice(value.to_string().as_bytes());
    }

    fn put_public<T>(&mut self, value: &mut T) {
        let undefined = valgrind::undefined(value);
        self.independent += usize::from(undefined.is_some_and(|bits| bits.iter().all(|bits| *bits == 0)));
        valgrind::public(value);
    }
}

type Work = Box<dyn Fn(&[u8], &mut Results) -> Result<(), Failure>>;

/// Work on secret bytes.
pub(crate) struct Case {
    pub(crate) name: String,
    secret: Vec<u8>,
    /// How many reports there are, because so many outcomes of comparisons are branched on inside of the library.
    outcomes: usize,
    work: Work,
}

impl Case {
    /// `work` gets `secret` bytes, all of them secret.
    pub(crate) fn new(
        name: impl Into<String>,
        secret: usize,
        work: impl Fn(&[u8], &mut Results) -> Result<(), Failure> + 'static,
    ) -> Self {
        Self { name: name.into(), secret: sample(secret), outcomes: 0, work: Box::new(work) }
    }

    /// Declassification: the library branches `outcomes` times on the outcome of a comparison, which is what the caller asked
    /// for. So many reports there must be, neither more nor less.
    pub(crate) fn outcomes(self, outcomes: usize) -> Self {
        Self { outcomes, ..self }
    }

    /// With these secret bytes instead.
    pub(crate) fn with(self, secret: &[u8]) -> Self {
        Self { secret: secret.to_vec(), ..self }
    }

    /// How many reports too many; an error if the case did not do its work.
    pub(crate) fn run(&self) -> Result<usize, Failure> {
        let mut expected = Results::default();
        (self.work)(&self.secret, &mut expected)?;

        let mut secret = self.secret.clone();
        valgrind::secret(&mut secret);
        let mut results = Results::default();
        let before = valgrind::reports();
        (self.work)(&secret, &mut results)?;
        let reports = valgrind::reports() - before;
        valgrind::public(&mut secret[..]);

        if results.bytes != expected.bytes {
            return Err("the result is not the one on public bytes".into());
        }
        if !valgrind::running() {
            return Ok(0);
        }
        // An early exit also makes the outcome independent of what it did not look at: the leak is the better thing to tell.
        if reports > self.outcomes {
            return Ok(reports - self.outcomes);
        }
        if results.independent != 0 {
            return Err(format!("{} results do not depend on the secret", results.independent).into());
        }
        if reports < self.outcomes {
            return Err(format!("{reports} branches on an outcome and not {}: look again", self.outcomes).into());
        }
        Ok(0)
    }
}

/// Bytes that look like nothing; no two keys or halves of keys among them are equal.
pub(crate) fn sample(length: usize) -> Vec<u8> {
    let mut x: u64 = 0x0123_4567_89AB_CDEF;
    let next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(length).collect()
}
