//! Tests of the device's side: sequences of transactions.

use dukpt::{Key, KeyError, KeyStore, MacAlgorithm, MacFormat, Padding, aes, tdes};

use crate::{
    conformance::Attempt,
    dukpt_cases::{ZERO_IV, base_size, key_id, same, settle},
    working_types::{TerminalCase, TerminalTransaction},
};

const TDES_PIN_BLOCK: [u8; 8] = [0x04, 0x12, 0x74, 0xED, 0xCB, 0xA9, 0x87, 0x6F];
const AES_PIN_FIELD: [u8; 16] =
    [0x44, 0x12, 0x34, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0x2F, 0x69, 0xAD, 0xDE, 0x2E, 0x9E, 0x7A, 0xCE];
const MESSAGE: &[u8; 17] = b"4012345678909D987";
const TRACK: &[u8; 44] = b"%B5452300551227189^HOGAN/PAUL      ^0804321?";

pub(crate) fn tdes<S: KeyStore>(store: &S, case: &TerminalCase) -> Attempt {
    settle(|| {
        let ksn = tdes::Ksn::try_from(&case.ksn.0[..])?;
        let initial_key = store.key(&key_id(&case.key)?)?.tdes_initial_key(&ksn)?;
        let mut terminal = tdes::terminal::Terminal::new(&initial_key, &ksn);
        let format =
            MacFormat::new(MacAlgorithm::Retail(Padding::Zeros), 8).map_err(|_| Attempt::error("mac_length"))?;
        for expected in &case.transactions {
            let transaction = terminal.next_transaction().map_err(KeyError::from)?;
            let mut pin_block = TDES_PIN_BLOCK;
            transaction.pin_key().encrypt_block(&mut pin_block);
            let mac = transaction.mac_key().generate(format, MESSAGE)?;
            let mut data = [0; 24];
            data[..MESSAGE.len()].copy_from_slice(MESSAGE);
            transaction.data_key().encrypt_cbc(tdes::Cipher::Tdes, &ZERO_IV, &mut data)?;
            compare(expected, transaction.ksn().as_bytes(), &pin_block, mac.as_bytes(), &data)?;
        }
        same("the end of life", terminal.next_transaction().is_err() == case.exhausted)?;
        Ok(Attempt::AsExpected)
    })
}

pub(crate) fn aes<S: KeyStore>(store: &S, case: &TerminalCase, base: Option<usize>) -> Attempt {
    settle(|| {
        let (ksn, base) = (aes::Ksn::try_from(&case.ksn.0[..])?, base_size(base)?);
        let suite = aes::Suite::new(base, aes::KeyType::Aes128, aes::DataUsage::Encrypt);
        let suite = suite.map_err(|_| Attempt::error("suite_strength"))?;
        let initial_key = store.key(&key_id(&case.key)?)?.derive(&ksn.initial_key(suite))?;
        let mut terminal = aes::terminal::Terminal::new(&initial_key, &ksn, base)?;
        drop(initial_key);
        let format = MacFormat::new(MacAlgorithm::Cmac, 16).map_err(|_| Attempt::error("mac_length"))?;
        let key_type = aes::KeyType::Aes128.into();
        for expected in &case.transactions {
            let transaction = terminal.next_transaction()?;
            let mut pin_block = AES_PIN_FIELD;
            transaction.pin_key(key_type)?.encrypt_block(&mut pin_block)?;
            let mac = transaction.mac_key(key_type, aes::Usage::MacGenerate)?.generate(format, MESSAGE)?;
            let mut data = [0; 48];
            data[..TRACK.len()].copy_from_slice(TRACK);
            transaction.data_key(key_type, aes::Usage::DataEncrypt)?.encrypt_cbc(&ZERO_IV, &mut data)?;
            compare(expected, transaction.ksn().as_bytes(), &pin_block, mac.as_bytes(), &data)?;
        }
        let end = terminal.next_transaction().err();
        same("the end of life", matches!(end, Some(KeyError::Exhausted(_))) == case.exhausted)?;
        Ok(Attempt::AsExpected)
    })
}

fn compare(expected: &TerminalTransaction, ksn: &[u8], pin: &[u8], mac: &[u8], data: &[u8]) -> Result<(), Attempt> {
    same("the KSN", ksn == expected.ksn.0)?;
    same("the PIN block", pin == expected.pin_block.0)?;
    same("the MAC", mac == expected.mac.0)?;
    same("the data", data == expected.data.0)
}
