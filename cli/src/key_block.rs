//! `p2pe keys import-block`: keys that come as key blocks.

use std::{io, path::Path};

use dukpt::{KeyError, KeyId, KeyKind, KeyMaterial, KeyStore, Lifetime};
use key_block::{ClearProtectionKey, KeyBlock, KeyBlockError, ProtectionKey, StoredProtectionKey};
use p2pe_audit::Event;
use p2pe_config::{Store, read_file_wiped, read_wiped};
use serde_json::json;

use crate::{
    args::{Components, ImportBlock},
    audit::Journal,
    ceremony::{Ceremony, Purpose, check_value, confirm, shown},
    failure::Failure,
    keys::{expected, key_id, kind_name, no_token},
    output::Output,
};

/// The longest block, with room for white space around it.
const LONGEST: usize = 10_100;

/// Reads all blocks, opens the token, unwraps all, and only then stores the first.
pub(crate) fn import(
    args: &ImportBlock,
    open: impl FnOnce() -> Result<Store, Failure>,
    journal: &Journal,
    output: &Output,
) -> Result<(), Failure> {
    let period = args.period.read()?;
    let expected = expected(args.check_value.as_deref())?;
    if expected.is_some() && args.blocks.len() != 1 {
        return Err(Failure::usage("--check-value is for one block", "import the blocks one by one"));
    }
    let Components { component_file, component_check_value, .. } = &args.components;
    let components_given = !component_file.is_empty() || !component_check_value.is_empty();
    if args.kbpk.is_some() && components_given {
        return Err(Failure::usage(
            "components are of a protection key that is put together, and --kbpk names one in the token",
            "use --kbpk, or --kbpk-in-memory with the components",
        ));
    }
    let blocks = args.blocks.iter().map(|block| read(block)).collect::<Result<Vec<_>, _>>()?;
    let (keys, mut store, place) = match &args.kbpk {
        Some(kbpk) => {
            let kbpk = key_id(kbpk)?;
            let mut store = open()?;
            let keys = {
                let kbpk = store.token().map_err(no_token)?.key(&kbpk)?;
                let Some(KeyKind::BlockProtection(key_type)) = kbpk.kind() else {
                    return Err(KeyError::NotPermitted.into());
                };
                unwrapped(&blocks, &StoredProtectionKey::new(&kbpk, key_type))?
            };
            (keys, store, "token")
        }
        None => {
            let of =
                args.kbpk_check_value.as_deref().map(|value| check_value(value, "--kbpk-check-value")).transpose()?;
            let Some((first, _)) = blocks.first() else {
                return Err(Failure::usage("no block", "name one as ID=FILE"));
            };
            let purpose = Purpose { kind: "tdes-kbpk", id: first, expected: of };
            let ceremony = Ceremony::hold(&purpose, &args.components, journal, output)?;
            let kbpk = ClearProtectionKey::tdes(ceremony.key.expose()).map_err(|error| refused(first, error))?;
            (unwrapped(&blocks, &kbpk)?, open()?, "host memory")
        }
    };
    for (_, key) in &keys {
        confirm(key, expected, "it is another key than you expect: ask who sent the block")?;
    }
    store.token().map_err(no_token)?.import_set(&keys, Lifetime::Permanent, &period)?;
    report(&blocks, &keys, place, output)
}

fn unwrapped(blocks: &[(KeyId, KeyBlock)], kbpk: &impl ProtectionKey) -> Result<Vec<(KeyId, KeyMaterial)>, Failure> {
    let unwrapped = blocks.iter().map(|(id, block)| match block.unwrap_material(kbpk) {
        Ok(key) => Ok((id.clone(), key)),
        Err(error) => Err(refused(id, error)),
    });
    unwrapped.collect()
}

