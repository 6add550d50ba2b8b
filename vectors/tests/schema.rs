//! The loader takes the data files, and refuses what `schema.json` refuses and what that cannot tell. Python's tests hold the same
//! files and changes against the schema.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{collections::BTreeSet, fs, path::PathBuf};

use p2pe_vectors::VectorFile;
use serde_json::{Value, json};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> Value {
    serde_json::from_slice(&fs::read(folder().join(path)).unwrap()).unwrap()
}

fn data_files() -> Vec<(String, Value)> {
    let mut names: Vec<String> = fs::read_dir(folder().join("data"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), read(&format!("data/{name}")))).collect()
}

fn loads(document: &Value) -> bool {
    VectorFile::parse("mutated.json", &serde_json::to_vec(document).unwrap()).is_ok()
}

#[test]
fn every_file_loads() {
    let mut builtin: Vec<String> = VectorFile::builtin().unwrap().into_iter().map(|file| file.name).collect();
    builtin.sort();
    assert_eq!(builtin, data_files().into_iter().map(|(name, _)| name).collect::<Vec<_>>());
    for (name, document) in data_files() {
        assert!(loads(&document), "{name}");
    }
    assert_eq!(VectorFile::load(&folder().join("data")).unwrap().len(), builtin.len());
    assert!(VectorFile::load(&folder().join("src")).is_err(), "no vectors in there");
    assert!(VectorFile::load(&folder().join("absent.json")).is_err());
}

#[test]
fn ids_are_unique_and_references_lead_somewhere() {
    let (mut ids, mut flags_used) = (BTreeSet::new(), 0);
    for (name, document) in data_files() {
        let keys: BTreeSet<&str> =
            document["keys"].as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap()).collect();
        for test in document["tests"].as_array().unwrap() {
            let id = test["id"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{name}: {id} is in two files");
            let named = test["key"].as_str().or(test["device"]["base_key"].as_str());
            let absent = test["error"] == "key_not_found";
            assert!(named.is_none_or(|key| keys.contains(key) != absent), "{name}: {id} names {named:?}");
            flags_used += test["flags"].as_array().unwrap().len();
        }
    }
    assert!(ids.len() > 500 && flags_used > 500, "{} {flags_used}", ids.len());
}

/// A change, each place by its JSON Pointer (RFC 6901).
fn mutated(mutation: &Value) -> Value {
    let mut document = read("data/idtech_enhanced.json");
    let places = |field: &str| mutation[field].as_array().cloned().unwrap_or_default();
    for place in places("remove") {
        let (parent, field) = place.as_str().unwrap().rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(field).unwrap();
    }
    for (place, value) in mutation["set"].as_object().into_iter().flatten() {
        let (parent, field) = place.rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(field.into(), value.clone());
    }
    document
}

#[test]
fn what_is_wrong_is_refused_by_the_loader() {
    assert!(loads(&mutated(&json!({}))));
    let mutations = read("tests/mutations.json");
    let mut count = 0;
    for mutation in ["both_refuse", "loader_refuses"].iter().flat_map(|part| mutations[part].as_array().unwrap()) {
        assert!(!loads(&mutated(mutation)), "the loader takes {}", mutation["what"]);
        count += 1;
    }
    assert_eq!(count, 37);
}

#[test]
fn not_json() {
    for bytes in [&b""[..], b"{", b"[]", b"null", b"\xFF", b"{\"schema_version\":1}"] {
        let error = VectorFile::parse("name.json", bytes).unwrap_err().to_string();
        assert!(error.starts_with("name.json: "), "{error}");
    }
}

/// The hash in the report is that of the file's own bytes.
#[test]
fn the_hash_is_of_the_bytes() {
    let document = read("data/ksn.json");
    let (pretty, compact) = (serde_json::to_vec_pretty(&document).unwrap(), serde_json::to_vec(&document).unwrap());
    let hash = |bytes: &[u8]| VectorFile::parse("ksn.json", bytes).unwrap().sha256;
    assert_ne!(hash(&pretty), hash(&compact));
    assert_eq!(hash(&pretty), hash(&pretty));
    assert_eq!(hash(&pretty).len(), 64);
}
