//! Names of base keys that say which devices a key is for, and which of its successors it is.

use core::fmt;

use crate::{KeyId, KeyKind, KsnPrefix, Scheme};

/// The name of a base key as `SCHEME:BDK-ID:vN`, or of all versions of it as `SCHEME:BDK-ID`.
///
/// `tdes-dukpt` with the 3 to 5 bytes by which KSNs begin, `aes-dukpt` with the 4 bytes of the BDK id, in upper-case hex;
/// versions are 1 to 65,535. Any other [`KeyId`] is a name too, but says nothing.
///
/// ```
/// use dukpt::{BdkName, KeyId, Scheme};
///
/// let name = BdkName::read(&KeyId::new("tdes-dukpt:FFFF987654:v2")?).ok_or("no such name")?;
/// assert_eq!((name.prefix().scheme(), name.version()), (Scheme::Tdes, Some(2)));
/// assert_eq!(name.every_version().to_string(), "tdes-dukpt:FFFF987654");
/// assert_eq!(BdkName::read(&KeyId::new("bdk-1")?), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BdkName {
    prefix: KsnPrefix,
    version: Option<u16>,
}

const SCHEMES: [(Scheme, &str); 2] = [(Scheme::Tdes, "tdes-dukpt"), (Scheme::Aes, "aes-dukpt")];

impl BdkName {
    /// What a key's name says; `None` for one that says nothing, or not in this form.
    #[must_use]
    pub fn read(id: &KeyId) -> Option<Self> {
        let mut parts = id.as_str().split(':');
        let (scheme, digits, version) = (parts.next()?, parts.next()?.as_bytes(), parts.next());
        let (scheme, _) = *SCHEMES.iter().find(|(_, name)| *name == scheme)?;
        let lengths = match scheme {
            Scheme::Tdes => 3..=5,
            Scheme::Aes => 4..=4,
        };
        let (pairs, []) = digits.as_chunks::<2>() else { return None };
        if parts.next().is_some() || !lengths.contains(&pairs.len()) {
            return None;
        }
        let mut bytes = [0; 5];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        let prefix = KsnPrefix::new(scheme, &bytes[..pairs.len()]).ok()?;
        let version = match version {
            Some(text) => Some(number(text)?),
            None => None,
        };
        Some(Self { prefix, version })
    }

    /// Whether a key of this kind may be stored under `id`: a name that begins as these do has to be one, with a version and
    /// of the scheme that the kind has.
    #[must_use]
    pub fn fits(id: &KeyId, kind: KeyKind) -> bool {
        if !SCHEMES.iter().any(|(_, name)| id.as_str().starts_with(name)) {
            return true;
        }
        let of_kind = match kind {
            KeyKind::TdesBase => Some(Scheme::Tdes),
            KeyKind::AesBase(_) => Some(Scheme::Aes),
            _ => None,
        };
        Self::read(id).is_some_and(|name| name.version.is_some() && Some(name.prefix.scheme()) == of_kind)
    }

    /// Scheme and BDK id, as the prefix that all KSNs of the key's devices have.
    #[must_use]
    pub fn prefix(&self) -> &KsnPrefix {
        &self.prefix
    }

    /// Which version; `None` where all are meant.
    #[must_use]
    pub fn version(&self) -> Option<u16> {
        self.version
    }

    /// The name of all versions.
    #[must_use]
    pub fn every_version(&self) -> Self {
        Self { version: None, ..*self }
    }
}

impl fmt::Display for BdkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = SCHEMES.iter().find(|(scheme, _)| *scheme == self.prefix.scheme()).map_or("", |(_, name)| name);
        write!(f, "{scheme}:{}", self.prefix)?;
        self.version.map_or(Ok(()), |version| write!(f, ":v{version}"))
    }
}

/// One way to write each byte: two spellings of one name would be two keys.
fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// `v` and a number without leading zeros.
fn number(text: &str) -> Option<u16> {
    let digits = text.strip_prefix('v')?;
    let plain = digits.bytes().all(|digit| digit.is_ascii_digit()) && !digits.starts_with('0');
    digits.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;
    use crate::aes::KeyType;

    fn read(name: &str) -> Option<BdkName> {
        KeyId::new(name).ok().as_ref().and_then(BdkName::read)
    }

    #[test]
    fn names_that_say_something() {
        for (name, scheme, prefix, version) in [
            ("tdes-dukpt:FFFF987654:v2", Scheme::Tdes, &[0xFF, 0xFF, 0x98, 0x76, 0x54][..], Some(2)),
            ("tdes-dukpt:629949", Scheme::Tdes, &[0x62, 0x99, 0x49], None),
            ("aes-dukpt:12345678:v65535", Scheme::Aes, &[0x12, 0x34, 0x56, 0x78], Some(u16::MAX)),
        ] {
            let found = read(name).unwrap();
            assert_eq!((found.prefix(), found.version()), (&KsnPrefix::new(scheme, prefix).unwrap(), version));
            assert_eq!(found.to_string(), name);
            assert_eq!(read(&found.every_version().to_string()).unwrap().version(), None);
        }
    }

    #[test]
    fn names_that_say_nothing() {
        for name in [
            "bdk-1",
            "tdes-dukpt",
            "tdes-dukpt:",
            "tdes-dukpt:FFFF",
            "tdes-dukpt:FFFF98765432",
            "tdes-dukpt:ffff987654:v2",
            "tdes-dukpt:FFFF98765:v2",
            "tdes-dukpt:FFFF987654:",
            "tdes-dukpt:FFFF987654:v",
            "tdes-dukpt:FFFF987654:v0",
            "tdes-dukpt:FFFF987654:v02",
            "tdes-dukpt:FFFF987654:v+2",
            "tdes-dukpt:FFFF987654:V2",
            "tdes-dukpt:FFFF987654:2",
            "tdes-dukpt:FFFF987654:v65536",
            "tdes-dukpt:FFFF987654:v2:bdk",
            "aes-dukpt:1234567890:v1",
            "des-dukpt:FFFF987654:v2",
            "TDES-DUKPT:FFFF987654:v2",
        ] {
            assert_eq!(read(name), None, "{name}");
        }
    }

    #[test]
    fn a_name_fits_its_key() {
        let fits = |name: &str, kind| BdkName::fits(&KeyId::new(name).unwrap(), kind);
        let aes = KeyKind::AesBase(KeyType::Aes128);
        assert!(fits("bdk-1", KeyKind::TdesBase) && fits("tokens", KeyKind::Hmac));
        assert!(fits("tdes-dukpt:FFFF987654:v1", KeyKind::TdesBase) && fits("aes-dukpt:12345678:v1", aes));
        assert!(!fits("tdes-dukpt:FFFF987654:v1", aes) && !fits("aes-dukpt:12345678:v1", KeyKind::TdesBase));
        assert!(!fits("aes-dukpt:12345678:v1", KeyKind::Hmac));
        assert!(!fits("tdes-dukpt:FFFF987654", KeyKind::TdesBase), "of which version?");
        assert!(!fits("tdes-dukpt-FFFF987654:v1", KeyKind::TdesBase), "meant to be one");
    }
}
