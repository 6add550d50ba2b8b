//! What an operator sees of a vault: outcomes by the codes that callers get, and times. No merchant, token or card.

use std::time::Instant;

use crate::{CardOnFile, StoreError, VaultError, issue::Answer};

/// Cards were to become tokens.
pub(crate) fn tokenized(issue: impl FnOnce() -> Result<Vec<Answer>, VaultError>) -> Result<Vec<Answer>, VaultError> {
    let started = Instant::now();
    let answers = issue();
    metrics::histogram!("p2pe_vault_tokenize_seconds").record(started.elapsed());
    let count = |outcome: &'static str| metrics::counter!("p2pe_vault_tokens_total", "outcome" => outcome).increment(1);
    match &answers {
        Ok(answers) => answers.iter().for_each(|answer| count(answer.as_ref().err().map_or("ok", VaultError::code))),
        Err(error) => {
            count(error.code());
            tracing::warn!(outcome = error.code(), "no tokens");
        }
    }
    answers
}

/// A token was to lead back.
pub(crate) fn detokenized(
    lead_back: impl FnOnce() -> Result<CardOnFile, VaultError>,
) -> Result<CardOnFile, VaultError> {
    let started = Instant::now();
    let card = lead_back();
    metrics::histogram!("p2pe_vault_detokenize_seconds").record(started.elapsed());
    let outcome = card.as_ref().err().map_or("ok", VaultError::code);
    metrics::counter!("p2pe_vault_detokenizations_total", "outcome" => outcome).increment(1);
    if let Err(VaultError::Corrupted(row)) = &card {
        tracing::error!(%row, "a row is corrupted");
    }
    card
}

/// An operation of the database.
pub(crate) fn stored<T>(
    operation: &'static str,
    call: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let started = Instant::now();
    let result = call();
    metrics::histogram!("p2pe_vault_store_seconds", "operation" => operation).record(started.elapsed());
    if let Err(error) = &result {
        metrics::counter!("p2pe_vault_store_failures_total", "operation" => operation).increment(1);
        tracing::warn!(operation, code = error.code(), "the database failed");
    }
    result
}
