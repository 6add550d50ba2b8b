//! Token policies: what random and format-preserving tokens look like, and what gets none.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{collections::BTreeSet, convert::Infallible, time::Duration};

use dukpt::{KeyError, KeyId, KeyImport, KeyMaterial, KeyStore, Lifetime, MemoryStore};
use getrandom::SysRng;
use p2pe_crypto::{
    Bin, CardShaped, CardToken, Expiry, FormatPreserving, FormatPreservingTokenizer, Kept, KeptError, MerchantId, Pan,
    PanError, Policy, PolicyError, Purpose, TokenError, TokenForm, Uses, VaultToken,
};
use proptest::prelude::*;
use rand_core::{TryCryptoRng, TryRng};

const BINS: [Bin; 3] = [Bin::None, Bin::Six, Bin::Eight];

fn kept(bin: Bin, last_four: bool) -> Kept {
    Kept { bin, last_four }
}

fn shapes() -> impl Iterator<Item = Kept> {
    BINS.into_iter().flat_map(|bin| [kept(bin, false), kept(bin, true)])
}

fn pan(digits: &str) -> Pan {
    Pan::new(digits.as_bytes()).unwrap()
}

fn luhn(digits: &str) -> bool {
    pan(digits).luhn()
}

/// The digits with the check digit put right.
fn checked(digits: &str) -> String {
    let front = &digits[..digits.len() - 1];
    (0..10).map(|check| format!("{front}{check}")).find(|digits| luhn(digits)).unwrap()
}

fn store(kind: &str, key: &[u8]) -> MemoryStore {
    let mut store = MemoryStore::new();
    store.import(&id(), &KeyMaterial::new(kind, key).unwrap(), Lifetime::Session).unwrap();
    store
}

fn id() -> KeyId {
    KeyId::new("key").unwrap()
}

fn merchant(name: &str) -> MerchantId {
    MerchantId::new(name).unwrap()
}

/// A source of the same bytes again and again, or of nothing.
struct Fixed(Option<u8>);

impl TryRng for Fixed {
    type Error = PanError;
    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        self.0.map(|byte| u32::from_ne_bytes([byte; 4])).ok_or(PanError)
    }
    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        self.0.map(|byte| u64::from_ne_bytes([byte; 8])).ok_or(PanError)
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.fill(self.0.ok_or(PanError)?);
        Ok(())
    }
}
impl TryCryptoRng for Fixed {}

/// A source that counts: each draw is the next number.
struct Counter(u128);

impl TryRng for Counter {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!()
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!()
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.copy_from_slice(&self.0.to_be_bytes());
        self.0 += 1;
        Ok(())
    }
}
impl TryCryptoRng for Counter {}

/// Card numbers of schemes with a mandatory check digit, of every length.
fn card() -> impl Strategy<Value = String> {
    let prefix = prop::sample::select(vec!["4", "51", "2221", "34", "37", "3528", "36", "6011", "65"]);
    (prefix, "[0-9]{18}", 12usize..=19).prop_map(|(prefix, rest, length)| checked(&format!("{prefix}{rest}")[..length]))
}

