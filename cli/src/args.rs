//! The command line as it is typed. The texts here are the manual.

mod keys;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum, builder::TypedValueParser};

pub(crate) use keys::{Components, ImportBlock, Keys, Period};

use crate::{migrate::args::Migrate, simulate::args::Simulate};

const EXAMPLES: &str = "\
Examples:
  p2pe demo --store memory                         see it work, with no HSM
  p2pe keys import --id bdk-1 --kind tdes-base     a base key from components, typed in by each custodian
  p2pe decrypt --file frame.txt                    a keypad's or reader's frame: card data, masked
  p2pe decrypt --ksn 123456789012345600000001 HEX  track ciphertext with its KSN beside it
  p2pe tokenize --merchant shop-1 < frame.txt      the token a merchant keeps
  p2pe doctor --file frame.txt                     why it does not decrypt: cause, evidence, what to do
  p2pe conformance --report-junit report.xml       every test vector against your own HSM
  p2pe config seal --key tokens                    settings that p2pe --sealed … uses only as they are now

Settings: p2pe.toml in this folder, or --config, or $P2PE_CONFIG:
  [store]
  kind = \"pkcs11\"
  module = \"/usr/lib/softhsm/libsofthsm2.so\"
  token = \"p2pe\"
  pin = { file = \"/run/secrets/p2pe-pin\" }   # or { env = \"P2PE_PIN\" }, or \"prompt\"

  [[device]]
  ksn_prefix = \"FFFF987654\"                  # the longest matching prefix wins
  base_key = \"bdk-1\"
  profile = \"idtech-tdes\"                    # what the device was set up to do: p2pe profiles

  [tokens]
  key = \"tokens\"

  [audit]
  folder = \"/var/log/p2pe\"                   # every key use, hash-chained; p2pe audit verify

Exit codes:
  0 done                          5 ALARM: clear account data in a payload
  1 output, database or memory    6 decryption failed
  2 wrong use of this command     7 a key is missing, unsafe or cannot do it
  3 configuration                 8 the token cannot be opened
  4 payload, card, block, file refused  9 a conformance test or self-test failed
  10 the vault refuses

p2pe doctor: 0 if nothing is wrong; else that of the most probable cause: 3 settings, 4 the payload, 5 the alarm, 6 damaged
data or no cause found, 7 keys.

Card numbers are shown as BIN and last four; --reveal shows them whole.";

/// Decrypt payloads of payment devices with keys that stay in an HSM.
#[derive(Parser)]
#[command(name = "p2pe", version, about, after_long_help = EXAMPLES, after_help = "More, with examples: p2pe --help")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(clap::Args)]
pub(crate) struct Global {
    /// Settings file [default: $P2PE_CONFIG, else p2pe.toml in this folder, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where the keys are; overrides the settings file
    #[arg(long, global = true, value_name = "STORE")]
    pub(crate) store: Option<StoreKind>,
    /// PKCS#11 module, in place of the settings file's; the file's PIN is not used with it
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) module: Option<PathBuf>,
    /// Token by label or pkcs11: URI, in place of the settings file's; the file's PIN is not used with it
    #[arg(long, global = true, value_name = "LABEL|URI")]
    pub(crate) token: Option<String>,
    /// File with the token's PIN
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "pin_env")]
    pub(crate) pin_file: Option<PathBuf>,
    /// Environment variable with the token's PIN
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) pin_env: Option<String>,
    /// Use the settings only if they are sealed under this key, as p2pe config seal printed it [default: $P2PE_SEALED]
    #[arg(long, global = true, value_name = "NAME:FINGERPRINT")]
    pub(crate) sealed: Option<String>,
    /// Refuse to work if memory cannot be locked, and might go to swap
    #[arg(long, global = true)]
    pub(crate) locked_memory: bool,
    /// What goes on, on standard error: error, warn, info, debug or trace; as JSON lines with ",json" behind it
    /// [default: $P2PE_LOG, else nothing]
    #[arg(long, global = true, value_name = "LEVEL")]
    pub(crate) log: Option<String>,
    /// Print JSON, of failures too; these also say on standard error what to do next
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StoreKind {
    /// Keys in memory, from the settings file's key files: tests and development
    Memory,
    /// Keys in a PKCS#11 token
    Pkcs11,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Decrypt a device payload and show the card in it, masked
    Decrypt(Decrypt),
    /// Decrypt a device payload and print a merchant's token for the card
    Tokenize(Tokenize),
    /// Say why a payload does not decrypt, and what to do; shows no card data and accepts nothing
    Doctor(Doctor),
    /// Run test vectors against the key store and report
    Conformance(Conformance),
    /// Import, generate, list and delete keys in the token
    #[command(subcommand)]
    Keys(Keys),
    /// List the profiles that a device may have, those of the settings file among them
    Profiles(Profiles),
    /// Keep card numbers in a vault and hand out random tokens
    Vault(VaultArgs),
    /// Move a merchant's old card files to tokens
    #[command(subcommand)]
    Migrate(Migrate),
    /// Check or seal the audit log that the settings name
    #[command(subcommand)]
    Audit(Audit),
    /// Open the pool of the settings, find the keys that they name, and say how the token is
    Health,
    /// One executed known answer for each mechanism in use
    Selftest(Selftest),
    /// Seal the settings under a key of the store, so that a change of them is noticed
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Send what payment devices send, without the devices: keypads, swipe and chip readers, with test cards
    Simulate(Simulate),
    /// Show the whole way from device payload to token; makes its own throwaway SoftHSM token
    Demo,
}

