//! The tokens of numbers seen lately, so that the store is asked once for each. Bounded, and without the numbers.

use std::{collections::HashMap, mem};

use getrandom::{SysRng, rand_core::TryRng};
use hmac::{Hmac, KeyInit, Mac};
use p2pe_crypto::{Pan, TokenError};
use sha2::Sha256;
use zeroize::Zeroizing;

/// A number, as it is remembered: its HMAC-SHA-256, cut to 16 bytes, under a key that lives as long as the run.
pub(crate) type Print = [u8; 16];

/// At most twice `room` tokens: a young and an old generation, and those of the old one that are asked for are young again.
pub(crate) struct Known {
    /// Keyed once; each number goes through a copy.
    mac: Hmac<Sha256>,
    room: usize,
    young: HashMap<Print, String>,
    old: HashMap<Print, String>,
}

impl Known {
    pub(crate) fn new(room: usize) -> Result<Self, TokenError> {
        let mut key = Zeroizing::new([0; 32]);
        SysRng.try_fill_bytes(&mut *key).map_err(|_| TokenError::Random)?;
        let mac = Hmac::new_from_slice(&*key).map_err(|_| TokenError::Random)?;
        Ok(Self { mac, room, young: HashMap::new(), old: HashMap::new() })
    }

    pub(crate) fn print(&self, pan: &Pan) -> Print {
        let mut mac = self.mac.clone();
        mac.update(pan.expose().as_bytes());
        let mut print = Print::default();
        print.copy_from_slice(&mac.finalize().into_bytes()[..16]);
        print
    }

    pub(crate) fn token(&mut self, print: &Print) -> Option<&String> {
        if !self.young.contains_key(print) {
            let token = self.old.remove(print)?;
            self.insert(*print, token);
        }
        self.young.get(print)
    }

    pub(crate) fn insert(&mut self, print: Print, token: String) {
        if self.young.len() >= self.room {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(print, token);
    }
}
