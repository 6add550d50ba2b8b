//! What a test must say so that passing it proves something.

use crate::{
    example,
    file::{Case, DeviceEntry, ExpectedCard, Stage, Test, Verdict},
};

/// Refuses a test that could pass without having shown what it is there for.
pub(crate) fn check(test: &Test) -> Result<(), &'static str> {
    let valid = test.result == Verdict::Valid;
    if valid == test.error.is_some() {
        return Err("an invalid test names its error, a valid one has none");
    }
    match &test.case {
        Case::Ksn(case) if valid && (case.counter.is_none() || case.canonical.is_none()) => {
            Err("a valid KSN has its counter and its canonical form")
        }
        Case::AesDataKey(case) if valid && (case.ciphertext.is_none() || case.plaintext.is_none()) => {
            Err("a valid data key has a ciphertext and its plaintext")
        }
        Case::KeyBlock(case) if valid != (case.wrapped_key.is_some() && case.usage.is_some()) => {
            Err("a valid key block has its key and usage, an invalid one has neither")
        }
        Case::Token(case) if valid != case.token.is_some() => Err("a valid token test has its token"),
        Case::Ff1(case) if valid != case.encrypted.is_some() => Err("a valid FF1 test has its result"),
        Case::Ff1Token(case) if valid != case.token.is_some() => Err("a valid token test has its token"),
        Case::VaultToken(case) if valid != case.bytes.is_some() => Err("a valid vault token has its bytes"),
        Case::Payload(case) => {
            if valid != case.frame.is_some() {
                return Err("a valid payload has its frame, an invalid one has none");
            }
            if case.stage == Some(Stage::Configuration) {
                let right = case.right_device.as_ref().ok_or("a wrong configuration stands beside the right one")?;
                if valid || case.device.is_none() || example::population(right).is_err() {
                    return Err("a wrong configuration is refused, and there is a right one");
                }
                return payload(true, case.right_device.as_ref(), case.card.as_ref(), None);
            }
            if case.offset.is_some() && case.stage != Some(Stage::Parse) {
                return Err("only a parser names a byte");
            }
            if case.right_device.is_some() {
                return Err("only a wrong configuration stands beside the right one");
            }
            payload(valid, case.device.as_ref(), case.card.as_ref(), case.stage)
        }
        Case::Track(case) => payload(valid, case.device.as_ref(), case.card.as_ref(), case.stage),
        _ => Ok(()),
    }
}

fn payload(
    valid: bool,
    device: Option<&DeviceEntry>,
    card: Option<&ExpectedCard>,
    stage: Option<Stage>,
) -> Result<(), &'static str> {
    if device.is_some_and(|device| example::population(device).is_err()) {
        return Err("the device's prefix, key name or profile cannot be");
    }
    match (valid, device, card, stage) {
        (true, Some(_), None, _) => Err("a valid payload with a device has its card"),
        (true, None, Some(_), _) => Err("a card needs the device whose key decrypts it"),
        (true, _, _, Some(_)) | (false, _, _, None) => Err("an invalid payload names its stage, a valid one has none"),
        (false, _, Some(_), _) => Err("an invalid payload has no card"),
        (false, None, _, Some(Stage::Decrypt)) => Err("a decryption needs a device"),
        _ => Ok(()),
    }
}
