//! What the doctor says. It holds no card data: facts tell that a digit is right, never which.

use dukpt::CheckValue;

use crate::{Cause, Fact};

/// The outcome of an examination.
#[derive(Clone, Debug, Default)]
pub struct Diagnosis {
    /// Whether the payload decrypts as it is, under the settings as they are. Then there are no findings.
    pub healthy: bool,
    /// What explains the failure, most probable first. Several are alternatives.
    pub findings: Vec<Finding>,
    /// What was tried, for when nothing fits.
    pub tried: Vec<String>,
    /// What could not be tried, and why.
    pub not_tried: Vec<String>,
    /// The base keys of the trials, with their check values where the store tells them.
    pub keys: Vec<(String, Option<CheckValue>)>,
}

/// One explanation: causes that hold together, with the same evidence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// One or more things that are wrong at the same time.
    pub causes: Vec<Cause>,
    /// What was found right with these causes put right.
    pub evidence: Vec<Fact>,
}

impl Finding {
    /// The less, the more probable.
    pub(crate) fn distance(&self) -> u32 {
        self.causes.iter().map(|cause| 10 + cause.code.prior()).sum()
    }

    /// Whether this explanation needs all that the other one needs, and more.
    pub(crate) fn needs_more_than(&self, other: &Self) -> bool {
        let has = |cause: &Cause| self.causes.iter().any(|own| own.code == cause.code);
        self.causes.len() > other.causes.len() && other.causes.iter().all(has)
    }
}

impl Diagnosis {
    /// The exit code of `p2pe doctor`: 0 if nothing is wrong; that of the first finding's first cause; 6 if nothing fits.
    #[must_use]
    pub fn exit(&self) -> u8 {
        match self.findings.first().and_then(|finding| finding.causes.first()) {
            Some(cause) => cause.code.exit(),
            None if self.healthy => 0,
            None => 6,
        }
    }
}
