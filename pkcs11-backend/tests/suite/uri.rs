//! The URI parser: total, and strict about everything that could choose another token or show a PIN.

use std::path::Path;

use pkcs11_backend::{PinSource, TokenSelector, UriError};
use proptest::prelude::*;

fn parse(uri: &str) -> Result<TokenSelector, UriError> {
    uri.parse()
}

#[test]
fn valid() {
    for (uri, canonical) in [
        ("pkcs11:", "pkcs11:"),
        ("PKCS11:token=a", "pkcs11:token=a"),
        ("pkcs11:token=The%20Software%20PKCS%2311%20Softtoken", "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken"),
        ("pkcs11:serial=01;token=%C3%A9%3b", "pkcs11:token=%C3%A9%3B;serial=01"),
        ("pkcs11:slot-id=007;model=a=b;manufacturer=x&y", "pkcs11:manufacturer=x%26y;model=a%3Db;slot-id=7"),
        ("pkcs11:token=", "pkcs11:token="),
        ("pkcs11:token=a?module-name=softhsm2&module-path=/usr/lib/p%2C.so&pin-source=file:/run/pin", "pkcs11:token=a"),
    ] {
        let selector = parse(uri).unwrap();
        assert_eq!(selector.to_string(), canonical);
        assert_eq!(parse(canonical).unwrap().to_string(), canonical);
    }
    assert_eq!(parse("pkcs11:token=a").unwrap(), TokenSelector::label("a"));
    for (source, path) in [("/run/p%20n", "/run/p n"), ("file:/run/pin", "/run/pin"), ("file:///run/pin", "/run/pin")] {
        let selector = parse(&format!("pkcs11:?pin-source={source}&module-path=/m.so")).unwrap();
        assert_eq!(selector.pin_source(), Some(&PinSource::File(path.into())));
        assert_eq!(selector.module_path(), Some(Path::new("/m.so")));
    }
}

#[test]
fn invalid() {
    let attribute = |name: &str| UriError::Attribute(name.into());
    for (uri, error) in [
        ("", UriError::Scheme),
        ("pkcs11", UriError::Scheme),
        ("pkcs12:token=a", UriError::Scheme),
        ("token=a", UriError::Scheme),
        ("pkcs11éé", UriError::Scheme),
        ("pkcs11:token", UriError::Syntax(1)),
        ("pkcs11:token=a;", UriError::Syntax(2)),
        ("pkcs11:=a", UriError::Syntax(1)),
        ("pkcs11:token=a?pin-source", UriError::Syntax(2)),
        ("pkcs11:token=%4", UriError::Value("token")),
        ("pkcs11:token=%zz", UriError::Value("token")),
        ("pkcs11:token=%", UriError::Value("token")),
        ("pkcs11:token=%FF", UriError::Value("token")),
        ("pkcs11:token=a b", UriError::Value("token")),
        ("pkcs11:token=é", UriError::Value("token")),
        ("pkcs11:slot-id=+1", UriError::Value("slot-id")),
        ("pkcs11:slot-id=-1", UriError::Value("slot-id")),
        ("pkcs11:slot-id=", UriError::Value("slot-id")),
        ("pkcs11:slot-id=99999999999999999999", UriError::Value("slot-id")),
        ("pkcs11:token=a;token=a", UriError::Duplicate("token")),
        ("pkcs11:serial=1;token=a;serial=2", UriError::Duplicate("serial")),
        ("pkcs11:?pin-source=/a&pin-source=/b", UriError::Duplicate("pin-source")),
        ("pkcs11:?pin-source=|cat%20/pin", UriError::PinSource),
        ("pkcs11:?pin-source=pin", UriError::PinSource),
        ("pkcs11:?pin-source=file:pin", UriError::PinSource),
        ("pkcs11:?pin-value=1234", UriError::PinValue),
        ("pkcs11:token=a?pin-source=/a&pin-value=1234", UriError::PinValue),
        ("pkcs11:pin-value=1234", UriError::PinValue),
        ("pkcs11:object=bdk", attribute("object")),
        ("pkcs11:type=secret-key", attribute("type")),
        ("pkcs11:Token=a", attribute("Token")),
        ("pkcs11:x-vendor=1", attribute("x-vendor")),
        ("pkcs11:token=a?x=1", attribute("x")),
        ("pkcs11:slot-id=1?token=a", attribute("token")),
        ("pkcs11:e\u{1b}[31m=1", attribute("e?[31m")),
    ] {
        assert_eq!(parse(uri), Err(error.clone()), "{uri}");
        assert!(!error.to_string().contains("1234"));
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(uri in "(pkcs11:)?([a-z-]{0,8}[=;?&%]?[ -~é]{0,4}){0,8}", any in ".{0,40}") {
        for uri in [uri, format!("pkcs11:{any}"), any] {
            if let Ok(selector) = parse(&uri) {
                prop_assert!(parse(&selector.to_string()).is_ok());
            }
        }
    }

    #[test]
    fn what_is_written_is_read(label in "\\PC{0,20}", slot: u64) {
        let uri = TokenSelector::label(&label).to_string();
        prop_assert_eq!(parse(&uri).unwrap(), TokenSelector::label(&label));
        let uri = format!("{uri};slot-id={slot}");
        prop_assert_eq!(parse(&uri).unwrap().to_string(), uri);
    }
}
