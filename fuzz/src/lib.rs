#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod clear;
mod corpus;
mod forms;
mod payload;
mod plain;
mod sealed;

pub use corpus::{Change, changed, seeds};
use p2pe_crypto::Format;

/// A target: what it is called, what it does with any bytes, and the rows of the vectors that it begins with.
pub struct Target {
    /// Its name, and that of its binary.
    pub name: &'static str,
    /// Panics if a property does not hold.
    pub run: fn(&[u8]),
    /// What seeds hold.
    pub(crate) seeds: Seeds,
}

/// What the vectors give a target to begin with.
#[derive(Clone, Copy)]
pub(crate) enum Seeds {
    /// Payloads of one layout, or of all.
    Payloads(Option<Format>),
    /// Clear texts of tracks and chips.
    Clear,
    /// A settings file.
    Settings,
}

const fn of(name: &'static str, format: Format, run: fn(&[u8])) -> Target {
    Target { name, run, seeds: Seeds::Payloads(Some(format)) }
}

/// Every target.
pub const TARGETS: [Target; 16] = [
    Target { name: "any", run: payload::any, seeds: Seeds::Payloads(None) },
    of("idtech_enhanced", Format::IdTechEnhanced, |data| payload::of(Format::IdTechEnhanced, data)),
    of("idtech_original", Format::IdTechOriginal, |data| payload::of(Format::IdTechOriginal, data)),
    of("idtech_keyed", Format::IdTechKeyed, |data| payload::of(Format::IdTechKeyed, data)),
    of("idtech_xml", Format::IdTechXml, |data| payload::of(Format::IdTechXml, data)),
    of("neo", Format::Neo, |data| payload::of(Format::Neo, data)),
    of("quick_chip", Format::QuickChip, |data| payload::of(Format::QuickChip, data)),
    of("magtek_stream", Format::MagTek, |data| payload::of(Format::MagTek, data)),
    of("magtek_report", Format::MagTekReport, |data| payload::of(Format::MagTekReport, data)),
    of("magtek_tlv", Format::MagTekTlv, |data| payload::of(Format::MagTekTlv, data)),
    of("verifone", Format::Verifone, |data| payload::of(Format::Verifone, data)),
    Target { name: "tracks", run: plain::tracks, seeds: Seeds::Clear },
    Target { name: "tlv", run: plain::tlv, seeds: Seeds::Payloads(None) },
    Target { name: "forms", run: forms::forms, seeds: Seeds::Payloads(None) },
    Target { name: "clear_text", run: clear::text, seeds: Seeds::Clear },
    Target { name: "settings", run: plain::settings, seeds: Seeds::Settings },
];

/// Runs one target over one input.
///
/// # Panics
/// If there is none of this name, or a property does not hold.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.unwrap_or_else(|| panic!("no target {name}")).run)(data);
}
