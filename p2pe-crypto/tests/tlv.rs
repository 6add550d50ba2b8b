//! BER-TLV: lengths of every form, padding, nesting, bounds; ID TECH's flags in the length byte.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use p2pe_crypto::tlv::{Lengths, Malformed, Object, Objects, Protection, Tag};
use proptest::{collection::vec, prelude::*, sample::select};

fn bytes(digits: &str) -> Vec<u8> {
    let digits: String = digits.split_whitespace().collect();
    (0..digits.len()).step_by(2).map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap()).collect()
}

/// Depth, tag, protection and value of each object as text, and the error at the end.
fn told(input: &[u8], lengths: Lengths) -> Vec<String> {
    let hex = |value: &[u8]| value.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    let one = |object: Object<'_>| {
        let mark = match object.protection {
            Protection::Plain => "",
            Protection::Masked => " masked",
            Protection::Encrypted => " encrypted",
        };
        let value = if object.constructed { "{".to_owned() } else { hex(object.value) };
        format!("{}{}{mark} {value}", "> ".repeat(object.depth), object.tag)
    };
    Objects::new(input, lengths)
        .map(|object| object.map_or_else(|error| format!("malformed at {}", error.offset), one))
        .collect()
}

#[test]
fn lengths_of_every_form() {
    for (input, expected) in [
        ("", &[][..]),
        ("5A 00", &["5A "]),
        ("5A 01 47", &["5A 47"]),
        ("5A 81 01 47", &["5A 47"]),
        ("5A 82 00 01 47", &["5A 47"]),
        ("5A 84 00 00 00 01 47", &["5A 47"]),
        ("5F24 03 221231 DFEE12 01 AA", &["5F24 221231", "DFEE12 AA"]),
        ("DF818101 01 AA", &["DF818101 AA"]),
        // Zeros in front of, between and behind objects.
        ("00 00 5A 01 47 00 57 01 11 00 00 00", &["5A 47", "57 11"]),
        ("00 00", &[]),
        // Containers, empty ones, and padding in them.
        ("E1 00 5A 01 47", &["E1 {", "5A 47"]),
        ("FC 82 0007 F2 03 5A 01 47 00 00 9F26 01 EF", &["FC {", "> F2 {", "> > 5A 47", "9F26 EF"]),
        ("FFEE04 04 5A 02 47 61", &["FFEE04 {", "> 5A 4761"]),
    ] {
        for lengths in [Lengths::Ber, Lengths::IdTech] {
            assert_eq!(told(&bytes(input), lengths), expected, "{input} {lengths:?}");
        }
    }
}

#[test]
fn what_is_malformed_and_where() {
    for (input, offset) in [
        ("5A", 0),                      // no length
        ("5A 02 47", 0),                // a value that is cut
        ("00 5A 02 47", 1),             // behind padding
        ("9F", 0),                      // half a tag
        ("9F80", 0),                    // and no end of it
        ("9F80808001 00", 0),           // a tag of five bytes
        ("5A 80", 0),                   // the indefinite form
        ("5A 85 0000000001 47", 0),     // five length bytes
        ("5A 82 00", 0),                // half a length
        ("5A 84 FFFFFFFF 47", 0),       // longer than anything
        ("5A 01 47 57 05 11", 3),       // the second object
        ("E1 03 5A 02 47 61", 2),       // past the end of its container
        ("E1 05 E2 04 5A 01 47 00", 2), // a container past the end of its own
    ] {
        let input = bytes(input);
        let errors: Vec<_> = Objects::new(&input, Lengths::Ber).filter_map(Result::err).collect();
        assert_eq!(errors, [Malformed { offset }], "{input:02X?}");
        assert!(Objects::new(&input, Lengths::Ber).last().unwrap().is_err(), "ends behind the error");
    }
}

