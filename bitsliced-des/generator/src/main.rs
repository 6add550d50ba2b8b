//! Searches circuits for the S-boxes of DES and writes them as Rust source.
//!
//! `search DIR SECONDS SEED [MODE [SBOX]]` improves the circuits in DIR for that long; `count DIR` prints the gates and checks
//! every circuit over all inputs; `emit DIR` writes the source to standard output.
#![forbid(unsafe_code)]
#![expect(clippy::cast_possible_truncation, reason = "signals are below 256, indices below 64")]

mod circuit;
mod drift;
mod emit;
mod fit;
mod kwan;
mod rng;
mod sbox;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use circuit::{Circuit, Mode};

fn file(dir: &Path, mode: Mode, n: usize) -> PathBuf {
    dir.join(format!("{}-s{}.txt", mode.name(), n + 1))
}

fn load(dir: &Path, mode: Mode, n: usize) -> Option<Circuit> {
    let c = Circuit::from_text(&std::fs::read_to_string(file(dir, mode, n)).ok()?)?;
    c.is_sbox(n).then_some(c)
}

/// The comment lines of a circuit's file: how it was found.
fn header(dir: &Path, mode: Mode, n: usize) -> String {
    let text = std::fs::read_to_string(file(dir, mode, n)).unwrap_or_default();
    text.lines().filter(|l| l.starts_with('#')).map(|l| format!("{l}\n")).collect()
}

fn search(dir: &Path, seconds: u64, seed: u64, mode: Option<Mode>, sbox: Option<usize>) -> std::io::Result<()> {
    let rounds: u64 = std::env::var("ROUNDS").ok().and_then(|r| r.parse().ok()).unwrap_or(500);
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut run = seed;
    while Instant::now() < until {
        for (m, _) in Mode::ALL.into_iter().filter(|(m, _)| mode.is_none_or(|x| x == *m)) {
            for n in (0..8).filter(|n| sbox.is_none_or(|x| x == *n)) {
                let begun = Instant::now();
                let mut rng = rng::Rng::new(run ^ (n as u64) << 48 ^ (m as u64) << 56);
                // Every second run goes on from the best circuit so far, the others begin anew.
                let old = if run % 2 == 1 { load(dir, m, n) } else { None };
                let history = old.as_ref().map_or(String::new(), |_| header(dir, m, n));
                let selects = if m == Mode::Gates && run.is_multiple_of(4) { load(dir, Mode::Mux, n) } else { None };
                let old = old.or_else(|| selects.map(|c| kwan::without_selects(&c)));
                let fresh =
                    |rng: &mut rng::Rng| (0..20).filter_map(|_| kwan::start(n, m, rng)).min_by_key(|c| c.gates.len());
                let Some(first) = old.or_else(|| fresh(&mut rng)) else { continue };
                let from = first.gates.len();
                let (best, when) = drift::shrink(first, n, m, rounds, &mut rng);
                assert!(best.is_sbox(n), "a move changed the function");
                let known = load(dir, m, n).map_or(usize::MAX, |c| c.gates.len());
                println!(
                    "{} s{} seed {run}: {from} -> {} at {when}, {:.1?} (best {})",
                    m.name(),
                    n + 1,
                    best.gates.len(),
                    begun.elapsed(),
                    known.min(best.gates.len())
                );
                if best.gates.len() <= known {
                    let head = format!(
                        "# {} gates; seed {run}, {rounds} rounds, found in round {when}, {:.0?}\n{history}",
                        best.gates.len(),
                        begun.elapsed()
                    );
                    std::fs::write(file(dir, m, n), head + &best.to_text())?;
                }
                if Instant::now() > until {
                    return Ok(());
                }
            }
        }
        run += 1;
    }
    Ok(())
}

fn count(dir: &Path) {
    for (m, name) in Mode::ALL {
        let counts: Vec<Option<usize>> = (0..8).map(|n| load(dir, m, n).map(|c| c.gates.len())).collect();
        let sum: usize = counts.iter().flatten().sum();
        let each: Vec<String> = counts.iter().map(|c| c.map_or("-".into(), |c| c.to_string())).collect();
        println!("{name:6} {}  total {sum}  average {:.3}", each.join(" "), sum as f64 / 8.0);
    }
}

fn main() -> std::io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let arg = |i: usize| args.get(i).map(String::as_str);
    let dir = PathBuf::from(arg(1).unwrap_or("circuits"));
    let number = |i: usize| arg(i).and_then(|a| a.parse::<u64>().ok());
    match arg(0) {
        Some("search") => {
            let sbox = number(5).map(|n| n as usize - 1);
            search(&dir, number(2).unwrap_or(60), number(3).unwrap_or(1), arg(4).and_then(Mode::parse), sbox)
        }
        Some("truth") => {
            println!("{}", emit::truth());
            Ok(())
        }
        Some("emit") => {
            let source = emit::source(|m, n| load(&dir, m, n));
            println!("{source}");
            Ok(())
        }
        _ => {
            count(&dir);
            Ok(())
        }
    }
}
