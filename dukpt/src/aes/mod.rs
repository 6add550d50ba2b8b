//! AES DUKPT (ANSI X9.24-3:2017). Written once over any [`Key`](crate::Key): on a token it runs wholly inside.

mod derivation;
mod key_type;
mod ksn;
mod suite;
pub mod terminal;
mod working;

pub use derivation::{Derivation, Purpose};
pub use key_type::{KeyType, Usage, WorkingKeyType};
pub use ksn::Ksn;
pub use suite::{DataUsage, Suite, SuiteError};
pub use working::{
    DataEncryptionKey, DataKey, KeyEncryptionKey, MacGenerationKey, MacVerificationKey, PinKey, TransactionKey,
    update_key,
};
