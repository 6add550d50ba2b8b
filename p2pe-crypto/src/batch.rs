//! Many payloads at once: TDES payloads of one base key and profile share the lanes of the cipher.

use alloc::{collections::BTreeMap, vec::Vec};
use core::borrow::Borrow;

use dukpt::{Key, KeyError, KeyStore, Ksn, tdes};
use zeroize::Zeroizing;

use crate::{CardData, Decryptor, Device, Devices, Encryption, Error, Payload, decryptor::read};

/// TDES payloads of one base key and profile: the index of each, and its KSN.
struct Group<'d> {
    device: &'d Device,
    variant: tdes::Variant,
    cipher: tdes::Cipher,
    members: Vec<(usize, tdes::Ksn)>,
}

/// A result for each payload, filled in as groups are done.
type Results = Vec<Option<Result<CardData, Error>>>;

impl<S: KeyStore, D: Borrow<Devices>> Decryptor<S, D> {
    /// Decrypts many payloads, of any devices and schemes; result `i` is that of payload `i`, and the same as
    /// [`Decryptor::decrypt`] gives. A payload that fails, fails alone.
    ///
    /// TDES payloads are derived and decrypted many at once, so a batch of a few hundred is fastest.
    pub fn decrypt_batch(&self, payloads: &[Payload]) -> Vec<Result<CardData, Error>> {
        let mut results: Results = payloads.iter().map(|_| None).collect();
        let mut groups: Vec<Group<'_>> = Vec::new();
        for (index, payload) in payloads.iter().enumerate() {
            let device = match self.device(payload) {
                Ok(device) => device,
                Err(error) => {
                    results[index] = Some(Err(error));
                    continue;
                }
            };
            let (Ksn::Tdes(ksn), Encryption::Tdes(variant, cipher), None) =
                (payload.ksn(), device.profile.encryption(), payload.mac())
            else {
                results[index] = Some(self.decrypt(payload));
                continue;
            };
            match groups.iter_mut().find(|group| group.device == device) {
                Some(group) => group.members.push((index, *ksn)),
                None => groups.push(Group { device, variant, cipher, members: Vec::from([(index, *ksn)]) }),
            }
        }
        for group in &groups {
            if let Err(error) = self.decrypt_group(group, payloads, &mut results) {
                // What stopped the group stopped each of it that has no result yet.
                for (index, _) in &group.members {
                    results[*index].get_or_insert_with(|| Err(error.clone()));
                }
            }
        }
        results.into_iter().map(|result| result.unwrap_or(Err(Error::DecryptFailed))).collect()
    }

    fn decrypt_group(&self, group: &Group<'_>, payloads: &[Payload], results: &mut Results) -> Result<(), Error> {
        // Devices that sent several payloads need one initial key.
        let mut devices: BTreeMap<[u8; 8], usize> = BTreeMap::new();
        let mut ksns = Vec::new();
        for (_, ksn) in &group.members {
            devices.entry(ksn.initial_key_block()).or_insert_with(|| {
                ksns.push(*ksn);
                ksns.len() - 1
            });
        }
        let initial = self.store().key(&group.device.base_key)?.tdes_initial_keys(&ksns)?;
        let transactions: Vec<_> =
            group.members.iter().map(|(_, ksn)| (&initial[devices[&ksn.initial_key_block()]], *ksn)).collect();
        let keys = tdes::DataKeys::derive(&transactions, group.variant).map_err(KeyError::from)?;

        // A field of partial blocks fails its payload; the others go on.
        let format = group.device.profile.format();
        let mut clear: Vec<Vec<Zeroizing<Vec<u8>>>> = Vec::with_capacity(group.members.len());
        for (index, _) in &group.members {
            let fields = || payloads[*index].encrypted_as(format).into_iter();
            if fields().all(|field| field.ciphertext.len().is_multiple_of(group.cipher.block())) {
                clear.push(fields().map(|field| Zeroizing::new(field.ciphertext.to_vec())).collect());
            } else {
                results[*index] = Some(Err(Error::DecryptFailed));
                clear.push(Vec::new());
            }
        }
        let mut messages: Vec<(usize, &mut [u8])> = Vec::with_capacity(clear.len());
        for (key, fields) in clear.iter_mut().enumerate() {
            messages.extend(fields.iter_mut().map(|data| (key, data.as_mut_slice())));
        }
        keys.decrypt_cbc(group.cipher, &mut messages)?;

        for ((index, _), clear) in group.members.iter().zip(clear) {
            let mut clear = clear.into_iter();
            let profile = group.device.profile;
            let read = || read(&payloads[*index], profile, |_| clear.next().ok_or(Error::DecryptFailed));
            results[*index].get_or_insert_with(read);
        }
        Ok(())
    }
}
