//! Starting and stopping processes: one after the other, many at once, and beside many others, of which the cost of one must
//! not depend.

use crate::measure::{Budget, Pairs, Table, bgjobs, middle, numbers, shell, time};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::sys::wait::waitpid;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

pub fn measure(table: &mut Table) {
    let (many, rounds) = (table.pick(1000, 200), table.pick(9, 3));
    let loop_of = |call: &str| format!("for i in 0..{many} {{ {call}; }}");

    let ours = loop_of(r#"run("/bin/true")"#);
    let bash = format!("for ((i = 0; i < {many}; i++)); do /bin/true; done");
    let pairs = Pairs::of(rounds, || time(&mut bgjobs(&ours)), || time(&mut shell("bash", &bash)));
    table.compare(&format!("{many} x `run(\"/bin/true\")`"), "a loop in bash", &pairs, Budget::AtMost(1.0));
    let ours = loop_of(r#"run(["/bin/true"])"#);
    let pairs = Pairs::of(rounds, || time(&mut bgjobs(&ours)), || spawned(many));
    table.compare(&format!("{many} x `run([\"/bin/true\"])`"), "`posix_spawn`", &pairs, Budget::AtMost(1.25));

    let ours = loop_of(r#"spawn(["sleep", "1000"])"#);
    let bash = format!(
        "pids=(); for ((i = 0; i < {many}; i++)); do sleep 1000 & pids+=($!); done; kill \"${{pids[@]}}\"; wait"
    );
    let bash = || shell_time(&format!("{bash}; :"));
    let pairs = Pairs::of(rounds, || time(&mut bgjobs(&ours)), bash);
    table.compare(
        &format!("{many} x `spawn`, then the end"),
        "bash: `&`, `kill`, `wait`",
        &pairs,
        Budget::AtMost(1.15),
    );

    for (jobs, most) in [(1, 1.6), (10, 1.5), (100, 1.25)] {
        stopping(table, jobs, most);
    }
    beside_others(table);
    in_parallel(table);
}

fn shell_time(code: &str) -> Duration {
    time(&mut shell("bash", code))
}

/// As little as a program can do to run another one so often, with the environment that ours hands on as well: cargo has put
/// directories of libraries into it, in which each program looks for its own first.
fn spawned(times: usize) -> Duration {
    let start = Instant::now();
    let program = CString::new("/bin/true").expect("a path");
    let variable = |(name, value): (OsString, OsString)| [name.as_bytes(), b"=", value.as_bytes()].concat();
    let environment: Vec<CString> =
        std::env::vars_os().map(|it| CString::new(variable(it)).expect("no NUL")).collect();
    for _ in 0..times {
        let actions = PosixSpawnFileActions::init().expect("memory");
        let attributes = PosixSpawnAttr::init().expect("memory");
        let args = [program.as_c_str()];
        let pid =
            posix_spawn(program.as_c_str(), &actions, &attributes, &args, &environment).expect("it starts");
        waitpid(pid, None).expect("it ends");
    }
    start.elapsed()
}

/// Only the stop: of jobs that end at once.
fn stopping(table: &mut Table, jobs: usize, most: f64) {
    // Whole milliseconds are not enough for few of them: the same is done several times.
    let times = table.pick(200, 20) / jobs.clamp(1, 20);
    let ours = format!(
        "let all = 0; for round in 0..{times} {{ for i in 0..{jobs} {{ spawn([\"sleep\", \"1000\"]); }}
         let before = elapsed_ms(); kill_all(); all += elapsed_ms() - before; }} print(all);"
    );
    let bash = format!(
        "all=0; for ((r = 0; r < {times}; r++)); do pids=(); for ((i = 0; i < {jobs}; i++)); do sleep 1000 & pids+=($!); done
         before=${{EPOCHREALTIME/./}}; kill \"${{pids[@]}}\"; wait; all=$((all + ${{EPOCHREALTIME/./}} - before)); done 2>/dev/null
         echo $all"
    );
    let micros = |n: f64| Duration::from_secs_f64(n / 1e6 / times as f64);
    let ours = || micros(numbers(&mut bgjobs(&ours)).first().copied().unwrap_or(0.0) * 1000.0);
    let bash = || micros(numbers(&mut shell("bash", &bash)).first().copied().unwrap_or(0.0));
    let pairs = Pairs::of(table.pick(7, 3), ours, bash);
    let what = format!("stop {jobs} that end at once");
    table.compare(&what, "bash: `kill`, `wait`", &pairs, Budget::AtMost(most));
}

/// The cost of one job beside many, relative to that beside ten.
fn beside_others(table: &mut Table) {
    let steps: &[u64] = table.pick(&[10, 100, 1000, 10_000], &[10, 300]);
    let live = r#"while jobs().len() < n { spawn(["sleep", "1000"]); }"#;
    let ended = r#"while jobs().len() < n { spawn(["true"]).wait(); }"#;
    for (what, more, batch, by) in [
        (
            "spawn and exit beside as many that live",
            live,
            r#"for i in 0..100 { spawn(["true"]).wait(); }"#,
            100,
        ),
        (
            "spawn and exit beside as many that have ended",
            ended,
            r#"for i in 0..100 { spawn(["true"]).wait(); }"#,
            100,
        ),
        ("`run` beside as many that live", live, r#"for i in 0..100 { run(["true"]); }"#, 100),
        ("`jobs()`, for each of them", live, "for i in 0..20000 / n { jobs(); }", 20_000),
    ] {
        let times = figures(steps, more, batch, by);
        flat(table, what, steps, &times);
    }
    let stop = |n: u64| {
        let start = r#"for i in 0..n { spawn(["sleep", "1000"]); }"#;
        // Of few, one stop is too short for a clock of milliseconds.
        let rounds = (300 / n).max(1);
        let batch = format!(
            "let took = 0; for r in 0..{rounds} {{ {start} let at = elapsed_ms(); kill_all(); took += elapsed_ms() - at; }} print(took);"
        );
        let code = format!("let n = {n}; {batch}");
        numbers(&mut bgjobs(&code)).first().copied().unwrap_or(0.0) / (n * rounds) as f64
    };
    let times: Vec<f64> = steps.iter().map(|n| stop(*n)).collect();
    flat(table, "stop, for each of them", steps, &times);
}

fn flat(table: &mut Table, what: &str, steps: &[u64], times: &[f64]) {
    let shown: Vec<String> =
        steps.iter().zip(times).map(|(step, time)| format!("{step}: {:.1} µs", time * 1000.0)).collect();
    let worst = times.iter().copied().fold(0.0, f64::max) / times[0].max(1e-6);
    table.add(what, &shown.join(", "), "itself at 10", (worst, " x"), Budget::AtMost(1.5));
}

/// For each of these numbers: the script goes on as `more` says, then the time of `batch` is taken, divided by `by`; in
/// milliseconds.
fn figures(steps: &[u64], more: &str, batch: &str, by: u64) -> Vec<f64> {
    let code = format!(
        "let took = []; for n in {steps:?} {{ {more} let before = elapsed_ms(); {batch} took.push(elapsed_ms() - before); }}
         for ms in took {{ print(ms); }}"
    );
    let times = numbers(&mut bgjobs(&code));
    assert_eq!(times.len(), steps.len(), "{code}");
    times.into_iter().map(|time| time / by as f64).collect()
}

fn in_parallel(table: &mut Table) {
    let code = r#"for n in [20, 200] { let before = elapsed_ms(); parallel(0..200, |i| run("true"), #{at_once: n}); print(elapsed_ms() - before); }"#;
    let all: Vec<Vec<f64>> = (0..table.pick(5, 3)).map(|_| numbers(&mut bgjobs(code))).collect();
    let each = |at: usize| middle(all.iter().map(|times| times[at] / 200.0).collect());
    let ratio = middle(all.iter().map(|times| times[1] / times[0].max(1.0)).collect());
    let what = "`parallel` of 200 `run(\"true\")`, for each";
    let peer = format!("20 at once: {:.2} ms", each(0));
    table.add(what, &format!("{:.2} ms", each(1)), &peer, (ratio, " x"), Budget::AtMost(1.2));
}
