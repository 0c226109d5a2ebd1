//! `bgjobs ctl`: tests that restart a server under themselves, with real processes; what is said where there is nobody to
//! ask; and that nobody who asks for nonsense, or is another user, gets anywhere.

use crate::support::{Ran, Script, bgjobs, lacks, repo, search_path, skip_in_ci_too};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long anything that must happen may take on a busy machine before the test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory of its own for a run and its TMPDIR: no other run is found from there.
fn place() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("bc").tempdir_in("/tmp").expect("a directory")
}

/// With `bgjobs` on the PATH.
fn path() -> String {
    format!("{}:{}", bgjobs().parent().expect("a directory").display(), search_path())
}

fn script(dir: &Path, code: &str) -> Script {
    let script = Script::code(code).cwd(dir).env("TMPDIR", &dir.display().to_string());
    script.env("PATH", &path()).env("BGJOBS_CTL", "")
}

fn read(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// `bgjobs ctl WORDS` from outside of a run.
fn ctl(dir: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(bgjobs());
    command.arg("ctl").args(words).current_dir(dir).env("TMPDIR", dir).env_remove("BGJOBS_CTL");
    command.env_remove("FORCE_COLOR").stdin(Stdio::null()).output().expect("bgjobs starts")
}

#[track_caller]
fn told(output: &Output, code: i32) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}\n{}", String::from_utf8_lossy(&output.stdout));
    said
}

/// A run that goes on until `over` is in its directory.
struct Live {
    dir: tempfile::TempDir,
    child: Option<Child>,
}

impl Live {
    fn start(options: &[&str], code: &str) -> Self {
        Self::start_in(place(), options, code)
    }

    fn start_in(dir: tempfile::TempDir, options: &[&str], code: &str) -> Self {
        let script = script(dir.path(), &staying(code));
        let script = options.iter().fold(script, |script, option| script.option(option));
        let mut command = script.command();
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let live = Self { child: Some(command.spawn().expect("bgjobs starts")), dir };
        live.until("up");
        live
    }

    /// Waits for a file in its directory.
    #[track_caller]
    fn until(&self, name: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.dir.path().join(name).exists() {
            assert!(Instant::now() < until, "there is no `{name}`");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn run_dir(&self) -> PathBuf {
        let mut all = fs::read_dir(self.dir.path()).expect("a directory").flatten().map(|entry| entry.path());
        all.find(|path| path.join("lock").exists()).expect("a run")
    }

    fn ctl(&self, words: &[&str]) -> Output {
        ctl(self.dir.path(), words)
    }

    fn end(&mut self) -> Ran {
        fs::write(self.dir.path().join("over"), "").expect("written");
        let child = self.child.take().expect("it has not ended yet");
        let Output { status, stdout, stderr } = child.wait_with_output().expect("it ends");
        Ran {
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
            code: status.code(),
            signal: None,
        }
    }
}

/// After a failure.
impl Drop for Live {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
            let _ = child.wait();
        }
    }
}

fn staying(code: &str) -> String {
    format!("{code}\nwrite_file(\"up\", \"\"); wait_file(\"over\", #{{timeout: \"10m\"}});")
}

/// A server that says when it is up, and nothing else.
const API: &str =
    r#"start("api", "echo up $$; exec sleep 300", #{port: "free", ready: #{log: "up"}, grace: "10s"});"#;

