//! What an operator sees of decryptions, with the feature `observe`; nothing without it. Outcomes are told by the codes
//! that the caller gets, and no time tells of an outcome.

use dukpt::Custody;

use crate::{CardData, Error, Payload};

#[cfg(feature = "observe")]
mod on {
    use alloc::{vec, vec::Vec};
    use std::{sync::LazyLock, time::Instant};

    use metrics::{Key, Label, Level, Metadata};

    use super::{CardData, Custody, Error, Payload};
    use crate::Format;

    const DECRYPTS: &str = "p2pe_decrypts_total";

    /// Labels of successes, in the order of the formats, made once: others cost an allocation each time.
    static SUCCESSES: LazyLock<Vec<[Label; 2]>> = LazyLock::new(|| {
        Format::ALL
            .iter()
            .map(|format| {
                [Label::from_static_parts("format", format.name()), Label::from_static_parts("outcome", "ok")]
            })
            .collect()
    });

    /// Measures until it is dropped.
    pub(crate) struct Timed(Instant, &'static str);

    impl Drop for Timed {
        fn drop(&mut self) {
            metrics::histogram!(self.1).record(self.0.elapsed());
        }
    }

    pub(crate) fn one() -> Timed {
        Timed(Instant::now(), "p2pe_decrypt_seconds")
    }

    pub(crate) fn batch() -> Timed {
        Timed(Instant::now(), "p2pe_decrypt_batch_seconds")
    }

    pub(crate) fn decrypted(payload: &Payload, custody: impl FnOnce() -> Custody, result: &Result<CardData, Error>) {
        let (format, outcome) = (payload.format().name(), result.as_ref().err().map_or("ok", Error::code));
        let usual = SUCCESSES.get(payload.format() as usize).filter(|_| result.is_ok());
        let key = match usual {
            Some(labels) => Key::from_static_parts(DECRYPTS, labels),
            None => Key::from_parts(DECRYPTS, vec![Label::new("format", format), Label::new("outcome", outcome)]),
        };
        let place = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
        metrics::with_recorder(|recorder| recorder.register_counter(&key, &place)).increment(1);
        if tracing::enabled!(tracing::Level::DEBUG) {
            let custody = custody();
            tracing::debug!(ksn = %payload.ksn(), format, %custody, outcome, "decrypted");
        }
    }
}

#[cfg(not(feature = "observe"))]
mod on {
    use super::{CardData, Custody, Error, Payload};

    pub(crate) struct Timed;

    pub(crate) fn one() -> Timed {
        Timed
    }

    pub(crate) fn batch() -> Timed {
        Timed
    }

    pub(crate) fn decrypted(_: &Payload, _: impl FnOnce() -> Custody, _: &Result<CardData, Error>) {}
}

pub(crate) use on::{batch, decrypted, one};