/// What was stored, what the blocks say of it, and which part of the unwrapping was where.
fn report(
    blocks: &[(KeyId, KeyBlock)],
    keys: &[(KeyId, KeyMaterial)],
    protection_key_in: &str,
    output: &Output,
) -> Result<(), Failure> {
    let said = |block: &KeyBlock| -> Vec<(String, String)> {
        let name = |id: &[u8; 2]| id.iter().map(|byte| char::from(*byte)).collect();
        let padding = |id: &[u8; 2]| id == b"PB";
        let kept = block.optional().iter().filter(|optional| !padding(&optional.id));
        kept.map(|optional| (name(&optional.id), optional.data.clone())).collect()
    };
    let rows: Vec<_> = blocks
        .iter()
        .zip(keys)
        .map(|((_, block), (id, key))| {
            let optional: serde_json::Map<_, _> =
                said(block).into_iter().map(|(name, data)| (name, json!(data))).collect();
            let cmac = key.cmac_check_value().map(|value| value.to_string());
            json!({
                "id": id.as_str(), "kind": kind_name(key.kind()), "check_value": key.check_value().to_string(),
                "check_value_cmac": cmac, "optional": optional,
            })
        })
        .collect();
    let value = json!({ "keys": rows, "protection_key_in": protection_key_in, "unwrapped_in": "host memory" });
    output.result(&value, || {
        let row = |((_, block), (id, key)): (&(_, KeyBlock), &(KeyId, KeyMaterial))| {
            let optional: String = said(block)
                .iter()
                .map(|(name, data)| format!("  {name} {}\n", data.chars().take(64).collect::<String>()))
                .collect();
            format!("{id} stored in the token, {}, check value {}\n{optional}", kind_name(key.kind()), shown(key))
        };
        let rows: String = blocks.iter().zip(keys).map(row).collect();
        format!("{rows}protection key in: {protection_key_in}; blocks unwrapped in: wiped host memory\n")
    })
}

/// What is recorded: a use of the protection key, and each key that is to be stored.
pub(crate) fn steps(args: &ImportBlock) -> Result<Vec<(Event, Option<KeyId>)>, Failure> {
    let mut steps = vec![(Event::UnwrapKey, args.kbpk.as_deref().map(key_id).transpose()?)];
    for block in &args.blocks {
        steps.push((Event::ImportKey, Some(named(block)?.0)));
    }
    Ok(steps)
}

/// A new key's name and the file of its block.
fn named(argument: &str) -> Result<(KeyId, &str), Failure> {
    let wrong =
        || Failure::usage("a block is given as ID=FILE", "the block itself stands in the file, or comes with ID=-");
    let (id, path) = argument.split_once('=').ok_or_else(wrong)?;
    Ok((key_id(id)?, path))
}

/// A new key's name and its block.
fn read(argument: &str) -> Result<(KeyId, KeyBlock), Failure> {
    let (id, path) = named(argument)?;
    let text = match path {
        "-" => read_wiped(io::stdin().lock(), LONGEST),
        path => read_file_wiped(Path::new(path), LONGEST),
    };
    let text =
        text.map_err(|error| Failure::usage(format!("cannot read the block of {id}: {error}"), "correct ID=FILE"))?;
    let block = KeyBlock::parse(text.trim_ascii()).map_err(|error| refused(&id, error))?;
    Ok((id, block))
}

fn refused(id: &KeyId, error: KeyBlockError) -> Failure {
    let hint = match &error {
        KeyBlockError::Key(error) => return error.clone().into(),
        KeyBlockError::MacMismatch => "name the protection key that the sender used, and pass the block on unchanged",
        KeyBlockError::ProtectionKey => "versions A, B and C need a TDES protection key, version D an AES one",
        KeyBlockError::NeedsClearKey => {
            "put the protection key together from its components with --kbpk-in-memory, or ask for version B or D"
        }
        KeyBlockError::Unsupported(_) => "ask for a block of version D, or B for TDES protection keys",
        KeyBlockError::NotTaken => "only base keys (B0), key block protection keys (K1) and HMAC keys (M7) are stored",
        _ => "ask for the block again: nothing was stored",
    };
    Failure::new(4, error.code(), format!("the block of {id}: {error}"), hint)
}
