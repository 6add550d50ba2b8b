//! The ID TECH XML message of SecureKey devices.

use dukpt::KeyError;

use super::Written;
use crate::{Form, Setting, device::Reading, hex::hex, tracks};

pub(super) fn message(reading: &mut Reading<'_, '_>) -> Result<Written, KeyError> {
    let with_code = reading.has(Setting::KeyedWithCode);
    let is_keyed = with_code || reading.has(Setting::Keyed);
    let raw = reading.has(Setting::RawValues);
    let value = |bytes: &[u8]| if raw { bytes.to_vec() } else { hex(bytes) };
    let mut card: Vec<u8> = Vec::new();
    let mut add = |name: &str, value: &[u8]| card.extend([b" ", name.as_bytes(), b"=\"", value, b"\""].concat());
    let expected = if is_keyed {
        let (text, expected) = super::keyed(reading, with_code)?;
        add("ECData", &value(&reading.transaction.encrypt(&tracks::checked(&text))?));
        expected
    } else {
        let (texts, expected) = super::swipe(reading, b';')?;
        add("CEncode", b"0");
        for (name, text) in ["ETrk1", "ETrk2"].into_iter().zip(texts) {
            if let Some(text) = text {
                add(name, &value(&reading.transaction.encrypt(&tracks::checked(&text))?));
            }
        }
        expected
    };
    add("CDataKSN", &value(reading.transaction.ksn()));
    add("Exp", &reading.card.expiry);
    add("MskPAN", &tracks::masked_number(reading.card.number()));
    add("CHolder", &reading.card.name);
    add("EFormat", b"4");
    let entry: &[u8] = if is_keyed { b"MANUAL" } else { b"SWIPE" };
    let bytes = [
        &b"<DvcMsg Ver=\"1.1\"><Dvc App=\"SecureKey\" AppVer=\"1.0\" DvcType=\"M130\" DvcSN=\""[..],
        reading.serial,
        b"\" Entry=\"",
        entry,
        b"\"></Dvc><Card",
        &card,
        b"></Card><Addr></Addr><Tran TranType=\"CREDIT\"></Tran></DvcMsg>",
    ]
    .concat();
    reading.written(bytes, if raw { Form::Binary } else { Form::Text }, expected)
}
