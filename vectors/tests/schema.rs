//! The data files keep to `schema.json`, and the loader refuses what the schema refuses.
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

fn schema() -> jsonschema::Validator {
    jsonschema::validator_for(&read("schema.json")).unwrap()
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
fn every_file_keeps_to_the_schema_and_loads() {
    let schema = schema();
    let mut builtin: Vec<String> = VectorFile::builtin().unwrap().into_iter().map(|file| file.name).collect();
    builtin.sort();
    assert_eq!(builtin, data_files().into_iter().map(|(name, _)| name).collect::<Vec<_>>());
    for (name, document) in data_files() {
        let errors: Vec<String> =
            schema.iter_errors(&document).map(|error| format!("{} {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
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

/// One change to a file of the library, and its name.
type Mutation = (&'static str, fn(&mut Value));

/// What both the schema and the loader refuse.
const REFUSED: [Mutation; 25] = [
    ("an unknown field at the top", |d| d["comment"] = json!("x")),
    ("an unknown field in a key", |d| d["keys"][0]["usage"] = json!("x")),
    ("an unknown field in a test", |d| d["tests"][0]["remark"] = json!("x")),
    ("an unknown field in a device", |d| d["tests"][0]["device"]["name"] = json!("x")),
    ("an unknown field in a frame", |d| d["tests"][0]["frame"]["colour"] = json!("x")),
    ("an unknown field in a card", |d| d["tests"][0]["card"]["pin"] = json!("1234")),
    ("a field of another type", |d| d["tests"][0]["variant"] = json!("pin")),
    ("an unknown type", |d| d["tests"][0]["type"] = json!("payloads")),
    ("a type in upper case", |d| d["tests"][0]["type"] = json!("PAYLOAD")),
    ("another type", |d| d["tests"][0]["type"] = json!("token")),
    ("no type", |d| drop(d["tests"][0].as_object_mut().unwrap().remove("type"))),
    ("no id", |d| drop(d["tests"][0].as_object_mut().unwrap().remove("id"))),
    ("no source", |d| drop(d["tests"][0].as_object_mut().unwrap().remove("source"))),
    ("no result", |d| drop(d["tests"][0].as_object_mut().unwrap().remove("result"))),
    ("an unknown result", |d| d["tests"][0]["result"] = json!("acceptable")),
    ("invalid without an error", |d| d["tests"][0]["result"] = json!("invalid")),
    ("valid with an error", |d| d["tests"][0]["error"] = json!("decrypt_failed")),
    ("bad hex in a KSN", |d| d["tests"][0]["frame"]["ksn"] = json!("629949000000000A000G")),
    ("an odd digit in a key", |d| d["keys"][0]["value"] = json!("0123456789ABCDEFFEDCBA987654321")),
    ("a space in a prefix", |d| d["tests"][0]["device"]["ksn_prefix"] = json!("62 99")),
    ("a number where text is due", |d| d["tests"][0]["id"] = json!(1)),
    ("four tracks", |d| d["tests"][0]["frame"]["masked"] = json!([null, null, null, null])),
    ("another version", |d| d["schema_version"] = json!(2)),
    ("no version", |d| drop(d.as_object_mut().unwrap().remove("schema_version"))),
    ("no tests at all", |d| drop(d.as_object_mut().unwrap().remove("tests"))),
];

/// What the schema cannot say, and the loader refuses by itself.
const INCONSISTENT: [Mutation; 2] = [
    ("a duplicate id", |d| d["tests"][1]["id"] = d["tests"][0]["id"].clone()),
    ("a flag that is not declared", |d| d["tests"][0]["flags"] = json!(["shiny"])),
];

/// What the schema refuses because such a test would prove less than it seems to.
const PROVES_NOTHING: [Mutation; 10] = [
    ("a valid payload with a byte that is at fault", |d| d["tests"][0]["offset"] = json!(0)),
    ("a valid payload without its card", |d| drop(d["tests"][0].as_object_mut().unwrap().remove("card"))),
    ("a valid payload without its frame", |d| drop(d["tests"][0].as_object_mut().unwrap().remove("frame"))),
    ("an invalid payload without its stage", |d| {
        let test = d["tests"][0].as_object_mut().unwrap();
        test.retain(|field, _| field != "card" && field != "frame");
        test.insert("result".into(), json!("invalid"));
        test.insert("error".into(), json!("decrypt_failed"));
    }),
    ("an invalid payload with a card", |d| {
        d["tests"][0]["result"] = json!("invalid");
        d["tests"][0]["error"] = json!("decrypt_failed");
        d["tests"][0]["stage"] = json!("decrypt");
    }),
    ("a wrong configuration without the right one", |d| {
        let test = d["tests"][0].as_object_mut().unwrap();
        test.remove("frame");
        test.insert("result".into(), json!("invalid"));
        test.insert("error".into(), json!("decrypt_failed"));
        test.insert("stage".into(), json!("configuration"));
    }),
    ("two configurations of a valid payload", |d| {
        d["tests"][0]["right_device"] = d["tests"][0]["device"].clone();
    }),
    ("an empty list of tests", |d| d["tests"] = json!([])),
    ("a base key without its check value", |d| drop(d["keys"][0].as_object_mut().unwrap().remove("check_value"))),
    ("a profile that does not exist", |d| d["tests"][0]["device"]["profile"] = json!("idtech-rsa")),
];

fn mutated(mutate: fn(&mut Value)) -> Value {
    let mut document = read("data/idtech_enhanced.json");
    mutate(&mut document);
    document
}

#[test]
fn what_the_schema_refuses_the_loader_refuses() {
    let schema = schema();
    assert!(loads(&mutated(|_| ())));
    for (what, mutate) in REFUSED {
        let document = mutated(mutate);
        assert!(!schema.is_valid(&document), "the schema takes {what}");
        assert!(!loads(&document), "the loader takes {what}");
    }
}

#[test]
fn what_contradicts_itself_is_refused_by_the_loader() {
    let schema = schema();
    for (what, mutate) in INCONSISTENT {
        let document = mutated(mutate);
        assert!(schema.is_valid(&document), "{what}");
        assert!(!loads(&document), "the loader takes {what}");
    }
}

#[test]
fn a_test_that_proves_nothing_is_refused_by_the_loader() {
    let schema = schema();
    let mut taken = Vec::new();
    for (what, mutate) in PROVES_NOTHING {
        let document = mutated(mutate);
        assert!(!schema.is_valid(&document), "the schema takes {what}");
        if loads(&document) {
            taken.push(what);
        }
    }
    assert!(taken.is_empty(), "the loader takes {taken:?}");
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
