//! Verifone VSD: TLV with a ciphertext over a string of objects and its own initialisation vector, in a terminal's answer
//! `E07`.

use alloc::vec::Vec;
use core::{fmt, ops::Range};

use dukpt::Ksn;
use zeroize::Zeroizing;

use super::{
    Content, EncryptedField, Features, Fields, Format, Holds, PayloadError, Received, Refusal, Scope, Unsupported,
    refusal,
    tlv::{Lengths, Objects, Tag},
};

const ENCRYPTION: Tag = Tag::new(0xDF_9009);
const CIPHERTEXT: Tag = Tag::new(0xDF_9020);
const KSN: Tag = Tag::new(0xDF_9021);
const IV: Tag = Tag::new(0xDF_9022);

/// Command, status, encryption type.
const ANSWER: &[u8] = b"E070005";
const FIELD_SEPARATOR: u8 = 0x1C;
/// The type of the data: chip.
const CHIP: &[u8] = b"02";
/// Encryption type VSD, in the answer and in the TLV.
const VSD: &[u8] = b"05";
/// How the TLV begins in Base64: `DF90`, whose last bits share a character with the next byte.
const BASE64: &[u8] = b"35";

/// One answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Vsd {
    // Wiped on drop: what else stands beside the ciphertext nobody looked at.
    objects: Zeroizing<Vec<u8>>,
    ciphertext: Range<usize>,
    iv: [u8; 8],
    ksn: Ksn,
}

impl Vsd {
    /// Whether this is a terminal's answer, or the TLV of one, in binary or Base64.
    pub(super) fn begins(input: &[u8]) -> bool {
        let base64 = || input.starts_with(BASE64) && matches!(input.get(2), Some(b'A'..=b'D')) && is_base64(input);
        let binary = || {
            input.starts_with(&[0xDF, 0x90]) && Objects::new(input, Lengths::Ber).flatten().any(|o| o.tag == CIPHERTEXT)
        };
        input.starts_with(&ANSWER[..3]) || binary() || base64()
    }

    pub(super) fn parse(bytes: Received<'_>) -> Result<Self, Refusal> {
        if bytes.starts_with(&[0xDF]) {
            return Self::read(bytes);
        }
        let input = &*bytes;
        let text = input.trim_ascii_end();
        let body = if text.starts_with(&ANSWER[..3]) { body(text)? } else { text };
        // A character holds 6 bits.
        let read = decode(body).and_then(|objects| {
            Self::read(Received::Decoded(objects)).map_err(|refusal| refusal.moved(|at| at * 8 / 6))
        });
        read.map_err(|refusal| refusal.inside(input, body))
    }

    fn read(bytes: Received<'_>) -> Result<Self, Refusal> {
        let data = &*bytes;
        let (mut ciphertext, mut ksn, mut iv, mut encryption) = (None, None, None, None);
        for object in Objects::new(data, Lengths::Ber) {
            let object = object?;
            let place = match object.tag {
                CIPHERTEXT => &mut ciphertext,
                KSN => &mut ksn,
                IV => &mut iv,
                ENCRYPTION => &mut encryption,
                _ => continue,
            };
            if place.replace(object.value).is_some() {
                return Err(PayloadError::FieldLayoutResidue.within(data, object.value));
            }
        }
        if let Some(other) = encryption.filter(|encryption| *encryption != VSD) {
            return Err(PayloadError::Unsupported(Unsupported::Encryption).within(data, other));
        }
        let ciphertext = ciphertext.ok_or(PayloadError::NotEncrypted)?;
        if ciphertext.is_empty() || !ciphertext.len().is_multiple_of(8) {
            return Err(PayloadError::CiphertextLength.within(data, ciphertext));
        }
        let iv = iv.ok_or(PayloadError::FieldLayoutResidue)?;
        let iv = iv.try_into().map_err(|_| PayloadError::FieldLayoutResidue.within(data, iv))?;
        let ksn = refusal::ksn(data, ksn.ok_or(PayloadError::MissingKsn)?)?;
        let ciphertext = refusal::range(data, ciphertext).ok_or(PayloadError::CiphertextLength)?;
        Ok(Self { objects: bytes.keep(), ciphertext, iv, ksn })
    }
}

/// The Base64 text of an answer: `E07`, status, encryption type, FS, type of the data, FS, text.
fn body(answer: &[u8]) -> Result<&[u8], Refusal> {
    let mut parts = answer.splitn(3, |&byte| byte == FIELD_SEPARATOR);
    let mut part = || parts.next().ok_or(PayloadError::Truncated.at(answer.len()));
    let (head, kind, body) = (part()?, part()?, part()?);
    if head.len() != ANSWER.len() {
        return Err(PayloadError::FieldLayoutResidue.at(0));
    }
    // Of swiped and keyed data no layout is public.
    if let Some(other) = [(head, ANSWER), (kind, CHIP)].into_iter().find(|(part, known)| part != known) {
        return Err(PayloadError::Unsupported(Unsupported::Encryption).within(answer, other.0));
    }
    Ok(body)
}

fn is_base64_character(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/=".contains(byte)
}

/// Whether this is as long and of the characters as Base64 is; decoding it tells the rest.
fn is_base64(text: &[u8]) -> bool {
    let text = text.trim_ascii_end();
    text.len().is_multiple_of(4) && text.iter().all(is_base64_character)
}

fn decode(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    use base64ct::{Base64, Encoding};
    // At the first character that is none of Base64, else where its padding or its length is wrong.
    let text = text.trim_ascii_end();
    let strange = || text.iter().position(|byte| !is_base64_character(byte));
    let decoded = core::str::from_utf8(text).ok().and_then(|text| Base64::decode_vec(text).ok());
    decoded.map(Zeroizing::new).ok_or_else(|| PayloadError::NotBase64.at(strange().unwrap_or(text.len())))
}

impl Content for Vsd {
    fn ksn(&self) -> &Ksn {
        &self.ksn
    }

    fn features(&self) -> Features {
        Features { format: Format::Verifone, scheme: self.ksn.scheme(), cipher: None, scope: Scope::Field, mac: false }
    }

    fn encrypted(&self) -> Fields<'_> {
        let holds = Holds::TlvString { pad: None, masked: None };
        [EncryptedField { ciphertext: &self.objects[self.ciphertext.clone()], iv: Some(self.iv), holds }]
            .into_iter()
            .collect()
    }
}

impl fmt::Debug for Vsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vsd").field("ksn", &self.ksn).finish_non_exhaustive()
    }
}
