//! Reading what may hold a secret: into one buffer, to a known end.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use zeroize::Zeroizing;

/// Reads to the end, at most `longest` bytes. The buffer never grows, because growing would leave copies behind, and is
/// wiped.
///
/// # Errors
/// What the source says; [`io::ErrorKind::InvalidData`] if there is more.
pub fn read_wiped(mut source: impl Read, longest: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(vec![0; longest + 1]);
    let mut length = 0;
    while length < buffer.len() {
        match source.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if length > longest {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("longer than {longest} bytes")));
    }
    buffer.truncate(length);
    Ok(buffer)
}

/// Reads a file as [`read_wiped`] does.
///
/// # Errors
/// As [`read_wiped`].
pub fn read_file_wiped(path: &Path, longest: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    read_wiped(File::open(path)?, longest)
}
