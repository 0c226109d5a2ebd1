//! How jobs are stopped when the run ends.

use crate::support::{Ran, Script};

/// Interrupts the run from inside: the guard is the parent of the host, which is the parent of all that it runs.
const INTERRUPT: &str =
    r#"try_run("kill -INT $(awk '/^PPid:/ {print $2}' /proc/$PPID/status)"); sleep("60s")"#;

/// A job that ends when its stop command says so, and by nothing else.
fn with_stop_command(end: &str) -> String {
    format!(
        r#"let job = start("api", "trap '' TERM; echo up; until test -e down; do sleep 0.01; done; echo bye", #{{
            ready: #{{log: "up"}}, log: "api.log", grace: "60s", stop_cmd: "echo asked; touch down",
        }}); {end}"#
    )
}

#[test]
fn a_stop_command_is_run_at_the_end_of_the_run() {
    for (end, code, signal) in [("", Some(0), None), ("exit(3)", Some(3), None), (INTERRUPT, None, Some(2))] {
        let dir = tempfile::tempdir().expect("a directory");
        let ran = Script::code(&with_stop_command(end)).cwd(dir.path()).run();
        assert_eq!((ran.code, ran.signal), (code, signal), "{end}: {}", ran.stderr);
        let log = std::fs::read_to_string(dir.path().join("api.log")).expect("the log");
        assert_eq!(log, "up\nasked\nbye\n", "{end}: {}", ran.stderr);
        assert!(ran.stderr.contains("1 job stopped, 0 leaked"), "{end}: {}", ran.stderr);
    }
}

#[test]
fn an_interrupted_stop_goes_on_with_its_stop_command() {
    let dir = tempfile::tempdir().expect("a directory");
    // The command itself interrupts the run while the script waits for the stop.
    let code = r#"let guard = output("awk '/^PPid:/ {print $2}' /proc/$PPID/status");
        let job = start("api", "trap '' TERM; echo up; until test -e down; do sleep 0.01; done; echo bye", #{
            ready: #{log: "up"}, log: "api.log", grace: "60s", stop_cmd: `kill -INT ${guard}; sleep 0.2; touch down`,
        });
        job.stop(); sleep("60s")"#;
    let ran = Script::code(code).cwd(dir.path()).run();
    assert_eq!(ran.signal, Some(2), "{}", ran.stderr);
    let log = std::fs::read_to_string(dir.path().join("api.log")).expect("the log");
    assert_eq!(log, "up\nbye\n", "{}", ran.stderr);
}

/// The server is gone at once, but its stop command cleans up for a while.
fn cleaned_up(rest: &str) -> Ran {
    let dir = tempfile::tempdir().expect("a directory");
    let code = r#"let api = start("api", "trap 'exit 0' USR1; echo $$ >pid; echo up; while :; do sleep 0.01; done", #{
        ready: #{log: "up"}, grace: "60s", stop_cmd: "kill -USR1 $(cat pid); sleep 0.7; touch cleaned",
    });"#;
    let ran = Script::code(&format!("{code}\n{rest}")).cwd(dir.path()).run();
    assert!(dir.path().join("cleaned").exists(), "{rest}: {}", ran.stderr);
    ran
}

#[test]
fn a_stop_command_may_go_on_when_its_job_is_gone_and_another_is_killed() {
    cleaned_up(
        r#"start("deaf", "trap '' TERM; echo up; sleep 60; :", #{ready: #{log: "up"}, grace: "100ms"});"#,
    )
    .code(0);
}

