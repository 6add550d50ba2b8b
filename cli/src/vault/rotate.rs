//! `p2pe vault rotate`: keys and policy versions get successors while the vault serves.

use p2pe_crypto::MerchantId;
use serde_json::json;
use vault::Rotation;

use super::{Open, merchant, policy};
use crate::{
    args::{PolicyArgs, Rotate},
    failure::Failure,
    keys::key_id,
    output::Output,
};

/// Tokens with successors are read so many at once.
const PAGE: usize = 1000;

pub(super) fn run(args: &Rotate, open: impl FnOnce() -> Result<Open, Failure>, output: &Output) -> Result<(), Failure> {
    let told = |moved, left| {
        // Progress that nobody can read is no reason to stop half way.
        let _ = output.note(&format!("{moved} moved, {left} left"));
    };
    let Rotation { key, moved } = match args {
        Rotate::DataKey { merchant } => {
            let merchant = self::merchant(merchant)?;
            open()?.rotate_data_key(&merchant, told)?
        }
        Rotate::WrappingKey { to } => {
            let to = key_id(to)?;
            open()?.rotate_wrapping_key(&to, told)?
        }
        Rotate::FingerprintKey { to } => {
            let to = key_id(to)?;
            open()?.rotate_fingerprint_key(&to, told)?
        }
        Rotate::Policy { from, ends, policy } => return replace(*from, *ends, policy, open, told, output),
    };
    output
        .result(&json!({ "key": key, "moved": moved }), || format!("all is on {key}; nothing is left on an old key\n"))
}

fn replace(
    from: u32,
    ends: u64,
    args: &PolicyArgs,
    open: impl FnOnce() -> Result<Open, Failure>,
    told: impl FnMut(u64, u64),
    output: &Output,
) -> Result<(), Failure> {
    let policy = policy(args)?;
    let done = open()?.rotate_policy(from, &policy, ends, told)?;
    let refused: Vec<_> = done
        .refused
        .iter()
        .map(|refused| json!({ "row": refused.row.to_string(), "token": refused.token, "code": refused.error.code() }))
        .collect();
    let result = json!({ "policy": policy.version(), "moved": done.moved, "refused": refused });
    output.result(&result, || {
        let mut text =
            format!("{} tokens of version {from} got successors of version {}\n", done.moved, policy.version());
        for refused in &done.refused {
            text += &format!("stays as it was: {}  ({})\n", refused.token, refused.error);
        }
        text
    })
}

pub(super) fn successors(
    merchant: &MerchantId,
    version: u32,
    open: impl FnOnce() -> Result<Open, Failure>,
    output: &Output,
) -> Result<(), Failure> {
    let (vault, mut pairs) = (open()?, Vec::<(String, String)>::new());
    loop {
        let after = pairs.last().map(|(old, _)| old.clone()).unwrap_or_default();
        let page = vault.successors(merchant, version, &after, PAGE)?;
        if page.is_empty() {
            break;
        }
        pairs.extend(page);
    }
    let values: Vec<_> = pairs.iter().map(|(old, new)| json!({ "token": old, "successor": new })).collect();
    output.result(&json!({ "tokens": values }), || pairs.iter().map(|(old, new)| format!("{old}  {new}\n")).collect())
}
