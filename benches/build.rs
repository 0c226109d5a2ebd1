//! The time of a release build, and the size of what comes of it.

use crate::measure::{Budget, Table, directory};
use std::process::Command;
use std::time::Instant;

pub fn measure(table: &mut Table) {
    let dir = directory();
    let start = Instant::now();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--release", "--locked", "--jobs", "2", "--target-dir"]).arg(dir.path());
    assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().is_ok_and(|status| status.success()));
    let seconds = start.elapsed().as_secs_f64();
    table.add("release build, 2 jobs", "", "", (seconds, " s"), Budget::AtMost(150.0));
    weigh(table);
}

/// The profile of benchmarks is that of a release.
pub fn weigh(table: &mut Table) {
    let size = std::fs::metadata(env!("CARGO_BIN_EXE_bgjobs")).map_or(0, |meta| meta.len());
    table.add("the binary", "", "", (size as f64 / 1e6, " MB"), Budget::AtMost(14.0));
}
