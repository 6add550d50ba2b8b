//! Where the PIN comes from. It is read when the token is found, kept until the login, and wiped.

use std::{
    env,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::OpenError;

/// Longest PIN in a file, in bytes; tokens take at most 255.
const LONGEST: usize = 1024;

/// Where to read the PIN. It names a place and never holds the PIN, so it may be printed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PinSource {
    /// A file; a newline at its end is not part of the PIN.
    File(PathBuf),
    /// An environment variable. A file is better: programs that this one starts inherit the variable.
    Env(String),
    /// The terminal, without echo.
    Prompt,
}

impl PinSource {
    /// Reads the PIN; `token` is named in the prompt.
    pub(crate) fn read(&self, token: &str) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let mut pin = match self {
            Self::File(path) => from_file(path).map_err(|source| OpenError::PinFile { path: path.clone(), source })?,
            Self::Env(name) => {
                let value = env::var_os(name).ok_or_else(|| OpenError::PinVariable(name.clone()))?;
                Zeroizing::new(value.into_encoded_bytes())
            }
            Self::Prompt => {
                let answer = rpassword::prompt_password(format!("PIN of token {token}: "));
                Zeroizing::new(answer.map_err(OpenError::PinPrompt)?.into_bytes())
            }
        };
        while let [.., b'\n' | b'\r'] = pin[..] {
            pin.pop();
        }
        if pin.is_empty() {
            return Err(OpenError::PinEmpty);
        }
        Ok(pin)
    }
}

fn from_file(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut file = File::open(path)?;
    // One buffer that never grows: growing would leave copies behind.
    let mut buffer = Zeroizing::new(vec![0; LONGEST + 1]);
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if length > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "longer than any PIN"));
    }
    buffer.truncate(length);
    Ok(buffer)
}
