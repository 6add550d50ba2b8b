//! How the keys, the KSN and the cipher of a lane differ from the settings.

use dukpt::tdes::{Cipher, TrialWorking, Variant};
use p2pe_crypto::{Device, DeviceProfile, Encryption, Format};

use super::{Explainer, Origin, profile_mismatch};
use crate::{
    Cause, Code,
    specimen::KsnOrigin,
    trial::{Lane, Taken, Working},
};

impl Explainer<'_> {
    /// How a lane differs from the settings.
    pub(super) fn deviations(&self, lane: Lane) -> Vec<Cause> {
        let mut causes = Vec::new();
        let key = &self.keys[lane.key].name;
        match self.device {
            None => causes.push(self.unknown_device(lane)),
            Some(device) => {
                self.base_key(lane, device, &mut causes);
                if self.fits {
                    self.working(lane, device.profile, &mut causes);
                } else {
                    causes.push(self.other_kind(lane, device));
                }
            }
        }
        match lane.taken {
            Taken::BaseKey => {}
            Taken::InitialKey => causes.push(Cause::new(
                Code::InitialKeyAsBaseKey,
                format!("the key {key} is the initial key of this device, and is stored as a base key"),
                "store the base key that the initial key was derived from",
            )),
            Taken::Twice => causes.push(Cause::new(
                Code::InitialKeyAsBaseKey,
                format!("the device was injected as if its initial key, derived from {key}, were a base key"),
                "inject the device again with the initial key itself",
            )),
            Taken::TransactionKey => causes.push(Cause::new(
                Code::SessionKeyAsBaseKey,
                format!("the key {key} is the key of this one transaction, and is stored as a base key"),
                "store the base key of the devices",
            )),
            Taken::Upwards => causes.push(Cause::new(
                Code::CounterOrder,
                "the sender derived the key with the bits of the counter from the lowest to the highest",
                "correct the sender: the highest bit comes first; it is right only for counters with a single bit",
            )),
        }
        if let Working::Tdes(working, _) = lane.working {
            self.trial_working(working, &mut causes);
        }
        match &self.specimen.ksns[lane.ksn].0 {
            KsnOrigin::Sent => {}
            KsnOrigin::Counter(step) => causes.push(Cause::new(
                Code::KsnCounter,
                format!("the KSN is {} too {}", step.abs(), if *step < 0 { "high" } else { "low" }),
                format!("use the KSN that the device sent with this payload: {}", self.specimen.ksns[lane.ksn].1),
            )),
            KsnOrigin::Other(cause) => causes.push(cause.clone()),
        }
        causes
    }

    fn base_key(&self, lane: Lane, device: &Device, causes: &mut Vec<Cause>) {
        let (key, configured) = (&self.keys[lane.key], device.base_key.as_str());
        match key.origin {
            Origin::Store if key.name == configured => {}
            Origin::Store => causes.push(Cause::new(
                Code::BaseKey,
                format!("the base key is {}, and the settings name {configured} for this KSN prefix", key.name),
                format!("set base_key = \"{}\" for this KSN prefix", key.name),
            )),
            Origin::Component => causes.push(Cause::new(
                Code::ComponentsNotCombined,
                format!("the device was injected with {} alone", key.name),
                "inject the device again with the exclusive-or of all components",
            )),
            Origin::Combined => causes.push(Cause::new(
                Code::ComponentsNotCombined,
                format!("the key {configured} in the store is not the exclusive-or of the components"),
                "import the key again from all its components, and compare its check value",
            )),
        }
    }

    fn working(&self, lane: Lane, profile: DeviceProfile, causes: &mut Vec<Cause>) {
        let set =
            |code, sentence: String, encryption| Cause::new(code, sentence, self.fix(profile.format(), encryption));
        match (profile.encryption(), lane.working) {
            (Encryption::Tdes(variant, cipher), Working::Tdes(working, other)) => {
                let right = match working {
                    TrialWorking::Right(right) => right,
                    _ => variant,
                };
                let encryption = Encryption::Tdes(right, other);
                if right != variant {
                    let sentence = format!(
                        "the device encrypts under the {}, and its profile says {}",
                        name(right),
                        name(variant)
                    );
                    causes.push(set(Code::KeyVariant, sentence, encryption));
                }
                if other != cipher {
                    let sentence = format!(
                        "the device encrypts with {}, and its profile says {}",
                        cipher_name(other),
                        cipher_name(cipher)
                    );
                    causes.push(set(Code::Cipher, sentence, encryption));
                }
            }
            (Encryption::Aes(configured), Working::Aes(suite)) => {
                let encryption = Encryption::Aes(suite);
                if (configured.base(), configured.data()) != (suite.base(), suite.data()) {
                    let sentence = format!(
                        "the keys have the sizes of {encryption}, and the profile says {}",
                        profile.encryption()
                    );
                    causes.push(set(Code::KeySize, sentence, encryption));
                }
                if configured.usage() != suite.usage() {
                    let sentence = format!(
                        "the data key has the usage of {encryption}, and the profile says {}",
                        profile.encryption()
                    );
                    causes.push(set(Code::KeyUsage, sentence, encryption));
                }
            }
            (_, working) => {
                if let Some(encryption) = encryption(working) {
                    let sentence = format!(
                        "the device uses {}, and its profile says {}",
                        scheme_name(encryption),
                        scheme_name(profile.encryption())
                    );
                    causes.push(set(Code::AesFlavour, sentence, encryption));
                }
            }
        }
    }

    fn trial_working(&self, working: TrialWorking, causes: &mut Vec<Cause>) {
        let (code, what) = match working {
            TrialWorking::Right(_) => return,
            TrialWorking::RequestNotEncrypted => {
                (Code::SelfEncryption, "the request data key without its self-encryption")
            }
            TrialWorking::ResponseNotEncrypted => {
                (Code::SelfEncryption, "the response data key without its self-encryption")
            }
            TrialWorking::MacRequest => (Code::KeyVariant, "the request MAC key"),
            TrialWorking::MacResponse => (Code::KeyVariant, "the response MAC key"),
            TrialWorking::Bare => (Code::KeyVariant, "the transaction key itself, without any variant"),
        };
        causes.push(Cause::new(
            code,
            format!("the sender encrypted under {what}"),
            "correct the sender: no device of a standard does so, and no profile takes it",
        ));
    }

    /// The payload is not of the kind that the profile says; what it is, the lane tells.
    fn other_kind(&self, lane: Lane, device: &Device) -> Cause {
        let payload = &self.specimen.payload;
        let stated = profile_mismatch(payload, device);
        match encryption(lane.working) {
            Some(encryption) => Cause { fix: self.fix(payload.format(), encryption), ..stated },
            None => stated,
        }
    }

    fn unknown_device(&self, lane: Lane) -> Cause {
        let format = self.specimen.payload.format();
        let key = &self.keys[lane.key].name;
        let profile = encryption(lane.working).map(|encryption| self.fix(format, encryption)).unwrap_or_default();
        Cause::new(
            Code::UnknownDevice,
            format!("no device is configured for the KSN {}, and the key {key} decrypts it", self.specimen.ksns[0].1),
            format!("add a [[device]] table for its prefix with base_key = \"{key}\"; {profile}"),
        )
    }

    fn fix(&self, format: Format, encryption: Encryption) -> String {
        let scope = self.specimen.payload.features().scope;
        let fits = |profile: &DeviceProfile| {
            profile.format() == format && profile.scope() == scope && profile.encryption() == encryption
        };
        match DeviceProfile::builtin().find(fits) {
            Some(profile) => format!("set profile = \"{}\"", profile.name()),
            None => format!("set a profile with the encryption {encryption}"),
        }
    }
}

fn encryption(working: Working) -> Option<Encryption> {
    match working {
        Working::Tdes(TrialWorking::Right(variant), cipher) => Some(Encryption::Tdes(variant, cipher)),
        Working::Tdes(..) => None,
        Working::Aes(suite) => Some(Encryption::Aes(suite)),
    }
}

fn name(variant: Variant) -> &'static str {
    match variant {
        Variant::DataRequest => "request data key",
        Variant::DataResponse => "response data key",
        Variant::Pin => "PIN-variant key",
    }
}

fn cipher_name(cipher: Cipher) -> &'static str {
    match cipher {
        Cipher::Tdes => "TDES",
        Cipher::Aes128 => "AES",
    }
}

fn scheme_name(encryption: Encryption) -> &'static str {
    match encryption {
        Encryption::Tdes(_, Cipher::Tdes) => "TDES DUKPT (10-byte KSN) with TDES",
        Encryption::Tdes(_, Cipher::Aes128) => "TDES DUKPT (10-byte KSN) with AES, which is not AES DUKPT",
        Encryption::Aes(_) => "AES DUKPT (12-byte KSN)",
    }
}
