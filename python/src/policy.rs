//! `Policy`: how the tokens of one merchant are made, and what they are good for.

use std::time::Duration;

use p2pe_crypto::{Bin, CardShaped, Kept, MerchantId, Purpose, TokenForm, Uses};
use pyo3::{
    prelude::*,
    types::{PyDict, PyTuple},
};

use crate::error::Failure;

/// How the tokens of one merchant are made, and what they are good for. Whoever changes a policy gives it a new `version`.
///
/// `form` is `vault` (`vtok_` and 32 characters, random) or `card-shaped` (random digits, as many as the card number has):
/// the latter keeps the first `keep_bin` digits, 6 or 8, and with `keep_last_four` the last four. A token works for ever, or
/// with `single_use` once, and for `time_to_live` seconds. Where it works for ever or for a time, the same card has the same
/// token. With `with_expiry` it is for card number and expiry date together, which are led back together. It is led back for
/// `purposes`: `payment`, `recurring`, `refund`, `dispute`, `fraud`, `migration`; at first, for none.
///
/// Raises `ArgumentError`.
#[pyclass(frozen, eq, module = "p2pe_crypto")]
#[derive(PartialEq, Eq)]
pub(crate) struct Policy(pub(crate) p2pe_crypto::Policy);

const VAULT: &str = "vault";
const CARD_SHAPED: &str = "card-shaped";

#[pymethods]
impl Policy {
    #[new]
    #[pyo3(signature = (
        merchant, *, version = 1, form = "vault", keep_bin = None, keep_last_four = false, single_use = false,
        time_to_live = None, with_expiry = false, purposes = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        merchant: &str,
        version: u32,
        form: &str,
        keep_bin: Option<u8>,
        keep_last_four: bool,
        single_use: bool,
        time_to_live: Option<u64>,
        with_expiry: bool,
        purposes: Option<Vec<String>>,
    ) -> Result<Self, Failure> {
        let cannot = |message| Failure::argument(message, "policy");
        let bin = match keep_bin {
            None => Bin::None,
            Some(6) => Bin::Six,
            Some(8) => Bin::Eight,
            Some(_) => return Err(cannot("of the BIN, 6 or 8 digits are kept")),
        };
        let form = match form {
            VAULT if keep_bin.is_some() || keep_last_four => {
                return Err(cannot("only a card-shaped token keeps digits"));
            }
            VAULT => TokenForm::Vault,
            CARD_SHAPED => TokenForm::CardShaped(CardShaped::new(Kept { bin, last_four: keep_last_four })),
            _ => return Err(cannot("the form is 'vault' or 'card-shaped'")),
        };
        let mut purposes = purposes.iter().flatten().map(|name| purpose(name)).collect::<Result<Vec<_>, _>>()?;
        purposes.sort_by_key(|purpose| purpose.name());
        purposes.dedup();
        let mut policy = p2pe_crypto::Policy::new(MerchantId::new(merchant)?, version, form).purposes(&purposes);
        if single_use {
            policy = policy.single_use()?;
        }
        if let Some(seconds) = time_to_live {
            policy = policy.time_to_live(Duration::from_secs(seconds))?;
        }
        if with_expiry {
            policy = policy.with_expiry()?;
        }
        Ok(Self(policy))
    }

    /// Whose tokens these are.
    #[getter]
    fn merchant(&self) -> &str {
        self.0.merchant().as_str()
    }

    /// Which policy of the merchant this is.
    #[getter]
    fn version(&self) -> u32 {
        self.0.version()
    }

    /// `vault` or `card-shaped`.
    #[getter]
    fn form(&self) -> &'static str {
        self.kept().map_or(VAULT, |_| CARD_SHAPED)
    }

    /// How many digits of the BIN stand in the token too: 6, 8 or `None`.
    #[getter]
    fn keep_bin(&self) -> Option<u8> {
        match self.kept()?.bin {
            Bin::None => None,
            Bin::Six => Some(6),
            Bin::Eight => Some(8),
        }
    }

    /// Whether the last four digits stand in the token too.
    #[getter]
    fn keep_last_four(&self) -> bool {
        self.kept().is_some_and(|kept| kept.last_four)
    }

    /// Whether a token leads back once.
    #[getter]
    fn single_use(&self) -> bool {
        self.0.uses() == Uses::Single
    }

    /// How many seconds a token works; `None` for ever.
    #[getter]
    fn time_to_live(&self) -> Option<u64> {
        self.0.lifetime().map(|time| time.as_secs())
    }

    /// Whether a token is for card number and expiry date together.
    #[getter]
    fn with_expiry(&self) -> bool {
        self.0.has_expiry()
    }

    /// What a token may be led back for.
    #[getter]
    fn purposes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(
            py,
            Purpose::ALL.into_iter().filter(|purpose| self.0.permits(*purpose)).map(Purpose::name).collect::<Vec<_>>(),
        )
    }

    /// For `pickle` and `copy`: nothing in a policy is secret.
    fn __getnewargs_ex__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        let named = PyDict::new(py);
        named.set_item("version", self.version())?;
        named.set_item("form", self.form())?;
        named.set_item("keep_bin", self.keep_bin())?;
        named.set_item("keep_last_four", self.keep_last_four())?;
        named.set_item("single_use", self.single_use())?;
        named.set_item("time_to_live", self.time_to_live())?;
        named.set_item("with_expiry", self.with_expiry())?;
        named.set_item("purposes", self.purposes(py)?)?;
        Ok((PyTuple::new(py, [self.merchant()])?, named))
    }

    fn __repr__(&self) -> String {
        format!("Policy({:?}, version={}, form='{}')", self.merchant(), self.version(), self.form())
    }
}

impl Policy {
    /// The digits that a card-shaped token keeps.
    fn kept(&self) -> Option<Kept> {
        match self.0.form() {
            TokenForm::CardShaped(shape) => Some(shape.kept()),
            _ => None,
        }
    }
}

/// A purpose by its name.
pub(crate) fn purpose(name: &str) -> Result<Purpose, Failure> {
    let unknown = "a purpose is 'payment', 'recurring', 'refund', 'dispute', 'fraud' or 'migration'";
    let found = Purpose::ALL.into_iter().find(|purpose| purpose.name() == name);
    found.ok_or_else(|| Failure::argument(unknown, "purpose"))
}
