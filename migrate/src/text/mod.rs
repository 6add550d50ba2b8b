//! Files of records in a row: how they are cut, and which bytes of a record are a cell.

pub(crate) mod csv;
pub(crate) mod journal;
pub(crate) mod json;
pub(crate) mod records;
pub(crate) mod source;

use std::ops::Range;

use crate::{Error, encoding::Text};

/// A cell of a record.
pub(crate) struct Field<'r> {
    pub(crate) column: usize,
    /// Its bytes in the record, without what quotes it.
    pub(crate) place: Range<usize>,
    pub(crate) text: Text<'r>,
}

/// A format of records.
pub(crate) trait Layout {
    /// The bytes of the first record, its line end included; `None` if more have to be read. With `last`, none follow.
    fn record(&self, bytes: &[u8], last: bool) -> Option<usize>;

    /// The cells of a record. Empty for one that is copied as it is.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Refused`].
    fn fields<'r>(&mut self, record: &'r [u8], row: u64) -> Result<Vec<Field<'r>>, Error>;

    /// The bytes that stand for a new text of a cell, of which `raw` are the bytes now.
    fn written(&self, raw: &[u8], old: &str, new: &str) -> Vec<u8>;

    /// The columns seen so far.
    fn columns(&self) -> Vec<String>;

    /// Whether the first record names the columns.
    fn header(&self) -> bool {
        false
    }
}
