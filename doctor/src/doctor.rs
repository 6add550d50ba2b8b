//! The examination: forms of the payload, trials with the keys of the store, explanations.

use dukpt::{
    CheckMethod, Key, KeyError, KeyId, KeyImport, KeyMaterial, KeyStore, Ksn, Lifetime, MaterialError, MemoryStore,
};
use p2pe_crypto::{Decryptor, Device, DeviceProfile, Error, Payload, PayloadError, Refusal};

use crate::{
    Case, Cause, Code, Diagnosis, Finding,
    explain::{Explainer, Origin, TrialKey, profile_mismatch},
    inspect::Shown,
    intake::{Form, forms},
    specimen::Specimen,
    trial,
};

/// Says why payloads do not decrypt under the settings and keys of a decryptor. It gives no card data, whatever it finds.
#[derive(Debug)]
pub struct Doctor<'d, S> {
    decryptor: &'d Decryptor<S>,
    keys: Vec<KeyId>,
    components: Components,
}

/// Components of a base key, each taken for the key, and all of them combined.
#[derive(Default)]
struct Components {
    store: MemoryStore,
    keys: Vec<(KeyId, Origin)>,
}

impl core::fmt::Debug for Components {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(id, _)| id)).finish()
    }
}

impl<'d, S: KeyStore> Doctor<'d, S> {
    /// Tries the base keys that the settings name.
    pub fn new(decryptor: &'d Decryptor<S>) -> Self {
        let mut keys: Vec<KeyId> = decryptor.devices().iter().map(|(_, device)| device.base_key.clone()).collect();
        keys.sort();
        keys.dedup();
        Self { decryptor, keys, components: Components::default() }
    }

    /// Tries other keys of the store too; those that are no base keys do no harm.
    #[must_use]
    pub fn with_keys(mut self, keys: impl IntoIterator<Item = KeyId>) -> Self {
        self.keys.extend(keys);
        self.keys.sort();
        self.keys.dedup();
        self
    }

    /// Tries the components of a base key (`tdes-base` or `aes-base`): each of them alone, and all combined.
    ///
    /// # Errors
    /// [`MaterialError`] for what is not the components of one key.
    pub fn with_components(mut self, kind: &str, components: &[&[u8]]) -> Result<Self, MaterialError> {
        let combined = KeyMaterial::from_components(kind, components)?;
        let each = components.iter().map(|component| KeyMaterial::new(kind, component));
        let each: Vec<KeyMaterial> = each.collect::<Result<_, _>>()?;
        let named =
            each.into_iter().enumerate().map(|(at, key)| (format!("component {}", at + 1), Origin::Component, key));
        for (name, origin, key) in [("all components".to_owned(), Origin::Combined, combined)].into_iter().chain(named)
        {
            let Ok(id) = KeyId::new(&name) else { continue };
            if self.components.store.import(&id, &key, Lifetime::Session).is_ok() {
                self.components.keys.push((id, origin));
            }
        }
        Ok(self)
    }

    /// Examines what was handed over.
    #[must_use]
    pub fn examine(&self, case: &Case<'_>) -> Diagnosis {
        let mut diagnosis = Diagnosis { keys: self.check_values(), ..Diagnosis::default() };
        let mut without_proof = Vec::new();
        for Form { causes, payload, ksns, certain } in forms(case) {
            let found = payload.map(|payload| self.payload(&payload, &ksns, &mut diagnosis));
            match found {
                Some(Outcome::Healthy) if causes.is_empty() => diagnosis.healthy = true,
                Some(Outcome::Healthy) => diagnosis.findings.push(Finding { causes, evidence: Vec::new() }),
                Some(Outcome::Found(findings)) => {
                    for finding in findings {
                        let causes = causes.iter().cloned().chain(finding.causes).collect();
                        diagnosis.findings.push(Finding { causes, ..finding });
                    }
                }
                Some(Outcome::Nothing) | None => {
                    if certain {
                        without_proof.push(Finding { causes, evidence: Vec::new() });
                    }
                    continue;
                }
            }
            return diagnosis;
        }
        diagnosis.findings = without_proof;
        diagnosis
    }