proptest! {
    #[test]
    fn card_shaped(digits in card(), shape in 0usize..6, bytes: [u8; 1]) {
        let kept = shapes().nth(shape).unwrap();
        let form = CardShaped::new(kept);
        for token in [form.draw(&pan(&digits), &mut SysRng), form.draw(&pan(&digits), &mut Fixed(Some(bytes[0])))] {
            let left = digits.len() - if kept.bin == Bin::None { 2 } else { kept.bin as usize } - if kept.last_four { 4 } else { 0 };
            if left < 4 {
                prop_assert_eq!(token, Err(TokenError::Length));
                prop_assert_eq!(form.capacity(digits.len()), None);
                continue;
            }
            let text = token.unwrap().to_string();
            prop_assert_eq!(text.len(), digits.len());
            prop_assert!(!luhn(&text), "{}", text);
            prop_assert_ne!(&text, &digits);
            match kept.bin {
                Bin::None => prop_assert!(text.starts_with("99")),
                bin => prop_assert_eq!(&text[..bin as usize], &digits[..bin as usize]),
            }
            if kept.last_four {
                prop_assert_eq!(&text[text.len() - 4..], &digits[digits.len() - 4..]);
            }
            // It gets no token in its turn.
            let again = form.draw(&pan(&text), &mut SysRng).unwrap_err();
            prop_assert_eq!(again, if kept.bin == Bin::None { TokenError::AlreadyToken } else { TokenError::CheckDigit });
        }
    }

    /// FF1: back again, alone and in a batch; other merchants and versions have other tokens.
    #[test]
    fn format_preserving(cards in prop::collection::vec(card(), 1..20), key: [u8; 16], shape in 0usize..6, shop in "[a-z]{1,64}") {
        let kept = shapes().nth(shape).unwrap();
        let rules: Vec<(usize, Kept)> = (12..=19).map(|length| (length, kept)).filter(|rule| FormatPreserving::new(&[*rule]).is_ok()).collect();
        let form = TokenForm::FormatPreserving(FormatPreserving::new(&rules).unwrap());
        let policy = Policy::new(merchant(&shop), 1, form.clone());
        let store = store("ff1", &key);
        let tokenizer = FormatPreservingTokenizer::new(store.key(&id()).unwrap());
        let pans: Vec<Pan> = cards.iter().map(|digits| pan(digits)).collect();
        let tokens = tokenizer.tokens(&policy, &pans.iter().collect::<Vec<_>>());
        prop_assert_eq!(tokens.len(), pans.len());
        for (token, pan) in tokens.iter().zip(&pans) {
            prop_assert_eq!(token, &tokenizer.token(&policy, pan));
            let digits = pan.expose();
            let Ok(token) = token else {
                let ruled = rules.iter().any(|(length, _)| *length == digits.len());
                prop_assert_eq!(token, &Err(if ruled { TokenError::OwnToken } else { TokenError::Length }));
                continue;
            };
            let text = token.to_string();
            prop_assert_eq!(text.len(), digits.len());
            prop_assert_eq!(&text[..kept.bin as usize], &digits[..kept.bin as usize]);
            prop_assert!(!kept.last_four || text[text.len() - 4..] == digits[digits.len() - 4..]);
            prop_assert_ne!(&text, digits);
            let back = tokenizer.pan(&policy, token).unwrap();
            prop_assert_eq!(back.expose(), digits);
        }
        let known: Vec<CardToken> = tokens.iter().flatten().copied().collect();
        let back = tokenizer.pans(&policy, &known.iter().collect::<Vec<_>>());
        let clear: Vec<&str> = tokens.iter().zip(&pans).filter(|(token, _)| token.is_ok()).map(|(_, pan)| pan.expose()).collect();
        let back: Vec<Pan> = back.into_iter().map(Result::unwrap).collect();
        prop_assert_eq!(back.iter().map(Pan::expose).collect::<Vec<_>>(), clear);
        // Different cards, different tokens.
        let distinct: BTreeSet<&String> = cards.iter().collect();
        prop_assert!(known.iter().collect::<BTreeSet<_>>().len() <= distinct.len());
        prop_assert!(known.len() < cards.len() || known.iter().collect::<BTreeSet<_>>().len() == distinct.len());
        // All tokens of a merchant would have to agree with those of another one.
        if known.len() >= 4 {
            for other in [Policy::new(merchant("other shop"), 1, form.clone()), Policy::new(merchant(&shop), 2, form)] {
                let others = tokenizer.tokens(&other, &pans.iter().collect::<Vec<_>>());
                prop_assert_ne!(others, tokens.clone());
            }
        }
    }

    #[test]
    fn vault_tokens(bytes: [u8; 16], at in 0usize..37, by in 1u8..=255) {
        let token = VaultToken::from_bytes(bytes);
        let text = token.to_string();
        prop_assert_eq!(text.len(), 37);
        prop_assert_eq!(text.parse::<VaultToken>(), Ok(token));
        prop_assert_eq!(token.as_bytes(), &bytes);
        prop_assert!(Pan::new(text.as_bytes()).is_err() && text.parse::<CardToken>().is_err());
        // One wrong character, two exchanged, one missing, one too many.
        let mut wrong = text.clone().into_bytes();
        wrong[at] = wrong[at].wrapping_add(by);
        let mut exchanged = text.clone().into_bytes();
        exchanged.swap(at, (at + 1) % 37);
        for wrong in [&wrong[..], &exchanged, &text.as_bytes()[1..], &text.as_bytes()[..36], &[text.as_bytes(), b"a"].concat()] {
            if wrong != text.as_bytes() && let Ok(wrong) = core::str::from_utf8(wrong) {
                prop_assert_eq!(wrong.parse::<VaultToken>(), Err(TokenError::Format), "{}", wrong);
            }
        }
    }

    #[test]
    fn any_text_is_a_token_or_not(text in ".{0,50}", digits in "[0-9]{0,25}", base32 in "vtok_[a-z2-7]{30,33}") {
        for text in [&text, &digits, &base32] {
            prop_assert!(text.parse::<VaultToken>().is_err());
            let right = (12..=19).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
            prop_assert_eq!(text.parse::<CardToken>().is_ok(), right);
        }
    }
}

