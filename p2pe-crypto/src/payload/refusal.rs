//! Why a payload was refused, and at which byte of the input.

use core::{fmt, ops::Range};

use dukpt::Ksn;

use super::{PayloadError, tlv::Malformed};

/// Why a payload was refused, and where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Why.
    pub error: PayloadError,
    /// The byte of the input, counted from 0, where the field or the check begins that is at fault, or where the input
    /// ends too early. `None` where nothing that stands there is at fault, as when the KSN is missing; never after
    /// decryption.
    pub offset: Option<usize>,
}

impl Refusal {
    /// A stable name of the error, for reports and logs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.error.code()
    }

    /// The same where the bytes that were read came out of others.
    pub(super) fn moved(self, place: impl FnOnce(usize) -> usize) -> Self {
        Self { offset: self.offset.map(place), ..self }
    }

    /// The same where the bytes that were read are a part of others.
    pub(super) fn inside(self, whole: &[u8], part: &[u8]) -> Self {
        Self { offset: self.offset.and_then(|at| Some(range(whole, part)?.start + at)), ..self }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offset {
            Some(offset) => write!(f, "{} (byte {offset})", self.error),
            None => self.error.fmt(f),
        }
    }
}

impl core::error::Error for Refusal {}

impl From<PayloadError> for Refusal {
    fn from(error: PayloadError) -> Self {
        Self { error, offset: None }
    }
}

impl From<Malformed> for Refusal {
    fn from(Malformed { offset }: Malformed) -> Self {
        PayloadError::Tlv.at(offset)
    }
}

impl PayloadError {
    /// Met at this byte.
    pub(super) fn at(self, offset: usize) -> Refusal {
        Refusal { error: self, offset: Some(offset) }
    }

    /// Met where a part of the input begins.
    pub(super) fn within(self, input: &[u8], part: &[u8]) -> Refusal {
        Refusal { error: self, offset: range(input, part).map(|range| range.start) }
    }
}

/// Reads the KSN that stands in these bytes.
pub(super) fn ksn(input: &[u8], ksn: &[u8]) -> Result<Ksn, Refusal> {
    Ksn::of_transaction(ksn).map_err(|error| PayloadError::Ksn(error).within(input, ksn))
}

/// Where a part of a slice stands in it; nothing is read.
pub(super) fn range(whole: &[u8], part: &[u8]) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    let end = start + part.len();
    (end <= whole.len()).then_some(start..end)
}
