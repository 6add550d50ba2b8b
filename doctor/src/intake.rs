//! From what was handed over to payloads: as it came, and with what may have happened to it put right.

mod damage;

use dukpt::Ksn;
use p2pe_crypto::{Payload, PayloadError, Refusal};
use zeroize::Zeroizing;

use crate::{Cause, Code, specimen};

/// What is to be examined. It is taken as it came: text that is no whole hex digits is a finding, not an error.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "may hold a card number, if the device does not encrypt")]
pub enum Case<'c> {
    /// What a device sent, in any form that [`Payload::parse`] reads.
    Payload(&'c [u8]),
    /// Ciphertext with its KSN beside it, in hex digits; each ciphertext its own CBC run.
    Raw {
        /// The KSN that was sent with them, and others that the device has for other data.
        ksns: &'c [&'c str],
        /// One to three ciphertexts.
        ciphertexts: &'c [&'c str],
    },
}

/// A payload to try, and what had to be put right to get it.
pub(crate) struct Form {
    pub(crate) causes: Vec<Cause>,
    /// `None` if the causes are all there is to say.
    pub(crate) payload: Option<Payload>,
    /// KSNs to try beside the payload's own.
    pub(crate) ksns: Vec<(Cause, Ksn)>,
    /// Whether the causes hold even if nothing decrypts.
    pub(crate) certain: bool,
}

impl Form {
    fn of(payload: Payload) -> Self {
        Self { causes: Vec::new(), payload: Some(payload), ksns: Vec::new(), certain: false }
    }

    fn repaired(cause: Cause, payload: Payload, certain: bool) -> Self {
        Self { causes: vec![cause], certain, ..Self::of(payload) }
    }

    fn only(cause: Cause) -> Self {
        Self { causes: vec![cause], payload: None, ksns: Vec::new(), certain: true }
    }
}

/// The forms in the order in which they are tried.
pub(crate) fn forms(case: &Case<'_>) -> Vec<Form> {
    match case {
        Case::Payload(bytes) => payload(bytes),
        Case::Raw { ksns, ciphertexts } => raw(ksns, ciphertexts),
    }
}

fn payload(bytes: &[u8]) -> Vec<Form> {
    match Payload::parse(bytes) {
        Ok(payload) => vec![Form::of(payload)],
        // Nothing else is done with it.
        Err(alarm @ Refusal { error: PayloadError::ClearAccountData, .. }) => vec![Form::only(refused(alarm))],
        Err(refusal) => vec![damage::repaired(bytes, refusal).unwrap_or_else(|| Form::only(refused(refusal)))],
    }
}

/// A payload that no repair makes readable.
fn refused(refusal: impl Into<Refusal>) -> Cause {
    let refusal = refusal.into();
    let (code, fix) = match refusal.error {
        PayloadError::ClearAccountData => (
            Code::NotEncrypting,
            "take the device out of service, set it to encrypt (security level 3), and wipe every copy of the payload",
        ),
        PayloadError::NotEncrypted => {
            (Code::NothingEncrypted, "set the device to encrypt (security level 3 and encryption on)")
        }
        PayloadError::OddHexLength => {
            (Code::OddNibble, "pass on every character that the device sent, and read to the end")
        }
        PayloadError::Ambiguous(_) => (Code::Ambiguous, "name the format"),
        PayloadError::Unsupported(_) => (Code::Unsupported, "set the device to plain enhanced output"),
        PayloadError::Ksn(_) => (Code::KsnInvalid, "pass on the KSN that the device sent, whole"),
        PayloadError::CiphertextLength => {
            (Code::WrongSlice, "cut the ciphertext out of the payload where its layout puts it, each track by itself")
        }
        PayloadError::Truncated => (Code::FrameDamaged, "read the payload to its end"),
        _ => (Code::FrameDamaged, "pass on exactly what the device sent, with no character changed"),
    };
    Cause::new(code, refusal.to_string(), fix)
}

