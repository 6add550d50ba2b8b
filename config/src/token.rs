//! Which module, which token, which PIN: decided here and nowhere else, for the settings file, the command line and
//! Python alike.

use std::path::{Path, PathBuf};

use pkcs11_backend::{PinSource, Settings, TokenSelector, UriError};

/// What is named of a token; the rest is found in its URI, or in the settings that these stand over.
#[derive(Clone, Debug, Default)]
pub struct TokenSettings {
    /// The PKCS#11 module. If it is not named: the URI's `module-path`.
    pub module: Option<PathBuf>,
    /// The token.
    pub token: Option<TokenSelector>,
    /// Where its PIN is. If it is not named: the URI's `pin-source`, or the terminal.
    pub pin: Option<PinSource>,
}

/// Why the parts do not make a whole. No error repeats a value.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenSettingsError {
    /// No module.
    #[error("no PKCS#11 module is named (module, or module-path in the URI)")]
    NoModule,
    /// Neither label nor URI.
    #[error("no token is named: by its label (token) or by its URI (uri)")]
    NoToken,
    /// Both of them.
    #[error("a token is named by its label (token) or by its URI (uri), not by both")]
    TwoTokens,
    /// A file and a variable.
    #[error("the PIN is in a file or in an environment variable, not in both")]
    TwoPins,
    /// Not a `pkcs11:` URI of a token.
    #[error(transparent)]
    Uri(#[from] UriError),
}

impl TokenSettings {
    /// A token by its label or by its URI.
    ///
    /// # Errors
    /// [`TokenSettingsError::TwoTokens`], [`TokenSettingsError::Uri`].
    pub fn token(label: Option<&str>, uri: Option<&str>) -> Result<Option<TokenSelector>, TokenSettingsError> {
        match (label, uri) {
            (Some(_), Some(_)) => Err(TokenSettingsError::TwoTokens),
            (Some(label), None) => Ok(Some(TokenSelector::label(label))),
            (None, Some(uri)) => Ok(Some(uri.parse()?)),
            (None, None) => Ok(None),
        }
    }

    /// A PIN in a file or in an environment variable.
    ///
    /// # Errors
    /// [`TokenSettingsError::TwoPins`].
    pub fn pin(file: Option<&Path>, variable: Option<&str>) -> Result<Option<PinSource>, TokenSettingsError> {
        match (file, variable) {
            (Some(_), Some(_)) => Err(TokenSettingsError::TwoPins),
            (Some(path), None) => Ok(Some(PinSource::File(path.into()))),
            (None, Some(name)) => Ok(Some(PinSource::Env(name.into()))),
            (None, None) => Ok(None),
        }
    }

    /// Puts the parts together. What neither they nor their URI name comes from `below`, but for the PIN: a PIN goes
    /// to the one token that it was named with, never to another module or token in its place.
    ///
    /// # Errors
    /// [`TokenSettingsError::NoModule`], [`TokenSettingsError::NoToken`].
    pub fn settings(self, below: Option<&Settings>) -> Result<Settings, TokenSettingsError> {
        let of_uri = self.token.as_ref();
        let same_token = self.module.is_none() && self.token.is_none();
        let pin = self.pin.or_else(|| of_uri?.pin_source().cloned());
        let pin = pin.or_else(|| below.filter(|_| same_token).map(|below| below.pin.clone()));
        let module = self.module.or_else(|| of_uri?.module_path().map(Into::into));
        let module = module.or_else(|| below.map(|below| below.module.clone()));
        let token = self.token.or_else(|| below.map(|below| below.token.clone()));
        let module = module.ok_or(TokenSettingsError::NoModule)?;
        let token = token.ok_or(TokenSettingsError::NoToken)?;
        let pin = pin.unwrap_or(PinSource::Prompt);
        Ok(match below {
            Some(below) => Settings { module, token, pin, ..below.clone() },
            None => Settings::new(module, token, pin),
        })
    }
}