#[derive(clap::Args)]
pub(crate) struct Selftest {
    /// Give this one test a flawed input and see it fail; `all` for one after the other
    #[arg(long = "break", value_name = "NAME")]
    pub(crate) break_test: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Write FILE.seal beside the settings file, and print what --sealed must demand
    Seal {
        /// HMAC key
        #[arg(long, value_name = "NAME")]
        key: String,
    },
}

impl Command {
    /// What it is called in logs.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Decrypt(_) => "decrypt",
            Self::Tokenize(_) => "tokenize",
            Self::Doctor(_) => "doctor",
            Self::Conformance(_) => "conformance",
            Self::Keys(_) => "keys",
            Self::Profiles(_) => "profiles",
            Self::Vault(_) => "vault",
            Self::Audit(_) => "audit",
            Self::Health => "health",
            Self::Migrate(_) => "migrate",
            Self::Selftest(_) => "selftest",
            Self::Config(_) => "config",
            Self::Simulate(_) => "simulate",
            Self::Demo => "demo",
        }
    }
}

#[derive(Subcommand)]
pub(crate) enum Audit {
    /// Find any record that was changed, removed, added or moved
    Verify {
        /// Folder of the log [default: that of the settings]
        #[arg(value_name = "FOLDER")]
        folder: Option<PathBuf>,
        /// HMAC key of the seals, to check them too
        #[arg(long, value_name = "NAME")]
        key: Option<String>,
    },
    /// Authenticate all records so far under a key of the store
    Seal {
        /// HMAC key
        #[arg(long, value_name = "NAME")]
        key: String,
    },
}

#[derive(clap::Args)]
pub(crate) struct PayloadArgs {
    /// The payload as text: an ID TECH frame in hex or keyboard form; with --ksn, one ciphertext in hex for each track; or a
    /// gateway's JSON with ksn and ciphertext in it. `-` or nothing reads standard input
    #[arg(value_name = "PAYLOAD")]
    pub(crate) payload: Vec<String>,
    /// Read the payload from a file, text or binary
    #[arg(long, value_name = "FILE", conflicts_with = "payload")]
    pub(crate) file: Option<PathBuf>,
    /// KSN beside raw track ciphertext, 10 bytes (TDES DUKPT) or 12 bytes (AES DUKPT) in hex
    #[arg(long, value_name = "HEX")]
    pub(crate) ksn: Option<String>,
}

