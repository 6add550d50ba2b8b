//! Opening a token: what is named in each refusal, and where the PIN may come from.

use std::{fs, process::Command};

use crate::common::{filled, id, open, settings};
use dukpt::{Key, KeyStore, Lifetime};
use pkcs11_backend::{OpenError, PinSource, Settings, Token, TokenSelector};
use throwaway_token::{Error, ThrowawayToken, isolated, isolated_with};

fn refused(settings: &Settings) -> OpenError {
    Token::open(settings).err().unwrap()
}

#[test]
fn modules_that_are_none() {
    let settings =
        |module: &str| Settings::new(module, TokenSelector::label("any"), PinSource::File("/nonexistent/pin".into()));
    for missing in ["/nonexistent/module.so", "/usr/lib", "libsofthsm2.so"] {
        let error = refused(&settings(missing));
        assert!(matches!(&error, OpenError::ModuleNotFound(path) if path.as_os_str() == missing), "{error}");
        assert!(error.to_string().contains(missing));
    }
    // A file that is no library, and a library that is no module.
    let program = std::env::current_exe().unwrap();
    for file in ["/etc/passwd", program.to_str().unwrap()] {
        let error = refused(&settings(file));
        assert!(matches!(error, OpenError::ModuleNotLoadable { .. }), "{error}");
        assert!(error.to_string().contains(file), "{error}");
    }
}

#[test]
fn tokens_that_are_not_there() -> Result<(), Error> {
    isolated("opening::tokens_that_are_not_there", |throwaway| {
        let mut settings = settings(throwaway);
        // The PIN is not read before the token is found.
        settings.pin = PinSource::File("/nonexistent/pin".into());
        settings.token = TokenSelector::label("none such");
        let error = refused(&settings).to_string();
        for named in ["libsofthsm2.so", "pkcs11:token=none%20such", throwaway.label()] {
            assert!(error.contains(named), "{error}");
        }
        for uri in
            ["pkcs11:model=other", "pkcs11:slot-id=987654321", "pkcs11:?module-name=other", "pkcs11:?module-path=/x"]
        {
            settings.token = uri.parse().unwrap();
            assert!(matches!(refused(&settings), OpenError::TokenNotFound { .. }), "{uri}");
        }
        settings.token = TokenSelector::label(throwaway.label());
        let error = refused(&settings);
        assert!(
            matches!(error, OpenError::PinFile { .. }) && error.to_string().contains("/nonexistent/pin"),
            "{error}"
        );
    })
}

#[test]
fn two_tokens_of_one_label() -> Result<(), Error> {
    isolated("opening::two_tokens_of_one_label", |throwaway| {
        let status = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", throwaway.label(), "--pin", "5678", "--so-pin", "5678"])
            .output()
            .unwrap();
        assert!(status.status.success());
        let mut settings = settings(throwaway);
        let error = refused(&settings);
        assert!(matches!(error, OpenError::TokenAmbiguous { count: 2, .. }), "{error}");

        // Each serial number names one; one of them has this PIN.
        let module = cryptoki::context::Pkcs11::new(throwaway.module()).unwrap();
        let flags = cryptoki::context::CInitializeFlags::OS_LOCKING_OK;
        module.initialize(cryptoki::context::CInitializeArgs::new(flags)).unwrap();
        let slots = module.get_slots_with_initialized_token().unwrap();
        let serials = slots.iter().map(|slot| module.get_token_info(*slot).unwrap().serial_number().to_owned());
        let opened = serials.map(|serial| {
            settings.token = format!("pkcs11:token={};serial={serial}", throwaway.label()).parse().unwrap();
            match Token::open(&settings) {
                Ok(token) => token.info().serial == serial,
                Err(error) => {
                    assert!(matches!(error, OpenError::WrongPin), "{error}");
                    false
                }
            }
        });
        assert_eq!(opened.filter(|opened| *opened).count(), 1);
        // Somebody else had initialised the module, so it is not finalised with our last token.
        assert!(module.get_slots_with_token().is_ok());
    })
}

