//! Clear card text before its grammar: the end of a track with check character and padding, the digits of a masked copy.
//! The clear text is secret; its length, the length that a payload tells and the masked copy are public.

use p2pe_crypto::constant_time::{Charset, agrees};

use crate::case::Case;

const TRACK1: &[u8] = b"%B5413330089604111^LONG/TEST NAME^2512101?";
const TRACK2: &[u8] = b";5413330089604111=2512101?";

fn lrc(charset: Charset, text: &[u8]) -> u8 {
    let (base, mask) = if matches!(charset, Charset::Alphanumeric) { (0x20, 0x3F) } else { (0x30, 0x0F) };
    base + text.iter().fold(0, |lrc, byte| lrc ^ byte.wrapping_sub(base) & mask)
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (charset, text) in [(Charset::Alphanumeric, TRACK1), (Charset::Numeric, TRACK2)] {
        let check = lrc(charset, text);
        let behind: [(&str, Vec<u8>); 8] = [
            ("alone", vec![]),
            ("checked", vec![check]),
            ("checked wrongly", vec![check ^ 1]),
            ("checked, short padding", vec![check, 7, 7, 7]),
            ("checked, zeros", [&[check][..], &[0; 20]].concat()),
            ("checked, padding wrong at its end", [&[check][..], &[0; 20], &[1]].concat()),
            ("unchecked, zeros", vec![0; 20]),
            ("unchecked, padding wrong at its start", [&[0, 1][..], &[0; 20]].concat()),
        ];
        for (name, behind) in behind {
            for told in [None, Some(text.len() + 1)] {
                let secret = [text, &behind].concat();
                cases.push(end(charset, &format!("{name}, told {}", told.is_some()), &secret, told));
            }
        }
        for (name, damaged) in [("no end sentinel", text.len() - 1), ("a strange character", 5)] {
            let mut secret = [text, &[check]].concat();
            secret[damaged] = 1;
            cases.push(end(charset, name, &secret, None));
        }
        for (name, clear) in [
            ("as it is", text.to_vec()),
            ("another first digit", changed(text, if text[0] == b'%' { 2 } else { 1 })),
            ("another hidden digit", changed(text, 10)),
            ("no separator", text.iter().map(|byte| if matches!(byte, b'=' | b'^') { b'0' } else { *byte }).collect()),
            ("another start sentinel", changed(text, 0)),
        ] {
            let masked: Vec<u8> =
                text.iter().enumerate().map(|(at, byte)| if (9..13).contains(&at) { b'*' } else { *byte }).collect();
            let case = Case::new(format!("masked::agrees {charset:?}, {name}"), 0, move |secret, results| {
                results.put_bool(agrees(&masked, secret, b'*').into());
                Ok(())
            });
            cases.push(case.with(&clear));
        }
    }
    cases
}

fn changed(text: &[u8], at: usize) -> Vec<u8> {
    let mut text = text.to_vec();
    text[at] ^= 1;
    text
}

fn end(charset: Charset, name: &str, secret: &[u8], told: Option<usize>) -> Case {
    let case = Case::new(format!("text_length {charset:?}, {name}"), 0, move |secret, results| {
        let length = charset.text_length(secret, told);
        results.put_bool(length.is_some().into());
        results.put_shown(length.unwrap_or(0));
        Ok(())
    });
    case.with(secret)
}

/// What must be caught: each of the three done plainly. The text is right, so that nothing stops early on public bytes.
pub(crate) fn planted() -> [Case; 4] {
    let padded = || [TRACK2, &[lrc(Charset::Numeric, TRACK2)], &[0; 20]].concat();
    let case = |name, looks: fn(&[u8]) -> bool| {
        let case = Case::new(name, 0, move |secret, results| {
            results.put_bool(looks(secret));
            Ok(())
        });
        case.with(&padded())
    };
    [
        case("end sentinel looked for from the left", |clear| clear.iter().position(|byte| *byte == b'?').is_some()),
        case("padding looked at up to the first byte", |clear| clear[TRACK2.len() + 1..].iter().all(|byte| *byte == 0)),
        case("check character out of a table", |clear| {
            let codes: [u8; 256] = std::hint::black_box(std::array::from_fn(|i| i.to_le_bytes()[0] & 0x0F));
            clear.iter().fold(0, |lrc, byte| lrc ^ codes[usize::from(*byte)]) == 0
        }),
        case("masked digits compared up to the first difference", |clear| {
            let masked = std::hint::black_box(TRACK2);
            masked.iter().zip(clear).all(|(shown, byte)| !shown.is_ascii_digit() || shown == byte)
        }),
    ]
}
