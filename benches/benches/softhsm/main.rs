//! SoftHSM: the library, alone and through its pool, beside a bare loop of the same PKCS#11 calls.
#![expect(clippy::expect_used, reason = "a bench may stop")]

mod bare;
mod calls;
mod pool;

use std::process::ExitCode;

use dukpt::Lifetime;
use p2pe_benches::{Bench, Row, Rows};
use pkcs11_backend::{PinSource, Settings, Token, TokenSelector};
use throwaway_token::{Process, reexec_with_token};

fn main() -> Result<ExitCode, throwaway_token::Error> {
    let throwaway = match reexec_with_token()? {
        Process::Inside(token) => token,
        Process::Outside(code) => return Ok(code),
    };
    let pin = PinSource::File(throwaway.pin_file());
    let settings = Settings::new(throwaway.module(), TokenSelector::label(throwaway.label()), pin);
    let token = Token::open(&settings).expect("the token opens");
    let bench = Bench::load();
    let mut store = token.admin().expect("a session");
    bench.import(&mut store, Lifetime::Permanent);
    let (bare, mut rows) = (bare::Bare::open(&throwaway), Rows::from_args());
    calls::rows(&mut rows, &bench, &store, &bare);
    pool::rows(&mut rows, &bench, &settings, &bare);
    Ok(ExitCode::SUCCESS)
}

fn row(name: &str, target: Option<f64>) -> Row {
    Row { name: format!("softhsm {name}"), target, limit: "token" }
}
