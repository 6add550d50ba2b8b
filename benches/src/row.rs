//! Rows: one piece of work, ours beside a yardstick, measured in turns.

use std::{env, fs::File, io::Write, path::Path, time::Duration};

use criterion::{BenchmarkId, Criterion, Throughput};
use serde_json::{Value, json};

/// What a row says of itself; its figures come from the measurement.
#[derive(Clone, Debug)]
pub struct Row {
    /// Work, level if one is forced, yardstick: below 64 characters, as criterion names a folder by it.
    pub name: String,
    /// The yardstick's time by ours that is to be reached, if any is.
    pub target: Option<f64>,
    /// What the time goes to.
    pub limit: &'static str,
}

/// Measures the rows that were asked for, and lists them for `tools/bench`.
///
/// Each row is a criterion group. Its two sides take turns in short rounds, so that the machine's other work falls on
/// both; `tools/bench` takes the ratio of each round, and the median of these.
#[expect(missing_debug_implementations, reason = "criterion has none")]
pub struct Rows {
    criterion: Criterion,
    pattern: String,
    rounds: u32,
    list: Option<File>,
}

#[expect(clippy::expect_used, reason = "a bench that cannot write its list must stop")]
impl Rows {
    /// From the arguments `[--quick] [PATTERN]`; without a pattern, all rows. The list goes to `rows` in `CRITERION_HOME`.
    ///
    /// # Panics
    /// If the list cannot be written.
    #[must_use]
    pub fn from_args() -> Self {
        let (flags, patterns): (Vec<String>, Vec<String>) = env::args().skip(1).partition(|arg| arg.starts_with("--"));
        let quick = flags.iter().any(|flag| flag == "--quick");
        let (rounds, measured, warmed_up) = if quick { (5, 10, 2) } else { (21, 30, 5) };
        let criterion = Criterion::default()
            .without_plots()
            .sample_size(10)
            .nresamples(1001)
            .warm_up_time(Duration::from_millis(warmed_up))
            .measurement_time(Duration::from_millis(measured));
        let list = env::var_os("CRITERION_HOME").map(|home| {
            File::options().append(true).create(true).open(Path::new(&home).join("rows")).expect("the list of rows")
        });
        Self { criterion, pattern: patterns.into_iter().next().unwrap_or_default(), rounds, list }
    }

    /// Whether a row of this name was asked for.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        name.contains(&self.pattern)
    }

    /// A fact about the whole run, for the first line.
    pub fn heading(&mut self, text: &str) {
        self.write(&json!({ "heading": text }));
    }

    /// A row that this machine cannot run.
    pub fn absent(&mut self, row: &Row) {
        if self.wants(&row.name) {
            self.write(&json!({ "name": row.name, "target": row.target, "limit": row.limit, "absent": true }));
        }
    }

    /// Measures a row: of each side, how many items a call does, and the call.
    ///
    /// # Panics
    /// If the name is too long to tell its folder from others.
    pub fn measure<A, B>(
        &mut self,
        row: &Row,
        (our_items, mut ours): (usize, impl FnMut() -> A),
        (their_items, mut theirs): (usize, impl FnMut() -> B),
    ) {
        if !self.wants(&row.name) {
            return;
        }
        assert!(row.name.len() < 64, "{} is too long a name", row.name);
        self.write(&json!({ "name": row.name, "target": row.target, "limit": row.limit }));
        let mut group = self.criterion.benchmark_group(&row.name);
        for round in 0..self.rounds {
            group.throughput(Throughput::Elements(our_items as u64));
            group.bench_function(BenchmarkId::new("ours", round), |b| b.iter(&mut ours));
            group.throughput(Throughput::Elements(their_items as u64));
            group.bench_function(BenchmarkId::new("yardstick", round), |b| b.iter(&mut theirs));
        }
        group.finish();
    }

    fn write(&mut self, line: &Value) {
        if let Some(list) = &mut self.list {
            writeln!(list, "{line}").expect("the list of rows");
        }
    }
}
