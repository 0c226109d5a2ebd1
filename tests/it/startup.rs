//! What a run costs that does nothing: counts, which do not depend on the machine's mood. Times are measured by
//! `benches/startup.rs`.

use crate::support::{bgjobs, lacks};
use std::fs;
use std::process::Command;

/// The system calls of a run, a line each: the process, the call, its arguments. Without a cgroup, for others may lie
/// beside it, which are looked at; in a directory of its own for the same reason.
fn trace(code: &str) -> Vec<String> {
    let base = crate::remains::base();
    let file = base.path().join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-s", "200", "-o"]).arg(&file).arg(bgjobs()).args(["script", "-e", code]);
    strace.env("TMPDIR", base.path()).env("BGJOBS_TEST_OFF", "cgroup");
    // Cargo names directories in which the loader looks in vain.
    strace.env_remove("LD_LIBRARY_PATH");
    let out = strace.output().expect("strace starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = fs::read_to_string(file).expect("a trace");
    let call = |line: &&str| line.contains('(') && !line.contains(" resumed>") && !line.contains("+++ ");
    text.lines().filter(call).map(str::to_owned).collect()
}

/// The threads that were started, by name.
fn threads(trace: &[String]) -> Vec<&str> {
    let named = trace.iter().filter_map(|line| line.split("PR_SET_NAME, \"").nth(1)?.split('"').next());
    let mut names: Vec<&str> = named.collect();
    names.sort_unstable();
    names
}

#[test]
fn a_script_that_starts_nothing_has_no_threads_that_keep_processes() {
    if lacks(&["strace"]) {
        return;
    }
    let idle = ["control", "ctrl-c", "report", "script"];
    assert_eq!(threads(&trace("1")), idle);
    let busy = trace("run(`true`); run(`true`)");
    let busy = threads(&busy);
    for name in idle.iter().chain(&["spawner", "reaper", "logs"]) {
        assert_eq!(busy.iter().filter(|thread| *thread == name).count(), 1, "{name}: {busy:?}");
    }
}

#[test]
fn an_empty_script_makes_few_system_calls() {
    /// 310 in a debug build, which asks of each descriptor that it closes whether it is open; 25 more when the host does not
    /// end within 50 ms, since the guard looks at its threads then; and some air. Whoever needs more has a reason to tell.
    const MOST: usize = 380;
    if lacks(&["strace"]) {
        return;
    }
    let trace = trace("");
    // The loader's are those of the machine; the first of ours asks whether 0 to 2 are open. And how often threads wait for
    // each other depends on who gets the processor.
    let ours = trace.iter().skip_while(|line| !line.contains(" poll([{fd=0,"));
    let counted: Vec<&String> = ours.filter(|line| !line.contains(" futex(")).collect();
    println!("{} system calls", counted.len());
    assert!(counted.len() > 100 && counted.len() <= MOST, "{} system calls:\n{trace:#?}", counted.len());
    // What was never made is not torn down.
    for needless in ["/children\"", "setpriority(", "/proc/self/autogroup"] {
        assert!(!counted.iter().any(|line| line.contains(needless)), "{needless}: {trace:#?}");
    }
}
