//! A gateway's JSON: ciphertext with its KSN beside it, or a whole payload, under the names that gateways give them.

use p2pe_crypto::{Pan, Payload, PayloadError, Refusal, tracks::from_hex};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// What a message holds, at any depth.
#[derive(Default)]
pub(crate) struct Message {
    /// KSNs in hex digits, each once.
    pub(crate) ksns: Vec<String>,
    /// Ciphertexts in hex digits.
    pub(crate) ciphertexts: Vec<Zeroizing<String>>,
    /// Whole payloads as a device sent them.
    pub(crate) payloads: Vec<Zeroizing<String>>,
}

enum Kind {
    Ksn,
    Ciphertext,
    Payload,
}

impl Message {
    /// Reads what may be JSON: `None` if it is not.
    pub(crate) fn read(input: &[u8]) -> Option<Result<Self, Failure>> {
        if input.trim_ascii_start().first() != Some(&b'{') {
            return None;
        }
        let value: Value = serde_json::from_slice(input).ok()?;
        let mut message = Self::default();
        Some(message.take("", value).map_err(Failure::from).and_then(|()| {
            if message.ciphertexts.is_empty() && message.payloads.is_empty() {
                return Err(Failure::usage(
                    "the JSON has no field with a ciphertext or a payload",
                    "name them ksn and ciphertext (also encrypted…, track1, track2, track3), or payload",
                ));
            }
            Ok(message)
        }))
    }

    fn take(&mut self, name: &str, value: Value) -> Result<(), Refusal> {
        match value {
            Value::Object(fields) => fields.into_iter().try_for_each(|(name, value)| self.take(&name, value)),
            Value::Array(values) => values.into_iter().try_for_each(|value| self.take(name, value)),
            Value::String(text) => {
                let text = Zeroizing::new(text);
                match kind(name) {
                    Some(Kind::Ksn) => {
                        if !self.ksns.iter().any(|other| other.eq_ignore_ascii_case(&text)) {
                            self.ksns.push(text.to_string());
                        }
                    }
                    Some(Kind::Ciphertext) => self.ciphertexts.push(text),
                    Some(Kind::Payload) => self.payloads.push(text),
                    None => return clear_number(&text),
                }
                Ok(())
            }
            Value::Number(number) => clear_number(&Zeroizing::new(number.to_string())),
            Value::Bool(_) | Value::Null => Ok(()),
        }
    }

    /// The one payload in it. `ksn` goes before the one of the message.
    pub(crate) fn payload(&self, ksn: Option<&str>) -> Result<Payload, Failure> {
        match (&self.payloads[..], &self.ciphertexts[..]) {
            ([payload], []) => Ok(Payload::parse(payload.as_bytes())?),
            ([], [_, ..]) => {
                let ksn = match (ksn, &self.ksns[..]) {
                    (Some(ksn), _) => ksn,
                    (None, [ksn]) => ksn,
                    (None, []) => return Err(Failure::usage("the JSON has no KSN", "name it ksn, or pass --ksn")),
                    (None, _) => {
                        return Err(Failure::usage(
                            "the JSON has several KSNs",
                            "pass that of the card data with --ksn",
                        ));
                    }
                };
                let ksn = from_hex(ksn.trim().as_bytes())?;
                let read = self.ciphertexts.iter().map(|text| from_hex(text.trim().as_bytes()));
                let ciphertexts = read.collect::<Result<Vec<_>, _>>()?;
                let ciphertexts: Vec<&[u8]> = ciphertexts.iter().map(|bytes| bytes.as_slice()).collect();
                Ok(Payload::from_tracks(&ksn, &ciphertexts)?)
            }
            _ => Err(Failure::usage("the JSON has more than one payload", "pass one of them")),
        }
    }
}

/// What a field of this name holds. Case and what is no letter or digit do not count.
fn kind(name: &str) -> Option<Kind> {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    if name.ends_with("ksn") || name.ends_with("keyserialnumber") {
        return Some(Kind::Ksn);
    }
    let encrypted = name.strip_prefix("encrypted").or_else(|| name.strip_prefix("enc"));
    let inner = encrypted.unwrap_or(&name);
    let inner = inner.strip_suffix("hex").unwrap_or(inner);
    let inner = inner.strip_suffix("data").unwrap_or(inner);
    match (encrypted.is_some(), inner) {
        (_, "ciphertext" | "ciphertexts" | "track" | "tracks" | "track1" | "track2" | "track3") => {
            Some(Kind::Ciphertext)
        }
        (true, "" | "card" | "emv" | "payload" | "block" | "pan") => Some(Kind::Ciphertext),
        (false, "payload" | "frame") => Some(Kind::Payload),
        _ => None,
    }
}

/// A card number in any other field is the alarm.
fn clear_number(text: &str) -> Result<(), Refusal> {
    let clear = Pan::new(text.trim().as_bytes()).is_ok_and(|pan| pan.luhn() && pan.brand().is_some());
    if clear { Err(PayloadError::ClearAccountData.into()) } else { Ok(()) }
}
