//! Writes the first corpus of each target into a folder: `cargo run --no-default-features --example seeds FOLDER`.
#![forbid(unsafe_code)]

use std::{env, fs, io, path::Path};

fn main() -> io::Result<()> {
    let folder = env::args().nth(1).ok_or_else(|| io::Error::other("usage: seeds FOLDER"))?;
    for target in &p2pe_fuzz::TARGETS {
        let folder = Path::new(&folder).join(target.name);
        fs::create_dir_all(&folder)?;
        for (number, seed) in p2pe_fuzz::seeds(target).iter().enumerate() {
            fs::write(folder.join(format!("vector-{number:03}")), seed)?;
        }
        println!("{}", target.name);
    }
    Ok(())
}
