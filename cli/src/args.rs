//! The command line as it is typed. The texts here are the manual.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

const EXAMPLES: &str = "\
Examples:
  p2pe demo --store memory                         see it work, with no HSM
  p2pe keys import --id bdk-1 --kind tdes-base     a base key from components, typed in by each custodian
  p2pe decrypt --file frame.txt                    a keypad's or reader's frame: card data, masked
  p2pe decrypt --ksn 123456789012345600000001 HEX  track ciphertext with its KSN beside it
  p2pe tokenize --merchant shop-1 < frame.txt      the token a merchant keeps
  p2pe doctor --file frame.txt                     why it does not decrypt: cause, evidence, what to do
  p2pe conformance --report-junit report.xml       every test vector against your own HSM

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

Exit codes:
  0 done                          5 ALARM: clear account data in a payload
  1 output could not be written   6 decryption failed
  2 wrong use of this command     7 a key is missing, unsafe or cannot do it
  3 configuration                 8 the token cannot be opened
  4 the payload is refused        9 a conformance test or self-test failed

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
    Profiles,
    /// One executed known answer for each mechanism in use
    Selftest,
    /// Show the whole way from device payload to token; makes its own throwaway SoftHSM token
    Demo,
}

#[derive(clap::Args)]
pub(crate) struct PayloadArgs {
    /// The payload as text: an ID TECH frame in hex or keyboard form; with --ksn, one ciphertext in hex for each track.
    /// `-` or nothing reads standard input
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
    /// The payload as the device sent it: binary, hex or keyboard text; with --ksn, one ciphertext in hex for each track.
    /// `-` or nothing reads standard input
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

#[derive(Subcommand)]
pub(crate) enum Keys {
    /// Put a key together from two or more components and store it in the token
    #[command(after_help = "Components are read from files or typed in without echo, never from the command line.\n\
        The check value of each component and of the key is shown. tdes-base and aes-base: cipher of a zero block\n\
        (3 bytes), AES also CMAC (5 bytes, X9.143); hmac: MAC of an empty message (3 bytes).")]
    Import(Import),
    /// Make an HMAC key (for tokens) inside the token
    Generate {
        /// The key's name (CKA_LABEL)
        #[arg(long)]
        id: String,
    },
    /// List the keys in the token: kind, check value, whether bound to one mechanism, and what is unsafe about them
    List,
    /// Delete a key from the token
    Delete {
        /// The key's name (CKA_LABEL)
        #[arg(long)]
        id: String,
        /// Really delete
        #[arg(long)]
        yes: bool,
    },
}

#[derive(clap::Args)]
pub(crate) struct Import {
    /// The key's name (CKA_LABEL)
    #[arg(long)]
    pub(crate) id: String,
    /// What the key is for
    #[arg(long, value_parser = ["tdes-base", "aes-base", "hmac"])]
    pub(crate) kind: String,
    /// A component in hex, from a file; give this once for each component
    #[arg(long, value_name = "FILE")]
    pub(crate) component_file: Vec<PathBuf>,
    /// How many components will be typed in
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=9), conflicts_with = "component_file")]
    pub(crate) components: u8,
    /// The key's expected check value, 4 to 10 hex digits; with another one nothing is stored
    #[arg(long, value_name = "HEX")]
    pub(crate) check_value: Option<String>,
}