#[test]
fn containers_are_followed_to_a_bounded_depth() {
    let nested = |depth: usize| {
        (0..depth).fold(bytes("5A0147"), |inner, _| [&[0xE1, u8::try_from(inner.len()).unwrap()], &inner[..]].concat())
    };
    let input = nested(7);
    let deepest = Objects::new(&input, Lengths::Ber).last().unwrap().unwrap();
    assert_eq!((deepest.depth, deepest.value), (7, &[0x47][..]));
    for depth in 8..40 {
        assert!(Objects::new(&nested(depth), Lengths::Ber).last().unwrap().is_err(), "{depth}");
    }
}

#[test]
fn id_tech_says_encrypted_and_masked_in_the_length() {
    let input = bytes("57 A1 03 4761CC 57 C1 08 0102030405060708 DFEE23 82 0002 AAAA E1 C1 08 1111111111111111");
    let expected =
        ["57 masked 4761CC", "57 encrypted 0102030405060708", "DFEE23 AAAA", "E1 encrypted 1111111111111111"];
    assert_eq!(told(&input, Lengths::IdTech), expected);
    // Plain BER takes the flags for a count of length bytes.
    assert_eq!(told(&input, Lengths::Ber), ["malformed at 0"]);
    for refused in ["57 E1 01 AA", "57 C0", "57 A0", "57 C5 0000000001 AA", "57 E0 00"] {
        assert_eq!(told(&bytes(refused), Lengths::IdTech), ["malformed at 0"], "{refused}");
    }
}

/// KSN and track texts of NEO 1 readers have the bit of a container.
#[test]
fn three_of_id_techs_tags_are_no_containers() {
    let input = bytes("FFEE12 02 FFFF FFEE13 01 42 FFEE14 01 34 FFEE01 03 DF3000");
    let expected = ["FFEE12 FFFF", "FFEE13 42", "FFEE14 34", "FFEE01 {", "> DF30 "];
    assert_eq!(told(&input, Lengths::IdTech), expected);
    assert_eq!(told(&input, Lengths::Ber), ["FFEE12 {", "malformed at 4"]);
}

/// The answer of a Miura reader as a gateway prints it: chip data, ciphertext, KSN, masked track 2.
#[test]
fn a_published_answer() {
    let input = bytes(
        "950500000000009F390107500B56495341204352454449545F2002202F5F2A0209785F340101820220008407A00000000310109A03160422\
         9C01009F02060000000009009F03060000000000009F0607A00000000310109F090200019F100706010A03A000009F1A0203009F1C083132\
         3334353637389F1E0831303030303439369F26082891CDC96B987F0E9F2701809F3303E0F8C89F3501229F3602034E9F37048D8B26AD9F41\
         04000000389F660426804000DF280100DF30020301DFAE021859E54F4798AFC82C09C93EA1D2757E8F7B9A4C5082F76041DFAE030A9A2133\
         026261C0600001DFAE5711476173FFFFFF0010D22122011143844489",
    );
    let objects = told(&input, Lengths::Ber);
    assert_eq!(objects.len(), 31);
    assert_eq!((&*objects[0], &*objects[7]), ("95 0000000000", "84 A0000000031010"));
    let expected = [
        "DFAE02 59E54F4798AFC82C09C93EA1D2757E8F7B9A4C5082F76041",
        "DFAE03 9A2133026261C0600001",
        "DFAE57 476173FFFFFF0010D22122011143844489",
    ];
    assert_eq!(objects[28..], expected);
}

#[test]
fn tags_are_printed_as_they_stand() {
    for (tag, printed) in [(0x57, "57"), (0x9F1F, "9F1F"), (0xDF_EE12, "DFEE12"), (0xDF81_8101, "DF818101"), (0, "00")]
    {
        assert_eq!(Tag::new(tag).to_string(), printed);
        assert_eq!(format!("{:?}", Tag::new(tag)), format!("Tag({printed})"));
        assert_eq!(Tag::new(tag).number(), tag);
    }
}

