//! The types of the tests of working keys, MACs, check values and devices; `schema.json` describes them.

use serde::Deserialize;

use crate::file::{Hex, schema};

schema! {
    /// What a working key is used with.
    enum KeyTypeName {
        #[serde(rename = "tdes-2")] Tdes2,
        #[serde(rename = "tdes-3")] Tdes3,
        #[serde(rename = "aes-128")] Aes128,
        #[serde(rename = "aes-192")] Aes192,
        #[serde(rename = "aes-256")] Aes256,
        #[serde(rename = "hmac-128")] Hmac128,
        #[serde(rename = "hmac-192")] Hmac192,
        #[serde(rename = "hmac-256")] Hmac256,
    }
    /// What a device uses an AES DUKPT working key for.
    enum UsageName {
        KeyEncryption, Pin, MacGenerate, MacVerify, MacBoth, DataEncrypt, DataDecrypt, DataBoth,
    }
    /// A MAC algorithm.
    enum MacName {
        #[serde(rename = "retail-padding-1")] RetailPadding1,
        #[serde(rename = "retail-padding-2")] RetailPadding2,
        #[serde(rename = "cmac")] Cmac,
        #[serde(rename = "hmac-sha256")] HmacSha256,
    }
    /// Which of the two MAC keys of TDES DUKPT.
    enum Direction { Request, Response }
    /// How a check value is computed.
    enum CheckName { Legacy, Cmac }
}

schema! {
    /// The PIN key of TDES DUKPT and one encrypted PIN block.
    struct TdesPin {
        key: String, ksn: Hex, check_value: Hex, transaction_check_value: Hex, clear: Hex, encrypted: Hex,
    }
    /// A MAC key of TDES DUKPT and a MAC.
    struct TdesMac {
        key: String, ksn: Hex, direction: Direction, algorithm: MacName, length: usize, data: Hex, mac: Hex,
    }
    /// Data of a reader with "Chinese DUKPT".
    struct TdesChinese { injected_key: Hex, ksn: Hex, data_key: Hex, ciphertext: Hex, plaintext: Hex }
    /// An AES DUKPT working key and a figure that only this key gives.
    struct AesWorkingKey {
        key: String, ksn: Hex, usage: UsageName, key_type: KeyTypeName, working_key: Hex,
        plaintext: Option<Hex>, ciphertext: Option<Hex>,
        algorithm: Option<MacName>, length: Option<usize>, data: Option<Hex>, mac: Option<Hex>,
        method: Option<CheckName>, check_value: Option<Hex>,
    }
    /// A PIN block of ISO 9564-1, format 4.
    struct AesPinBlock {
        key: String, ksn: Hex, key_type: KeyTypeName, pin_field: Hex, pan_field: Hex, encrypted: Hex,
    }
    /// The update key of one device.
    struct AesUpdateKey {
        key: String, initial_key_id: Hex, key_type: KeyTypeName, update_key: Hex, method: CheckName, check_value: Hex,
    }
    /// A MAC under a clear key.
    struct MacCase { clear_key: Hex, key_type: KeyTypeName, algorithm: MacName, data: Hex, mac: Hex }
    /// A check value of a clear key.
    struct CheckValueCase { clear_key: Hex, key_type: KeyTypeName, method: CheckName, check_value: Hex }
    /// A key block, its protection key in clear, and what is in it.
    struct KeyBlockCase {
        clear_key: Hex, key_type: KeyTypeName, key_block: String, wrapped_key: Option<Hex>, usage: Option<String>,
    }
    /// What a device sends, one transaction after the other.
    struct TerminalCase { key: String, ksn: Hex, transactions: Vec<TerminalTransaction>, exhausted: bool }
    /// One transaction of a device.
    struct TerminalTransaction { ksn: Hex, pin_block: Hex, mac: Hex, data: Hex }
}
