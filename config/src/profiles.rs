//! The names that a `profile` may have.

use dukpt::{
    aes::{DataUsage, KeyType, Suite},
    tdes::{Cipher, Variant},
};
use p2pe_crypto::{DeviceProfile, Encryption, Format};

/// Every device profile, for help and for errors.
pub fn profiles() -> impl Iterator<Item = DeviceProfile> {
    let tdes = [Cipher::Tdes, Cipher::Aes128].into_iter().flat_map(|cipher| {
        [Variant::DataRequest, Variant::Pin, Variant::DataResponse].map(|variant| Encryption::Tdes(variant, cipher))
    });
    let sizes = [KeyType::Aes128, KeyType::Aes192, KeyType::Aes256];
    let suites = sizes.into_iter().flat_map(move |base| {
        sizes.into_iter().flat_map(move |data| {
            [DataUsage::Encrypt, DataUsage::Both]
                .into_iter()
                .filter_map(move |usage| Suite::new(base, data, usage).ok())
        })
    });
    let encryptions: Vec<_> = tdes.chain(suites.map(Encryption::Aes)).collect();
    [Format::IdTechEnhanced, Format::Track].into_iter().flat_map(move |format| {
        let of_format = encryptions.iter().filter_map(|encryption| DeviceProfile::new(format, *encryption).ok());
        of_format.collect::<Vec<_>>()
    })
}
