//! Device profiles of one's own: `[[profile]]` tables beside the ones that come with the library.

use p2pe_crypto::{DeviceProfile, Encryption, Format, Scope};

use crate::{ConfigError, file::ProfileTable};

/// What the table says.
///
/// # Errors
/// [`ConfigError::Profile`]; in particular for a name that another profile has.
pub(crate) fn profile(table: &ProfileTable, others: &[DeviceProfile]) -> Result<DeviceProfile, ConfigError> {
    let refused = |what: &str| ConfigError::Profile(table.name.clone(), what.into());
    if find(&table.name, others).is_some() {
        return Err(refused("another profile has this name"));
    }
    let formats: Vec<_> = Format::ALL.into_iter().map(Format::name).collect();
    let format = Format::ALL.into_iter().find(|format| format.name() == table.format);
    let format = format.ok_or_else(|| refused(&format!("no format of this name; there are {}", formats.join(", "))))?;
    let encryption: Encryption = table.encryption.parse().map_err(|_| {
        let names: Vec<_> = Encryption::all().map(|encryption| encryption.to_string()).collect();
        refused(&format!("no encryption of this name; there are {}", names.join(", ")))
    })?;
    let scopes: &[Scope] = match table.scope.as_deref() {
        // The only one that the format has; where it has both, the usual one.
        None => &[Scope::Field, Scope::Joined],
        Some("field") => &[Scope::Field],
        Some("joined") => &[Scope::Joined],
        Some(_) => return Err(refused("the scope of a CBC run is field or joined")),
    };
    let mut made = scopes.iter().filter_map(|scope| DeviceProfile::new(&table.name, format, encryption, *scope).ok());
    let profile = made.next().ok_or_else(|| {
        refused("a name is 1 to 40 lower-case letters, digits and hyphens; and the format must have this encryption and scope")
    })?;
    let profile = match table.mask.as_deref().map(str::as_bytes) {
        None => profile,
        Some([mask @ 0x20..=0x7E]) => profile.masked_by(*mask),
        Some(_) => return Err(refused("the mask is one printable ASCII character")),
    };
    Ok(if table.mac { profile.with_mac() } else { profile })
}

/// A profile by its name: one of one's own, or one that comes with the library.
pub(crate) fn find(name: &str, own: &[DeviceProfile]) -> Option<DeviceProfile> {
    own.iter().copied().find(|profile| profile.name() == name).or_else(|| name.parse().ok())
}
