//! A script that calls nothing is evaluated by the process that was called; whatever else comes up is met in a run.

use crate::startup::trace;
use crate::support::{Script, lacks};
use std::fs;
use std::io::Read;
use std::time::{Duration, Instant};

#[test]
fn a_script_that_calls_nothing_is_one_process_that_leaves_no_trace() {
    /// Counted in a debug build; with some air.
    const MOST: usize = 70;
    if lacks(&["strace"]) {
        return;
    }
    for code in ["", "let all = [1, 2]; for x in all { if x == 3 { throw `${x}`; } }"] {
        let trace = trace(code);
        let ours = trace.iter().skip_while(|line| !line.contains(" poll([{fd=0,")).count();
        println!("{ours} system calls");
        assert!(ours > 20 && ours <= MOST, "{ours} system calls:\n{trace:#?}");
        for needless in [" clone", " fork", " mkdir", " socketpair(", " pidfd_open(", "O_CREAT", " inotify"] {
            assert!(!trace.iter().any(|line| line.contains(needless)), "{needless}: {trace:#?}");
        }
    }
}

#[test]
fn what_a_script_meets_that_calls_nothing_is_met_in_a_run() {
    let silent = Script::code("").run().code(0).stdout("");
    assert_eq!(
        silent.stderr.replace(|c: char| c.is_ascii_digit(), "0"),
        "bgjobs: passed in 0.00s: 0 jobs stopped, 0 leaked\n"
    );
    Script::code("throw 1").run().code(1).stderr_has("error: 1\n  --> -e:1:1\n");
    Script::code("let x = 1 + ;").run().code(2).stderr_has("error: a value is missing before `;`\n");
    Script::code("let s = \"x\"; loop { s += s; }")
        .run()
        .code(1)
        .stderr_has("error: a string grew beyond 64 MiB\n");
}

#[test]
fn a_verdict_that_nobody_takes_yet_is_left_to_a_run() {
    let (reader, writer) = nix::unistd::pipe().expect("a pipe");
    let set = |flags| nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETFL(flags)).expect("set");
    set(nix::fcntl::OFlag::O_NONBLOCK);
    while nix::unistd::write(&writer, &[b'x'; 4096]).is_ok() {}
    set(nix::fcntl::OFlag::empty());
    let mut child = Script::code("").command().stderr(writer).spawn().expect("it starts");
    let until = Instant::now() + Duration::from_secs(60);
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    while fs::read_to_string(&children).unwrap_or_default().is_empty() {
        assert!(Instant::now() < until, "no host");
        std::thread::yield_now();
    }
    let mut text = String::new();
    fs::File::from(reader).read_to_string(&mut text).expect("read");
    assert!(text.trim_start_matches('x').starts_with("bgjobs: passed"), "{}", text.trim_start_matches('x'));
    assert!(child.wait().is_ok_and(|status| status.success()));
}
