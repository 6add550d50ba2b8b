//! What a merchant keeps in place of a card number: the forms of tokens, and the policies that choose one.

mod card_number;
mod error;
mod keyed;
mod merchant;
mod policy;
mod preserving;
mod shape;
mod vault_token;

pub use error::TokenError;
pub use keyed::{Token, Tokenizer};
pub use merchant::{MerchantId, MerchantIdError};
pub use policy::{Policy, PolicyError, Purpose, TokenForm, Uses};
pub use preserving::{FormatPreserving, FormatPreservingTokenizer};
pub use shape::{Bin, CardShaped, CardToken, Kept, KeptError};
pub use vault_token::VaultToken;
