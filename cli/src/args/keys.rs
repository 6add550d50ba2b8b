//! `p2pe keys` as it is typed.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum Keys {
    /// Put a key together from two or more components and store it in the token
    #[command(after_help = "Components are read from files or typed in without echo, never from the command line.\n\
        The check value of each component and of the key is shown: cipher of a zero block (3 bytes) and CMAC (5 bytes,\n\
        X9.143); hmac: MAC of an empty message (3 bytes). Typed in, each is to be confirmed, and the screen is cleared\n\
        before the next custodian. A base key named SCHEME:BDK-ID:vN, as tdes-dukpt:FFFF987654:v2, is a version of\n\
        SCHEME:BDK-ID, which settings may name: of the active versions the highest is used.")]
    Import(Import),
    /// Unwrap keys from TR-31 / X9.143 key blocks (versions A to D), and store them in the token
    #[command(
        after_help = "Blocks are read from files or standard input, never from the command line. Usage and algorithm in the\n\
        header say what a key is for: B0 base key, K1 key block protection key, M7 HMAC key. All blocks are unwrapped and\n\
        all names looked up before the first key is stored. The protection key stays in the token, or with\n\
        --kbpk-in-memory is put together in wiped host memory; the keys in the blocks pass through wiped host memory."
    )]
    ImportBlock(ImportBlock),
    /// Make a key inside the token: an HMAC key (for tokens), or an AES key
    Generate {
        /// The key's name (CKA_LABEL)
        #[arg(long)]
        id: String,
        /// What the key is for
        #[arg(long, value_parser = ["aes-base", "aes-kbpk", "ff1", "hmac", "wrap"], default_value = "hmac")]
        kind: String,
        /// Size of an AES key
        #[arg(long, value_parser = ["128", "192", "256"], default_value = "256")]
        bits: String,
        #[command(flatten)]
        period: Period,
    },
    /// Begin to use a pending key; of a base key with versions, from now on in the place of the one before
    Activate {
        /// The key's name (CKA_LABEL)
        #[arg(long)]
        id: String,
    },
    /// Take a key out of use for good; it stays in the token
    Retire {
        /// The key's name (CKA_LABEL)
        #[arg(long)]
        id: String,
    },
    /// Check every key in the token, and fail if one is not kept safely
    Check {
        /// What a token for production must be: no software, and each key bound to the one mechanism of its kind
        #[arg(long)]
        production: bool,
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
    #[arg(long, value_parser = ["tdes-base", "aes-base", "tdes-kbpk", "aes-kbpk", "hmac", "ff1", "wrap"])]
    pub(crate) kind: String,
    #[command(flatten)]
    pub(crate) components: Components,
    /// The key's expected check value, 4 to 10 hex digits; with another one nothing is stored
    #[arg(long, value_name = "HEX")]
    pub(crate) check_value: Option<String>,
    #[command(flatten)]
    pub(crate) period: Period,
}

/// The components of a key.
#[derive(clap::Args)]
pub(crate) struct Components {
    /// A component in hex, from a file; give this once for each component
    #[arg(long, value_name = "FILE")]
    pub(crate) component_file: Vec<PathBuf>,
    /// How many components will be typed in, each by its custodian
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=9), conflicts_with = "component_file")]
    pub(crate) components: u8,
    /// A component's expected check value, 4 to 10 hex digits; give this once for each component. With another one nothing
    /// is stored
    #[arg(long, value_name = "HEX")]
    pub(crate) component_check_value: Vec<String>,
}

#[derive(clap::Args)]
pub(crate) struct ImportBlock {
    /// The name of the protection key (KBPK) in the token, of kind tdes-kbpk or aes-kbpk
    #[arg(long, value_name = "ID", required_unless_present = "kbpk_in_memory", conflicts_with = "kbpk_in_memory")]
    pub(crate) kbpk: Option<String>,
    /// Put a TDES protection key together from components, in wiped host memory: versions A and C need its bytes
    #[arg(long)]
    pub(crate) kbpk_in_memory: bool,
    #[command(flatten)]
    pub(crate) components: Components,
    /// The expected check value of the protection key that is put together
    #[arg(long, value_name = "HEX", requires = "kbpk_in_memory")]
    pub(crate) kbpk_check_value: Option<String>,
    /// The new key's name and the file of its block; `-` is standard input
    #[arg(value_name = "ID=FILE", required = true)]
    pub(crate) blocks: Vec<String>,
    /// The key's expected check value, 4 to 10 hex digits, for one block; with another one nothing is stored
    #[arg(long, value_name = "HEX")]
    pub(crate) check_value: Option<String>,
    #[command(flatten)]
    pub(crate) period: Period,
}

#[derive(clap::Args)]
pub(crate) struct Period {
    /// The first day on which the key may be used, in UTC
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) valid_from: Option<String>,
    /// The last one
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) valid_to: Option<String>,
    /// Not used until p2pe keys activate
    #[arg(long, conflicts_with = "valid_from")]
    pub(crate) pending: bool,
}
