//! The shell snippets of the README, run as they stand there, each set in an empty folder.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    env,
    path::Path,
    process::{Command, Output},
};

const README: &str = include_str!("../../README.md");

fn snippets() -> Vec<&'static str> {
    README.split("```sh\n").skip(1).map(|rest| rest.split_once("```").unwrap().0).collect()
}

/// Runs a script with the built `p2pe` first on the path; any command that fails fails it.
fn run(script: &str, folder: &Path) -> Output {
    let binary = Path::new(env!("CARGO_BIN_EXE_p2pe")).parent().unwrap();
    let path =
        env::join_paths([binary.to_path_buf()].into_iter().chain(env::split_paths(&env::var_os("PATH").unwrap())));
    Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(folder)
        .env("PATH", path.unwrap())
        .env_remove("P2PE_CONFIG")
        .env_remove("P2PE_SEALED")
        .env_remove("P2PE_DATABASE")
        .output()
        .unwrap()
}

fn printed(script: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = run(script, folder.path());
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{out}\n{err}");
    out
}

#[test]
fn the_first_look_with_keys_in_memory() {
    let out = printed(snippets()[0]);
    for part in ["476173******0010", "2212", "memory", "security_code  present"] {
        assert!(out.contains(part), "{part} is missing in:\n{out}");
    }
    assert!(!out.contains("4761739001010010"));
}

/// After the first look, in its folder.
#[test]
fn devices_in_software() {
    let out = printed(&format!("{}\necho; {}", snippets()[0], snippets()[3]));
    let (_, out) = out.split_once("\n\n").unwrap();
    for part in ["sredkey ", "security-code ", "security_code  present", "swiped", "FFFF9876543210E00007", "keyed"] {
        assert!(out.contains(part), "{part} is missing in:\n{out}");
    }
    assert_eq!(out.matches("476173******0010").count(), 3, "{out}");
    assert!(!out.contains("4761739001010010"));
}

/// After the first look, in its folder.
#[test]
fn old_card_files() {
    let snippet = snippets().into_iter().find(|snippet| snippet.contains("p2pe migrate run")).unwrap();
    let out = printed(&format!("{}\necho; {snippet}", snippets()[0]));
    for part in [
        "476173******0010",
        "4 rows in, 4 rows out",
        "山田,vtok_",
        "鈴木,vtok_",
        "佐藤,4.54714E+15",
        "4,\"カード番号\",digits_lost",
    ] {
        assert!(out.contains(part), "{part} is missing in:\n{out}");
    }
    assert!(out.contains("\"表, 済\"") && !out.contains("5413330089604111") && !out.contains("４７６１"));
}

/// On SQLite as it stands there, and on PostgreSQL by another first line.
#[test]
fn tokens_that_lead_back() {
    let snippet = *snippets().last().unwrap();
    let (first, rest) = snippet.split_once('\n').unwrap();
    assert!(first.starts_with("export P2PE_DATABASE=vault.db "));
    let [example] = examples(["vault"]);
    let url = throwaway_postgres::Server::shared().new_database().unwrap();
    for script in [snippet.to_owned(), format!("export P2PE_DATABASE='{url}'\n{rest}")] {
        let out =
            printed(&format!("{script}\n{example} > example.txt\ndiff example.txt <(tr -s ' ' '\\n' < tokens.txt)"));
        for part in ["a vault is in", "vtok_", "476173******0010", "1 rows, 0 corrupted"] {
            assert!(out.contains(part), "{part} is missing in:\n{out}");
        }
        assert!(!out.contains("4761739001010010"));
    }
}

#[test]
fn the_whole_story_with_keys_in_a_token() {
    let module = throwaway_token::find_module().unwrap();
    let script = snippets()[1].replace("/usr/lib/softhsm/libsofthsm2.so", module.to_str().unwrap());
    let out = printed(&script);
    for part in
        ["check value 08D7B4", "check value ED6429", "476173******0010", "hybrid", "tok_", "\"token\"", "passed"]
    {
        assert!(out.contains(part), "{part} is missing in:\n{out}");
    }
    assert!(!out.contains("4761739001010010"));
}