/// A tree of objects, encoded with lengths of any form and padding anywhere, and what should be told of it.
#[derive(Clone, Debug)]
enum Node {
    Leaf(u32, Vec<u8>),
    Group(u32, Vec<Node>),
}

fn node() -> impl Strategy<Value = Node> {
    let leaf = (select(vec![0x5A, 0x57, 0x9F1F, 0x5F24, 0xDF_EE25, 0xDF81_8101]), vec(any::<u8>(), 0..200))
        .prop_map(|(tag, value)| Node::Leaf(tag, value));
    leaf.prop_recursive(6, 40, 6, |inner| {
        (select(vec![0xE1, 0xFC, 0xFF_8105, 0xFF_EE04]), vec(inner, 0..6))
            .prop_map(|(tag, nodes)| Node::Group(tag, nodes))
    })
}

fn encode(
    node: &Node,
    forms: &mut impl Iterator<Item = u8>,
    depth: usize,
    out: &mut Vec<u8>,
    expected: &mut Vec<String>,
) {
    let (tag, value) = match node {
        Node::Leaf(tag, value) => {
            let hex: String = value.iter().map(|byte| format!("{byte:02X}")).collect();
            expected.push(format!("{}{} {hex}", "> ".repeat(depth), Tag::new(*tag)));
            (*tag, value.clone())
        }
        Node::Group(tag, nodes) => {
            expected.push(format!("{}{} {{", "> ".repeat(depth), Tag::new(*tag)));
            let mut value = Vec::new();
            nodes.iter().for_each(|node| encode(node, forms, depth + 1, &mut value, expected));
            (*tag, value)
        }
    };
    out.extend(vec![0; usize::from(forms.next().unwrap() % 3)]);
    out.extend(tag.to_be_bytes().iter().skip_while(|&&byte| byte == 0));
    let length = u32::try_from(value.len()).unwrap().to_be_bytes();
    let fewest = if value.len() < 0x80 { 0 } else { length.iter().skip_while(|&&byte| byte == 0).count() };
    match fewest.max(usize::from(forms.next().unwrap() % 5)) {
        0 => out.push(length[3]),
        count => {
            out.push(0x80 | u8::try_from(count).unwrap());
            out.extend(&length[4 - count..]);
        }
    }
    out.extend(value);
    out.extend(vec![0; usize::from(forms.next().unwrap() % 3)]);
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(input in vec(any::<u8>(), 0..300)) {
        for lengths in [Lengths::Ber, Lengths::IdTech] {
            let mut end = 0;
            for object in Objects::new(&input, lengths).map_while(Result::ok) {
                // Objects go forward and stay inside of the input.
                prop_assert!(object.end <= input.len() && object.value.len() < input.len());
                prop_assert!(object.constructed || object.end > end || object.depth > 0);
                end = object.end.max(end);
            }
            prop_assert!(Objects::new(&input, lengths).count() <= input.len());
        }
    }

    #[test]
    fn what_was_encoded_is_read(nodes in vec(node(), 0..5), forms in vec(any::<u8>(), 1..40)) {
        let (mut input, mut expected) = (Vec::new(), Vec::new());
        let mut forms = forms.into_iter().cycle();
        nodes.iter().for_each(|node| encode(node, &mut forms, 0, &mut input, &mut expected));
        prop_assert_eq!(told(&input, Lengths::Ber), expected.clone());
        prop_assert_eq!(told(&input, Lengths::IdTech), expected);
        // Every prefix is a whole number of the same objects, or ends in an error.
        for end in 0..input.len() {
            let outermost = |input| Objects::new(input, Lengths::Ber).flatten().filter(|o| o.depth == 0).map(|o| o.end).collect::<Vec<_>>();
            let whole = outermost(&input[..end]);
            prop_assert_eq!(&outermost(&input)[..whole.len()], &whole[..]);
        }
    }
}