#[test]
fn a_stop_command_may_go_on_when_its_job_is_gone_and_the_run_is_interrupted() {
    let ran = cleaned_up(
        r#"let guard = output("awk '/^PPid:/ {print $2}' /proc/$PPID/status");
        spawn("later", `while kill -0 $(cat pid) 2>/dev/null; do sleep 0.01; done; kill -INT ${guard}`, #{expect_exit: true});
        api.stop(); sleep("60s")"#,
    );
    assert_eq!(ran.signal, Some(2), "{}", ran.stderr);
}

#[test]
fn a_stop_command_that_does_not_end_does_not_hold_up_the_end_of_the_run() {
    let code = r#"start("api", "trap '' TERM; echo up; sleep 60; :", #{ready: #{log: "up"}, grace: "300ms",
        stop_cmd: "trap '' TERM; sleep 60; :"})"#;
    let ran = Script::code(code).run().code(0);
    let ran = ran.stderr_has("api ignored its stop_cmd, killed after 300 ms");
    assert!(ran.stderr.contains("1 job stopped, 0 leaked"), "{}", ran.stderr);
}

/// Processes whose command line contains this text.
fn carriers(token: &str) -> Vec<String> {
    let list = std::fs::read_dir("/proc").expect("/proc").flatten();
    let commands = list.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let texts = commands.map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "));
    texts.filter(|text| text.contains(token)).collect()
}

/// Jobs with a terminal of every kind that could outlive it, each with this text in its command line: a shell with job
/// control and a job in its background, one who ignores all that a terminal sends, a daemon that holds it open.
fn with_terminals(token: &str, end: &str) -> String {
    format!(
        r#"let shell = spawn("shell", ["bash", "--norc", "-i", "-c", "(sleep 60; : {token}) & sleep 60; : {token}"], #{{pty: true}});
        let deaf = spawn("deaf", "trap '' HUP INT QUIT TERM TSTP; echo up; sleep 60; sleep 60; : {token}", #{{pty: true}});
        let daemon = spawn("daemon", "(trap '' HUP; setsid sh -c 'trap \"\" HUP TERM; echo up; sleep 60; : {token}' &); sleep 60; : {token}", #{{pty: true}});
        deaf.wait_log("up"); daemon.wait_log("up"); wait_until(|| shell.descendants.len() >= 2);
        {end}"#
    )
}

#[test]
fn an_interrupted_run_leaves_nothing_that_has_a_terminal() {
    let token = format!("terminal-int-{}", std::process::id());
    let ran = Script::code(&with_terminals(&token, INTERRUPT)).option("--grace").option("300ms").run();
    assert_eq!(ran.signal, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("3 jobs stopped, 0 leaked"), "{}", ran.stderr);
    assert_eq!(carriers(&token), Vec::<String>::new());
}

#[test]
fn a_killed_host_leaves_nothing_that_has_a_terminal() {
    let token = format!("terminal-kill-{}", std::process::id());
    let end = r#"run("kill -9 $PPID"); sleep("60s")"#;
    let ran = Script::code(&with_terminals(&token, end)).option("--grace").option("300ms").run().code(125);
    assert!(ran.stderr.contains("host killed by SIGKILL"), "{}", ran.stderr);
    assert_eq!(carriers(&token), Vec::<String>::new());
}

#[test]
fn a_killed_guard_leaves_nothing_that_has_a_terminal() {
    let token = format!("terminal-guard-{}", std::process::id());
    let ran = Script::code(&with_terminals(&token, &INTERRUPT.replace("-INT", "-KILL")))
        .option("--grace")
        .option("300ms")
        .run();
    assert_eq!(ran.signal, Some(9), "{}", ran.stderr);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !carriers(&token).is_empty() && std::time::Instant::now() < until {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(carriers(&token), Vec::<String>::new());
}

/// To whoever looks it is gone every now and then.
#[test]
fn a_chain_of_processes_floods_nobody_with_its_ends() {
    let chain = "import os\nwhile True:\n    if os.fork(): os._exit(0)\n    os.setsid()";
    let code = format!("for i in 0..4 {{ spawn([\"python3\", \"-SEc\", `{chain}`]); }} sleep(\"1s\");");
    let ran = Script::code(&code).run().code(0).stderr_has("0 leaked");
    let lines = ran.stderr.lines().filter(|line| line.contains("went to the background")).count();
    assert!(lines <= 8, "{}", ran.stderr);
}