#[test]
fn pins() -> Result<(), Error> {
    let environment = |token: &ThrowawayToken| {
        let pin = fs::read_to_string(token.pin_file()).unwrap_or_default();
        vec![("GOOD_PIN", pin.trim_end().into()), ("EMPTY_PIN", "".into()), ("WRONG_PIN", "12345".into())]
    };
    isolated_with("opening::pins", environment, |throwaway| {
        let mut settings = settings(throwaway);
        let mut with = |pin| {
            settings.pin = pin;
            Token::open(&settings)
        };
        let file = |name: &str, content: &str| {
            let path = throwaway.dir().join(name);
            fs::write(&path, content).unwrap();
            PinSource::File(path)
        };
        let env = |name: &str| PinSource::Env(name.into());
        let pin = fs::read_to_string(throwaway.pin_file()).unwrap();
        let pin = pin.trim_end();

        assert!(matches!(with(env("NO_PIN")), Err(OpenError::PinVariable(name)) if name == "NO_PIN"));
        assert!(matches!(with(env("EMPTY_PIN")), Err(OpenError::PinEmpty)));
        assert!(matches!(with(file("empty", "\n")), Err(OpenError::PinEmpty)));
        assert!(matches!(with(file("endless", &"1".repeat(2000))), Err(OpenError::PinFile { .. })));
        for wrong in [env("WRONG_PIN"), file("wrong", "1"), file("spaced", &format!("{pin} \n"))] {
            let error = with(wrong.clone()).err().unwrap();
            assert!(matches!(error, OpenError::WrongPin), "{wrong:?}: {error}");
        }
        for good in [env("GOOD_PIN"), file("bare", pin), file("windows", &format!("{pin}\r\n"))] {
            let token = with(good.clone()).unwrap();
            for shown in [format!("{good:?}"), format!("{token:?}"), format!("{:?}", token.store().unwrap())] {
                assert!(!shown.contains(pin), "{shown}");
            }
        }
        // Nobody is there to be asked in a test; on a terminal this line would wait for one.
        assert!(!format!("{:?}", PinSource::Prompt).is_empty());
    })
}

#[test]
fn two_tokens_in_one_process() -> Result<(), Error> {
    isolated("opening::two_tokens_in_one_process", |throwaway| {
        let first = open(throwaway);
        let link = throwaway.dir().join("linked-module.so");
        std::os::unix::fs::symlink(throwaway.module(), &link).unwrap();
        let mut through_link = settings(throwaway);
        through_link.module = link;
        let second = Token::open(&through_link).unwrap();
        assert_eq!(first.info(), second.info());
        drop(filled(&second, Lifetime::Permanent));
        drop(second);
        // The module is still initialised and the user logged in.
        assert!(first.store().unwrap().key(&id("hmac")).unwrap().hmac_sha256(b"").is_ok());

        through_link.init = Some("another".into());
        assert!(matches!(refused(&through_link), OpenError::InitMismatch(_)));
        drop(first);
        // SoftHSM takes no string.
        let error = refused(&through_link);
        assert!(matches!(error, OpenError::Device { function: "C_Initialize", code: 7 }), "{error}");
        through_link.init = Some("nul\0".into());
        assert!(matches!(refused(&through_link), OpenError::ModuleNotLoadable { .. }));
        // That failure left nothing behind.
        assert!(open(throwaway).store().is_ok());
    })
}

#[test]
fn opening_and_closing_in_many_threads() -> Result<(), Error> {
    isolated("opening::opening_and_closing_in_many_threads", |throwaway| {
        drop(filled(&open(throwaway), Lifetime::Permanent));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        let store = open(throwaway).store().unwrap();
                        store.key(&id("hmac")).unwrap().hmac_sha256(b"").unwrap();
                    }
                });
            }
        });
    })
}

#[test]
fn what_a_token_says_of_itself() -> Result<(), Error> {
    isolated("opening::what_a_token_says_of_itself", |throwaway| {
        let uri = format!("PKCS11:token={};manufacturer=SoftHSM%20project;model=SoftHSM%20v2", throwaway.label());
        let module = throwaway.module().canonicalize().unwrap();
        let mut settings = settings(throwaway);
        settings.token = format!("{uri}?module-path={}&module-name=softhsm2", module.display()).parse().unwrap();
        let token = Token::open(&settings).unwrap();
        let info = token.info();
        assert_eq!((info.label.as_str(), info.model.as_str()), (throwaway.label(), "SoftHSM v2"));
        assert_eq!((&info.module, info.manufacturer.as_str()), (&module, "SoftHSM project"));
        assert!([&info.firmware, &info.hardware, &info.library_version].iter().all(|version| version.contains('.')));
        assert!(!info.serial.is_empty() && !info.library.is_empty());
        // CKM_AES_ECB_ENCRYPT_DATA, which cryptoki's own list leaves out.
        assert!(token.mechanisms().unwrap().contains(&0x1104));
    })
}
