//! The zip archive of a workbook: parts are read whole into wiped memory, and written as they were or anew.

use std::{
    fs::File,
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
    str,
};

use zeroize::Zeroizing;
use zip::{CompressionMethod, ZipArchive, ZipWriter, read::ZipFile, result::ZipError, write::SimpleFileOptions};

use crate::Error;

/// All parts together are no longer than this, unpacked.
const LONGEST: u64 = 2 << 30;

/// Parts that hold no text.
const PICTURES: [&str; 9] = [".png", ".jpg", ".jpeg", ".gif", ".bmp", ".emf", ".wmf", ".tif", ".tiff"];

/// Parts that are not XML and that cannot be looked through, by what is in their names.
const OPAQUE: [(&str, &str); 6] = [
    ("vbaproject", "macros"),
    ("_xmlsignatures/", "a signature, which any change breaks"),
    ("embeddings/", "embedded files"),
    ("activex/", "controls"),
    ("workbook.bin", "a binary workbook (xlsb)"),
    ("encryptedpackage", "encryption"),
];

pub(super) struct Package {
    path: PathBuf,
    archive: ZipArchive<File>,
}

impl Package {
    /// # Errors
    /// [`Error::Refused`] by name for what cannot be kept as it is.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let failed = |error| Error::File(path.into(), error);
        let mut file = File::open(path).map_err(failed)?;
        let mut begin = [0; 4];
        let read = file.read(&mut begin).map_err(failed)?;
        file.rewind().map_err(failed)?;
        if begin[..read] == [0xD0, 0xCF, 0x11, 0xE0] {
            return refused(
                "the workbook is encrypted or of the old format (xls): save it as .xlsx without a password",
            );
        }
        let archive = ZipArchive::new(file).map_err(|error| unreadable(path, error))?;
        let mut package = Self { path: path.into(), archive };
        let mut size = 0u64;
        for at in 0..package.archive.len() {
            let (name, encrypted, length) = {
                let entry = package.archive.by_index_raw(at).map_err(|error| unreadable(path, error))?;
                (name(&entry)?.to_ascii_lowercase(), entry.encrypted(), entry.size())
            };
            size = size.saturating_add(length);
            if encrypted {
                return refused("the workbook is encrypted: save it without a password");
            }
            if let Some((_, what)) = OPAQUE.iter().find(|(part, _)| name.contains(part)) {
                return refused(&format!(
                    "the workbook has {what}: card numbers in it cannot be found or it cannot be kept"
                ));
            }
            if !is_xml(&name) && !is_blind(&name) {
                return refused(&format!("the workbook has a part that cannot be looked through: {name}"));
            }
        }
        if size > LONGEST {
            return refused("the workbook is larger than 2 GiB: export it as CSV");
        }
        Ok(package)
    }

    pub(super) fn names(&mut self) -> Result<Vec<String>, Error> {
        let Self { path, archive } = self;
        let parts = archive.len();
        let name = |at| name(&archive.by_index_raw(at).map_err(|error| unreadable(path, error))?);
        (0..parts).map(name).collect()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.archive.index_for_name(name).is_some()
    }

    /// A part, which must be XML in UTF-8.
    pub(super) fn xml(&mut self, name: &str) -> Result<Zeroizing<String>, Error> {
        let Ok(entry) = self.archive.by_name(name) else {
            return refused(&format!("the workbook has no part {name}"));
        };
        let expected = usize::try_from(entry.size()).unwrap_or(usize::MAX);
        let mut bytes = Zeroizing::new(Vec::with_capacity(expected.saturating_add(1)));
        // Not longer than the archive says: it would grow, and leave copies.
        let read = entry.take(expected as u64).read_to_end(&mut bytes);
        read.map_err(|error| Error::File(self.path.clone(), error))?;
        let mark = usize::from(bytes.starts_with(crate::encoding::BYTE_ORDER_MARK)) * 3;
        match str::from_utf8(&bytes[mark..]) {
            Ok(text) => {
                let mut xml = Zeroizing::new(String::with_capacity(bytes.len()));
                xml.push_str(text);
                Ok(xml)
            }
            Err(_) => refused(&format!("part {name} is not UTF-8")),
        }
    }

    /// The same parts in the same order; those that `changed` gives are written anew, the others copied as they are packed.
    pub(super) fn write(
        &mut self,
        path: &Path,
        mut changed: impl FnMut(&mut Self, &str) -> Result<Option<Vec<u8>>, Error>,
    ) -> Result<u64, Error> {
        let failed = |error| Error::File(path.into(), error);
        let file = File::options().write(true).truncate(true).open(path).map_err(failed)?;
        let mut writer = ZipWriter::new(file);
        for at in 0..self.archive.len() {
            let (part, options) = {
                let entry = self.archive.by_index_raw(at).map_err(|error| unreadable(&self.path, error))?;
                let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
                let options = options.last_modified_time(entry.last_modified().unwrap_or_default());
                (name(&entry)?, options.large_file(entry.size() >= u64::from(u32::MAX)))
            };
            if let Some(bytes) = changed(self, &part)? {
                writer.start_file(&part, options).map_err(|error| unreadable(path, error))?;
                writer.write_all(&bytes).map_err(failed)?;
            } else {
                let entry = self.archive.by_index_raw(at).map_err(|error| unreadable(&self.path, error))?;
                writer.raw_copy_file(entry).map_err(|error| unreadable(path, error))?;
            }
        }
        let file = writer.finish().map_err(|error| unreadable(path, error))?;
        file.sync_all().map_err(failed)?;
        Ok(file.metadata().map_err(failed)?.len())
    }
}

fn name(entry: &ZipFile<'_, File>) -> Result<String, Error> {
    let name = entry.name().map_err(|_| Error::Refused("a part of the workbook has no name".into()))?;
    Ok(name.into_owned())
}

pub(super) fn is_xml(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [".xml", ".rels", ".vml"].iter().any(|end| name.ends_with(end))
}

/// Without text, as far as anybody sees.
fn is_blind(name: &str) -> bool {
    PICTURES.iter().any(|end| name.ends_with(end)) || name.contains("printersettings/") || name.ends_with('/')
}

pub(super) fn refused<T>(why: &str) -> Result<T, Error> {
    Err(Error::Refused(why.into()))
}

fn unreadable(path: &Path, error: ZipError) -> Error {
    match error {
        ZipError::Io(error) => Error::File(path.into(), error),
        error => Error::Refused(format!("not a workbook: {error}")),
    }
}
