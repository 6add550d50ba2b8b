//! The command line of `p2pe simulate`.

use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  p2pe simulate --list                                       the devices, and what can be set at each
  p2pe simulate sredkey --with security-code,zip             what a keypad types
  p2pe simulate idtech-swipe --encryption aes | p2pe decrypt
  p2pe simulate sredkey --count 10 --interval 2000 --to pty:keypad   typed at ./keypad, a frame every two seconds
  p2pe simulate neo --raw --to tcp:127.0.0.1:9000            bytes to a gateway

The gateway's profile is the device's family and encryption: --json names it. The card file has lines of a name and a
value: card, expiry (YYMM), name, service_code, security_code, street, zip. All but card and expiry may be left out.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Simulate {
    /// The device
    #[arg(value_name = "DEVICE", required_unless_present = "list")]
    pub(crate) device: Option<String>,
    /// List the devices, their settings and the encryptions
    #[arg(long)]
    pub(crate) list: bool,
    /// Settings of the device, with commas between
    #[arg(long, value_name = "SETTING", value_delimiter = ',')]
    pub(crate) with: Vec<String>,
    /// Key and cipher, as at the end of a profile's name: tdes, aes-pin, aes-dukpt-128 [default: the device's usual one]
    #[arg(long, value_name = "NAME")]
    pub(crate) encryption: Option<String>,
    /// A published test card number; any other comes from --card-file
    #[arg(long, value_name = "NUMBER")]
    pub(crate) card: Option<String>,
    /// Read the card from a file; `-` reads standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["card", "expiry"])]
    pub(crate) card_file: Option<PathBuf>,
    /// The test card's expiry date, YYMM [default: 3012]
    #[arg(long, value_name = "YYMM")]
    pub(crate) expiry: Option<String>,
    /// File with the base key in hex [default: the public test key of ANSI X9.24]
    #[arg(long, value_name = "FILE")]
    pub(crate) base_key_file: Option<PathBuf>,
    /// File with the device's initial key in hex, in place of a base key
    #[arg(long, value_name = "FILE", conflicts_with = "base_key_file")]
    pub(crate) initial_key_file: Option<PathBuf>,
    /// The device, by any KSN of it [default: FFFF9876543210E00000, AES DUKPT 123456789012345600000000]
    #[arg(long, value_name = "HEX")]
    pub(crate) ksn: Option<String>,
    /// The transaction counter of the first payload
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) counter: u32,
    /// How many payloads
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) count: u32,
    /// Milliseconds between payloads
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub(crate) interval: u64,
    /// What the device makes up follows from this number: the same one gives the same payloads
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// The very bytes that the device sends [default: bytes as hex digits, and a line for each payload]
    #[arg(long)]
    pub(crate) raw: bool,
    /// Where to: a file, tcp:HOST:PORT, pty (a pseudo-terminal, whose path is shown) or pty:LINK (a link to it)
    /// [default: standard output]
    #[arg(long, value_name = "PLACE")]
    pub(crate) to: Option<String>,
}