#[test]
fn a_test_restarts_redis_under_itself() {
    if lacks(&["redis-server", "redis-cli", "python3"]) {
        return;
    }
    let dir = place();
    let test = r#"
import json, os, subprocess

def ctl(*words):
    return subprocess.run(["bgjobs", "ctl", *words], check=True, text=True, stdout=subprocess.PIPE).stdout.strip()

def redis(*words):
    url = ctl("url", "redis")
    assert url == os.environ["REDIS_URL"], url
    return subprocess.run(["redis-cli", "-u", url, *words], check=True, text=True, stdout=subprocess.PIPE).stdout.strip()

pid = lambda: json.loads(ctl("jobs", "--json"))[0]["pid"]
before = pid()
assert redis("set", "greeting", "hello") == "OK"
assert ctl("restart", "redis").startswith("redis restarted (")
assert redis("get", "greeting") == ""
assert pid() != before
print("it forgets")
"#;
    fs::write(dir.path().join("test.py"), test).expect("written");
    let code = r#"
        import "std/redis" as redis;
        let cache = redis::start();
        run("python3 test.py", #{env: cache.env});"#;
    let ran = script(dir.path(), code).run().code(0).stdout("it forgets\n");
    let ran = ran.stderr_has("ctl: restart redis (asked for by python").stderr_has("redis stopped (");
    assert_eq!(ran.stderr.matches("redis ready: ").count(), 2, "{}", ran.stderr);
    let _ = ran.stderr_has(": 1 job stopped, 0 leaked\n");
}

#[test]
fn each_command_does_what_it_says() {
    let dir = place();
    let test = r#"
        set -e
        state() { bgjobs ctl jobs --json | tr -d '\n ' | sed 's/.*"state":"\([a-z]*\)".*/\1/'; echo; }
        bgjobs ctl wait api >wait
        bgjobs ctl port api >port
        bgjobs ctl url api >url
        bgjobs ctl logs api -n 1 >log
        bgjobs ctl env >env
        bgjobs ctl jobs >table
        state >states
        # A signal takes its time to arrive.
        bgjobs ctl pause api; until [ "$(state)" = paused ]; do :; done
        bgjobs ctl resume api; until [ "$(state)" = running ]; do :; done
        bgjobs ctl stop api; state >>states
        bgjobs ctl restart api; state >>states
        bgjobs ctl kill api; state >>states
        if bgjobs ctl wait api 2>dead; then exit 9; else echo $? >code; fi
        bgjobs ctl restart --json api >json
    "#;
    fs::write(dir.path().join("test.sh"), test).expect("written");
    let ran = script(dir.path(), &format!("{API} run(\"sh test.sh\");")).run().code(0);
    let read = |name: &str| read(dir.path(), name);
    let port = read("port").trim().to_owned();
    assert!(port.parse::<u16>().is_ok(), "{port}");
    assert!(read("wait").starts_with("api ready ("), "{}", read("wait"));
    assert_eq!(read("url"), format!("http://127.0.0.1:{port}\n"));
    assert!(read("log").starts_with("up ") && read("log").lines().count() == 1, "{}", read("log"));
    let env = format!("API_URL=http://127.0.0.1:{port}\nAPI_PORT={port}\nAPI_HOST=127.0.0.1\n");
    assert_eq!(read("env"), env);
    let table = read("table");
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["JOB", "PID", "STATE", "READY", "UP", "ADDRESS"]);
    assert_eq!((rows.len(), rows[1][0], rows[1][2], rows[1][3]), (2, "api", "running", "yes"), "{table}");
    assert_eq!(read("states"), "running\nended\nrunning\nended\n");
    assert!(
        read("dead").starts_with("error: job `api` does not run: it was stopped (killed by SIGKILL)\n")
            && read("dead").ends_with("\ntry: bgjobs ctl restart api\n"),
        "{}",
        read("dead")
    );
    // Nothing has died: somebody wanted it so.
    assert_eq!(read("code"), "1\n");
    let done: Value = serde_json::from_str(&read("json")).expect("JSON");
    assert_eq!((&done["job"], &done["done"]), (&"api".into(), &"restarted".into()), "{done}");
    for what in ["pause", "resume", "stop", "restart", "kill"] {
        assert!(ran.stderr.contains(&format!("ctl: {what} api (asked for by sh")), "{what}: {}", ran.stderr);
    }
    let _ = ran.stderr_has(": 1 job stopped, 0 leaked\n");
}