/// Every token of a small space, and each of them once: none is likelier than another.
#[test]
fn every_token_of_a_shape() {
    let form = CardShaped::new(kept(Bin::Eight, true));
    assert_eq!(form.capacity(16), Some(9_000));
    let (pan, mut counter) = (pan("4761739001010010"), Counter(0));
    let tokens: BTreeSet<String> = (0..9_000).map(|_| form.draw(&pan, &mut counter).unwrap().to_string()).collect();
    assert_eq!(tokens.len(), 9_000);
    assert_eq!(CardShaped::new(kept(Bin::Six, true)).capacity(16), Some(900_000));
    assert_eq!(CardShaped::new(kept(Bin::None, false)).capacity(16), Some(9 * 10u64.pow(13)));
    assert_eq!(CardShaped::new(kept(Bin::Eight, true)).capacity(15), None);
    assert_eq!([0, 11, 20, usize::MAX].map(|length| form.capacity(length)), [None; 4]);
}

#[test]
fn random_is_random() {
    let tokens: BTreeSet<VaultToken> = (0..1000).map(|_| VaultToken::draw(&mut SysRng).unwrap()).collect();
    assert_eq!(tokens.len(), 1000);
    assert_eq!(VaultToken::draw(&mut Fixed(None)), Err(TokenError::Random));
    let form = CardShaped::new(kept(Bin::None, false));
    assert_eq!(form.draw(&pan("4761739001010010"), &mut Fixed(None)), Err(TokenError::Random));
}

/// UnionPay and ranges of which nothing is known: no BIN is kept; without it, a check digit that is wrong does not matter.
#[test]
fn ranges_without_a_check_digit() {
    for digits in ["6200000000000005", "6212345678901232", "8171999900000018", "9792030000000000", "2014000000000009"] {
        for digits in [digits.to_owned(), checked(digits)] {
            for kept in shapes() {
                let token = CardShaped::new(kept).draw(&pan(&digits), &mut SysRng);
                match kept.bin {
                    Bin::None => assert!(token.unwrap().to_string().starts_with("99")),
                    _ => assert_eq!(token, Err(TokenError::BinNotKept), "{digits}"),
                }
            }
        }
    }
    for digits in ["4761739001010010", "5413330089604111", "2223000048400011", "374245455400126", "3566002020360505"] {
        assert!(CardShaped::new(kept(Bin::Six, false)).draw(&pan(digits), &mut SysRng).is_ok(), "{digits}");
    }
}

