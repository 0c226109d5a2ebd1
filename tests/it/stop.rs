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

// ---- The order of an end ------------------------------------------------------------------------------------

/// Jobs that leave a line in `order` when they are asked to stop; those that use another one only after a while.
const IN_ORDER: &str = r#"
    fn job(name, pause) {
        `trap 'sleep ${pause}; echo ${name} >>order; exit' TERM; echo up; while :; do sleep 0.01; done`
    }
    let up = #{log: "up"};
"#;

/// In which order the jobs have stopped.
fn order(script: &str) -> (Ran, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let ran =
        Script::code(&format!("{IN_ORDER}{script}")).cwd(dir.path()).option("--grace").option("60s").run();
    let order = std::fs::read_to_string(dir.path().join("order")).unwrap_or_default();
    (ran, order.replace('\n', " "))
}

#[test]
fn a_job_stops_before_what_it_relies_on() {
    let needs = r#"start([
        #{name: "worker", cmd: job("worker", 0.3), needs: ["db"], ready: up},
        #{name: "db", cmd: job("db", 0), ready: up},
    ]);"#;
    let started =
        r#"start("db", job("db", 0), #{ready: up}); start("worker", job("worker", 0.3), #{ready: up});"#;
    let waited = r#"let db = spawn("db", job("db", 0)); db.wait_log("up"); spawn("worker", job("worker", 0.3)).wait_log("up");"#;
    let restarted = r#"let db = start("db", job("db", 0), #{ready: up}); start("worker", job("worker", 0.3), #{ready: up});
        db.kill(); db.restart();"#;
    for (script, end) in [
        (needs, ""),
        (needs, INTERRUPT),
        (needs, "kill_all();"),
        (started, ""),
        (started, "exit(0)"),
        (waited, ""),
        (waited, "kill_all();"),
        (restarted, ""),
    ] {
        let (ran, order) = order(&format!("{script}\n{end}"));
        assert_eq!(order, "worker db ", "{script}\n{end}\n{}", ran.stderr);
    }
}

#[test]
fn what_a_command_has_left_running_outlives_what_was_started_after_it() {
    let script = r#"write_file("db.sh", job("db", 0)); run("setsid sh db.sh >/dev/null 2>&1 & sleep 0.1");
        spawn("worker", job("worker", 0.3)).wait_log("up");"#;
    let (ran, order) = order(script);
    assert_eq!(order, "worker db ", "{}", ran.stderr);
}

