//! From payload to card data: find the device, derive its data key in the store, decrypt, read the tracks.

use alloc::vec::Vec;
use core::borrow::Borrow;

use dukpt::{Custody, Key, KeyError, KeyId, KeyStore, Ksn, KsnMap, KsnPrefix, aes, tdes};
use zeroize::Zeroizing;

use crate::{CardData, DeviceProfile, EncryptedTrack, Encryption, Error, Payload, card::Reader};

/// A population of devices: the base key they were injected from, and how they send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Device {
    /// The base key's name in the store.
    pub base_key: KeyId,
    /// Format and encryption.
    pub profile: DeviceProfile,
}

/// Which device population each KSN prefix is; the longest prefix wins.
pub type Devices = KsnMap<Device>;

/// Decrypts payloads of the configured devices with the keys of one store. As `Send` and `Sync` as its store.
#[derive(Debug)]
pub struct Decryptor<S, D = Devices> {
    store: S,
    devices: D,
}

impl<S: KeyStore, D: Borrow<Devices>> Decryptor<S, D> {
    /// Over a store and the configured devices, or references to them: workers with a store each share the devices.
    pub fn new(store: S, devices: D) -> Self {
        Self { store, devices }
    }

    /// The store.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// The configured devices.
    pub fn devices(&self) -> &Devices {
        self.devices.borrow()
    }

    /// Where the keys live that decrypt this payload.
    pub fn custody(&self, payload: &Payload) -> Custody {
        match self.device(payload) {
            Ok(device) if self.derives_inside(device) => Custody::Token,
            _ => self.store.custody(payload.ksn().scheme()),
        }
    }

    /// Whether the store derives the TDES data keys of these devices by itself.
    pub(crate) fn derives_inside(&self, device: &Device) -> bool {
        let Encryption::Tdes(variant, cipher) = device.profile.encryption() else { return false };
        self.store.key(&device.base_key).is_ok_and(|key| key.derives_tdes_inside(variant, cipher))
    }

    /// The configured device that a payload comes from.
    ///
    /// # Errors
    /// [`Error::UnknownDevice`]; [`Error::ProfileMismatch`] if the payload is of another format, scheme or cipher.
    pub fn device(&self, payload: &Payload) -> Result<&Device, Error> {
        let device =
            self.devices().get(payload.ksn()).ok_or_else(|| Error::UnknownDevice(KsnPrefix::of(payload.ksn())))?;
        let fits = device.profile.format() == payload.format()
            && match (payload, device.profile.encryption()) {
                (Payload::IdTech(frame), Encryption::Tdes(_, cipher)) => frame.cipher() == cipher,
                (Payload::IdTech(_), Encryption::Aes(_)) => false,
                (Payload::Tracks(_), _) => device.profile.scheme() == payload.ksn().scheme(),
            };
        if fits { Ok(device) } else { Err(Error::ProfileMismatch(device.profile)) }
    }

    /// Decrypts a payload and reads the card in it.
    ///
    /// # Errors
    /// [`Error::UnknownDevice`], [`Error::ProfileMismatch`] and [`Error::Key`] before anything is decrypted;
    /// [`Error::DecryptFailed`] if the clear text is not a card's.
    pub fn decrypt(&self, payload: &Payload) -> Result<CardData, Error> {
        let device = self.device(payload)?;
        let base_key = self.store.key(&device.base_key)?;
        let key = DataKey::derive(&base_key, payload.ksn(), device.profile)?;
        read(payload, |track| key.decrypt(track))
    }
}

/// The encrypted tracks of a payload, with the index of each that the payload tells.
pub(crate) fn tracks_of(payload: &Payload) -> [Option<(Option<usize>, EncryptedTrack<'_>)>; 3] {
    let mut tracks = [None, None, None];
    let mut places = tracks.iter_mut();
    let mut add = |number, track| {
        if let Some(place) = places.next() {
            *place = Some((number, track));
        }
    };
    match payload {
        Payload::IdTech(frame) => frame.encrypted().for_each(|(number, track)| add(Some(number), track)),
        Payload::Tracks(raw) => raw.encrypted().for_each(|track| add(None, track)),
    }
    tracks
}

/// Puts the card together from the tracks, whose clear text `decrypt` gives one by one.
pub(crate) fn read(
    payload: &Payload,
    mut decrypt: impl FnMut(&EncryptedTrack<'_>) -> Result<Zeroizing<Vec<u8>>, Error>,
) -> Result<CardData, Error> {
    let mut card = Reader::default();
    for (number, track) in tracks_of(payload).iter().flatten() {
        let clear = decrypt(track)?;
        match (number, payload) {
            (Some(number), Payload::IdTech(frame)) => card.track(*number, frame.entry(), track, clear)?,
            _ => card.unnamed(clear)?,
        }
    }
    card.finish()
}

/// The data key of one transaction, of either scheme, with the cipher it is used with.
enum DataKey<K> {
    Tdes(tdes::DataKey, tdes::Cipher),
    /// TDES, inside the store.
    Inside(K),
    Aes(aes::DataKey<K>),
}

impl<K: Key> DataKey<K> {
    fn derive(base_key: &K, ksn: &Ksn, profile: DeviceProfile) -> Result<Self, Error> {
        match (ksn, profile.encryption()) {
            (Ksn::Tdes(ksn), Encryption::Tdes(variant, cipher)) => {
                if base_key.derives_tdes_inside(variant, cipher) {
                    return Ok(Self::Inside(base_key.tdes_key_inside(ksn, variant)?));
                }
                let initial_key = base_key.tdes_initial_key(ksn)?;
                let key = tdes::DataKey::derive(&initial_key, ksn, variant).map_err(KeyError::from)?;
                Ok(Self::Tdes(key, cipher))
            }
            (Ksn::Aes(ksn), Encryption::Aes(suite)) => Ok(Self::Aes(aes::DataKey::derive(base_key, ksn, suite)?)),
            _ => Err(Error::ProfileMismatch(profile)),
        }
    }

    fn decrypt(&self, track: &EncryptedTrack<'_>) -> Result<Zeroizing<Vec<u8>>, Error> {
        decrypt(track, |data| match self {
            Self::Tdes(key, cipher) => key.decrypt_cbc(*cipher, &ZERO_IV, data),
            Self::Inside(key) => key.decrypt_cbc(&ZERO_IV, data),
            Self::Aes(key) => key.decrypt_cbc(&ZERO_IV, data),
        })
    }
}

pub(crate) const ZERO_IV: [u8; 16] = [0; 16];

/// Decrypts a copy of the track's ciphertext. A ciphertext of partial blocks under the profile's cipher is one of the ways
/// in which a decryption fails.
pub(crate) fn decrypt(
    track: &EncryptedTrack<'_>,
    cbc: impl FnOnce(&mut [u8]) -> Result<(), KeyError>,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut data = Zeroizing::new(track.ciphertext.to_vec());
    match cbc(&mut data) {
        Ok(()) => Ok(data),
        Err(KeyError::BadLength) => Err(Error::DecryptFailed),
        Err(other) => Err(other.into()),
    }
}
