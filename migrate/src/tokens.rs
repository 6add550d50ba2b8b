//! Where tokens come from: a vault, or a key alone.

use dukpt::{Key, KeyStore};
use p2pe_crypto::{FormatPreservingTokenizer, MerchantId, Pan, Policy, TokenError, TokenForm, Tokenizer};
use vault::{ShardedVault, Vault, VaultError};

use crate::Error;

/// Gives the tokens of card numbers. The same number has the same token, whenever it is asked for: what was interrupted is done
/// again.
pub trait Tokens {
    /// A token for each number, or why it has none.
    ///
    /// # Errors
    /// What stops all: [`Error::Vault`], [`Error::Token`].
    fn tokens(&self, pans: &[&Pan]) -> Result<Vec<Result<String, TokenError>>, Error>;

    /// Whose tokens these are and of which form. A run that was interrupted goes on only with the same.
    fn settings(&self) -> String;

    /// Whether nobody can tell these tokens from card numbers.
    fn like_cards(&self) -> bool {
        false
    }
}

/// Random tokens of a vault, under a multi-use policy.
#[expect(missing_debug_implementations, reason = "holds a vault")]
pub struct VaultTokens<'v, K> {
    vault: OneOrSet<'v, K>,
    policy: Policy,
}

enum OneOrSet<'v, K> {
    One(&'v Vault<K>),
    Set(&'v ShardedVault<K>),
}

impl<'v, K: KeyStore> VaultTokens<'v, K> {
    /// # Errors
    /// [`Error::SingleUse`].
    pub fn new(vault: &'v Vault<K>, policy: Policy) -> Result<Self, Error> {
        Self::of(OneOrSet::One(vault), policy)
    }

    /// Of a vault over several databases.
    ///
    /// # Errors
    /// [`Error::SingleUse`].
    pub fn of_set(vault: &'v ShardedVault<K>, policy: Policy) -> Result<Self, Error> {
        Self::of(OneOrSet::Set(vault), policy)
    }

    fn of(vault: OneOrSet<'v, K>, policy: Policy) -> Result<Self, Error> {
        match policy.uses() {
            p2pe_crypto::Uses::Multi => Ok(Self { vault, policy }),
            p2pe_crypto::Uses::Single => Err(Error::SingleUse),
        }
    }
}

impl<K: KeyStore> Tokens for VaultTokens<'_, K> {
    fn tokens(&self, pans: &[&Pan]) -> Result<Vec<Result<String, TokenError>>, Error> {
        let answers = match self.vault {
            OneOrSet::One(vault) => vault.tokenize_batch(&self.policy, pans)?,
            OneOrSet::Set(vault) => vault.tokenize_batch(&self.policy, pans)?,
        };
        let of_number = |answer| match answer {
            Ok(token) => Ok(Ok(token)),
            Err(VaultError::Token(TokenError::Key(error))) => Err(TokenError::Key(error).into()),
            Err(VaultError::Token(error)) => Ok(Err(error)),
            Err(error) => Err(error.into()),
        };
        answers.into_iter().map(of_number).collect()
    }

    fn settings(&self) -> String {
        settings(&self.policy)
    }
}

/// Irreversible tokens under an HMAC key: a keyed hash.
#[derive(Debug)]
pub struct KeyedTokens<S> {
    tokenizer: Tokenizer<S>,
    merchant: MerchantId,
}

impl<S: KeyStore> KeyedTokens<S> {
    /// The tokens of one merchant.
    #[must_use]
    pub fn new(tokenizer: Tokenizer<S>, merchant: MerchantId) -> Self {
        Self { tokenizer, merchant }
    }
}

impl<S: KeyStore> Tokens for KeyedTokens<S> {
    fn tokens(&self, pans: &[&Pan]) -> Result<Vec<Result<String, TokenError>>, Error> {
        let token =
            |pan: &&Pan| Ok(Ok(self.tokenizer.token(&self.merchant, pan).map_err(TokenError::from)?.to_string()));
        pans.iter().map(token).collect()
    }

    fn settings(&self) -> String {
        format!("{} keyed", self.merchant.as_str())
    }
}

/// Format-preserving tokens (FF1), under a key of kind `ff1`.
#[derive(Debug)]
pub struct PreservingTokens<K> {
    tokenizer: FormatPreservingTokenizer<K>,
    policy: Policy,
}

impl<K: Key> PreservingTokens<K> {
    /// Under a policy of the form [`TokenForm::FormatPreserving`].
    #[must_use]
    pub fn new(tokenizer: FormatPreservingTokenizer<K>, policy: Policy) -> Self {
        Self { tokenizer, policy }
    }
}

impl<K: Key> Tokens for PreservingTokens<K> {
    fn tokens(&self, pans: &[&Pan]) -> Result<Vec<Result<String, TokenError>>, Error> {
        let of_number = |answer| match answer {
            Ok(token) => Ok(Ok(ToString::to_string(&token))),
            Err(error @ (TokenError::Key(_) | TokenError::Form)) => Err(error.into()),
            Err(error) => Ok(Err(error)),
        };
        self.tokenizer.tokens(&self.policy, pans).into_iter().map(of_number).collect()
    }

    fn settings(&self) -> String {
        settings(&self.policy)
    }

    fn like_cards(&self) -> bool {
        true
    }
}

fn settings(policy: &Policy) -> String {
    let form = match policy.form() {
        TokenForm::Vault => "vault".into(),
        form => format!("{form:?}"),
    };
    format!("{} {} {form}", policy.merchant().as_str(), policy.version())
}