#[test]
fn jobs_that_do_not_rely_on_each_other_stop_at_the_same_time() {
    // Each waits until the other was asked, too.
    let script = r#"let job = |name, other| `trap 'touch ${name}; until test -e ${other}; do sleep 0.01; done; exit' TERM
            touch ${name}.up; while :; do sleep 0.01; done`;
        spawn("a", job.call("a", "b"));
        spawn("b", job.call("b", "a"));
        wait_file("a.up"); wait_file("b.up");"#;
    let (ran, _) = order(script);
    assert!(ran.stderr.contains("2 jobs stopped, 0 leaked"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("ignored"), "{}", ran.stderr);
}

/// A test runner: interrupted, it asks its server once more, says so, and ends. Its helper says what it gets.
const RUNNER: &str = r#"
import os, signal, subprocess, sys, time, urllib.request
helper = subprocess.Popen(["sh", "-c", "trap 'echo helper: INT' INT; echo helper is up; touch helping; read line"],
                          stdin=subprocess.PIPE)
while not os.path.exists("helping"): time.sleep(0.01)
def interrupted(number, frame):
    answer = urllib.request.urlopen(os.environ["URL"], timeout=10).read().decode()
    helper.communicate()
    print(f"summary: {signal.Signals(number).name}, the server says {answer}", flush=True)
    sys.exit(3)
for number in [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1]: signal.signal(number, interrupted)
open("up", "w").close()
while True: signal.pause()
"#;

/// What a runner prints that is ended before its time.
fn interrupted(command: &str, script: &str, signal: Option<&str>) -> Ran {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("runner.py"), RUNNER).expect("a file");
    let code = format!(
        r#"let guard = output("awk '/^PPid:/ {{print $2}}' /proc/$PPID/status");
        set_env("URL", mock(#{{"/": "hello"}}).url + "/");
        on_exit(|| print("on_exit"));
        let end = |how| spawn("end", `until test -e up; do sleep 0.01; done; ${{how}}`, #{{expect_exit: [0]}});
        {}
        {}"#,
        signal.map_or_else(String::new, |signal| format!("end.call(`kill -{signal} ${{guard}}`);")),
        script.replace("COMMAND", command),
    );
    Script::code(&code).cwd(dir.path()).option("--grace").option("60s").run()
}

#[test]
fn a_command_that_is_ended_says_its_last_words_while_the_jobs_live() {
    let (int, usr1) =
        ("summary: SIGINT, the server says hello\n", "summary: SIGUSR1, the server says hello\n");
    let term = "summary: SIGTERM, the server says hello\n";
    let table = [
        ("run(COMMAND)", Some("INT"), int),
        ("run(COMMAND)", Some("TERM"), term),
        (r#"run(COMMAND, #{stop_signal: "USR1"})"#, Some("TERM"), usr1),
        (r#"timeout("8s", || run(COMMAND))"#, None, int),
        (r#"run(COMMAND, #{timeout: "8s"})"#, None, int),
        (r#"timeout("8s"); run(COMMAND)"#, None, int),
        (r#"end.call("exit 5"); run(COMMAND)"#, None, int),
        (r#"parallel([|| run(COMMAND), || { wait_file("up"); throw "no" }])"#, None, int),
    ];
    // Some take the time that a busy machine needs to start the runner.
    std::thread::scope(|scope| {
        for (script, signal, last) in table {
            scope.spawn(move || {
                let ran = interrupted(r#"["python3", "runner.py"]"#, script, signal);
                let out = ran.stdout.replace("python3 | ", "");
                assert_eq!(out, format!("helper is up\n{last}on_exit\n"), "{script}\n{}", ran.stderr);
                let line = ran.stderr.lines().find(|line| line.contains("run: python3 runner.py ("));
                assert!(line.is_some_and(|line| line.contains(": exit 3, ")), "{script}\n{}", ran.stderr);
            });
        }
    });
}

#[test]
fn an_interrupt_goes_to_the_program_alone_and_to_the_group_of_a_shell() {
    for (command, helper) in [
        ("\"exec python3 runner.py\"", ""),
        ("\"python3 runner.py\"", ""),
        ("\"X=1 exec python3 runner.py\"", ""),
        ("\"python3 runner.py; :\"", "helper: INT\n"),
        (r#"["sh", "-c", "python3 runner.py; :"]"#, "helper: INT\n"),
    ] {
        let ran = interrupted(command, "run(COMMAND)", Some("INT"));
        assert_eq!(ran.signal, Some(2), "{command}\n{}", ran.stderr);
        let summary = "summary: SIGINT, the server says hello";
        for (text, wanted) in [(summary, true), ("helper: INT\n", !helper.is_empty())] {
            assert_eq!(ran.stdout.contains(text), wanted, "{command}: {}\n{}", ran.stdout, ran.stderr);
        }
    }
}

#[test]
fn a_command_that_does_not_hear_the_interrupt_is_asked_once_more_and_then_killed() {
    for (trap, status) in [("INT", "killed by SIGTERM"), ("INT TERM", "killed by SIGKILL")] {
        let code = format!(
            r#"try_run("trap '' {trap}; echo up; sleep 60; sleep 60", #{{timeout: "300ms", grace: "1s"}})"#
        );
        let ran = Script::code(&code).run().code(0);
        let line = format!("(timed out after 300 ms: {status}, ");
        assert!(ran.stderr.contains(&line), "{line}\n{}", ran.stderr);
    }
}

#[test]
fn a_stop_that_takes_its_time_says_for_whom() {
    let deaf = r#"start("api", "trap '' TERM; echo up; sleep 60; :", #{ready: #{log: "up"}, grace: "2s"})"#;
    let ran = Script::code(&format!("{deaf}.stop()")).run().code(0);
    let line = |ran: &Ran| {
        ran.stderr.lines().filter(|line| line.contains(" stopping ")).collect::<Vec<_>>().join("\n")
    };
    let said = line(&ran);
    assert!(
        said.contains("stopping api (ignores TERM, SIGKILL in 1.") && said.ends_with(" s)"),
        "{}",
        ran.stderr
    );
    let ran = Script::code(&format!("{deaf}; {INTERRUPT}")).run();
    let said = line(&ran);
    assert!(said.ends_with(" s; Ctrl-C again kills now)"), "{}", ran.stderr);
    let ran = Script::code(
        r#"start("api", "trap 'sleep 1; exit' TERM; echo up; while :; do sleep 0.01; done", #{ready: #{log: "up"}});"#,
    );
    let ran = ran.run().code(0);
    assert!(line(&ran).contains("stopping api (not gone yet after TERM, SIGKILL in "), "{}", ran.stderr);
}

#[test]
fn the_workers_of_a_mixed_job_get_one_stop_signal_however_the_run_ends() {
    let code = |end: &str| {
        format!(
            r#"write_file("worker.sh", "trap 'echo TERM >>got' TERM; touch up; until test -e finish; do sleep 0.01; done");
            write_file("master.sh", `
                trap 'sleep 0.2; kill $worker; until test -e got; do sleep 0.01; done; touch finish; wait $worker; exit' TERM
                sh worker.sh & worker=$!
                while :; do wait $worker; done`);
            start("pool", ["sh", "master.sh"], #{{ready: #{{file: "up"}}, kill_mode: "mixed", grace: "60s"}});
            {end}"#
        )
    };
    let killed_host = r#"run("kill -9 $PPID"); sleep("60s")"#;
    for end in ["", INTERRUPT, killed_host] {
        let dir = tempfile::tempdir().expect("a directory");
        let ran = Script::code(&code(end)).cwd(dir.path()).run();
        let got = std::fs::read_to_string(dir.path().join("got")).unwrap_or_default();
        assert_eq!(got, "TERM\n", "{end}: {}", ran.stderr);
        assert!(!ran.stderr.contains("ignored"), "{end}: {}", ran.stderr);
    }
}

/// The reaper stands still: what the kernel says is asked for.
#[test]
fn no_job_runs_of_which_the_kernel_says_that_it_has_ended() {
    let dir = tempfile::tempdir().expect("a directory");
    let hang = dir.path().join("hang");
    std::fs::write(&hang, "").expect("written");
    let code = r#"
        fn gone(pid) { read_file(`/proc/${pid}/stat`).matches(`\) Z `) }
        let job = spawn("true");
        while attempt(|| gone(job.pid)).value == false {}
        assert(!job.running && job.code == 0);
        let dead = spawn("dead", "exit 3");
        while attempt(|| gone(dead.pid)).value == false {}
        let e = attempt(|| run("true")).error;
        assert_eq([e.kind, e.job, e.code], ["job_died", "dead", 3]);
        remove("hang");
    "#;
    let ran = Script::code(code)
        .cwd(dir.path())
        .env("BGJOBS_TEST_HANG", &format!("reaper:{}", hang.display()))
        .run();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

/// A job that does this when it is asked to end, and then what follows in the script.
fn stopped_by(trap: &str, opts: &str, rest: &str) -> Ran {
    let job = format!("trap '{trap}' TERM; echo up; while :; do sleep 0.01; done");
    Script::code(&format!("let api = start(\"api\", \"{job}\", #{{ready: #{{log: \"up\"}}{opts}}}); {rest}"))
        .run()
}

#[test]
fn an_end_at_a_stop_that_is_not_a_usual_one_is_told() {
    let said = "0 leaked; api ended with 3 when stopped\n";
    for rest in ["", "api.stop();", "api.restart();"] {
        let _ = stopped_by("exit 3", "", rest).code(0).stderr_has(said).stderr_has("api stopped (exit 3, ");
    }
    let _ = stopped_by("exit 3", "", "exit(4)").code(4).stderr_has(said);
    let _ = stopped_by("kill -SEGV $$", "", "")
        .code(0)
        .stderr_has("0 leaked; api was killed by SIGSEGV when stopped\n");
    for (trap, opts) in [
        ("exit 0", ""),
        // By the signal, and what a shell makes of it.
        ("trap - TERM; kill $$", ""),
        ("exit 143", ""),
        ("exit 3", ", expect_exit: 3"),
        ("exit 3", ", expect_exit: true"),
        ("exit 3", ", expect_stop: 3"),
        // That it had to be killed is told in a line of its own.
        ("", ", grace: \"50ms\""),
    ] {
        let ran = stopped_by(trap, opts, "").code(0);
        assert!(ran.stderr.ends_with(" 0 leaked\n"), "{trap} {opts}: {}", ran.stderr);
    }
}

#[test]
fn a_graceful_shutdown_can_be_asserted() {
    let wrong = "error: job `api` ended with 3 when stopped, expected was 0 (`expect_stop`)\n";
    for (trap, opts) in [("exit 0", ", expect_stop: 0"), ("exit 3", ", expect_stop: [0, 3]")] {
        for rest in ["", "api.stop()"] {
            let ran = stopped_by(trap, opts, rest).code(0);
            assert!(ran.stderr.ends_with(" 0 leaked\n"), "{trap} {opts}: {}", ran.stderr);
        }
    }
    let expect = ", expect_stop: 0";
    let ran = stopped_by("echo bye; exit 3", expect, "").code(125);
    let ran = ran.stderr_has(wrong).stderr_has("\n  | bye\n");
    let _ = ran.stderr_has("0 leaked; api ended with 3 when stopped\n");
    for rest in ["api.stop()", "api.restart()"] {
        let ran = stopped_by("exit 3", expect, rest).code(125);
        let _ = ran.stderr_has(wrong).stderr_has("\n  --> -e:1:");
    }
    let caught =
        "let e = assert_throws(|| api.stop(), \"job_died\"); assert_eq([e.job, e.code], [\"api\", 3]);";
    let _ = stopped_by("exit 3", expect, caught).code(0);
    // Neither a signal nor having to be killed is an end with 0.
    let _ = stopped_by("trap - TERM; kill $$", expect, "")
        .code(125)
        .stderr_has("error: job `api` was killed by SIGTERM when stopped, expected was 0 (`expect_stop`)\n");
    let _ = stopped_by("", ", expect_stop: 0, grace: \"50ms\"", "")
        .code(125)
        .stderr_has("error: job `api` was killed by SIGKILL when stopped, expected was 0 (`expect_stop`)\n");
    // Who kills a job asks nothing of it.
    let _ = stopped_by("exit 3", expect, "api.kill()").code(0);
}

/// What is open is open for an hour.
#[test]
fn open_streams_of_a_mock_hold_up_no_end() {
    let ends = [
        ("", Some(0), None),
        ("exit(3)", Some(3), None),
        ("throw \"no\"", Some(1), None),
        ("timeout(\"10ms\"); sleep(\"60s\")", Some(124), None),
        (INTERRUPT, None, Some(2)),
    ];
    for (end, code, signal) in ends {
        let script = r#"let live = mock(#{
                "GET /events": #{stream: ["first", #{data: "late", after: "1h"}]},
                "GET /chat": #{ws: ["first\n", #{text: "late", after: "1h"}]},
            });
            let curl = |path, more| spawn("client", ["curl", "-sN"] + more + [live.url + path]);
            let headers = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: x"];
            let clients = [curl.call("/events", []), curl.call("/chat", headers.reduce(|all, one| all + ["-H", one], []))];
            clients.for_each(|client| wait_log(client, "first", "60s"));"#;
        let ran = Script::code(&format!("{script}\n{end}")).run();
        assert_eq!((ran.code, ran.signal), (code, signal), "{end}: {}", ran.stderr);
        assert!(ran.stderr.contains("3 jobs stopped, 0 leaked"), "{end}: {}", ran.stderr);
    }
}
