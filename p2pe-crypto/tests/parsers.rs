//! The parsers are total, and what they accept adds up: every length, every field, in each outer form of a frame.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
#![expect(clippy::cast_possible_truncation, reason = "lengths of a test's own making")]

#[path = "support/envelope.rs"]
mod envelope;
#[path = "support/published.rs"]
mod published;

use envelope::close;
use p2pe_crypto::{Entry, Form, Payload, PayloadError, idtech::Frame};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select, subsequence},
};

const FORMS: [Form; 3] = [Form::Binary, Form::Hex, Form::Keyboard];

fn frame(payload: &Payload) -> &Frame {
    let Payload::IdTech(frame) = payload else { panic!("another format") };
    frame
}

fn parse(bytes: &[u8]) -> Frame {
    frame(&Payload::parse(bytes).unwrap()).clone()
}

/// Everything that a frame tells, but its form.
type Told = (Entry, Vec<u8>, Option<Vec<u8>>, [usize; 3], [[Option<Vec<u8>>; 3]; 2], Option<Vec<u8>>);

fn told(frame: &Frame) -> Told {
    let owned = |slot: Option<&[u8]>| slot.map(<[u8]>::to_vec);
    let slots = [[0, 1, 2].map(|i| owned(frame.masked(i))), [0, 1, 2].map(|i| owned(frame.ciphertext(i)))];
    let ksn = frame.ksn().as_bytes().to_vec();
    (frame.entry(), ksn, owned(frame.serial()), frame.lengths(), slots, owned(frame.extra()))
}

/// What must hold of a frame that was accepted.
fn adds_up(frame: &Frame) {
    let block = frame.cipher().block();
    assert!((0..3).any(|i| frame.ciphertext(i).is_some()), "nothing is encrypted");
    for (i, length) in frame.lengths().into_iter().enumerate() {
        assert!(frame.masked(i).is_none_or(|masked| masked.len() == length && length > 0));
        assert!(frame.ciphertext(i).is_none_or(|c| c.len() == length.next_multiple_of(block) && length > 0));
    }
    assert!(frame.masked(3).is_none() && frame.ciphertext(3).is_none() && frame.masked(usize::MAX).is_none());
    assert!(frame.serial().is_none_or(|serial| serial.len() == 10));
    assert!(frame.extra().is_none_or(|extra| frame.entry() == Entry::Keyed && extra.len() == frame.lengths()[2]));
    let binary = frame.encode(Form::Binary);
    assert_eq!(frame.ksn().as_bytes(), &binary[binary.len() - 13..binary.len() - 3], "the KSN ends the data");
    for form in FORMS {
        let written = frame.encode(form);
        let again = parse(&written);
        assert_eq!((told(&again), again.cipher(), again.form()), (told(frame), frame.cipher(), form));
        assert_eq!(again.encode(form), written, "{form:?}");
        assert_eq!(again.encode(Form::Binary), binary);
        if form == frame.form() {
            assert_eq!(&again, frame);
        }
    }
}

/// The published frames, binary.
fn published() -> [Vec<u8>; 3] {
    [
        parse(published::KEYED.as_bytes()).encode(Form::Binary),
        published::bytes(published::SWIPED),
        published::bytes(published::THREE_TRACKS),
    ]
}

#[test]
fn published_frames_add_up_in_every_form() {
    for text in published::ALL {
        let parsed = parse(text.as_bytes());
        adds_up(&parsed);
        assert_eq!(parsed.encode(parsed.form()), text.as_bytes());
        // Lower-case digits and the Enter key behind them are the same frame.
        if parsed.form() == Form::Hex {
            assert_eq!(parse(format!("{}\r\n", text.to_lowercase()).as_bytes()), parsed);
        }
    }
    for bytes in published() {
        adds_up(&parse(&bytes));
        assert_eq!(parse(&bytes).encode(Form::Binary), bytes);
        assert_eq!(parse(&[&bytes[..], &[0; 200]].concat()), parse(&bytes), "a USB-HID report");
    }
}

