//! A device: its keys, its serial number, and the next payload.

use dukpt::{KeyError, Ksn};

use crate::{
    Card, DeviceKey, Emission, Form, Setting, Setup,
    emission::Expected,
    format::{self, Written},
    keys::{Terminal, Transaction},
};

/// A payment device in software. The same setup, key, KSN and seed give the same payloads.
#[expect(missing_debug_implementations, reason = "holds keys")]
pub struct VirtualDevice<'k> {
    setup: Setup,
    terminal: Terminal<'k>,
    serial: [u8; 10],
    random: fastrand::Rng,
}

impl<'k> VirtualDevice<'k> {
    /// A device with this key, whose next transaction is that of `ksn`; for a new device, of counter 0 or 1.
    ///
    /// # Errors
    /// [`KeyError::NotPermitted`] for a key or KSN of another scheme or size than the setup's.
    pub fn new(setup: Setup, key: &'k DeviceKey, ksn: &Ksn, seed: u64) -> Result<Self, KeyError> {
        let terminal = key.load(setup.profile().encryption(), ksn)?;
        let mut random = fastrand::Rng::with_seed(seed);
        let mut serial = *b"V000000000";
        serial[1..].iter_mut().for_each(|digit| *digit = random.u8(b'0'..=b'9'));
        Ok(Self { setup, terminal, serial, random })
    }

    /// With another serial number, 10 ASCII characters.
    #[must_use]
    pub fn with_serial(self, serial: [u8; 10]) -> Self {
        Self { serial, ..self }
    }

    /// How it is set up.
    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The KSN of the next transaction.
    ///
    /// # Errors
    /// [`KeyError::Exhausted`].
    pub fn ksn(&self) -> Result<Ksn, KeyError> {
        self.terminal.ksn()
    }

    /// Reads a card, or takes what is keyed in, and sends it. Each payload is under the next KSN.
    ///
    /// # Errors
    /// [`KeyError::Exhausted`] when there is no further KSN.
    pub fn read(&mut self, card: &Card) -> Result<Emission, KeyError> {
        let counter = self.terminal.ksn()?.counter();
        let transaction = self.terminal.next_transaction()?;
        let mac = self.setup.has(Setting::Mac).then(|| self.terminal.next_transaction()).transpose()?;
        let mut reading = Reading {
            setup: &self.setup,
            card,
            serial: &self.serial,
            counter,
            transaction: &transaction,
            mac,
            random: &mut self.random,
        };
        let Written { bytes, form, expected } = format::write(&mut reading)?;
        Ok(Emission { bytes, form, ksn: transaction.into_ksn(), profile: self.setup.profile(), expected })
    }
}

/// All that a payload is written from.
pub(crate) struct Reading<'r, 'k> {
    pub(crate) setup: &'r Setup,
    pub(crate) card: &'r Card,
    pub(crate) serial: &'r [u8; 10],
    pub(crate) counter: u32,
    pub(crate) transaction: &'r Transaction<'k>,
    /// The transaction under whose key the message authentication code is.
    pub(crate) mac: Option<Transaction<'k>>,
    pub(crate) random: &'r mut fastrand::Rng,
}

impl Reading<'_, '_> {
    pub(crate) fn has(&self, setting: Setting) -> bool {
        self.setup.has(setting)
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        core::array::from_fn(|_| self.random.u8(..))
    }

    pub(crate) fn written(&self, bytes: Vec<u8>, form: Form, expected: Expected) -> Result<Written, KeyError> {
        Ok(Written { bytes, form, expected })
    }
}
