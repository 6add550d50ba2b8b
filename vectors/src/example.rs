//! One test as a user meets it: a payload, its device and its base key, for demos and benches.

use dukpt::{KeyId, KeyMaterial, KsnPrefix};
use p2pe_crypto::{Device, Format, Payload, Refusal};

use crate::{
    VectorFile,
    file::{Case, DeviceEntry, Encoding, PayloadCase},
};

/// A payload with all that it takes to decrypt it.
#[expect(missing_debug_implementations, reason = "holds a clear key")]
pub struct Example {
    /// What a device sent.
    pub payload: Payload,
    /// The KSN prefix of the device's population.
    pub prefix: KsnPrefix,
    /// Base key and profile.
    pub device: Device,
    /// The base key itself: a public test key.
    pub key: KeyMaterial,
}

impl Example {
    /// The payload or track test named `id`. `None` if there is none, or none that has a device and parses.
    #[must_use]
    pub fn find(files: &[VectorFile], id: &str) -> Option<Self> {
        let (file, test) = files.iter().find_map(|file| Some((file, file.tests.iter().find(|test| test.id == id)?)))?;
        let (payload, device) = match &test.case {
            Case::Payload(case) => (parse(case).ok()?.ok()?, case.right_device.as_ref().or(case.device.as_ref())?),
            Case::Track(case) => {
                let tracks: Vec<&[u8]> = case.tracks.iter().map(|track| track.0.as_slice()).collect();
                (Payload::from_tracks(&case.ksn.0, &tracks).ok()?, case.device.as_ref()?)
            }
            _ => return None,
        };
        let key = file.keys.iter().find(|key| key.id == device.base_key)?;
        let key = KeyMaterial::new(&key.kind, &key.value.0).ok()?;
        let (prefix, device) = population(device).ok()?;
        Some(Self { payload, prefix, device, key })
    }
}

/// The payload as its device sent it; the outer error says what is wrong with the file.
pub(crate) fn parse(case: &PayloadCase) -> Result<Result<Payload, Refusal>, String> {
    let bytes = match case.encoding {
        Encoding::Ascii => case.payload.as_bytes().to_vec(),
        Encoding::Hex => hex::decode(&case.payload).map_err(|_| "the payload is not hex")?,
    };
    let Some(name) = &case.format else { return Ok(Payload::parse(&bytes)) };
    let format = Format::ALL.into_iter().find(|format| format.name() == name);
    Ok(Payload::parse_as(format.ok_or_else(|| format!("no format {name}"))?, &bytes))
}

/// A device of the file as configuration; the error says what is wrong with it.
pub(crate) fn population(device: &DeviceEntry) -> Result<(KsnPrefix, Device), String> {
    let profile: p2pe_crypto::DeviceProfile =
        device.profile.parse().map_err(|_| format!("no profile {}", device.profile))?;
    let prefix = KsnPrefix::new(profile.scheme(), &device.ksn_prefix.0).map_err(|error| error.to_string())?;
    let base_key = KeyId::new(&device.base_key).map_err(|error| error.to_string())?;
    Ok((prefix, Device { base_key, profile }))
}