#[test]
fn the_end_of_a_wait_says_that_the_job_was_stopped_or_has_ended() {
    let dir = place();
    let test = r#"
        (while ! bgjobs ctl jobs | grep -q 'slow .* running'; do :; done; bgjobs ctl stop slow) &
        bgjobs ctl wait slow 2>stopped; echo $? >>codes
        bgjobs ctl wait gone 2>ended; echo $? >>codes
        bgjobs ctl pause gone; echo $? >>codes
        bgjobs ctl wait task; echo $? >>codes
        wait
    "#;
    fs::write(dir.path().join("test.sh"), test).expect("written");
    let code = r#"
        spawn("slow", "exec sleep 300", #{ready: #{log: "never"}});
        spawn("gone", "exit 7", #{ready: #{log: "never"}, expect_exit: 7}).wait();
        spawn("task", "exit 0", #{expect_exit: 0});
        run("sh test.sh");"#;
    let ran = script(dir.path(), code).run().code(0);
    let first = |name: &str| read(dir.path(), name).lines().next().unwrap_or_default().to_owned();
    assert_eq!(read(dir.path(), "codes"), "1\n1\n1\n0\n", "{}", ran.stderr);
    assert_eq!(first("stopped"), "error: job `slow` does not run: it was stopped (killed by SIGTERM)");
    assert_eq!(first("ended"), "error: job `gone` does not run: it has ended (exit 7)");
}

/// What it prints each time is not one line that comes twice.
#[test]
fn a_log_that_is_shown_says_where_the_job_was_started_again() {
    let dir = place();
    let code = r#"
        start("api", "echo up; exec sleep 300", #{ready: #{log: "up"}});
        run("bgjobs ctl restart api && bgjobs ctl logs api >logs && bgjobs ctl logs api -n 1 >>logs");
        assert_eq(job("api").output, "up\nup\n");
        job("api").expect_exit();
        fail("look");"#;
    let ran = script(dir.path(), code).run().code(1);
    assert_eq!(read(dir.path(), "logs"), "up\n-- started again --\nup\nup\n");
    let shown = "  | up\n  | -- started again --\n  | up\n";
    assert_eq!(ran.stderr.matches(shown).count(), 1, "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("  | up\n").count(), 2, "{}", ran.stderr);
}

/// A closure of the script says when the job is ready, with a variable and a module of the script.
#[test]
fn a_restart_waits_for_what_the_script_calls_ready() {
    let dir = place();
    let code = r#"
        import "helper" as helper;
        let word = "up";
        let api = start("api", "sleep 0.2; touch up-$$; exec sleep 300", #{ready: |job| helper::is_there(word, job)});
        let before = api.pid;
        run("bgjobs ctl restart api");
        assert_ne(api.pid, before);
        assert(exists(`up-${api.pid}`));
        run("bgjobs ctl wait api --timeout 1m");"#;
    let helper = "fn is_there(word, job) { exists(`${word}-${job.pid}`) }";
    fs::write(dir.path().join("helper.rhai"), helper).expect("written");
    fs::write(dir.path().join("test.rhai"), code).expect("written");
    let script = Script::file("test.rhai").cwd(dir.path()).env("PATH", &path());
    let ran = script.env("TMPDIR", &dir.path().display().to_string()).run().code(0);
    assert_eq!(ran.stderr.matches("api ready: ").count(), 2, "{}", ran.stderr);
}

#[test]
fn a_job_is_waited_for_that_the_script_still_starts() {
    let dir = place();
    let code = r#"
        let api = spawn("api", "while ! test -e go; do sleep 0.01; done; echo up; exec sleep 300", #{ready: #{log: "up"}});
        parallel([
            || start("slow", "while ! test -e go; do sleep 0.01; done; echo up; exec sleep 300", #{ready: #{log: "up"}}),
            || {
                wait_until(|| jobs().len() == 2);
                let early = try_run("bgjobs ctl wait slow --timeout 50ms", #{echo: false});
                assert_eq(early.code, 124, early.output);
                assert_eq(try_run("bgjobs ctl wait api --timeout 50ms", #{echo: false}).code, 124);
                write_file("go", "");
                run("bgjobs ctl wait slow && bgjobs ctl wait api");
            },
        ]);"#;
    let _ = script(dir.path(), code).run().code(0).stderr_has("0 leaked\n");
}

#[test]
fn a_server_that_does_not_come_up_again_is_told_to_whoever_has_asked() {
    let dir = place();
    let test = r#"
        touch broken
        bgjobs ctl restart api 2>said; echo $? >code
        bgjobs ctl restart --json api >said.json; echo $? >>code
        rm broken
        bgjobs ctl restart api
    "#;
    fs::write(dir.path().join("test.sh"), test).expect("written");
    let code = r#"
        start("api", "test ! -e broken || { echo the disk is gone; exit 3; }; echo up; exec sleep 300", #{ready: #{log: "up"}});
        run("sh test.sh");"#;
    let ran = script(dir.path(), code).run().code(0);
    let said = read(dir.path(), "said");
    assert!(said.starts_with("error: ") && said.contains("job `api` died (exit 3)"), "{said}");
    assert!(said.contains("| the disk is gone\n"), "{said}");
    let json: Value = serde_json::from_str(&read(dir.path(), "said.json")).expect("JSON");
    assert_eq!(json["error"]["code"], 125, "{json}");
    assert_eq!(read(dir.path(), "code"), "125\n125\n");
    let _ = ran.stderr_has("0 leaked\n");
}

#[test]
fn several_who_restart_a_job_at_once_have_one_of_it() {
    let dir = place();
    let test = "for i in 1 2 3 4; do bgjobs ctl restart api & pids=\"$pids $!\"; done; for pid in $pids; do wait $pid || exit 9; done
        pgrep -c -f '^sleep WORD$' >count".replace("WORD", &nap());
    fs::write(dir.path().join("test.sh"), test).expect("written");
    let code = r#"
        let api = start("api", "echo up; exec sleep WORD", #{ready: #{log: "up"}});
        run("sh test.sh");
        api.restart();"#;
    let ran = script(dir.path(), &code.replace("WORD", &nap())).run().code(0);
    assert_eq!(read(dir.path(), "count"), "1\n");
    assert_eq!(ran.stderr.matches("api started: ").count(), 6, "{}", ran.stderr);
}

/// How long a job of this test sleeps: nobody else's `sleep` has this word.
fn nap() -> String {
    format!("86501.{}", std::process::id())
}

#[test]
fn a_request_for_what_there_is_not_is_told_what_there_is() {
    let mut live = Live::start(&[], &format!("{API} spawn(\"cron\", \"exec sleep 300\");"));
    for (words, code, wanted) in [
        (
            &["restart", "app"][..],
            2,
            "error: there is no job `app`\n  = there are: api, cron\ntry: bgjobs ctl restart api\n",
        ),
        (&["stop", "nothing"], 2, "error: there is no job `nothing`\n  = there are: api, cron\n"),
        (
            &["port", "cron"],
            2,
            "error: job `cron` has no port\ntry: port: \"free\"   (in its options in the script; the job finds the number in PORT)\n",
        ),
        (&["url", "cron"], 2, "error: job `cron` has no port\n"),
        (&["wait", "cron"], 2, "error: ctl wait: job `cron` has no `ready`\n"),
        (&["--run", "nope", "jobs"], 2, "error: --run: there is no run `nope`\n"),
        (&["--run", "/nope/x", "jobs"], 2, "error: --run: there is no directory `/nope/x`\n"),
    ] {
        let said = told(&live.ctl(words), code);
        assert!(said.starts_with(wanted), "{words:?}: {said}");
    }
    let json = live.ctl(&["--json", "port", "cron"]);
    let json: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(json["error"]["message"], "job `cron` has no port");
    let name = live.run_dir().file_name().expect("a name").to_string_lossy().into_owned();
    for run in [&name, name.trim_start_matches("bgjobs-"), &live.run_dir().display().to_string()] {
        assert_eq!(told(&live.ctl(&["--run", run, "port", "api"]), 0), "");
    }
    live.end().code(0);
}

#[test]
fn without_a_run_the_only_one_is_meant() {
    let dir = place();
    let said = told(&ctl(dir.path(), &["jobs"]), 125);
    assert!(said.starts_with("error: no run of yours goes on\n") && said.contains("BGJOBS_CTL"), "{said}");
    let mut live = Live::start_in(dir, &[], API);
    told(&live.ctl(&["restart", "api"]), 0);
    let code = staying("spawn(\"sleep 300\");").replace("\"up\"", "\"other\"");
    let mut other = script(live.dir.path(), &code).command();
    let mut other = other.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("bgjobs starts");
    live.until("other");
    let said = told(&live.ctl(&["restart", "api"]), 2);
    assert!(said.starts_with("error: 2 runs of yours go on: which one is meant?\n  = bgjobs-"), "{said}");
    let place = std::fs::canonicalize(live.dir.path()).expect("there");
    assert!(said.contains(&format!(" (-e, in {})\n", place.display())), "{said}");
    assert!(said.contains("\ntry: bgjobs ctl --run bgjobs-"), "{said}");
    assert!(said.ends_with(" restart api\n"), "{said}");
    live.end().code(0);
    assert!(other.wait().expect("it ends").success());
}

#[test]
fn a_run_that_is_over_is_said_to_be() {
    let mut live = Live::start(&["--keep"], API);
    let run = live.run_dir();
    let socket = run.join("ctl");
    let asked = |path: &Path| {
        let mut command = Command::new(bgjobs());
        command.args(["ctl", "jobs"]).env("BGJOBS_CTL", path).stdin(Stdio::null());
        told(&command.output().expect("bgjobs starts"), 125)
    };
    assert_eq!(fs::metadata(&socket).expect("it is there").permissions().mode() & 0o777, 0o600);
    live.end().code(0);
    // It was kept, but for its socket.
    assert!(run.join("lock").exists() && !socket.exists());
    assert!(asked(&socket).starts_with("error: the run has ended\n  = its socket is gone: "));
    // As it stays when host and guard are killed.
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("bound"));
    assert!(asked(&socket).starts_with("error: the run has ended\n  = nobody listens any more at "));
    let said = told(&live.ctl(&["--run", &run.display().to_string(), "jobs"]), 125);
    assert!(said.starts_with("error: the run has ended\n"), "{said}");
    let name = run.file_name().expect("a name").to_string_lossy().into_owned();
    let said = told(&live.ctl(&["--run", &name, "jobs"]), 125);
    assert_eq!(said, format!("error: the run `{name}` has ended\n"));
}

#[test]
fn in_the_teardown_nothing_more_is_done() {
    let dir = place();
    let code = r#"
        start("api", "echo up; exec sleep 300", #{ready: #{log: "up"}});
        // It stops first.
        spawn("late", "exec sleep 300", #{stop_cmd: "bgjobs ctl restart api 2>refused; echo $? >>refused; kill $PID; true", grace: "30s"});
        wait_file("pid");
        on_exit(|| run("bgjobs ctl restart api && echo yes >on_exit"));"#
        .replace("kill $PID", "kill $(cat pid)")
        .replace("spawn(\"late\", \"exec", "spawn(\"late\", \"echo $$ >pid; exec");
    let ran = script(dir.path(), &code).run().code(0).stderr_has("0 leaked\n");
    let refused = "error: ctl restart: the run is being stopped, and does nothing more\n125\n";
    assert_eq!(read(dir.path(), "refused"), refused, "{}", ran.stderr);
    assert_eq!(read(dir.path(), "on_exit"), "yes\n");
}

/// Sends this and closes its end; what comes back.
fn say(socket: &Path, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    // Who is refused may not be listened to any more.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn nonsense_is_refused_and_hurts_nobody() {
    let mut live = Live::start(&[], API);
    let socket = live.run_dir().join("ctl");
    let long = vec![b'x'; 1 << 20];
    let deep = "[".repeat(8000);
    for garbage in [
        &b"\n"[..],
        b"\0\xff\xfe\n",
        b"{}",
        b"null\n",
        b"{\"do\":\"restart\"}\n",
        b"{\"do\":\"fly\",\"job\":\"api\"}\n",
        b"{\"do\":\"logs\",\"job\":\"api\",\"lines\":-1}\n",
        b"{\"do\":\"wait\",\"job\":\"api\",\"timeout_ms\":1e99}\n",
        deep.as_bytes(),
    ] {
        let answer = say(&socket, garbage);
        assert!(answer.contains("this run does not understand what is asked of it"), "{answer}");
    }
    let answer = say(&socket, &long);
    assert!(answer.is_empty() || answer.contains("what is asked for is too long"), "{answer}");
    assert_eq!(say(&socket, b""), "");
    // A log of more lines than there are numbers for, and a wait that outlasts everybody: no overflow.
    let most = format!("{{\"do\":\"logs\",\"job\":\"api\",\"lines\":{}}}\n", u64::MAX);
    assert!(say(&socket, most.as_bytes()).contains("\"lines\":["));
    let long = format!("{{\"do\":\"wait\",\"job\":\"api\",\"timeout_ms\":{}}}\n", u64::MAX);
    assert!(say(&socket, long.as_bytes()).contains("\"done\":\"ready\""));
    // Names that are none.
    let name = "\\u0000\\u202e".repeat(50);
    assert!(
        say(&socket, format!("{{\"do\":\"stop\",\"job\":\"{name}\"}}\n").as_bytes())
            .contains("there is no job")
    );
    told(&live.ctl(&["restart", "api"]), 0);
    let ran = live.end().code(0);
    assert!(!ran.stderr.contains("bug in bgjobs"), "{}", ran.stderr);
}

#[test]
fn many_are_answered_and_those_who_say_nothing_keep_nobody_out() {
    let mut live = Live::start(&[], API);
    let socket = live.run_dir().join("ctl");
    // More than are answered at the same time.
    let silent: Vec<UnixStream> =
        (0..40).map(|_| UnixStream::connect(&socket).expect("it listens")).collect();
    std::thread::scope(|scope| {
        for _ in 0..60 {
            scope.spawn(|| {
                let answer = say(&socket, b"{\"do\":\"env\"}\n");
                assert!(answer.contains("API_PORT"), "{answer:?}");
            });
        }
    });
    // They were told.
    let mut answer = String::new();
    let mut first = &silent[0];
    first.set_read_timeout(Some(PATIENCE)).expect("set");
    first.read_to_string(&mut answer).expect("read");
    assert!(answer.contains("nothing was asked for in time"), "{answer}");
    drop(silent);
    live.end().code(0);
}

#[test]
fn another_user_gets_nowhere() {
    if !nix::unistd::geteuid().is_root() {
        return skip_in_ci_too("only root can be somebody else");
    }
    let mut live = Live::start(&[], API);
    let run = live.run_dir();
    let mode =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    mode(live.dir.path(), 0o755);
    // The program's own folder may be closed to them.
    let program = live.dir.path().join("program");
    fs::copy(bgjobs(), &program).expect("a copy");
    mode(&program, 0o755);
    let ask = || {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&program);
        command.args(["ctl", "--json", "stop", "api"]).env("BGJOBS_CTL", run.join("ctl"));
        let output = command.current_dir("/").stdin(Stdio::null()).output().expect("setpriv starts");
        told(&output, 2);
        let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        json["error"]["message"].as_str().expect("a message").to_owned()
    };
    let path = run.join("ctl").display().to_string();
    assert_eq!(ask(), format!("the run belongs to user root: `{path}` is closed to you"));
    // Even where somebody opens the doors.
    mode(&run, 0o755);
    mode(&run.join("ctl"), 0o777);
    assert_eq!(ask(), "the run belongs to user root: user nobody may not ask it for anything");
    mode(&run, 0o700);
    told(&live.ctl(&["port", "api"]), 0);
    live.end().code(0);
}

/// What a run starts as somebody else could not ask, and is not told where.
#[test]
fn a_job_of_another_user_is_not_told_the_socket() {
    if !nix::unistd::geteuid().is_root() {
        return skip_in_ci_too("only root can be somebody else");
    }
    let dir = place();
    let code = "print(output(\"echo [$BGJOBS_CTL]\", #{user: \"nobody\", cwd: \"/\"})); assert_contains(output(\"echo $BGJOBS_CTL\"), \"/ctl\");";
    let _ = script(dir.path(), code).env("BGJOBS_CTL", "/somewhere").run().code(0).stdout("[]\n");
}

#[test]
fn it_works_where_the_directory_has_a_long_name_and_behind_walls() {
    let dir = place();
    let long = dir.path().join("long".repeat(40));
    fs::create_dir(&long).expect("made");
    let link = dir.path().join("t");
    std::os::unix::fs::symlink(&long, &link).expect("linked");
    let code = format!("{API} run(\"bgjobs ctl restart api && bgjobs ctl port api >/dev/null\");");
    for isolate in ["", "pid", "net", "ipc", "pid,net,ipc"] {
        let mut run = script(dir.path(), &code).env("TMPDIR", &link.display().to_string());
        if !isolate.is_empty() {
            run = run.option(&format!("--isolate={isolate}"));
        }
        let ran = run.run();
        if ran.stderr.contains("is not possible here") {
            skip_in_ci_too(&ran.stderr);
            continue;
        }
        let ran = ran.code(0).stderr_has("ctl: restart api (asked for by sh").stderr_has("0 leaked\n");
        assert_eq!(ran.stderr.matches("api ready: ").count(), 2, "{isolate}: {}", ran.stderr);
    }
}

/// The fixture that the recipes show, with the command that they show.
#[test]
fn the_recipe_for_pytest_passes() {
    if lacks(&["pytest", "python3"]) {
        return;
    }
    let page = fs::read_to_string(repo("docs/recipes.md")).expect("a page");
    let (_, rest) = page.split_once("```python\n").expect("it is shown");
    let (text, rest) = rest.split_once("```\n").expect("its end");
    let (_, rest) = rest.split_once("```sh\n").expect("the command");
    let (command, _) = rest.split_once("```\n").expect("its end");
    let dir = place();
    for file in text.split("# file: ").skip(1) {
        let (name, text) = file.split_once('\n').expect("a name");
        fs::write(dir.path().join(name), text).expect("written");
    }
    fs::write(dir.path().join("health"), "ok").expect("written");
    fs::create_dir(dir.path().join("bin")).expect("made");
    let npm = dir.path().join("bin/npm");
    fs::write(&npm, "#!/bin/sh\nexec python3 -m http.server $PORT --bind 127.0.0.1\n").expect("written");
    fs::set_permissions(&npm, fs::Permissions::from_mode(0o755)).expect("executable");
    let mut sh = Command::new("sh");
    sh.args(["-c", command]).current_dir(dir.path()).env("TMPDIR", dir.path()).env_remove("BGJOBS_CTL");
    sh.env("PATH", format!("{}/bin:{}", dir.path().display(), path())).env("no_proxy", "*");
    let output = sh.stdin(Stdio::null()).output().expect("sh starts");
    let said = String::from_utf8_lossy(&output.stderr);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{printed}\n{said}");
    assert!(printed.contains(" passed") && said.contains("ctl: restart server"), "{printed}\n{said}");
}

/// What a shell offers behind these words, by the text that `bgjobs completions` prints for it.
fn offered(live: &Live, shell: &str, words: &[&str]) -> Vec<String> {
    let dir = live.dir.path();
    let text = Command::new(bgjobs()).args(["completions", shell]).output().expect("bgjobs starts").stdout;
    let file = if shell == "zsh" { "_bgjobs" } else { "completions" };
    fs::write(dir.join(file), text).expect("written");
    let mut command = Command::new(shell);
    match shell {
        "bash" => command.args([
            "-c",
            "source ./completions; COMP_WORDS=(bgjobs \"$@\"); COMP_CWORD=$#; \
             _bgjobs_script bgjobs \"${!#}\" \"${COMP_WORDS[$#-1]}\"; printf '%s\\n' \"${COMPREPLY[@]}\"",
            "bash",
        ]),
        // What is typed there, it completes by itself.
        "fish" => {
            let line = format!("bgjobs {}", words.join(" "));
            command.args(["-N", "-c", "source ./completions; complete -C \"$argv\"", &line])
        }
        // Its widgets want a line editor: what is offered is asked of the functions.
        _ => command.args([
            "-fc",
            "BUFFER=\"bgjobs $*\"; compdef() { }; _call_program() { shift; \"$@\" }; _wanted() { print -l \"${(@P)argv[-1]}\" }; \
             source <(sed -n '/^_bgjobs_runs()/,/^}/p; /^_bgjobs_jobs()/,/^}/p' _bgjobs); \
             if [[ \"$argv[-2]\" == --run ]]; then _bgjobs_runs; else _bgjobs_jobs; fi",
            "zsh",
        ]),
    };
    if shell != "fish" {
        command.args(words);
    }
    command.current_dir(dir).env("TMPDIR", dir).env("PATH", path()).env("HOME", dir).env_remove("BGJOBS_CTL");
    let output = command.output().expect("a shell starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{shell}: {said}");
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    words.lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn shells_complete_the_names_of_jobs_and_runs() {
    let code = "spawn(\"db\", \"sleep 300\"); spawn(\"api\", \"sleep 300\"); spawn(\"apex\", \"exit 0\", #{expect_exit: true}).wait();";
    let mut live = Live::start(&[], code);
    let run = live.run_dir().file_name().expect("a name").to_string_lossy().into_owned();
    for shell in ["bash", "zsh", "fish"] {
        if lacks(&[shell]) {
            continue;
        }
        let sorted = |words: &[&str]| {
            let mut all = offered(&live, shell, words);
            all.sort();
            all
        };
        assert_eq!(sorted(&["ctl", "restart", ""]), ["apex", "api", "db"], "{shell}");
        assert_eq!(sorted(&["ctl", "--run", &run, "wait", ""]), ["apex", "api", "db"], "{shell}");
        assert_eq!(sorted(&["ctl", "--run", ""]), [run.as_str()], "{shell}");
        let of_none = sorted(&["ctl", "--run", "bgjobs-none", "stop", ""]);
        assert!(of_none.iter().all(String::is_empty), "{shell}: {of_none:?}");
    }
    if !lacks(&["bash"]) {
        assert_eq!(offered(&live, "bash", &["ctl", "logs", "-n", "5", "a"]), ["api", "apex"]);
        assert_eq!(offered(&live, "bash", &["ctl", "--run", "=", "b"]), [run.as_str()]);
        // It has its name.
        assert_eq!(offered(&live, "bash", &["ctl", "stop", "db", "a"]), [""]);
    }
    live.end();
}