fn raw(ksns: &[&str], ciphertexts: &[&str]) -> Vec<Form> {
    let [sent, others @ ..] = ksns else {
        return vec![Form::only(refused(PayloadError::MissingKsn))];
    };
    let sent = sent.trim();
    let of_other = |text: &&str| {
        let ksn = Ksn::of_transaction(&hex::decode(text.trim()).ok()?).ok()?;
        let sentence = format!("this data type has another KSN of the same device: {ksn}");
        Some((Cause::new(Code::OtherKsn, sentence, format!("decrypt it with the KSN {ksn}")), ksn))
    };
    let mut near = specimen::forms(sent);
    near.extend(others.iter().filter_map(of_other));
    let readings = match readings(ciphertexts) {
        Ok(readings) => readings,
        Err(cause) => return vec![Form::only(cause)],
    };
    let sent_bytes = hex::decode(sent).unwrap_or_default();
    let mut forms = Vec::new();
    let mut error = None;
    for Reading { cause, runs, certain } in readings {
        let runs: Vec<&[u8]> = runs.iter().map(|run| run.as_slice()).collect();
        if let [run] = runs[..]
            && cause.is_none()
            && let Ok(payload) = Payload::parse(run)
        {
            let cause = Cause::new(
                Code::WholeFrame,
                format!("what was passed as ciphertext is a whole payload ({})", payload.format().title()),
                "pass it as a payload, without a KSN beside it, and let it be parsed",
            );
            forms.push(Form::repaired(cause, payload, true));
        }
        match Payload::from_tracks(&sent_bytes, &runs) {
            Ok(payload) => forms.push(Form {
                causes: cause.into_iter().collect(),
                ksns: near.clone(),
                certain,
                ..Form::of(payload)
            }),
            Err(alarm @ Refusal { error: PayloadError::ClearAccountData, .. }) => {
                return vec![Form::only(refused(alarm))];
            }
            Err(refusal) => {
                error = error.or(Some(refusal.error));
                for (of_ksn, ksn) in &near {
                    if let Ok(payload) = Payload::from_tracks(ksn.as_bytes(), &runs) {
                        let causes = cause.iter().chain([of_ksn]).cloned().collect();
                        forms.push(Form { causes, certain, ..Form::of(payload) });
                    }
                }
            }
        }
    }
    if ciphertexts.iter().any(|text| text.trim().len() % 2 == 1) {
        error = Some(PayloadError::OddHexLength);
    }
    if let Some(error) = error {
        forms.push(Form::only(refused(error)));
    }
    forms
}

/// One way to read ciphertexts from their digits.
struct Reading {
    cause: Option<Cause>,
    runs: Vec<Zeroizing<Vec<u8>>>,
    certain: bool,
}

/// The ways to read ciphertexts, or what keeps them from being read at all.
fn readings(ciphertexts: &[&str]) -> Result<Vec<Reading>, Cause> {
    let mut runs = Vec::new();
    let mut odd = false;
    for text in ciphertexts {
        let text = text.trim();
        odd |= text.len() % 2 == 1;
        let even =
            if text.len() % 2 == 1 { Zeroizing::new(format!("0{text}")) } else { Zeroizing::new(text.to_owned()) };
        match hex::decode(even.as_bytes()) {
            Ok(bytes) => runs.push(Zeroizing::new(bytes)),
            Err(_) => return Err(refused(PayloadError::NotHex)),
        }
    }
    if odd {
        let lost = Cause::new(
            Code::LeadingZeroLost,
            "an odd number of hex digits: the leading 0 got lost, as in a number that was converted",
            "put the 0 in front, and keep ciphertext as text or bytes, never as a number",
        );
        return Ok(vec![Reading { cause: Some(lost), runs, certain: false }]);
    }
    let mut readings = damage::slices(&runs);
    if let Some((cause, decoded)) = damage::decoded_text(&runs) {
        readings.push(Reading { cause: Some(cause), runs: decoded, certain: true });
    } else if let Some(cause) = damage::lost_in_text(&runs) {
        return Err(cause);
    }
    readings.insert(0, Reading { cause: None, runs, certain: false });
    Ok(readings)
}
