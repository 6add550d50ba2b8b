//! `p2pe keys import-block`: base keys that come as key blocks.

use std::{io, path::Path};

use dukpt::{KeyError, KeyId, KeyKind, KeyMaterial, KeyStore, Lifetime};
use key_block::{KeyBlock, KeyBlockError, StoredProtectionKey};
use p2pe_audit::Event;
use p2pe_config::{Store, read_file_wiped, read_wiped};
use serde_json::json;

use crate::{
    args::ImportBlock,
    failure::Failure,
    keys::{confirm, expected, key_id, kind_name, no_token},
    output::Output,
};

/// The longest block, with room for white space around it.
const LONGEST: usize = 10_100;

/// Reads all blocks, opens the token, unwraps all, and only then stores the first.
pub(crate) fn import(
    args: &ImportBlock,
    open: impl FnOnce() -> Result<Store, Failure>,
    output: &Output,
) -> Result<(), Failure> {
    let period = args.period.read()?;
    let expected = expected(args.check_value.as_deref())?;
    if expected.is_some() && args.blocks.len() != 1 {
        return Err(Failure::usage("--check-value is for one block", "import the blocks one by one"));
    }
    let kbpk = key_id(&args.kbpk)?;
    let blocks = args.blocks.iter().map(|block| read(block)).collect::<Result<Vec<_>, _>>()?;
    let mut store = open()?;
    let token = store.token().map_err(no_token)?;
    let keys = {
        let kbpk = token.key(&kbpk)?;
        let Some(KeyKind::BlockProtection(key_type)) = kbpk.kind() else { return Err(KeyError::NotPermitted.into()) };
        let kbpk = StoredProtectionKey::new(&kbpk, key_type);
        let unwrapped = blocks.into_iter().map(|(id, block)| match block.unwrap_material(&kbpk) {
            Ok(key) => Ok((id, key)),
            Err(error) => Err(refused(&id, error)),
        });
        unwrapped.collect::<Result<Vec<(KeyId, KeyMaterial)>, Failure>>()?
    };
    for (_, key) in &keys {
        confirm(key, expected, "it is another key than you expect: ask who sent the block")?;
    }
    token.import_set(&keys, Lifetime::Permanent, &period)?;
    let rows: Vec<_> = keys
        .iter()
        .map(|(id, key)| {
            let cmac = key.cmac_check_value().map(|value| value.to_string());
            (id, kind_name(key.kind()), key.check_value().to_string(), cmac)
        })
        .collect();
    let value: Vec<_> = rows
        .iter()
        .map(|(id, kind, check_value, cmac)| {
            json!({ "id": id.as_str(), "kind": kind, "check_value": check_value, "check_value_cmac": cmac })
        })
        .collect();
    output.result(&json!({ "keys": value }), || {
        let row = |(id, kind, check_value, cmac): &(_, _, _, Option<String>)| {
            let cmac = cmac.as_ref().map(|value| format!(", CMAC {value}")).unwrap_or_default();
            format!("{id} stored in the token, {kind}, check value {check_value}{cmac}\n")
        };
        rows.iter().map(row).collect()
    })
}

/// What is recorded: a use of the protection key, and each key that is to be stored.
pub(crate) fn steps(args: &ImportBlock) -> Result<Vec<(Event, Option<KeyId>)>, Failure> {
    let mut steps = vec![(Event::UnwrapKey, Some(key_id(&args.kbpk)?))];
    for block in &args.blocks {
        let id = block.split_once('=').map(|(id, _)| key_id(id)).transpose()?;
        steps.push((Event::ImportKey, id));
    }
    Ok(steps)
}

/// A new key's name and its block.
fn read(argument: &str) -> Result<(KeyId, KeyBlock), Failure> {
    let wrong =
        || Failure::usage("a block is given as ID=FILE", "the block itself stands in the file, or comes with ID=-");
    let (id, path) = argument.split_once('=').ok_or_else(wrong)?;
    let id = key_id(id)?;
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
        KeyBlockError::Unsupported(_) => "ask for a block of version D, or B for TDES protection keys",
        KeyBlockError::NotTaken => "only base keys (B0), key block protection keys (K1) and HMAC keys (M7) are stored",
        _ => "ask for the block again: nothing was stored",
    };
    Failure::new(4, error.code(), format!("the block of {id}: {error}"), hint)
}
