//! What can be set at a virtual device, by name.

use core::fmt;

macro_rules! settings {
    ($($variant:ident $name:literal $about:literal)*) => {
        /// One setting of a device. A model takes one of each group of alternatives: see [`crate::Model::settings`].
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Setting {
            $(#[doc = $about] $variant,)*
        }

        impl Setting {
            /// Every setting of every model.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name on a command line.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it does, in a few words.
            #[must_use]
            pub fn about(self) -> &'static str {
                match self { $(Self::$variant => $about,)* }
            }
        }
    };
}

settings! {
    Binary "binary" "bytes, as over RS-232"
    HidReport "hid-report" "bytes in a USB-HID report, filled up with zeros to 537"
    Hex "hex" "the bytes as hex digits"
    Keyboard "keyboard" "typed characters"
    NoSecurityCode "no-security-code" "number and expiry are keyed in"
    SecurityCode "security-code" "number, expiry and security code are keyed in"
    NoAddress "no-address" "no address is keyed in"
    Zip "zip" "the ZIP code is keyed in, and sent in clear"
    Street "street" "the street number is keyed in, and sent in clear"
    StreetAndZip "street-and-zip" "both are keyed in, and sent in clear"
    NoClearExpiry "no-clear-expiry" "the expiry is sent encrypted only"
    ClearExpiry "clear-expiry" "the expiry is sent in clear as well"
    Tracks12 "tracks-1-2" "tracks 1 and 2"
    Track1 "track-1" "track 1 alone"
    Track2 "track-2" "track 2 alone"
    Tracks123 "tracks-1-2-3" "tracks 1, 2 and 3"
    StripeInSlot1 "stripe-in-slot-1" "a JIS II front stripe in the place of track 1, and track 2"
    StripeInSlot2 "stripe-in-slot-2" "track 1, and a JIS II front stripe in the place of track 2"
    StripeInSlot3 "stripe-in-slot-3" "tracks 1 and 2, and a JIS II front stripe in the place of track 3"
    Keyed "keyed" "number and expiry keyed in, in the place of tracks"
    KeyedWithCode "keyed-with-code" "number, expiry and security code keyed in, in the place of tracks"
    ZeroHashes "zero-hashes" "zeros in the place of track hashes"
    Sha1Hashes "sha1-hashes" "unsalted SHA-1 of each track"
    Sha256Hashes "sha256-hashes" "unsalted SHA-256 of each track"
    NoHashes "no-hashes" "no track hashes"
    MaskedCopies "masked-copies" "masked copies beside the ciphertext"
    NoCopies "no-copies" "no masked copies"
    NoSessionId "no-session-id" "no session id"
    SessionId "session-id" "an encrypted session id (security level 4)"
    NoMac "no-mac" "no message authentication code"
    Mac "mac" "HMAC-SHA-256 under the key of the next transaction"
    SeparateTracks "separate-tracks" "each track encrypted by itself"
    TransArmor "transarmor" "tracks 1 and 2 encrypted as one (TransArmor TDES)"
    Serial "serial" "the device's serial number in the frame"
    NoSerial "no-serial" "no serial number in the frame"
    HexValues "hex-values" "attribute values as hex digits"
    RawValues "raw-values" "attribute values as raw bytes"
    Contact "contact" "a chip, by contact"
    Contactless "contactless" "a chip, over the air"
    ContactlessMsd "contactless-msd" "the tracks of a contactless magnetic stripe card, as texts"
    ContactlessKernel2 "contactless-kernel2" "the tracks of a contactless magnetic stripe card, as its kernel 2 tells them"
    SwipeFrame "swipe-frame" "a swipe, as a whole enhanced frame in one object"
    SwipeObjects "swipe-objects" "a swipe, as lengths in one object and tracks in another"
    Version3 "version-3" "in the ViVOpayV3 transport"
    Version2 "version-2" "in the ViVOtech2 transport"
    NoTransport "no-transport" "the objects alone"
    Flat "flat" "objects side by side"
    Grouped "grouped" "card objects inside of groups"
    Bare "bare" "the encrypted container alone"
    Wrapped "wrapped" "the encrypted container in an ARQC wrapper"
    NoMaskedTrack "no-masked-track" "no masked track 2"
    MaskedTrack "masked-track" "a masked track 2 beside the ciphertext"
    Answer "answer" "a terminal's answer E07"
    Base64 "base64" "the Base64 text of an answer alone"
    Objects "objects" "the bytes behind the Base64 text"
    CheckCharacter "check-character" "each track with its check character"
    NoCheckCharacter "no-check-character" "each track ends in its end sentinel"
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Pairs that no device has.
pub(crate) const CONFLICTS: &[(Setting, Setting)] = &[
    // The joined text has room for tracks 1 and 2 alone.
    (Setting::TransArmor, Setting::Tracks123),
    (Setting::TransArmor, Setting::StripeInSlot1),
    (Setting::TransArmor, Setting::StripeInSlot2),
    (Setting::TransArmor, Setting::StripeInSlot3),
    // A swipe is told by no flag of its objects.
    (Setting::NoTransport, Setting::SwipeFrame),
    (Setting::NoTransport, Setting::SwipeObjects),
    (Setting::Grouped, Setting::SwipeFrame),
    (Setting::Grouped, Setting::SwipeObjects),
    // These objects have no copies to be left out.
    (Setting::NoCopies, Setting::SwipeObjects),
];
