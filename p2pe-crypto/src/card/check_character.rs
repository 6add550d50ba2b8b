//! The LRC character behind a track's end sentinel (ISO/IEC 7811): it catches a wrong key and single-bit damage.

/// The characters of one track encoding: printed as `base` plus a code.
#[derive(Clone, Copy)]
pub(super) enum Charset {
    /// Track 1: 6 bits, ASCII `20` to `5F`.
    Alphanumeric,
    /// Tracks 2 and 3 and keyed data: 4 bits, ASCII `30` to `3F`.
    Numeric,
}

impl Charset {
    fn base_and_mask(self) -> (u8, u8) {
        match self {
            Self::Alphanumeric => (0x20, 0x3F),
            Self::Numeric => (0x30, 0x0F),
        }
    }

    pub(super) fn holds(self, character: u8) -> bool {
        let (base, mask) = self.base_and_mask();
        (base..=base + mask).contains(&character)
    }

    /// The check character over `text`, start and end sentinel included.
    pub(super) fn check_character(self, text: &[u8]) -> u8 {
        let (base, mask) = self.base_and_mask();
        base + text.iter().fold(0, |lrc, character| lrc ^ character.wrapping_sub(base) & mask)
    }
}