#[derive(clap::Args)]
pub(crate) struct Decrypt {
    #[command(flatten)]
    pub(crate) payload: PayloadArgs,
    /// Show card number, name, security code and tracks in clear
    #[arg(long)]
    pub(crate) reveal: bool,
}

#[derive(clap::Args)]
pub(crate) struct Doctor {
    /// The payload as the device sent it: binary, hex or keyboard text; with --ksn, one ciphertext in hex for each track; or a
    /// gateway's JSON with ksn and ciphertext in it. `-` or nothing reads standard input
    #[arg(value_name = "PAYLOAD")]
    pub(crate) payload: Vec<String>,
    /// Read the payload from a file, text or binary
    #[arg(long, value_name = "FILE", conflicts_with = "payload")]
    pub(crate) file: Option<PathBuf>,
    /// KSN beside raw ciphertext, in hex; give this again for the other KSNs that the device has
    #[arg(long, value_name = "HEX")]
    pub(crate) ksn: Vec<String>,
    /// A component of the base key in hex, from a file; give this once for each: tried alone and combined, stored nowhere
    #[arg(long, value_name = "FILE")]
    pub(crate) component_file: Vec<PathBuf>,
    /// What the components are of
    #[arg(long, value_parser = ["tdes-base", "aes-base"], default_value = "tdes-base")]
    pub(crate) kind: String,
}

#[derive(clap::Args)]
pub(crate) struct Profiles {
    /// These alone
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Print [[profile]] tables of a settings file: copy one there under another name and change it
    #[arg(long, conflicts_with = "json")]
    pub(crate) toml: bool,
}

#[derive(clap::Args)]
pub(crate) struct Tokenize {
    #[command(flatten)]
    pub(crate) payload: PayloadArgs,
    /// The merchant that the token is for
    #[arg(long, value_name = "ID")]
    pub(crate) merchant: String,
}

#[derive(clap::Args)]
pub(crate) struct Conformance {
    /// Your own vectors: a file or folder in the schema of vectors/schema.json [default: the built-in ones]
    #[arg(long, value_name = "PATH")]
    pub(crate) vectors: Vec<PathBuf>,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) report_json: Option<PathBuf>,
    /// Write the report as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub(crate) report_junit: Option<PathBuf>,
    /// Import test keys as permanent objects (default: session objects, gone when the run ends)
    #[arg(long)]
    pub(crate) token_objects: bool,
}

#[derive(clap::Args)]
pub(crate) struct VaultArgs {
    /// The vault's database: a file of SQLite, or postgres://USER@HOST/DATABASE?sslrootcert=FILE&passfile=FILE; again for each one of
    /// a set, in any order (P2PE_DATABASE, one a line)
    #[arg(long, value_name = "FILE|URL")]
    pub(crate) database: Vec<String>,
    #[command(subcommand)]
    pub(crate) command: VaultCommand,
}

