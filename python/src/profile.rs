//! `Profile`: what devices were set up to do; and the catalogue of them.

use std::path::PathBuf;

use p2pe_config::{Config, ConfigError};
use p2pe_crypto::{DeviceProfile, ProfileSettings};
use pyo3::prelude::*;

use crate::error::Failure;

/// How a population of devices sends, as a `[[profile]]` table of a settings file says it. What is left out is as usual for the
/// format.
///
/// `name` has 1 to 40 lower-case letters, digits and hyphens. `format` is that of the layout, `encryption` that of key and
/// cipher (`tdes-pin`), `mode` `cbc` or `ecb`, `iv` `zero` or `sent`, `scope` what one CBC run goes over (`field`, `joined`,
/// `payload`), `inner_tlv` whether a ciphertext holds tag and length too, `mask` the character in the place of each masked one,
/// `mac` whether a payload without a MAC is refused.
///
/// Raises `ConfigError`, also for what does not apply to the format.
#[pyclass(frozen, eq, hash, module = "p2pe_crypto")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Profile(pub(crate) DeviceProfile);

#[pymethods]
impl Profile {
    #[new]
    #[pyo3(signature = (name, *, format, encryption, mode = None, iv = None, scope = None, inner_tlv = None, mask = None, mac = false))]
    #[expect(clippy::too_many_arguments, reason = "by name, as the table has them")]
    fn new(
        name: &str,
        format: &str,
        encryption: &str,
        mode: Option<&str>,
        iv: Option<&str>,
        scope: Option<&str>,
        inner_tlv: Option<bool>,
        mask: Option<&str>,
        mac: bool,
    ) -> Result<Self, Failure> {
        let settings = ProfileSettings { name, format, encryption, mode, iv, scope, inner_tlv, mask, mac };
        Ok(Self(
            DeviceProfile::try_from(settings).map_err(|error| ConfigError::Profile(name.into(), error.to_string()))?,
        ))
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        self.0.name()
    }

    /// The layout of what the devices send.
    #[getter]
    fn format(&self) -> &'static str {
        self.0.format().name()
    }

    /// Key and cipher.
    #[getter]
    fn encryption(&self) -> String {
        self.0.encryption().to_string()
    }

    /// Block mode.
    #[getter]
    fn mode(&self) -> &'static str {
        self.0.mode().name()
    }

    /// What a CBC run begins with.
    #[getter]
    fn iv(&self) -> &'static str {
        self.0.iv().name()
    }

    /// What one CBC run goes over.
    #[getter]
    fn scope(&self) -> &'static str {
        self.0.scope().name()
    }

    /// Whether a ciphertext holds tag and length too; `None` where no objects are encrypted one by one.
    #[getter]
    fn inner_tlv(&self) -> Option<bool> {
        self.0.inner_tlv()
    }

    /// The character in the place of each masked one.
    #[getter]
    fn mask(&self) -> String {
        char::from(self.0.mask()).to_string()
    }

    /// Whether a payload without a MAC is refused.
    #[getter]
    fn mac(&self) -> bool {
        self.0.mac()
    }

    /// As a `[[profile]]` table of a settings file.
    fn to_toml(&self) -> String {
        self.0.to_toml().to_string()
    }

    fn __repr__(&self) -> String {
        format!("Profile('{}')", self.0)
    }
}

/// The profiles that come with the library and, with the path of a settings file (TOML), those that it adds.
///
/// Raises `ConfigError`.
#[pyfunction]
#[pyo3(signature = (path = None, /))]
pub(crate) fn profiles(path: Option<PathBuf>) -> Result<Vec<Profile>, Failure> {
    let own = path.map(|path| Config::load(&path)).transpose()?.map_or_else(Vec::new, |config| config.profiles);
    Ok(DeviceProfile::builtin().chain(own).map(Profile).collect())
}
