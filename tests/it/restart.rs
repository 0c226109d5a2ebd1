//! Jobs that are started again when they end by themselves: what is said of it, what the run ends with, and who is left.

use crate::support::{Ran, Script};
use std::process::Stdio;
use std::time::{Duration, Instant};

fn run(code: &str) -> (Ran, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    let ran = Script::code(code).cwd(dir.path()).run();
    (ran, dir)
}

/// How long a job of this test sleeps: nobody else's `sleep` has this word, also beside another run of the tests.
fn nap(number: u32) -> String {
    format!("{number}.{}", std::process::id())
}

/// The processes that have this word in their command line.
fn alive(word: &str) -> Vec<String> {
    let all = std::fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    let commands = all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let texts = commands.map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "));
    texts.filter(|text| text.contains(word)).collect()
}

#[test]
fn the_verdict_tells_who_was_started_again() {
    let code = r#"
        start("api", "echo x >>starts; [ $(wc -l <starts) -gt 2 ] || exit 3; echo up; exec sleep 60", #{
            restart: "on-failure", backoff: "10ms", ready: #{log: "up"},
        });
        start("once", "test -e there || { touch there; exit 1; }", #{expect_exit: 0, retries: 3, backoff: "10ms"});"#;
    let (ran, _dir) = run(code);
    let ran = ran
        .code(0)
        .stderr_has("api died (exit 3)")
        .stderr_has("api is started again in 10 ms (1 of 3, restart)")
        .stderr_has("api is started again in 10 ms (2 of 3, restart)")
        .stderr_has("once is started again in 10 ms (1 of 3, restart)");
    assert!(
        ran.stderr.ends_with(": 1 job stopped, 0 leaked; started again: api 2 times, once once\n"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_job_that_has_been_started_again_too_often_has_died() {
    for (function, ready) in [("spawn", ""), ("start", ", ready: #{log: \"never\"}")] {
        let code = format!(
            "{function}(\"api\", \"echo broken; exit 3\", #{{restart: \"on-failure\", max_restarts: 2, backoff: \"1ms\"{ready}}});
             sleep(\"60s\");"
        );
        let (ran, _dir) = run(&code);
        let _ = ran
            .code(125)
            .stderr_has("job `api` died (exit 3)")
            .stderr_has(
                "  | broken\n  | -- started again --\n  | broken\n  | -- started again --\n  | broken\n",
            )
            .stderr_has("it was started again 2 times before (`restart`)")
            .stderr_has("0 leaked; started again: api 2 times\n");
    }
    let task = "start(\"task\", \"exit 4\", #{expect_exit: 0, retries: 1, backoff: \"1ms\"})";
    let (ran, _dir) = run(task);
    let _ = ran
        .code(125)
        .stderr_has("job `task` died (exit 4)")
        .stderr_has("it was started again once before (`restart`)");
}

#[test]
fn without_it_and_for_other_ends_a_death_stays_a_death() {
    // Nothing was said; a server that has ended well; a line that means failure.
    for (cmd, more, wanted) in [
        ("echo up; sleep 0.1; exit 3", "", "job `api` died (exit 3)"),
        ("echo up; sleep 0.1", ", restart: \"on-failure\"", "job `api` ended (exit 0)"),
        (
            "echo up; sleep 0.1; echo PANIC; exit 1",
            ", restart: \"always\", fail_on: \"PANIC\"",
            "job `api` failed while waiting for `sleep`: PANIC",
        ),
    ] {
        let code = format!("start(\"api\", \"{cmd}\", #{{ready: #{{log: \"up\"}}{more}}}); sleep(\"60s\")");
        let (ran, _dir) = run(&code);
        let ran = ran.code(125).stderr_has(wanted);
        assert!(ran.stderr.ends_with(" 0 leaked\n"), "nobody was started again: {cmd}: {}", ran.stderr);
    }
}

#[test]
fn what_a_job_has_left_is_gone_before_it_is_started_again() {
    // Each start would count what the others have left: `sleep` is a child that outlives its parent.
    let word = format!("sleep {}", nap(86411));
    let code = r#"
        let job = spawn("api", "pgrep -f '^WORD$' >>left; WORD & echo $! >>pids; exit 1", #{
            restart: "on-failure", max_restarts: 3, backoff: "1ms",
        });
        attempt(|| sleep("60s"));"#
        .replace("WORD", &word);
    let (ran, dir) = run(&code);
    let _ = ran.stderr_has("0 leaked; started again: api 3 times");
    let pids = std::fs::read_to_string(dir.path().join("pids")).expect("it has started");
    assert_eq!(pids.lines().count(), 4);
    assert_eq!(std::fs::read_to_string(dir.path().join("left")).expect("it has looked"), "");
    assert_eq!(alive(&word), Vec::<String>::new());
}

/// Jobs that are started again all the time, and leave something each time.
const RESTLESS: &str = r#"
    for number in 0..6 {
        spawn(`restless-${number}`, "sleep WORD & exit 1", #{restart: "on-failure", max_restarts: 1000000, backoff: "1ms", grace: "1s"});
    }
    wait_until(|| jobs().all(|job| exists("go") || job.pid > 0));
"#;

#[test]
fn no_start_gets_past_the_end_of_the_run() {
    let script = |word: &str, end: &str| RESTLESS.replace("WORD", word) + end;
    for (word, end, code) in
        [(nap(86421), "sleep(\"300ms\")", 0), (nap(86422), "sleep(\"300ms\"); exit(3)", 3)]
    {
        let (ran, _dir) = run(&script(&word, end));
        // Between the two, it may be said of one that it ended just when it was stopped.
        let _ = ran.code(code).stderr_has(" 0 leaked; ").stderr_has("started again: restless-0 ");
        assert_eq!(alive(&format!("sleep {word}")), Vec::<String>::new());
    }
    // Signals, and the death of the guard.
    for (word, signal) in [(nap(86423), "TERM"), (nap(86424), "QUIT"), (nap(86425), "KILL")] {
        let dir = tempfile::tempdir().expect("a directory");
        let mut command =
            Script::code(&script(&word, "print(\"up\"); sleep(\"60s\")")).cwd(dir.path()).command();
        let mut guard = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut line = String::new();
        let out = guard.stdout.take().expect("piped");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line)
            .expect("it says that it is up");
        let pid = nix::unistd::Pid::from_raw(guard.id().cast_signed());
        nix::sys::signal::kill(pid, signal_of(signal)).expect("it runs");
        let _ = guard.wait().expect("it ends");
        // Of a guard that was killed, the host needs its grace period and a second.
        let until = Instant::now() + Duration::from_secs(if signal == "KILL" { 20 } else { 0 });
        while !alive(&format!("sleep {word}")).is_empty() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(alive(&format!("sleep {word}")), Vec::<String>::new(), "{signal}");
    }
}

fn signal_of(name: &str) -> nix::sys::signal::Signal {
    format!("SIG{name}").parse().expect("a signal")
}

#[test]
fn a_stop_and_a_start_never_cross() {
    // Stopped at any moment of its circle: running, at rest, being started. It stays down each time.
    let word = format!("sleep {}", nap(86431));
    let code = r#"
        for round in 0..30 {
            let job = spawn("job", "WORD & exit 1", #{restart: "on-failure", max_restarts: 1000000, backoff: "1ms"});
            sleep(`${round}ms`);
            job.stop();
            assert(!job.running, "it runs again");
            assert_eq(job.descendants, []);
            let before = job.pid;
            sleep("10ms");
            assert_eq(job.pid, before);
        }"#
        .replace("WORD", &word);
    let (ran, _dir) = run(&code);
    let _ = ran.code(0).stderr_has("0 leaked");
    assert_eq!(alive(&word), Vec::<String>::new());
}

#[test]
fn one_that_cannot_be_started_again_has_died() {
    let code = r##"
        write_file("server", "#!/bin/sh\nrm server\nexit 3\n");
        run("chmod +x server");
        spawn("api", ["./server"], #{restart: "always", backoff: "1ms"});
        sleep("60s")"##;
    let (ran, _dir) = run(code);
    let _ = ran
        .code(125)
        .stderr_has("warning: api could not be started again: `./server` not found")
        .stderr_has("job `api` died (exit 3)");
}
