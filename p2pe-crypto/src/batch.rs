//! Many payloads at once, by base key and profile: payloads of one group share the lanes of the cipher.

use alloc::vec::Vec;
use core::borrow::Borrow;

use dukpt::{Key, KeyStore, Ksn, aes, tdes};
use zeroize::Zeroizing;

use crate::{
    Candidates, CardData, Decryptor, Device, Devices, Encryption, Error, Payload,
    decryptor::{ZERO_IV, decrypt, read},
    observe,
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
        let _timed = observe::batch();
        let cards = self.decrypt_batch_unseen(payloads);
        payloads.iter().zip(&cards).for_each(|(payload, card)| {
            observe::decrypted(payload, || self.custody(payload), card);
        });
        cards
    }

    fn decrypt_batch_unseen(&self, payloads: &[Payload]) -> Vec<Result<CardData, Error>> {
        let mut results: Results = payloads.iter().map(|_| None).collect();
        let (mut tdes, mut aes) = (Vec::new(), Vec::new());
        for (index, payload) in payloads.iter().enumerate() {
            let device = match self.device(payload) {
                // Nothing is won by a batch; a MAC is verified on that way too.
                Ok(device) if self.derives_inside(device) => {
                    results[index] = Some(self.decrypt_unseen(payload));
                    continue;
                }
                device => device.and_then(|device| self.verify(device, payload).map(|()| device)),
            };
            match device {
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
            return Err(mismatch(group, payloads));
        };
        let base_key = self.store().key(&group.device.base_key)?;
        let profile = group.device.profile;
        let ksns = group.members.iter().map(|(_, ksn)| ksn);
        aes::DataKey::derive_each(&base_key, ksns, suite, |number, key| {
            let (index, _) = group.members[number];
            let card = key.as_ref().map_err(|error| error.clone().into()).and_then(|key| {
                let cbc = |data: &mut [u8]| key.decrypt_cbc(&ZERO_IV, data);
                read(&payloads[index], profile, |field| decrypt(field, cbc))
            });
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
            return Err(mismatch(group, payloads));
        };
        let ksns: Vec<_> = group.members.iter().map(|(_, ksn)| *ksn).collect();
        let keys = self.store().key(&group.device.base_key)?.tdes_data_keys(&ksns, variant)?;

        // A field of partial blocks fails its payload; the others go on.
        let profile = group.device.profile;
        let mut clear: Vec<(usize, Zeroizing<Vec<u8>>)> = Vec::with_capacity(2 * group.members.len());
        for (key, (index, _)) in group.members.iter().enumerate() {
            let fields = payloads[*index].encrypted_as(&profile);
            if (&fields).into_iter().all(|field| field.ciphertext.len().is_multiple_of(cipher.block())) {
                clear.extend((&fields).into_iter().map(|field| (key, Zeroizing::new(field.ciphertext.to_vec()))));
            } else {
                results[*index] = Some(Err(Error::DecryptFailed));
            }
        }
        let mut messages: Vec<_> = clear.iter_mut().map(|(key, data)| (*key, data.as_mut_slice())).collect();
        keys.decrypt_cbc(cipher, &mut messages)?;

        let mut clear = clear.into_iter().peekable();
        for (key, (index, _)) in group.members.iter().enumerate() {
            let mut own = || clear.next_if(|(owner, _)| *owner == key).map(|(_, data)| data);
            let read = || read(&payloads[*index], profile, |_| own().ok_or(Error::DecryptFailed));
            results[*index].get_or_insert_with(read);
            // What a payload that failed left over.
            while own().is_some() {}
        }
        Ok(())
    }
}

/// For a group whose scheme is not that of its profile.
fn mismatch<K>(group: &Group<'_, K>, payloads: &[Payload]) -> Error {
    match group.members.first() {
        Some((index, _)) => Error::ProfileMismatch(group.device.profile, Candidates(payloads[*index].features())),
        None => Error::DecryptFailed,
    }
}
