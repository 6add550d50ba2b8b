//! Copies of the module's file: each that is loaded is a module of its own, with its own locks.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::Path,
};

use tempfile::TempDir;

use crate::{OpenError, Settings};

/// The settings of each shard: the module itself, then its copies, which are in a folder that only this user can enter
/// and that goes with the value returned.
pub(super) fn settings(token: &Settings, shards: usize) -> Result<(Vec<Settings>, Option<TempDir>), OpenError> {
    let mut all = vec![token.clone()];
    if shards < 2 {
        return Ok((all, None));
    }
    let failed = |source| OpenError::Copy { module: token.module.clone(), source };
    let module = token.module.canonicalize().map_err(|_| OpenError::ModuleNotFound(token.module.clone()))?;
    let private = Permissions::from_mode(0o700);
    let folder = tempfile::Builder::new().prefix("pkcs11-").permissions(private).tempdir().map_err(failed)?;
    for shard in 1..shards {
        let copy = copy(&module, &folder.path().join(shard.to_string())).map_err(failed)?;
        let mut settings = token.clone();
        settings.module = copy;
        // Where the module is, was said of the original.
        (settings.token.module_path, settings.token.module_name) = (None, None);
        all.push(settings);
    }
    Ok((all, Some(folder)))
}

fn copy(module: &Path, folder: &Path) -> io::Result<std::path::PathBuf> {
    fs::create_dir(folder)?;
    let copy = folder.join(module.file_name().unwrap_or_default());
    fs::copy(module, &copy)?;
    Ok(copy)
}
