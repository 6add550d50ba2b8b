//! How long files of so many rows take, and how much memory: `linear ROWS…`. Each size has a process of its own.
#![expect(clippy::unwrap_used, clippy::cast_precision_loss, reason = "a measurement")]

use std::{
    env,
    fs::{self, File},
    io::{BufWriter, Write},
    process::Command,
    time::Instant,
};

use dukpt::{KeyId, KeyImport, KeyMaterial, Lifetime, MemoryStore};
use p2pe_crypto::{MerchantId, Pan, Tokenizer};
use p2pe_migrate::{Format, KeyedTokens, Options, run};

const ONE: &str = "P2PE_LINEAR_ROWS";

fn main() {
    if let Ok(rows) = env::var(ONE) {
        return one(rows.parse().unwrap());
    }
    println!("{:>10} {:>9} {:>9} {:>10} {:>10}", "rows", "MB", "seconds", "µs a row", "peak MB");
    for rows in env::args().skip(1) {
        assert!(Command::new(env::current_exe().unwrap()).env(ONE, rows).status().unwrap().success());
    }
}

fn one(rows: u64) {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.csv"), folder.path().join("out.csv"));
    write(&mut BufWriter::new(File::create(&input).unwrap()), rows);
    let mut store = MemoryStore::new();
    let key = KeyId::new("tokens").unwrap();
    store.import(&key, &KeyMaterial::new("hmac", &[1; 32]).unwrap(), Lifetime::Session).unwrap();
    let tokens = KeyedTokens::new(Tokenizer::new(store, key), MerchantId::new("shop").unwrap());
    let start = Instant::now();
    let report = run(&input, &output, &tokens, &Options::new(Format::Csv { delimiter: b',' }), &mut |_| ()).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!((report.rows_out, report.rejected()), (rows + 1, 0));
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    let size = fs::metadata(&input).unwrap().len() as f64 / 1e6;
    println!("{rows:>10} {size:>9.1} {seconds:>9.2} {:>10.2} {:>10.1}", seconds * 1e6 / rows as f64, peak as f64 / 1e3);
}

/// Rows as of an order system, every second one with a number that was there before.
fn write(file: &mut impl Write, rows: u64) {
    writeln!(file, "order,card,expiry,name,amount,note").unwrap();
    for row in 0..rows {
        let number = format!("499{:012}", if row % 2 == 0 { row } else { row / 3 });
        let number =
            (0..10).map(|check| format!("{number}{check}")).find(|number| Pan::new(number.as_bytes()).unwrap().luhn());
        let (number, month) = (number.unwrap(), 1 + row % 12);
        writeln!(file, "{row},{number},{month:02}/29,\"Yamada, Taro\",{},\"no \"\"note\"\"\"", row * 7 % 100_000)
            .unwrap();
    }
    file.flush().unwrap();
}
