//! Python bindings: the private native module `p2pe_crypto._native`. It converts, and nothing else; what may be shown
//! and what is refused is decided in the crates below.

#![forbid(unsafe_code)]

mod answers;
mod arrow;
mod audit;
mod card;
mod conformance;
mod error;
mod gateway;
mod given;
mod handle;
mod health;
mod memory;
mod payload;
mod policy;
mod profile;
mod stats;
mod store;
mod vault;
mod workers;

use pyo3::pymodule;

/// Private: import `p2pe_crypto`.
#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::arrow::ArrowTokens;
    #[pymodule_export]
    use crate::audit::{AuditLog, Verified};
    #[pymodule_export]
    use crate::card::{CardData, CardOnFile, Pan, Secret, SensitiveData};
    #[pymodule_export]
    use crate::conformance::{Case, Report, run_conformance};
    #[pymodule_export]
    use crate::gateway::{Device, Gateway, open};
    #[pymodule_export]
    use crate::memory::protect_memory;
    #[pymodule_export]
    use crate::payload::Payload;
    #[pymodule_export]
    use crate::policy::Policy;
    #[pymodule_export]
    use crate::profile::{Profile, profiles};
    #[pymodule_export]
    use crate::store::Store;
    #[pymodule_export]
    use crate::vault::Vault;

    /// The version of this package.
    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "Python's name for it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
