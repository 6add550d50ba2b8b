//! Parsing allocates the result and nothing else.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/chip.rs"]
mod chip;
#[path = "support/published.rs"]
mod published;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use base64ct::{Base64, Encoding};
use p2pe_crypto::Payload;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: the system's allocator does the work; counting touches nothing of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn counted(bytes: &[u8]) -> usize {
    let before = COUNT.get();
    let payload = Payload::parse(bytes);
    let count = COUNT.get() - before;
    let fields = payload.unwrap().encrypted().into_iter().count();
    assert!(fields > 0 && COUNT.get() - before == count, "reading the fields allocates nothing");
    count
}

#[test]
fn one_block_of_memory_a_payload() {
    for text in published::ALL {
        assert_eq!(counted(text.as_bytes()), 1, "{text}");
    }
    for text in [published::SWIPED, published::THREE_TRACKS] {
        assert_eq!(counted(&published::bytes(text)), 1, "{text}");
    }
    let message = format!(
        "<DvcMsg Ver=\"1.1\"><Dvc Entry=\"SWIPE\"></Dvc><Card CEncode=\"0\" ETrk2=\"{}\" CDataKSN=\"FFFF9876543210E00008\" \
         MskPAN=\"4761********0010\"></Card></DvcMsg>",
        "E5".repeat(16)
    );
    assert_eq!(counted(message.as_bytes()), 1);
}

#[test]
fn one_block_of_memory_for_chip_data() {
    let (ksn, ciphertext) = (published::bytes("FFFF9876543210E00008"), [0x11; 24]);
    let masked = chip::packed(&chip::covered("4761739001010010D22122010123456789"));
    let objects =
        [chip::tlv(0xDF_EE12, &ksn), chip::masked(0x57, &masked), chip::encrypted(0x57, &ciphertext)].concat();
    let unflagged = [chip::tlv(0xDF_EE12, &ksn), chip::tlv(0xDF_EF5D, &masked), chip::tlv(0x57, &ciphertext)].concat();
    let magtek = [chip::tlv(0xDF_DF59, &ciphertext), chip::tlv(0xDF_DF56, &ksn)].concat();
    let verifone =
        [chip::tlv(0xDF_9020, &ciphertext), chip::tlv(0xDF_9021, &ksn), chip::tlv(0xDF_9022, &[7; 8])].concat();
    for bytes in [
        chip::answer(&[0x60, 0], &[&[0xC0], &objects[..]].concat()),
        chip::answer(&[0x60, 1, 0], &[&[0xC0], &objects[..]].concat()),
        objects,
        unflagged,
        chip::tlv(0xF8, &magtek),
        verifone.clone(),
    ] {
        assert_eq!(counted(&bytes), 1, "{bytes:02X?}");
        let digits: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(counted(digits.as_bytes()), 1, "{digits}");
    }
    let base64 = Base64::encode_string(&verifone);
    assert_eq!(counted(base64.as_bytes()), 1);
    assert_eq!(counted(format!("E070005\x1C02\x1C{base64}").as_bytes()), 1);
}

/// The frame's data are a part of the objects.
#[test]
fn one_block_for_a_swipe_in_chip_data() {
    let frame = published::bytes(published::SWIPED);
    let length = u16::try_from(frame.len()).unwrap().to_be_bytes();
    let object = [&[0xDF, 0xEE, 0x23, 0x82][..], &length, &frame].concat();
    let answer = chip::answer(&[0x02, 0], &[&[0xC0], &object[..]].concat());
    let digits: String = answer.iter().map(|byte| format!("{byte:02x}")).collect();
    for bytes in [&answer[..], digits.as_bytes()] {
        assert_eq!(counted(bytes), 1, "{bytes:02X?}");
    }
}
