//! Any setup, card and counter.

use p2pe_virtual_devices::{Card, Model, Setup};
use proptest::prelude::*;

/// What a card is made of; the numbers are of nobody.
#[derive(Clone, Debug)]
pub(crate) struct AnyCard {
    pan: String,
    expiry: String,
    name: String,
    codes: [String; 2],
    address: [String; 2],
}

impl AnyCard {
    pub(crate) fn card(&self) -> Card {
        let card = Card::new(&self.pan, &self.expiry).unwrap().with_name(&self.name).unwrap();
        let card = card.with_service_code(&self.codes[0]).unwrap().with_security_code(&self.codes[1]).unwrap();
        card.with_address(&self.address[0], &self.address[1]).unwrap()
    }
}

pub(crate) fn card() -> impl Strategy<Value = AnyCard> {
    let name = "[A-Z]{1,12}/[A-Z][A-Z .-]{0,10}[A-Z]";
    let codes = ["[0-9]{3}", "[0-9]{3,4}"];
    let address = ["[0-9]{1,5}", "[0-9]{3,6}"];
    ("[0-9]{12,19}", 0..100u8, 1..=12u8, name, codes, address).prop_map(|(pan, year, month, name, codes, address)| {
        AnyCard { pan, expiry: format!("{year:02}{month:02}"), name, codes, address }
    })
}

pub(crate) fn setup() -> impl Strategy<Value = Setup> {
    let setups: Vec<Vec<Setup>> = Model::ALL.iter().map(|&model| Setup::all(model).collect()).collect();
    let one = (prop::sample::select(setups), any::<prop::sample::Index>());
    one.prop_map(|(of_model, index)| index.get(&of_model).clone())
}

/// At most 10 of 21 bits are set, as TDES DUKPT has it.
pub(crate) fn counter() -> impl Strategy<Value = u32> {
    let bits = prop::sample::subsequence((0..21).collect::<Vec<u32>>(), 1..=10);
    bits.prop_map(|bits| bits.iter().map(|bit| 1 << bit).sum())
}
