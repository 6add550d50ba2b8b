//! Which token of a module is meant: by its label, or by an RFC 7512 URI.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{PinSource, direct::About};

/// What is escaped in a value of a `pkcs11:` URI: all but the unreserved characters of RFC 3986.
const ESCAPED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Which token is meant. What is not named may have any value.
///
/// ```
/// use pkcs11_backend::TokenSelector;
///
/// let by_label = TokenSelector::label("p2pe production");
/// let by_uri: TokenSelector = "pkcs11:token=p2pe%20production;serial=0123456789abcdef".parse()?;
/// assert_eq!(by_label.to_string(), "pkcs11:token=p2pe%20production");
/// # let _ = by_uri;
/// # Ok::<(), pkcs11_backend::UriError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TokenSelector {
    pub(crate) token: Option<String>,
    pub(crate) manufacturer: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) serial: Option<String>,
    pub(crate) slot_id: Option<u64>,
    pub(crate) module_path: Option<PathBuf>,
    pub(crate) module_name: Option<String>,
    pub(crate) pin_source: Option<PinSource>,
}

impl TokenSelector {
    /// The token with this label.
    #[must_use]
    pub fn label(label: &str) -> Self {
        Self { token: Some(label.into()), ..Self::default() }
    }

    /// The `module-path` of the URI. If there is one, no other module's token fits.
    #[must_use]
    pub fn module_path(&self) -> Option<&Path> {
        self.module_path.as_deref()
    }

    /// The `pin-source` of the URI, for [`Settings::pin`](crate::Settings::pin): a selector does not open by itself.
    #[must_use]
    pub fn pin_source(&self) -> Option<&PinSource> {
        self.pin_source.as_ref()
    }

    /// Whether tokens of the module at `path` (canonical) are meant. A `module-name` is the file's name without its
    /// suffix, with or without the leading `lib`.
    pub(crate) fn fits_module(&self, path: &Path) -> bool {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let named = |name: &String| name == stem || stem.strip_prefix("lib") == Some(name);
        let same = |wanted: &PathBuf| wanted.canonicalize().is_ok_and(|wanted| wanted == path);
        self.module_path.as_ref().is_none_or(same) && self.module_name.as_ref().is_none_or(named)
    }

    /// Whether the token in slot `id` is meant. PKCS#11 pads its fields with blanks, which do not count.
    pub(crate) fn fits_token(&self, id: u64, about: &About) -> bool {
        let same =
            |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|wanted| wanted.trim_end_matches(' ') == is);
        same(&self.token, &about.label)
            && same(&self.manufacturer, &about.manufacturer)
            && same(&self.model, &about.model)
            && same(&self.serial, &about.serial)
            && self.slot_id.is_none_or(|wanted| wanted == id)
    }
}

impl fmt::Display for TokenSelector {
    /// The path of the URI, which identifies the token; where the module and the PIN are is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pkcs11:")?;
        let slot = self.slot_id.map(|id| id.to_string());
        let attributes = [
            ("token", &self.token),
            ("manufacturer", &self.manufacturer),
            ("model", &self.model),
            ("serial", &self.serial),
            ("slot-id", &slot),
        ];
        let present = attributes.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        for (index, (name, value)) in present.enumerate() {
            let separator = if index == 0 { "" } else { ";" };
            write!(f, "{separator}{name}={}", utf8_percent_encode(value, &ESCAPED))?;
        }
        Ok(())
    }
}
