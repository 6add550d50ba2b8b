//! The helper itself: it isolates, it cleans up, and a child that fails or runs nothing is a failure.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use throwaway_token::{Error, ThrowawayToken, isolated, isolated_with};

mod inner {
    #[test]
    fn the_name_is_a_path() -> Result<(), throwaway_token::Error> {
        throwaway_token::isolated("inner::the_name_is_a_path", |_| ())
    }
}

#[test]
fn the_child_sees_the_token_and_the_parent_removes_it() -> Result<(), Error> {
    let name = "the_child_sees_the_token_and_the_parent_removes_it";
    let mut dir = None;
    let inside = |token: &ThrowawayToken| {
        assert_eq!(std::env::var_os("SOFTHSM2_CONF"), Some(token.conf().into()));
        assert_eq!(std::env::var("DIR").unwrap(), token.dir().to_str().unwrap());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(token.dir()), mode(&token.pin_file())), (0o700, 0o600));
        let slots = std::process::Command::new("softhsm2-util").arg("--show-slots").output().unwrap();
        assert!(String::from_utf8_lossy(&slots.stdout).contains(token.label()));
    };
    isolated_with(
        name,
        |token| {
            dir = Some(token.dir().to_path_buf());
            vec![("DIR", token.dir().into())]
        },
        inside,
    )?;
    // Empty in the child, which did not make the token.
    assert!(dir.is_none_or(|dir| !dir.exists()));
    Ok(())
}

#[test]
fn a_body_that_panics_fails_the_parent() {
    let failed = isolated("a_body_that_panics_fails_the_parent", |_| panic!("planted"));
    assert!(matches!(&failed, Err(Error::Child { output, .. }) if output.contains("planted")), "{failed:?}");
}

#[test]
fn a_wrong_name_is_a_failure() {
    let failed = isolated("no_such_test", |_| ());
    assert!(matches!(&failed, Err(Error::NotRun(name)) if name == "no_such_test"), "{failed:?}");
}

#[test]
fn create_and_drop() {
    let token = ThrowawayToken::create().unwrap();
    let (dir, pin) = (token.dir().to_path_buf(), fs::read_to_string(token.pin_file()).unwrap());
    assert_eq!(pin.trim_end().len(), 16);
    assert!(!format!("{token:?}").contains(pin.trim_end()));
    drop(token);
    assert!(!dir.exists());
}
