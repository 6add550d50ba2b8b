//! What targets begin with, out of the vectors, and how a bounded run changes it.

use p2pe_crypto::Format;
use p2pe_vectors::{
    VectorFile,
    schema::{Case, Encoding, PayloadCase, Verdict},
};

use crate::{Seeds, Target};

/// The first inputs of a target: payloads of its layout and every refused one, clear texts, or a settings file.
///
/// # Panics
/// If the vectors cannot be read.
pub fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let files = VectorFile::builtin().expect("the vectors load");
    let tests = files.iter().flat_map(|file| &file.tests);
    match target.seeds {
        Seeds::Settings => vec![settings().into_bytes()],
        Seeds::Payloads(format) => tests
            .filter_map(|test| match &test.case {
                Case::Payload(case) => Some((test.result, case)),
                _ => None,
            })
            .filter(|(result, case)| *result == Verdict::Invalid || format.is_none() || layout(case) == format)
            .map(|(_, case)| bytes(case))
            .collect(),
        Seeds::Clear => tests
            .filter_map(|test| match &test.case {
                Case::Payload(case) => case.card.as_ref(),
                Case::Track(case) => case.card.as_ref(),
                _ => None,
            })
            .flat_map(|card| {
                let tracks = card.tracks.iter().flatten().map(|track| checked(track));
                let emv = card.emv.iter().map(|emv| emv.0.clone());
                let number = card.pan.len() + card.pan.len() % 2;
                let chip = hex::decode(format!("5A{:02X}{:F<number$}5F2403251231", number / 2, card.pan));
                tracks.chain(emv).chain(chip).chain(packed(card.tracks[1].as_deref())).collect::<Vec<_>>()
            })
            .collect(),
    }
}

fn layout(case: &PayloadCase) -> Option<Format> {
    let name = case.frame.as_ref()?.format.as_deref().unwrap_or(Format::IdTechEnhanced.name());
    Format::ALL.into_iter().find(|format| format.name() == name)
}

fn bytes(case: &PayloadCase) -> Vec<u8> {
    match case.encoding {
        Encoding::Ascii => case.payload.clone().into_bytes(),
        Encoding::Hex => hex::decode(&case.payload).expect("hex"),
    }
}

/// A track with its check character (ISO/IEC 7811).
fn checked(track: &str) -> Vec<u8> {
    let (base, bits) = if track.starts_with('%') { (0x20, 0x3F) } else { (0x30, 0x0F) };
    let check = track.bytes().fold(0, |lrc, byte| lrc ^ (byte.wrapping_sub(base) & bits)) + base;
    [track.as_bytes(), &[check]].concat()
}

/// A track 2 in nibbles: `B` number `D` … `F` and the check nibble.
fn packed(track2: Option<&str>) -> Option<Vec<u8>> {
    let nibbles: String = String::from_utf8(checked(track2?))
        .ok()?
        .chars()
        .map(|c| char::from_digit(c as u32 & 0xF, 16))
        .collect::<Option<_>>()?;
    hex::decode(if nibbles.len().is_multiple_of(2) { nibbles } else { nibbles + "0" }).ok()
}

/// The settings that the README of the crate shows, with its comments taken away.
fn settings() -> String {
    let readme = include_str!("../../config/README.md");
    let block = readme.split("```").nth(1).unwrap_or_default().trim_start_matches("toml");
    block.replace("# [", "[").lines().map(|line| line.strip_prefix("# ").unwrap_or(line).to_owned() + "\n").collect()
}

/// One change of an input: which, where, over how many bytes, and what else it needs. The smaller the numbers, the less
/// is changed.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// Bits, bytes, numbers at the edges, runs cut out, repeated and mixed.
    pub kind: u8,
    /// Where.
    pub at: usize,
    /// How many bytes; which bit or number.
    pub length: u8,
    /// Another seed, and where in it.
    pub other: (usize, usize),
}

/// A seed, changed.
pub fn changed(seeds: &[Vec<u8>], seed: usize, changes: &[Change]) -> Vec<u8> {
    const EDGES: [u8; 12] = [0, 1, 0x0F, 0x10, 0x7F, 0x80, 0x81, 0x82, 0xC1, 0xFF, b'0', b'='];
    let mut input = seeds[seed % seeds.len()].clone();
    for Change { kind, at, length, other } in changes {
        let at = at % (input.len() + 1);
        let end = (at + usize::from(length % 24)).min(input.len());
        let edge = EDGES[usize::from(*length) % EDGES.len()];
        match (kind % 8, input.get_mut(at)) {
            (0, Some(byte)) => *byte ^= 1 << (length % 8),
            (1, Some(byte)) => *byte = edge,
            (2, Some(byte)) => *byte = byte.wrapping_add(length % 7).wrapping_sub(3),
            (3, _) => drop(input.drain(at..end)),
            (4, _) => input.insert(at, edge),
            (5, _) => input.extend_from_within(at..end),
            (6, _) => input.truncate(at),
            _ => {
                let (seed, from) = other;
                let other = &seeds[seed % seeds.len()];
                input.truncate(at);
                input.extend_from_slice(&other[from % (other.len() + 1)..]);
            }
        }
    }
    input
}