    fn payload(&self, payload: &Payload, ksns: &[(Cause, Ksn)], diagnosis: &mut Diagnosis) -> Outcome {
        // The card, if there is one, is dropped here: nothing is accepted.
        let Err(error) = self.decryptor.decrypt(payload) else { return Outcome::Healthy };
        let devices = self.decryptor.devices();
        let of_scheme = devices.get(payload.ksn());
        // The prefix may be there for the other scheme.
        let begins =
            |(prefix, _): &(&dukpt::KsnPrefix, &Device)| payload.ksn().as_bytes().starts_with(prefix.as_bytes());
        let device = of_scheme.or_else(|| devices.iter().find(begins).map(|(_, device)| device));
        let mismatch = matches!(error, Error::ProfileMismatch(..));
        let stated = stated(&error, payload, device);
        if let Some((cause, true)) = stated {
            return Outcome::found(cause);
        }
        let fitting = device.filter(|_| !mismatch).map(|device| &device.profile);
        let specimen = Specimen::new(payload.clone(), fitting, ksns);
        let keys = self.trial_keys();
        let mask = fitting.map_or_else(|| mask(payload), DeviceProfile::mask);
        let mut shown = Shown::default();
        let mut visit = |lane, clear: &trial::Clear| shown.inspect(&specimen, mask, lane, clear);
        for (index, id) in self.keys.iter().enumerate() {
            if let Ok(key) = self.decryptor.store().key(id) {
                trial::each(&key, index, &specimen, &mut diagnosis.not_tried, &mut visit);
            }
        }
        for (index, (id, _)) in (self.keys.len()..).zip(&self.components.keys) {
            if let Ok(key) = self.components.store.key(id) {
                trial::each(&key, index, &specimen, &mut diagnosis.not_tried, &mut visit);
            }
        }
        tried(&specimen, &keys, &mut diagnosis.tried);
        let mut findings = Explainer { specimen: &specimen, device, fits: !mismatch, keys: &keys }.findings(&shown);
        if let Some((cause, _)) = stated
            && !findings.iter().any(|finding| finding.causes.iter().any(|other| other.code == cause.code))
            && (findings.is_empty() || cause.code != Code::UnknownDevice)
        {
            findings.insert(0, Finding { causes: vec![cause], evidence: Vec::new() });
        }
        if findings.is_empty() { Outcome::Nothing } else { Outcome::Found(findings) }
    }

    fn trial_keys(&self) -> Vec<TrialKey> {
        let stored = self.keys.iter().map(|id| TrialKey { name: id.to_string(), origin: Origin::Store });
        let components =
            self.components.keys.iter().map(|(id, origin)| TrialKey { name: id.to_string(), origin: *origin });
        stored.chain(components).collect()
    }

    fn check_values(&self) -> Vec<(String, Option<dukpt::CheckValue>)> {
        let of_store = self.keys.iter().map(|id| {
            let key = self.decryptor.store().key(id);
            (id.to_string(), key.and_then(|key| key.check_value(CheckMethod::Legacy)).ok())
        });
        let components = &self.components;
        let of_components =
            components.keys.iter().map(|(id, _)| (id.to_string(), KeyImport::check_value(&components.store, id).ok()));
        of_store.chain(of_components).collect()
    }
}

enum Outcome {
    Healthy,
    Found(Vec<Finding>),
    Nothing,
}

impl Outcome {
    fn found(cause: Cause) -> Self {
        Self::Found(vec![Finding { causes: vec![cause], evidence: Vec::new() }])
    }
}

/// What the refusal itself says, and whether that is all there is to say.
fn stated(error: &Error, payload: &Payload, device: Option<&Device>) -> Option<(Cause, bool)> {
    let key = device.map(|device| device.base_key.to_string()).unwrap_or_default();
    Some(match (error, device) {
        (Error::Payload(Refusal { error: PayloadError::ClearAccountData, .. }), _) => (
            Cause::new(
                Code::NotEncrypting,
                "the masked copy of the card number is not masked",
                "take the device out of service, and wipe every copy of the payload",
            ),
            true,
        ),
        (Error::ProfileMismatch(..), Some(device)) => (profile_mismatch(payload, device), false),
        (Error::UnknownDevice(prefix, candidates), None) => (
            Cause::new(
                Code::UnknownDevice,
                format!("no device is configured for KSNs that begin with {prefix}"),
                format!("add a [[device]] table for the prefix, with one of these profiles: {candidates}"),
            ),
            false,
        ),
        (Error::Key(KeyError::NotFound(_)), _) => (
            Cause::new(
                Code::KeyMissing,
                format!("the base key {key} of this device is not in the store"),
                "import it, or correct base_key in the settings",
            ),
            false,
        ),
        (Error::Key(KeyError::NotPermitted), _) => (
            Cause::new(
                Code::KeyKind,
                format!("the base key {key} is not of the kind or size that the profile of its device says"),
                "import the key as tdes-base for 10-byte KSNs and aes-base for 12-byte KSNs, or correct the profile",
            ),
            false,
        ),
        (Error::Key(error), _) => (
            Cause::new(Code::KeyKind, error.to_string(), "look up what the key store says, and run p2pe selftest"),
            true,
        ),
        _ => return None,
    })
}

fn mask(payload: &Payload) -> u8 {
    let format = payload.format();
    DeviceProfile::builtin().find(|profile| profile.format() == format).map_or(b'*', |profile| profile.mask())
}

fn tried(specimen: &Specimen, keys: &[TrialKey], tried: &mut Vec<String>) {
    let names: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
    *tried = vec![
        format!("base keys: {}", names.join(", ")),
        format!("{} KSNs: the one sent, three counters on either side, other forms and other KSNs that were named", specimen.ksns.len()),
        "request and response data key, with and without self-encryption; PIN and MAC variants; no variant; AES DUKPT sizes and usages".into(),
        "TDES and AES; CBC, ECB, one run for several, several for one; first block, single blocks wrong".into(),
        "each key as base key, as initial key and as transaction key; an initial key as base key".into(),
        "tracks 1 and 2, keyed data, packed track 2, TLV".into(),
    ];
}
