//! What stands encrypted in a payload: each CBC run, and what its clear text will be.

use crate::{TrackNumber, tlv::Tag};

/// One CBC run of a payload.
#[derive(Clone, Copy, PartialEq, Eq)]
#[expect(missing_debug_implementations, reason = "may carry parts of a card number")]
pub struct EncryptedField<'p> {
    /// Whole cipher blocks.
    pub ciphertext: &'p [u8],
    /// The initialisation vector of TDES-CBC, 8 bytes, where the device sends one; else it is all zeros.
    pub iv: Option<[u8; 8]>,
    /// What comes out.
    pub holds: Holds<'p>,
}

impl<'p> EncryptedField<'p> {
    /// A run with an IV of zeros.
    pub(crate) fn new(ciphertext: &'p [u8], holds: Holds<'p>) -> Self {
        Self { ciphertext, iv: None, holds }
    }
}

/// What the clear text of a run is. Behind it stands padding to whole blocks; a length counts the text without it.
#[derive(Clone, Copy, PartialEq, Eq)]
#[expect(missing_debug_implementations, reason = "may carry parts of a card number")]
pub enum Holds<'p> {
    /// A track of a stripe, or what was keyed in, which only its sentinels tell.
    Track {
        /// Which; `None` if only the start sentinel tells.
        number: Option<TrackNumber>,
        /// Clear bytes, check character included; `None` if only the end sentinel tells.
        length: Option<usize>,
        /// The masked copy, as long as the clear text.
        masked: Option<&'p [u8]>,
    },
    /// What was keyed in, `;PAN=YYMM?` or `;PAN=YYMM:CVV?`, and its check character.
    Keyed {
        /// Clear bytes, check character included.
        length: usize,
        /// The masked copy, as long as the clear text.
        masked: Option<&'p [u8]>,
    },
    /// What was keyed in, `PAN=YYMM=` or `PAN=YYMM=CVV`, with neither sentinels nor check character.
    KeyedBare {
        /// Clear bytes.
        length: usize,
    },
    /// Tracks 1 and 2 in one run.
    JoinedTracks {
        /// Clear bytes of both.
        length: usize,
        /// Clear bytes of the first, if each ends in its check character; `None` if neither has one.
        first: Option<usize>,
        /// The masked copies of both, joined likewise.
        masked: Option<&'p [u8]>,
    },
    /// A whole TLV object: tag, length and value.
    Tlv {
        /// The tag that must stand first in the clear text.
        tag: Tag,
        /// The masked value.
        masked: Option<&'p [u8]>,
    },
    /// The value of a TLV object.
    Value {
        /// Its tag.
        tag: Tag,
        /// Clear bytes, if the payload tells.
        length: Option<usize>,
        /// The masked value.
        masked: Option<&'p [u8]>,
    },
    /// A string of TLV objects.
    TlvString {
        /// Bytes of padding behind it, if the payload tells.
        pad: Option<usize>,
        /// A masked track 2 beside it.
        masked: Option<&'p [u8]>,
    },
    /// A track 2 as nibbles: `B` PAN `D` … `F`, check nibble.
    PackedTrack2,
    /// A session number that the host gave to the device, 8 bytes.
    SessionId,
}

/// The runs of one payload, in the order in which they are read.
#[expect(missing_debug_implementations, reason = "may carry parts of a card number")]
pub struct Fields<'p>([Option<EncryptedField<'p>>; Fields::MOST]);

impl Fields<'_> {
    /// No payload holds more runs: a format that could refuses them when it is parsed.
    pub const MOST: usize = 16;
}

impl<'p> FromIterator<EncryptedField<'p>> for Fields<'p> {
    fn from_iter<I: IntoIterator<Item = EncryptedField<'p>>>(fields: I) -> Self {
        let mut all = Self([const { None }; Fields::MOST]);
        all.0.iter_mut().zip(fields).for_each(|(place, field)| *place = Some(field));
        all
    }
}

impl<'p> IntoIterator for Fields<'p> {
    type Item = EncryptedField<'p>;
    type IntoIter = core::iter::Flatten<core::array::IntoIter<Option<EncryptedField<'p>>, { Fields::MOST }>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().flatten()
    }
}

/// In place: they are more than a kilobyte, most of it empty.
impl<'f, 'p> IntoIterator for &'f Fields<'p> {
    type Item = EncryptedField<'p>;
    type IntoIter = core::iter::Copied<core::iter::Flatten<core::slice::Iter<'f, Option<EncryptedField<'p>>>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().flatten().copied()
    }
}

/// A message authentication code that the device put into the payload.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "may carry parts of a card number")]
pub struct Mac<'p> {
    /// The key serial number of its own key.
    pub ksn: &'p dukpt::Ksn,
    /// What it authenticates.
    pub covered: &'p [u8],
    /// The code: HMAC-SHA-256, 32 bytes.
    pub code: &'p [u8],
}