/// After the story with keys in a token, in its folder.
#[test]
fn the_key_ceremony() {
    let module = throwaway_token::find_module().unwrap();
    let script = snippets()[1].replace("/usr/lib/softhsm/libsofthsm2.so", module.to_str().unwrap());
    let out = printed(&format!("{script}\necho; echo; echo; {}", snippets()[4]));
    let (_, out) = out.split_once("\n\n\n").unwrap();
    for part in ["check value 08D7B4, CMAC 0A82458664", " pending ", "v2 is active", "v1 is retired", " 0 problems"] {
        assert!(out.contains(part), "{part} is missing in:\n{out}");
    }
    // What the terminal is shown to say is what it says (cli/tests/ceremony.rs).
    for part in ["D2B91C, CMAC 908511D06A", "08D7B4, CMAC 0A82458664"] {
        assert!(README.contains(part), "{part}");
    }
}

/// The paths of examples. A run of one test alone has not built them; one of all has, with the features of the workspace.
fn examples<const N: usize>(names: [&str; N]) -> [String; N] {
    let mut build = Command::new(env!("CARGO"));
    build
        .args(["build", "--workspace", "--quiet", "--locked"])
        .args(names.iter().flat_map(|name| ["--example", *name]));
    assert!(build.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
    let folder = Path::new(env!("CARGO_BIN_EXE_p2pe")).with_file_name("examples");
    names.map(|name| folder.join(name).display().to_string())
}

#[test]
fn the_rust_examples_after_the_shell_snippets() {
    let module = throwaway_token::find_module().unwrap();
    for example in [
        include_str!("../examples/gateway.rs"),
        include_str!("../examples/pool.rs"),
        include_str!("../examples/vault.rs"),
    ] {
        let example = example.split_once("\n\n").unwrap().1;
        assert!(README.contains(&format!("```rust\n{example}```")), "README and cli/examples differ:\n{example}");
    }
    if module != Path::new("/usr/lib/softhsm/libsofthsm2.so") {
        assert!(env::var_os("P2PE_ALL_TESTS").is_none(), "the example names Debian's SoftHSM, which is elsewhere here");
        println!("skipped: the example names Debian's SoftHSM, which is elsewhere here");
        return;
    }
    let [gateway, pool] = examples(["gateway", "pool"]);
    let out = printed(&format!("{}\necho; {gateway}; echo EXAMPLE; {pool}", snippets()[1]));
    let (gateway, pool) = out.split_once("EXAMPLE\n").unwrap();
    let last = gateway.lines().last().unwrap();
    assert!(last.starts_with("476173******0010 -> tok_"), "{last}");
    assert!(pool.ends_with("\nserving\n"), "{pool}");
    for request in 1..=8 {
        assert!(pool.contains(&format!("{request}: 476173******0010\n")), "{pool}");
    }
}

#[test]
fn the_third_set_of_snippets_is_how_tools_test_builds_the_python_package() {
    assert_eq!(snippets().len(), 7);
    assert!(snippets()[2].contains("maturin develop"));
    let script = include_str!("../../tools/test");
    assert!(script.contains("blocks == 3' README.md") && script.contains("bash -euo pipefail -c \"$lines\""));
}

#[test]
fn the_dependencies_of_the_rust_example_are_there() {
    let (_, rest) = README.split_once("```toml\n[dependencies]\n").unwrap();
    let (lines, _) = rest.split_once("```").unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut crates = Vec::new();
    for line in lines.lines() {
        let (name, path) = line.split_once(" = { path = \"../p2pe-crypto/").unwrap();
        let manifest = root.join(path.strip_suffix("\" }").unwrap()).join("Cargo.toml");
        assert!(std::fs::read_to_string(manifest).unwrap().contains(&format!("name = \"{name}\"")), "{line}");
        crates.push(name.replace('-', "_"));
    }
    let example = concat!(include_str!("../examples/gateway.rs"), include_str!("../examples/vault.rs"));
    for used in example.lines().filter_map(|line| line.strip_prefix("use ")?.split_once("::")) {
        assert!(crates.iter().any(|name| name == used.0), "{}", used.0);
    }
}
