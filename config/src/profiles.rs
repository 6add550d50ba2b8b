//! Device profiles of one's own: `[[profile]]` tables beside the ones that come with the library.

use p2pe_crypto::{DeviceProfile, ProfileSettings};

use crate::{ConfigError, file::ProfileTable};

/// What the table says.
///
/// # Errors
/// [`ConfigError::Profile`]; in particular for a name that another profile has.
pub(crate) fn profile(table: &ProfileTable, others: &[DeviceProfile]) -> Result<DeviceProfile, ConfigError> {
    let refused = |what: String| ConfigError::Profile(table.name.clone(), what);
    if find(&table.name, others).is_some() {
        return Err(refused("another profile has this name".into()));
    }
    let settings = ProfileSettings {
        name: &table.name,
        format: &table.format,
        encryption: &table.encryption,
        mode: table.mode.as_deref(),
        iv: table.iv.as_deref(),
        scope: table.scope.as_deref(),
        inner_tlv: table.inner_tlv,
        mask: table.mask.as_deref(),
        mac: table.mac,
    };
    settings.try_into().map_err(|error: p2pe_crypto::ProfileError| refused(error.to_string()))
}

/// A profile by its name: one of one's own, or one that comes with the library.
pub(crate) fn find(name: &str, own: &[DeviceProfile]) -> Option<DeviceProfile> {
    own.iter().copied().find(|profile| profile.name() == name).or_else(|| name.parse().ok())
}
