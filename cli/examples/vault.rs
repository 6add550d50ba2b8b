//! The vault example of the README, word for word; a test runs it.

use p2pe_config::{Access, Config, Store};
use p2pe_crypto::{MerchantId, Pan, Policy, Purpose, TokenForm};
use vault::{Vault, open_store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings = Config::load("p2pe.toml".as_ref())?.store.ok_or("the settings name no [store]")?;
    let keys = Store::open(&settings, Access::Use)?;
    let vault = Vault::open(open_store(&std::env::var("P2PE_DATABASE")?)?, keys)?;

    let policy = Policy::new(MerchantId::new("shop-1")?, 1, TokenForm::Vault).purposes(&[Purpose::Refund]);
    let token = vault.tokenize(&policy, &Pan::new(b"4761739001010010")?, None)?;
    println!("{token}"); // the same as from the shell
    println!("{}", vault.detokenize("till 7", &policy, Purpose::Refund, &token)?.pan);
    Ok(())
}
