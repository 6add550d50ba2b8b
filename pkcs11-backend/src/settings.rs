//! What a token is opened with.

use std::{path::PathBuf, time::Duration};

use dukpt::KeyId;

use crate::{PinSource, TokenSelector};

/// What a token is opened with. Holds no secret.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The PKCS#11 module: the vendor's shared library, as a path.
    pub module: PathBuf,
    /// Which of its tokens.
    pub token: TokenSelector,
    /// Where the user PIN comes from.
    pub pin: PinSource,
    /// The module's own initialisation string (`pReserved` of `C_Initialize`). Most modules have none; NSS wants
    /// `configdir='sql:DIR' certPrefix='' keyPrefix='' secmod='' flags=`.
    pub init: Option<String>,
    /// Use keys that the token does not keep safely (extractable, not sensitive, fit for more than their kind
    /// needs), as some migrations must. Off by default.
    pub allow_unsafe_keys: bool,
    /// Refuse TDES DUKPT where it would need the initial key of a device in host memory, which is everywhere but on
    /// tokens that run it by themselves ([`dukpt::KeyError::HybridForbidden`]). Off by default.
    pub forbid_hybrid: bool,
    /// Base keys that still decrypt although they are expired or retired: what devices encrypted before (recipient-usage
    /// period; NIST SP 800-57 part 1, 5.3.4). None by default.
    pub still_decrypt: Vec<KeyId>,
    /// A key that a store has found is looked up and checked again after this time, so that it learns of keys that were
    /// activated, retired or replaced. A minute by default.
    pub recheck: Duration,
}

impl Settings {
    /// Settings without an initialisation string, which refuse unsafe keys and allow the hybrid.
    #[must_use]
    pub fn new(module: impl Into<PathBuf>, token: TokenSelector, pin: PinSource) -> Self {
        Self {
            module: module.into(),
            token,
            pin,
            init: None,
            allow_unsafe_keys: false,
            forbid_hybrid: false,
            still_decrypt: Vec::new(),
            recheck: Duration::from_secs(60),
        }
    }
}
