//! Many payloads at once, by base key and profile: payloads of one group share the lanes of the cipher.

use alloc::vec::Vec;
use core::borrow::Borrow;

use dukpt::{Key, KeyStore, Ksn, aes, tdes};
use zeroize::Zeroizing;

use crate::{
    CardData, Decryptor, Device, Devices, EncryptedTrack, Encryption, Error, Payload,
    decryptor::{ZERO_IV, decrypt, read, tracks_of},
};

/// Payloads of one base key and profile: the index of each, and its KSN.
struct Group<'d, K> {
    device: &'d Device,
    members: Vec<(usize, K)>,
}

fn add<'d, K>(groups: &mut Vec<Group<'d, K>>, device: &'d Device, member: (usize, K)) {
    match groups.iter_mut().find(|group| group.device == device) {
        Some(group) => group.members.push(member),
        None => groups.push(Group { device, members: Vec::from([member]) }),
    }
}

/// What stopped a group stopped each of it that has no result yet.
fn stop<K>(group: &Group<'_, K>, error: &Error, results: &mut Results) {
    for (index, _) in &group.members {
        results[*index].get_or_insert_with(|| Err(error.clone()));
    }
}

/// A result for each payload, filled in as groups are done.
type Results = Vec<Option<Result<CardData, Error>>>;

impl<S: KeyStore, D: Borrow<Devices>> Decryptor<S, D> {
    /// Decrypts many payloads, of any devices and schemes; result `i` is that of payload `i`, and the same as
    /// [`Decryptor::decrypt`] gives. A payload that fails, fails alone.
    ///
    /// Keys are derived many at once, TDES payloads also decrypted so: a batch of a few hundred is fastest.
    pub fn decrypt_batch(&self, payloads: &[Payload]) -> Vec<Result<CardData, Error>> {
        let mut results: Results = payloads.iter().map(|_| None).collect();
        let (mut tdes, mut aes) = (Vec::new(), Vec::new());
        for (index, payload) in payloads.iter().enumerate() {
            match self.device(payload) {
                Ok(device) if self.derives_inside(device) => results[index] = Some(self.decrypt(payload)),
                Ok(device) => match payload.ksn() {
                    Ksn::Tdes(ksn) => add(&mut tdes, device, (index, *ksn)),
                    Ksn::Aes(ksn) => add(&mut aes, device, (index, *ksn)),
                },
                Err(error) => results[index] = Some(Err(error)),
            }
        }
        for group in &tdes {
            if let Err(error) = self.decrypt_tdes(group, payloads, &mut results) {
                stop(group, &error, &mut results);
            }
        }
        for group in &aes {
            if let Err(error) = self.decrypt_aes(group, payloads, &mut results) {
                stop(group, &error, &mut results);
            }
        }
        results.into_iter().map(|result| result.unwrap_or(Err(Error::DecryptFailed))).collect()
    }

    fn decrypt_aes(
        &self,
        group: &Group<'_, aes::Ksn>,
        payloads: &[Payload],
        results: &mut Results,
    ) -> Result<(), Error> {
        let Encryption::Aes(suite) = group.device.profile.encryption() else {
            return Err(Error::ProfileMismatch(group.device.profile));
        };
        let base_key = self.store().key(&group.device.base_key)?;
        let ksns = group.members.iter().map(|(_, ksn)| ksn);
        aes::DataKey::derive_each(&base_key, ksns, suite, |number, key| {
            let (index, _) = group.members[number];
            let card = key
                .as_ref()
                .map_err(|error| error.clone().into())
                .and_then(|key| read(&payloads[index], |track| decrypt(track, |data| key.decrypt_cbc(&ZERO_IV, data))));
            results[index] = Some(card);
            key.ok()
        });
        Ok(())
    }

    fn decrypt_tdes(
        &self,
        group: &Group<'_, tdes::Ksn>,
        payloads: &[Payload],
        results: &mut Results,
    ) -> Result<(), Error> {
        let Encryption::Tdes(variant, cipher) = group.device.profile.encryption() else {
            return Err(Error::ProfileMismatch(group.device.profile));
        };
        let ksns: Vec<_> = group.members.iter().map(|(_, ksn)| *ksn).collect();
        let keys = self.store().key(&group.device.base_key)?.tdes_data_keys(&ksns, variant)?;

        // A track of partial blocks fails its payload; the others go on.
        let mut clear: Vec<[Option<Zeroizing<Vec<u8>>>; 3]> = Vec::with_capacity(group.members.len());
        for (index, _) in &group.members {
            let tracks = tracks_of(&payloads[*index]);
            let whole = |track: &EncryptedTrack<'_>| track.ciphertext.len().is_multiple_of(cipher.block());
            if tracks.iter().flatten().all(|(_, track)| whole(track)) {
                clear.push(tracks.map(|track| track.map(|(_, track)| Zeroizing::new(track.ciphertext.to_vec()))));
            } else {
                results[*index] = Some(Err(Error::DecryptFailed));
                clear.push([None, None, None]);
            }
        }
        let mut messages: Vec<(usize, &mut [u8])> = Vec::with_capacity(clear.len());
        for (key, tracks) in clear.iter_mut().enumerate() {
            messages.extend(tracks.iter_mut().flatten().map(|data| (key, data.as_mut_slice())));
        }
        keys.decrypt_cbc(cipher, &mut messages)?;

        for ((index, _), clear) in group.members.iter().zip(clear) {
            let mut clear = clear.into_iter().flatten();
            let read = || read(&payloads[*index], |_| clear.next().ok_or(Error::DecryptFailed));
            results[*index].get_or_insert_with(read);
        }
        Ok(())
    }
}
