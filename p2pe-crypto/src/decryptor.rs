//! From payload to card data: find the device, derive its data key in the store, decrypt, read the fields.

use alloc::vec::Vec;
use core::borrow::Borrow;

use dukpt::{Custody, Key, KeyError, KeyId, KeyStore, Ksn, KsnMap, KsnPrefix, aes, tdes};
use zeroize::Zeroizing;

use crate::{
    Candidates, CardData, DeviceProfile, EncryptedField, Encryption, Error, Payload, card::Reader, chain::Chain,
    observe,
};

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
    /// [`Error::UnknownDevice`]; [`Error::ProfileMismatch`] if its profile is not that of such payloads.
    pub fn device(&self, payload: &Payload) -> Result<&Device, Error> {
        let device = self
            .devices()
            .get(payload.ksn())
            .ok_or_else(|| Error::UnknownDevice(KsnPrefix::of(payload.ksn()), Candidates(payload.features())))?;
        let features = payload.features();
        if device.profile.fits(&features) {
            Ok(device)
        } else {
            Err(Error::ProfileMismatch(device.profile, Candidates(features)))
        }
    }

    /// Decrypts a payload and reads the card in it. A message authentication code is verified first.
    ///
    /// # Errors
    /// [`Error::UnknownDevice`], [`Error::ProfileMismatch`] and [`Error::Key`] before anything is decrypted;
    /// [`Error::DecryptFailed`] if the clear text is not a card's, or the code not the payload's;
    /// [`PayloadError::ClearAccountData`] if only the clear text tells that a masked number is not masked.
    pub fn decrypt(&self, payload: &Payload) -> Result<CardData, Error> {
        let _timed = observe::one();
        let card = self.decrypt_unseen(payload);
        observe::decrypted(payload, || self.custody(payload), &card);
        card
    }

    /// As [`Decryptor::decrypt`], which nobody counts.
    pub(crate) fn decrypt_unseen(&self, payload: &Payload) -> Result<CardData, Error> {
        let device = self.device(payload)?;
        self.verify(device, payload)?;
        let base_key = self.store.key(&device.base_key)?;
        let key = DataKey::derive(&base_key, payload, device.profile)?;
        read(payload, device.profile, |field| key.decrypt(field))
    }

    /// Verifies the payload's message authentication code, if it has one, under the key that its own KSN names: of the
    /// device that is configured for it, else of the device that sent the payload.
    pub(crate) fn verify(&self, device: &Device, payload: &Payload) -> Result<(), Error> {
        let Some(mac) = payload.mac() else { return Ok(()) };
        let Ksn::Tdes(ksn) = mac.ksn else { return Err(Error::DecryptFailed) };
        let base_key = &self.devices().get(mac.ksn).unwrap_or(device).base_key;
        let initial_key = self.store.key(base_key)?.tdes_initial_key(ksn)?;
        let key = tdes::TransactionKey::derive(&initial_key, ksn).map_err(KeyError::from)?;
        key.verify_hmac_sha256(mac.covered, mac.code).map_err(|_| Error::DecryptFailed)
    }
}

/// Puts the card together from the fields, whose clear text `decrypt` gives one by one.
pub(crate) fn read(
    payload: &Payload,
    profile: DeviceProfile,
    mut decrypt: impl FnMut(&EncryptedField<'_>) -> Result<Zeroizing<Vec<u8>>, Error>,
) -> Result<CardData, Error> {
    let mut card = Reader::new(profile.mask());
    card.sent(payload.content().chip(), payload.content().entry())?;
    let mut chain = Chain::new(&profile);
    for field in &payload.encrypted_as(&profile) {
        let mut clear = decrypt(&field)?;
        chain.apply(&field, &mut clear);
        card.take(&field.holds, clear)?;
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
    fn derive(base_key: &K, payload: &Payload, profile: DeviceProfile) -> Result<Self, Error> {
        match (payload.ksn(), profile.encryption()) {
            (Ksn::Tdes(ksn), Encryption::Tdes(variant, cipher)) => {
                if base_key.derives_tdes_inside(variant, cipher) {
                    return Ok(Self::Inside(base_key.tdes_key_inside(ksn, variant)?));
                }
                let initial_key = base_key.tdes_initial_key(ksn)?;
                let key = tdes::DataKey::derive(&initial_key, ksn, variant).map_err(KeyError::from)?;
                Ok(Self::Tdes(key, cipher))
            }
            (Ksn::Aes(ksn), Encryption::Aes(suite)) => Ok(Self::Aes(aes::DataKey::derive(base_key, ksn, suite)?)),
            _ => Err(Error::ProfileMismatch(profile, Candidates(payload.features()))),
        }
    }

    fn decrypt(&self, field: &EncryptedField<'_>) -> Result<Zeroizing<Vec<u8>>, Error> {
        decrypt(field, |data| match self {
            Self::Tdes(key, cipher) => key.decrypt_cbc(*cipher, &ZERO_IV, data),
            Self::Inside(key) => key.decrypt_cbc(&ZERO_IV, data),
            Self::Aes(key) => key.decrypt_cbc(&ZERO_IV, data),
        })
    }
}

pub(crate) const ZERO_IV: [u8; 16] = [0; 16];

/// Decrypts a copy of the field's ciphertext, with an IV of zeros. A ciphertext of partial blocks under the profile's
/// cipher is one of the ways in which a decryption fails.
pub(crate) fn decrypt(
    field: &EncryptedField<'_>,
    cbc: impl FnOnce(&mut [u8]) -> Result<(), KeyError>,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut data = Zeroizing::new(field.ciphertext.to_vec());
    match cbc(&mut data) {
        Ok(()) => Ok(data),
        Err(KeyError::BadLength) => Err(Error::DecryptFailed),
        Err(other) => Err(other.into()),
    }
}