#[derive(Subcommand)]
pub(crate) enum VaultCommand {
    /// Make a vault, with keys that are in the key store
    Init {
        /// An HMAC key: of the fingerprints by which a card number is found again
        #[arg(long, value_name = "ID")]
        fingerprint_key: String,
        /// A key of kind wrap: of the merchants' data keys
        #[arg(long, value_name = "ID")]
        wrapping_key: String,
        /// For a set of databases, another HMAC key: it says which card belongs to which, and stays
        #[arg(long, value_name = "ID")]
        routing_key: Option<String>,
    },
    /// Tokens for card numbers, which are read one a line from a file or standard input
    Tokenize(VaultTokenize),
    /// The card number of a token, masked; recorded with caller and purpose
    Detokenize(VaultDetokenize),
    /// Exchange keys while the vault serves; repeat the command if it was interrupted
    #[command(subcommand)]
    Rotate(Rotate),
    /// The tokens of a replaced policy version, each with its successor
    Successors {
        /// The merchant that the tokens are for
        #[arg(long, value_name = "ID")]
        merchant: String,
        /// The version that was replaced
        #[arg(long, value_name = "N")]
        policy_version: u32,
    },
    /// All tokens that a merchant has for a card number, which is read from a file or standard input
    Find {
        /// The merchant that the tokens are for
        #[arg(long, value_name = "ID")]
        merchant: String,
        /// Read the card number from a file
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Delete a token and its card number
    Delete {
        /// The merchant that the token is for
        #[arg(long, value_name = "ID")]
        merchant: String,
        /// The token
        #[arg(value_name = "TOKEN")]
        card_token: String,
    },
    /// Delete all of a merchant's tokens and its data keys
    Shred {
        /// The merchant
        #[arg(long, value_name = "ID")]
        merchant: String,
        /// Really delete
        #[arg(long)]
        yes: bool,
    },
    /// Tokens by merchant, key and policy version
    Stats,
    /// Decrypt every row, compare its fingerprints, and look for what belongs to nothing
    Verify,
}

#[derive(clap::Args)]
pub(crate) struct VaultTokenize {
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
    /// Read the card numbers from a file
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Name of the request: sent again within a day, it gets the same token
    #[arg(long, value_name = "NAME")]
    pub(crate) request: Option<String>,
}

/// How a merchant's tokens are made.
#[derive(clap::Args)]
pub(crate) struct PolicyArgs {
    /// The merchant that the tokens are for
    #[arg(long, value_name = "ID")]
    pub(crate) merchant: String,
    /// Version of the merchant's policy: another form of token needs another version
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) policy_version: u32,
    /// Tokens of as many digits as the card number
    #[arg(long)]
    pub(crate) card_shaped: bool,
    /// Keep the first digits of the card number; without, tokens begin with 99
    #[arg(long, value_name = "6|8", requires = "card_shaped", value_parser = clap::builder::PossibleValuesParser::new(["6", "8"]).map(|digits| if digits == "6" { 6u8 } else { 8 }))]
    pub(crate) keep_bin: Option<u8>,
    /// Keep the last four digits of the card number
    #[arg(long, requires = "card_shaped")]
    pub(crate) keep_last_four: bool,
    /// Tokens that work once
    #[arg(long)]
    pub(crate) single_use: bool,
    /// Tokens that end after so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) time_to_live: Option<u64>,
    /// Tokens for card number and expiry date, read as number, space and YYMM
    #[arg(long)]
    pub(crate) with_expiry: bool,
}

#[derive(clap::Args)]
pub(crate) struct VaultDetokenize {
    /// The merchant that the token is for
    #[arg(long, value_name = "ID")]
    pub(crate) merchant: String,
    /// Who asks, for the audit
    #[arg(long, value_name = "NAME")]
    pub(crate) caller: String,
    /// What for: payment, recurring, refund, dispute, fraud, migration
    #[arg(long, value_name = "PURPOSE")]
    pub(crate) purpose: String,
    /// Show the card number whole
    #[arg(long)]
    pub(crate) reveal: bool,
    /// The token
    #[arg(value_name = "TOKEN")]
    pub(crate) card_token: String,
}

#[derive(Subcommand)]
pub(crate) enum Rotate {
    /// A merchant's data key: every row is encrypted again, and the old key removed
    DataKey {
        /// The merchant
        #[arg(long, value_name = "ID")]
        merchant: String,
    },
    /// The key that wraps the data keys; the key store must have both until this is done
    WrappingKey {
        /// The new key, of kind wrap
        #[arg(long, value_name = "ID")]
        to: String,
    },
    /// The key of the fingerprints; the key store must have both until this is done
    FingerprintKey {
        /// The new key, of kind hmac
        #[arg(long, value_name = "ID")]
        to: String,
    },
    /// A policy version: each multi-use token gets a successor under --policy-version, and a date at which it ends
    Policy {
        /// The version that is replaced
        #[arg(long, value_name = "N")]
        from: u32,
        /// Unix time in seconds when the old tokens end
        #[arg(long, value_name = "SECONDS")]
        ends: u64,
        #[command(flatten)]
        policy: PolicyArgs,
    },
}
