//! How fast what is printed gets through, next to the least that a shell has for it.

use crate::measure::{Budget, Pairs, Table, bgjobs, directory, middle, ms, numbers, program, shell, time};
use std::fs;
use std::process::Command;
use std::time::Duration;

pub fn measure(table: &mut Table) {
    streaming(table);
    logging(table);
    prefixing(table);
}

/// Of the same number of processes: one that prints, one between, one that reads.
fn streaming(table: &mut Table) {
    let mib = table.pick(1024, 256);
    let dir = directory();
    let memory = dir.path().join("memory");
    let script = format!(
        "run(\"exec head -c {mib}M /dev/zero\"); \
         write_file({memory:?}, output(\"grep VmHWM /proc/$PPID/status\"));"
    );
    let ours = format!("{} script -q -e '{script}' | cat >/dev/null", program());
    let peer = format!("head -c {mib}M /dev/zero | cat | cat >/dev/null");
    let pairs = pairs(table, &ours, &peer);
    speed(table, &format!("`run` streams {mib} MiB into a pipe"), "`cat | cat`", mib, &pairs, 0.85);
    let text = fs::read_to_string(memory).unwrap_or_default();
    let kb: f64 = text.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).unwrap_or(f64::NAN);
    table.add(
        "the memory that this takes",
        "VmHWM of the host",
        "",
        (kb / 1024.0, " MB"),
        Budget::AtMost(110.0),
    );
}

fn logging(table: &mut Table) {
    let mib = table.pick(1024, 256);
    let dir = directory();
    let file = dir.path().join("file");
    let peer = format!("head -c {mib}M /dev/zero >{}", file.display());
    for (what, max_log) in [("", "100MB"), (", `max_log: \"4GB\"`", "4GB")] {
        let ours = format!(
            "let before = elapsed_ms(); spawn([\"head\", \"-c\", \"{mib}M\", \"/dev/zero\"], #{{max_log: {max_log:?}}}).wait(); \
             print(elapsed_ms() - before);"
        );
        let run = || {
            let mut command = bgjobs(&ours);
            command.env("TMPDIR", dir.path());
            let took = numbers(&mut command);
            Duration::from_secs_f64(took.first().copied().unwrap_or(0.0) / 1000.0)
        };
        let written = || {
            let took = time(&mut shell("sh", &peer));
            let _ = fs::remove_file(&file);
            took
        };
        let pairs = Pairs::of(table.pick(9, 3), run, written);
        speed(table, &format!("a job writes {mib} MiB to its log{what}"), "`> file`", mib, &pairs, 0.97);
    }
}

/// Lines of 80 bytes, with the name of who has printed them.
fn prefixing(table: &mut Table) {
    let mib = table.pick(256, 64);
    let dir = directory();
    let file = dir.path().join("lines");
    let line = format!("{}\n", "x".repeat(79));
    fs::write(&file, line.repeat((mib << 20) / line.len())).expect("written");
    let bgjobs = program();
    let file = file.display();
    let peer = format!("cat {file} | sed \"s/^/a | /\" | cat >/dev/null");
    let followed = format!("spawn(\"a\", [\"cat\", \"{file}\"], #{{echo: true, max_log: \"4GB\"}}).wait();");
    let beside = format!("parallel([\"{file}\"], |file| run([\"cat\", file]));");
    for (what, code) in [("a job with `echo: true`", followed), ("`run` in `parallel`", beside)] {
        let ours = format!("{bgjobs} script -q -e '{code}' 2>&1 | cat >/dev/null");
        let pairs = pairs(table, &ours, &peer);
        speed(
            table,
            &format!("{what}, {mib} MiB of lines of 80 bytes with their names"),
            "`sed 's/^/a | /'`",
            mib,
            &pairs,
            2.0,
        );
    }
}

fn pairs(table: &Table, ours: &str, peer: &str) -> Pairs {
    let run = |code: &str| time(&mut failing_early(code));
    Pairs::of(table.pick(9, 3), || run(ours), || run(peer))
}

/// A pipeline that fails when any of its parts does.
fn failing_early(code: &str) -> Command {
    shell("bash", &format!("set -o pipefail; {code}"))
}

/// How many times as fast ours is.
fn speed(table: &mut Table, what: &str, peer: &str, mib: usize, pairs: &Pairs, least: f64) {
    let faster = middle(
        pairs.ours.iter().zip(&pairs.peer).map(|(ours, peer)| ms(*peer) / ms(*ours).max(0.001)).collect(),
    );
    let rate = |times: &[Duration]| {
        let seconds = middle(times.iter().map(Duration::as_secs_f64).collect());
        format!("{:.0} MB/s", (mib << 20) as f64 / 1e6 / seconds.max(1e-6))
    };
    let peer = format!("{peer}: {}", rate(&pairs.peer));
    table.add(what, &rate(&pairs.ours), &peer, (faster, " x"), Budget::AtLeast(least));
}
