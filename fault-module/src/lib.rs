#![doc = include_str!("../README.md")]

mod dukpt_mechanisms;
mod forward;
mod script;

use std::{env, path::PathBuf};

pub use forward::C_GetFunctionList;

/// The environment variable that names the module behind.
pub const BEHIND: &str = "FAULT_MODULE_BEHIND";
/// The environment variable that names the script.
pub const SCRIPT: &str = "FAULT_MODULE_SCRIPT";

/// The module, which cargo builds beside the program of each test that depends on this crate.
#[must_use]
pub fn path() -> Option<PathBuf> {
    let name = format!("{}fault_module{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX);
    let program = env::current_exe().ok()?;
    program.ancestors().skip(1).take(2).map(|dir| dir.join(&name)).find(|path| path.is_file())
}
