//! Puts the envelope around the data of a frame, in each outer form: written apart from the library's.

use core::ops::Range;

use p2pe_crypto::Form;

fn hex(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>().into_bytes()
}

/// STX, length, data, LRC, checksum, ETX. `clear` is where the clear and masked tracks stand in the data: a keyboard
/// types them as they are.
pub(crate) fn close(data: &[u8], form: Form, clear: Range<usize>) -> Vec<u8> {
    let data = match form {
        Form::Keyboard => [&hex(&data[..clear.start])[..], &data[clear.clone()], &hex(&data[clear.end..])].concat(),
        Form::Binary | Form::Hex => data.to_vec(),
    };
    let length = u16::try_from(data.len()).unwrap();
    let head = [2, length.to_le_bytes()[0], length.to_le_bytes()[1]];
    let lrc = data.iter().fold(0, |lrc, byte| lrc ^ byte);
    let sum = data.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    let tail = [lrc, sum, 3];
    match form {
        Form::Binary => [&head, &data[..], &tail].concat(),
        Form::Hex => hex(&[&head, &data[..], &tail].concat()),
        Form::Keyboard => [&hex(&head)[..], &data, &hex(&tail)].concat(),
    }
}
