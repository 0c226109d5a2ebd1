//! What a job costs beside many others, as ratios in one run: it must not depend on how many have ended, how many live,
//! or how many are waited for at the same time.
//!
//! Run by `cargo bench --bench jobs`, with up to 10,000 jobs; `cargo bench --bench jobs -- 500` takes that many. Prints
//! times and judges nothing, since machines differ.

#![allow(clippy::disallowed_methods, reason = "no reaper runs in the benchmark's own process")]
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::process::{Command, Stdio};

fn main() {
    let most: u64 = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(10_000);
    let steps: Vec<u64> =
        [10, 100, 1000, 10_000].into_iter().filter(|step| *step < most).chain([most]).collect();
    println!("time each, and how many times that of the first");
    for (what, more) in [
        ("spawn and wait beside ended jobs", r#"while jobs().len() < n { spawn(["true"]).wait(); }"#),
        ("spawn and wait beside live jobs", r#"while jobs().len() < n { spawn(["sleep", "1000"]); }"#),
    ] {
        let batch = r#"for i in 0..100 { spawn(["true"]).wait(); }"#;
        show(what, &steps, &measured(&steps, more, batch, 100));
    }
    let more = r#"while jobs().len() < n { spawn(["sleep", "1000"]); }"#;
    let batch = r#"for i in 0..100 { run(["true"]); }"#;
    show("run beside live jobs", &steps, &measured(&steps, more, batch, 100));

    let at_once = [1, 20, 200];
    let batch = r#"parallel(0..200, |i| run(["true"]), #{at_once: n});"#;
    show("run in parallel, so many at once", &at_once, &measured(&at_once, "", batch, 200));

    let times: Vec<f64> = steps
        .iter()
        .map(|n| {
            let start = r#"for i in 0..n { spawn(["sleep", "1000"]); }"#;
            measured(&[*n], start, "kill_all();", *n)[0]
        })
        .collect();
    show("kill_all, each", &steps, &times);
}

/// For each of these numbers: the script goes on as `more` says, then the time of `batch` is taken, divided by `by`; in
/// milliseconds.
fn measured(numbers: &[u64], more: &str, batch: &str, by: u64) -> Vec<f64> {
    let code = format!(
        "let took = [];
         for n in {numbers:?} {{
            {more}
            let before = elapsed_ms();
            {batch}
            took.push(elapsed_ms() - before);
         }}
         for ms in took {{ print(ms); }}"
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_bgjobs"));
    command.args(["script", "-q", "-e", &code]).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().expect("bgjobs runs");
    assert!(output.status.success(), "{code} fails");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter_map(|line| line.parse::<f64>().ok()).map(|ms| ms / by as f64).collect()
}

fn show(what: &str, numbers: &[u64], times: &[f64]) {
    let figures = numbers
        .iter()
        .zip(times)
        .map(|(number, time)| format!("{number}: {time:.2} ms ({:.1})", time / times[0].max(0.01)));
    println!("{what}: {}", figures.collect::<Vec<_>>().join(", "));
}