fn policy(form: TokenForm) -> Policy {
    Policy::new(merchant("shop-1"), 1, form)
}

fn preserving(length: usize, bin: Bin, last_four: bool) -> Policy {
    policy(TokenForm::FormatPreserving(FormatPreserving::new(&[(length, kept(bin, last_four))]).unwrap()))
}

#[test]
fn domains_that_are_too_small() {
    for (length, bin, last_four) in [
        (16, Bin::Eight, true),
        (15, Bin::Six, true),
        (12, Bin::Eight, false),
        (13, Bin::Eight, false),
        (17, Bin::Eight, true),
    ] {
        let refused = FormatPreserving::new(&[(length, kept(bin, last_four))]);
        assert_eq!(refused, Err(KeptError::TooFewDigits(length)));
    }
    for (length, bin, last_four) in
        [(16, Bin::Six, true), (15, Bin::Six, false), (14, Bin::Eight, false), (18, Bin::Eight, true)]
    {
        assert!(FormatPreserving::new(&[(length, kept(bin, last_four))]).is_ok());
    }
    for length in [0, 11, 20, usize::MAX] {
        assert_eq!(FormatPreserving::new(&[(length, kept(Bin::None, false))]), Err(KeptError::Length(length)));
    }
    let rule = (16, kept(Bin::Six, true));
    assert_eq!(FormatPreserving::new(&[rule, rule]), Err(KeptError::Twice(16)));
}

#[test]
fn what_gets_no_format_preserving_token() {
    let store = store("ff1", &[7; 16]);
    let tokenizer = FormatPreservingTokenizer::new(store.key(&id()).unwrap());
    let policy_16 = preserving(16, Bin::Six, true);
    for (digits, error) in [
        ("4761739001010011", TokenError::CheckDigit),
        ("9999999999999995", TokenError::AlreadyToken),
        ("374245455400126", TokenError::Length),
    ] {
        assert_eq!(tokenizer.token(&policy_16, &pan(digits)), Err(error), "{digits}");
    }
    let good = pan("4761739001010010");
    for form in [TokenForm::Vault, TokenForm::Keyed, TokenForm::CardShaped(CardShaped::new(kept(Bin::Six, true)))] {
        assert_eq!(tokenizer.token(&policy(form), &good), Err(TokenError::Form));
    }
    // One bad number in a batch is alone in it.
    let (bad, other) = (pan("4761739001010011"), pan("5413330089604111"));
    let tokens = tokenizer.tokens(&policy_16, &[&good, &bad, &other]);
    assert!(tokens[0].is_ok() && tokens[2].is_ok());
    assert_eq!(tokens[1], Err(TokenError::CheckDigit));
    assert_eq!(tokenizer.tokens(&policy_16, &[]), []);
    // A key of another kind.
    let hmac = self::store("hmac", &[7; 32]);
    let refused = FormatPreservingTokenizer::new(hmac.key(&id()).unwrap()).token(&policy_16, &good);
    assert_eq!(refused, Err(TokenError::Key(KeyError::NotPermitted)));
}

/// One answer for all that is no token here; nine in ten wrong ones are seen by their check digit.
#[test]
fn what_leads_to_no_card_number() {
    let store = store("ff1", &[7; 16]);
    let tokenizer = FormatPreservingTokenizer::new(store.key(&id()).unwrap());
    let policy = preserving(16, Bin::Six, true);
    let mut unknown = 0;
    for middle in 0..1000 {
        let token: CardToken = format!("476173{middle:06}0010").parse().unwrap();
        match tokenizer.pan(&policy, &token) {
            Ok(pan) => assert!(pan.luhn()),
            Err(error) => {
                assert_eq!(error, TokenError::Unknown);
                unknown += 1;
            }
        }
    }
    assert!((850..950).contains(&unknown), "{unknown}");
    let amex: CardToken = "374245455400126".parse().unwrap();
    assert_eq!(tokenizer.pan(&policy, &amex).err(), Some(TokenError::Unknown));
    let range: CardToken = "9999999999999995".parse().unwrap();
    assert_eq!(tokenizer.pan(&policy, &range).err(), Some(TokenError::Unknown));
}