#[test]
fn every_truncation_is_refused() {
    for bytes in published() {
        for form in FORMS {
            let whole = parse(&bytes).encode(form);
            for end in 0..whole.len() {
                assert!(Payload::parse(&whole[..end]).is_err(), "{form:?} cut at {end}");
                // Filled up to the old length with the zeros of a USB-HID report.
                let mut filled = whole[..end].to_vec();
                filled.resize(whole.len() + 64, 0);
                assert!(Payload::parse(&filled).is_err(), "{form:?} cut at {end} and filled");
            }
            for start in 1..whole.len() {
                assert!(Payload::parse(&whole[start..]).is_err(), "{form:?} begun at {start}");
            }
        }
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    for bytes in published() {
        for form in FORMS {
            let whole = parse(&bytes).encode(form);
            for bit in 0..whole.len() * 8 {
                let mut damaged = whole.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                // The case of a hex digit is no damage.
                let same = parse_same(&damaged, &whole);
                assert!(same || Payload::parse(&damaged).is_err(), "{form:?} bit {bit}");
            }
        }
    }
}

fn parse_same(damaged: &[u8], whole: &[u8]) -> bool {
    damaged.eq_ignore_ascii_case(whole) && Payload::parse(damaged) == Payload::parse(whole)
}

#[test]
fn a_lost_first_digit_is_named() {
    for form in [Form::Hex, Form::Keyboard] {
        for bytes in published() {
            let whole = parse(&bytes).encode(form);
            assert_eq!(
                Payload::parse(&whole[1..]).map_err(|refusal| refusal.error),
                Err(PayloadError::MissingStxNibble)
            );
        }
    }
}

/// A frame of any flags that are taken, put together field by field, and what must be read from it.
fn laid_out() -> impl Strategy<Value = (Vec<u8>, core::ops::Range<usize>, Told)> {
    let header = (any::<bool>(), any::<u8>(), any::<[u8; 3]>(), any::<u8>(), any::<u8>());
    let rest = (
        vec(any::<u8>(), 0..6),
        vec(0x80u8.., 3500..3501),
        any::<[u8; 10]>(),
        subsequence(vec![0u8, 1, 2, 3, 4], 1..3),
    );
    (header, rest).prop_map(|((keyed, status, mut lengths, field1, field2), rest)| {
        let (mut options, filler, mut ksn, counter) = rest;
        // Not a fixed key, and there is a KSN; of the session id only the documented one.
        let (field1, field2) = (field1 & !0x08, field2 | 0x80);
        let aes = field1 & 0x10 != 0;
        let field2 = if keyed { field2 & !0b101 | 0b10 } else { field2 | 1 };
        let field2 = if aes { field2 & !0x40 } else { field2 };
        lengths[usize::from(keyed)] |= 1;
        if let Some(first) = options.first_mut() {
            *first &= !0b10_0010;
        }
        ksn[7] &= 0xE0;
        ksn[8..].copy_from_slice(&[0, counter.iter().map(|bit| 1 << bit).sum()]);

        let mut data = vec![if keyed { 0xC0 } else { 0x80 }, status];
        data.extend(lengths);
        data.extend([field1, field2]);
        let mut sha256 = false;
        if status & 0x40 != 0 {
            sha256 = options.first().is_some_and(|first| first & 1 != 0);
            data.push(options.len() as u8);
            data.append(&mut options);
        }
        let mut filler = filler.into_iter();
        let mut field = |length: usize, data: &mut Vec<u8>| {
            let bytes: Vec<u8> = filler.by_ref().take(length).collect();
            data.extend_from_slice(&bytes);
            (!bytes.is_empty()).then_some(bytes)
        };
        let start = data.len();
        let mut masked =
            [0, 1, 2].map(|i| (field1 >> i & 1 != 0).then(|| field(lengths[i].into(), &mut data)).flatten());
        let end = data.len();
        let block = if aes { 16 } else { 8 };
        let encrypted = [0, 1, 2].map(|i| {
            let length = usize::from(lengths[i]).next_multiple_of(block);
            (field2 >> i & 1 != 0).then(|| field(length, &mut data)).flatten()
        });
        field(if field2 & 0x40 != 0 { 8 } else { 0 }, &mut data);
        let hashes = (3..6).filter(|i| field2 >> i & 1 != 0).count();
        field(hashes * if sha256 { 32 } else { 20 }, &mut data);
        let serial = (field1 & 0x80 != 0).then(|| field(10, &mut data)).flatten();
        data.extend(ksn);
        let extra = if keyed { masked[2].take() } else { None };
        let entry = if keyed { Entry::Keyed } else { Entry::Swiped };
        (data, start..end, (entry, ksn.to_vec(), serial, lengths.map(usize::from), [masked, encrypted], extra))
    })
}

proptest! {
    #[test]
    fn no_bytes_make_the_parsers_panic(bytes in vec(any::<u8>(), 0..200), ksn in vec(any::<u8>(), 0..14)) {
        let _ = Payload::parse(&bytes);
        let _ = Payload::from_tracks(&bytes, &[&ksn]);
        let halves = bytes.split_at(bytes.len() / 2);
        if let Ok(payload) = Payload::from_tracks(&ksn, &[halves.0, halves.1]) {
            prop_assert_eq!(payload.ksn().as_bytes().len(), if ksn.len() == 12 { 12 } else { 10 });
        }
        // What begins like a frame, binary or typed, gets further.
        let _ = Payload::parse(&[b"\x02", &bytes[..]].concat());
        let _ = Payload::parse(&[b"02", &bytes[..]].concat());
    }

    #[test]
    fn no_text_makes_the_parser_panic(digits in "0?2[0-9A-F]{4}(C0|80|85)[0-9A-F]{0,60}[ -~]{0,80}[0-9A-F]{0,60}(03)?") {
        let _ = Payload::parse(digits.as_bytes());
    }

    #[test]
    fn random_data_in_a_right_envelope(
        start in select(vec![&[0x80u8][..], &[0xC0], &[0x85], &[]]), rest in vec(any::<u8>(), 0..300),
        at in any::<Index>(), form in select(FORMS.to_vec()),
    ) {
        let data = [start, &rest].concat();
        let at = at.index(data.len() + 1);
        if let Ok(payload) = Payload::parse(&close(&data, form, at..data.len().min(at + 50))) {
            adds_up(frame(&payload));
        }
    }

    /// Real frames with a few bytes of their data changed, behind a right envelope: the checks do not stand in the way.
    #[test]
    fn mutated_frames(
        which in 0usize..3, form in select(FORMS.to_vec()),
        changes in vec((any::<Index>(), any::<u8>()), 1..4), header in vec((0usize..7, any::<u8>()), 0..3),
        cut in prop::option::of(any::<Index>()),
    ) {
        let whole = published()[which].clone();
        let mut data = whole[3..whole.len() - 3].to_vec();
        changes.iter().for_each(|(at, byte)| *at.get_mut(&mut data) = *byte);
        header.iter().for_each(|(at, byte)| data[*at] = *byte);
        if let Some(cut) = cut {
            data.truncate(cut.index(data.len()));
        }
        let tracks = 7.min(data.len())..data.len().min(7 + data.iter().skip(2).take(3).map(|&l| usize::from(l)).sum::<usize>());
        // With another card encode type it may be an original frame.
        if let Ok(Payload::IdTech(frame)) = Payload::parse(&close(&data, form, tracks)) {
            adds_up(&frame);
        }
    }

    #[test]
    fn well_made_frames_are_read_field_by_field((data, clear, expected) in laid_out(), bit in any::<Index>()) {
        for form in FORMS {
            let whole = close(&data, form, clear.clone());
            let parsed = Payload::parse(&whole);
            prop_assert!(parsed.is_ok(), "{:?} {:?}", form, parsed);
            let parsed = parsed.unwrap();
            prop_assert_eq!(told(frame(&parsed)), expected.clone());
            prop_assert_eq!(frame(&parsed).encode(form), whole);
            adds_up(frame(&parsed));
        }
        // One flipped bit in the binary form is always seen: LRC, length, STX or ETX are wrong then.
        let mut damaged = close(&data, Form::Binary, 0..0);
        let bit = bit.index(damaged.len() * 8);
        damaged[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(Payload::parse(&damaged).is_err());
        // One byte more or less in the data, and the fields do not add up.
        let longer = close(&[&data[..], &[0xAA]].concat(), Form::Binary, 0..0);
        prop_assert_eq!(Payload::parse(&longer).map_err(|refusal| refusal.error), Err(PayloadError::FieldLayoutResidue));
        prop_assert!(Payload::parse(&close(&data[..data.len() - 1], Form::Binary, 0..0)).is_err());
    }
}
