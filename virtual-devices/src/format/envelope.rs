//! The envelope of an ID TECH frame: STX, length, data, LRC, checksum, ETX, in the form that the device is set to.

use crate::{Form, Setting, Setup, hex::hex};

/// Bytes of a USB-HID report.
const REPORT: usize = 537;

/// Counted data in three parts: a keyboard types the middle one, clear and masked tracks, as it is.
pub(super) struct Data {
    pub(super) head: Vec<u8>,
    pub(super) typed: Vec<u8>,
    pub(super) rest: Vec<u8>,
}

pub(super) fn close(data: &Data, setup: &Setup) -> (Vec<u8>, Form) {
    let Data { head, typed, rest } = data;
    let bytes = [&head[..], typed, rest].concat();
    if setup.has(Setting::Keyboard) {
        let characters = [&hex(head)[..], typed, &hex(rest)].concat();
        let (front, behind) = around(&characters);
        return ([&hex(&front)[..], &characters, &hex(&behind)].concat(), Form::Text);
    }
    let (front, behind) = around(&bytes);
    let mut frame = [&front[..], &bytes, &behind].concat();
    if setup.has(Setting::Hex) {
        return (hex(&frame), Form::Text);
    }
    if setup.has(Setting::HidReport) {
        frame.resize(frame.len().max(REPORT), 0);
    }
    (frame, Form::Binary)
}

/// What stands in front of counted data, and behind.
fn around(data: &[u8]) -> ([u8; 3], [u8; 3]) {
    let [low, high, ..] = data.len().to_le_bytes();
    let lrc = data.iter().fold(0, |lrc, byte| lrc ^ byte);
    let sum = data.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    ([0x02, low, high], [lrc, sum, 0x03])
}
