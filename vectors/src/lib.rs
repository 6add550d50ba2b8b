#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod conformance;
mod dukpt_cases;
mod example;
mod file;
mod key_block_cases;
mod payload_cases;
mod proof;
mod report;
mod terminal_cases;
mod token_cases;
mod working_cases;
mod working_types;

pub use conformance::{CaseResult, Outcome, run};
pub use example::Example;
pub use file::{LoadError, VectorFile};
pub use report::{Report, ReportedCase, Summary};

pub mod schema {
    //! The types behind `schema.json`, one struct a test type.
    pub use crate::file::{
        AesDataKey, AesInitialKey, AesProbe, Case, DataSize, DataUsage, DeviceEntry, Encoding, ExpectedCard,
        ExpectedFrame, Hex, HmacCase, KeyEntry, KsnCase, KsnScheme, PayloadCase, Stage, TdesCipher, TdesDataKey,
        TdesInitialKey, TdesProbe, TdesVariant, Test, TokenCase, TrackCase, Verdict,
    };
    pub use crate::token_cases::{Ff1Case, Ff1TokenCase, VaultTokenCase};
    pub use crate::working_types::{
        AesPinBlock, AesUpdateKey, AesWorkingKey, CheckName, CheckValueCase, Direction, KeyBlockCase, KeyTypeName,
        MacCase, MacName, TdesChinese, TdesMac, TdesPin, TerminalCase, TerminalTransaction, UsageName,
    };
}