/// Numbers that FF1 turns into themselves, found by trying millions: they get no token, and are none.
#[test]
fn numbers_that_would_be_their_own_tokens() {
    let store = store("ff1", &[1; 16]);
    let tokenizer = FormatPreservingTokenizer::new(store.key(&id()).unwrap());
    let form = FormatPreserving::new(&[(16, kept(Bin::Six, true))]).unwrap();
    for (version, digits) in [(0, "6200000000068750"), (6, "6200000000034326"), (34, "6200000000074237")] {
        let policy = |version| Policy::new(merchant("shop"), version, TokenForm::FormatPreserving(form.clone()));
        assert_eq!(tokenizer.token(&policy(version), &pan(digits)), Err(TokenError::OwnToken));
        let own: CardToken = digits.parse().unwrap();
        assert_eq!(tokenizer.pan(&policy(version), &own).err(), Some(TokenError::Unknown));
        assert!(tokenizer.token(&policy(version + 1), &pan(digits)).is_ok());
    }
}

#[test]
fn expiry_dates() {
    for (year, month) in [(0, 1), (25, 12), (99, 10)] {
        let expiry = Expiry::new(year, month).unwrap();
        assert_eq!((expiry.year(), expiry.month()), (year, month));
        assert_eq!(expiry.to_string(), format!("{year:02}{month:02}"));
        assert_eq!(expiry.to_string().parse(), Ok(expiry));
    }
    for text in ["", "212", "22123", "2200", "2213", "221a", "22-1", "/:12", "２２"] {
        assert_eq!(text.parse::<Expiry>().map_err(|error| error.code()), Err("expiry_format"), "{text}");
    }
    for (year, month) in [(25, 0), (25, 13), (100, 1), (255, 255)] {
        assert_eq!(Expiry::new(year, month), None);
    }
}

#[test]
fn policies() {
    let plain = policy(TokenForm::Vault);
    assert_eq!((plain.uses(), plain.lifetime(), plain.version()), (Uses::Multi, None, 1));
    assert!(Purpose::ALL.iter().all(|purpose| !plain.permits(*purpose)));
    // Whatever the form: no token of a token, nor of a number that cannot be a card's.
    for (digits, right) in [
        ("4761739001010010", Ok(())),
        ("6200000000000000", Ok(())),
        ("4761739001010011", Err(TokenError::CheckDigit)),
        ("9961739001010010", Err(TokenError::AlreadyToken)),
    ] {
        assert_eq!(plain.admits(&pan(digits)), right, "{digits}");
    }
    assert!(!plain.has_expiry() && plain.clone().with_expiry().unwrap().has_expiry());
    let hour = Duration::from_secs(3600);
    let strict = plain.purposes(&[Purpose::Refund]).single_use().unwrap().time_to_live(hour).unwrap();
    assert_eq!((strict.uses(), strict.lifetime(), strict.merchant()), (Uses::Single, Some(hour), &merchant("shop-1")));
    let permitted: Vec<&str> = Purpose::ALL.into_iter().filter(|p| strict.permits(*p)).map(Purpose::name).collect();
    assert_eq!(permitted, ["refund"]);
    for computed in [policy(TokenForm::Keyed), preserving(16, Bin::Six, true)] {
        assert_eq!(computed.clone().single_use(), Err(PolicyError));
        assert_eq!(computed.clone().time_to_live(hour), Err(PolicyError));
        assert_eq!(computed.with_expiry(), Err(PolicyError));
    }
}
