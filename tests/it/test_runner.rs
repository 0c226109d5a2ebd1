//! `bgjobs test`: which scripts run, what is said of them, how it ends, and who is alive afterwards.

mod config;
mod formats;
mod select;
mod setups;
mod watch;

use crate::support::{Script, bgjobs, gone, lives};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything that must happen may take on a busy machine before the test gives up.
const PATIENCE: Duration = Duration::from_secs(100);

/// A directory with scripts.
struct Place(tempfile::TempDir);

/// What came of a `bgjobs test` in it; times, pids and directories are letters.
#[derive(Debug)]
struct Ended {
    stdout: String,
    stderr: String,
    code: Option<i32>,
    signal: Option<Signal>,
}

impl Place {
    fn with(files: &[(&str, &str)]) -> Self {
        let place = Self(tempfile::tempdir().expect("a directory"));
        for (name, text) in files {
            let path = place.path().join(name);
            fs::create_dir_all(path.parent().expect("a directory")).expect("made");
            fs::write(path, text).expect("written");
        }
        place
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap_or_default()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(bgjobs());
        command.arg("test").args(args).current_dir(self.path()).stdin(Stdio::null());
        command.env_remove("NO_COLOR").env_remove("FORCE_COLOR");
        command.env_remove("GITHUB_ACTIONS").env_remove("GITLAB_CI").env_remove("CIRCLECI");
        command
    }

    fn test(&self, args: &[&str]) -> Ended {
        let output = self.command(args).output().expect("bgjobs starts");
        Ended {
            stdout: redacted(&String::from_utf8_lossy(&output.stdout)),
            stderr: redacted(&String::from_utf8_lossy(&output.stderr)),
            code: output.status.code(),
            signal: output.status.signal().and_then(|number| Signal::try_from(number).ok()),
        }
    }

    /// A test that goes on. Its stdout and stderr are files.
    fn start(&self, args: &[&str]) -> Live<'_> {
        let file = |name: &str| File::create(self.path().join(name)).expect("created");
        let mut command = self.command(args);
        command.stdout(file("stdout")).stderr(file("stderr")).process_group(0);
        Live { place: self, child: command.spawn().expect("bgjobs starts") }
    }
}

struct Live<'a> {
    place: &'a Place,
    child: Child,
}

impl Live<'_> {
    #[track_caller]
    fn until(&mut self, what: &str, holds: impl Fn(&Place) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !holds(self.place) {
            let ended = self.child.try_wait().expect("it can be waited for").is_some();
            let late = Instant::now() >= until || ended && !holds(self.place);
            assert!(!late, "{what}:\n{}", self.place.read("stderr"));
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    fn ended(mut self) -> Ended {
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                break status;
            }
            if Instant::now() >= until {
                kill(self.pid(), Signal::SIGTERM).expect("it lives");
                panic!("it does not end:\n{}", self.place.read("stderr"));
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        Ended {
            stdout: redacted(&self.place.read("stdout")),
            stderr: redacted(&self.place.read("stderr")),
            code: status.code(),
            signal: status.signal().and_then(|number| Signal::try_from(number).ok()),
        }
    }
}

impl Ended {
    #[track_caller]
    fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    fn stderr(self, text: &str) -> Self {
        assert_eq!(self.stderr, text);
        self
    }

    #[track_caller]
    fn stdout(self, text: &str) -> Self {
        assert_eq!(self.stdout, text, "{}", self.stderr);
        self
    }

    #[track_caller]
    fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no {text:?} in:\n{}", self.stderr);
        self
    }

    /// The last line.
    #[track_caller]
    fn verdict(self, text: &str) -> Self {
        assert_eq!(self.stderr.lines().last(), Some(text), "{}", self.stderr);
        self
    }
}

/// Times, pids and directories differ.
fn redacted(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, letter) in [
        (r"\+\d+\.\d\ds", "+T"),
        (r"\b\d+ min \d+ s\b", "T"),
        (r"\b\d+(\.\d+)? ?(µs|ms|s)\b", "T"),
        (r"pid \d+", "pid P"),
        (r"logs: \S+", "logs: DIR"),
    ] {
        text = regex::Regex::new(pattern).expect("a pattern").replace_all(&text, letter).into_owned();
    }
    text
}

/// Starts a job that would live long, writes its pid to NAME.pid, and waits.
fn waits(name: &str) -> String {
    let command = format!("echo $$ > {name}.new; mv {name}.new {name}.pid; echo up; exec sleep 300");
    format!("start(\"{name}\", \"{command}\", #{{ready: #{{log: \"up\"}}}});\nsleep(\"5m\");")
}

const FAILS: &str = "test(\"adds\", || assert_eq(1 + 1, 3));";

#[test]
fn each_script_has_a_line_and_failures_are_whole_at_the_end() {
    let files = [
        ("tests/a.rhai", "print(\"fine\");"),
        ("tests/b.rhai", FAILS),
        ("tests/sub/c.rhai", "spawn(\"job\", \"sleep 300\"); print(\"no newline\"); exit(3);"),
    ];
    let ended = Place::with(&files).test(&[]).code(3);
    let said = "\
ok tests/a.rhai (T)
FAILED tests/b.rhai (exit 1, T)
FAILED tests/sub/c.rhai (exit 3, T)
--- tests/b.rhai (exit 1) ---
+T FAILED adds (T)
error: assertion failed: `actual` is 2, expected 3
  --> tests/b.rhai:1:17
1 | test(\"adds\", || assert_eq(1 + 1, 3));
  |                 ^^^^^^^^^
  in a closure, called at tests/b.rhai:1:1
FAILED adds: assertion failed: `actual` is 2, expected 3 (tests/b.rhai:1:17)
bgjobs: failed (exit 1) in T: 0 tests passed, 1 failed; 0 jobs stopped, 0 leaked
--- tests/sub/c.rhai (exit 3) ---
+T job started: sleep 300 (pid P)
no newline
+T job stopped (T)
logs: DIR
bgjobs: failed (exit 3) in T: 1 job stopped, 0 leaked
FAILED tests/b.rhai (exit 1)
FAILED tests/sub/c.rhai (exit 3)
bgjobs: failed (exit 3) in T: 1 script passed, 2 failed
";
    // Whoever only reads the end of a pipe sees that it failed.
    let _ = ended.stderr(said).stdout("bgjobs: failed (exit 3) in T: 1 script passed, 2 failed\n");
}

#[test]
fn when_all_pass_only_lines_are_said() {
    let place = Place::with(&[("tests/a.rhai", "print(1);"), ("tests/b.rhai", "test(\"two\", || ());")]);
    let said = "ok tests/a.rhai (T)\nok tests/b.rhai (T)\nbgjobs: passed in T: 2 scripts passed\n";
    let _ = place.test(&[]).code(0).stdout("").stderr(said);
    let _ = place.test(&["-q"]).code(0).stdout("").stderr("bgjobs: passed in T: 2 scripts passed\n");
    let ended = place.test(&["-v", "tests/b.rhai"]).code(0).stdout("");
    let _ = ended.stderr(
        "ok tests/b.rhai (T)\n+T ok two (T)\nbgjobs: passed in T: 1 test passed; 0 jobs stopped, 0 leaked\n\
         bgjobs: passed in T: 1 script passed\n",
    );
}

#[test]
fn the_exit_code_is_the_highest() {
    let files = [
        ("ok.rhai", ""),
        ("throws.rhai", "throw \"no\";"),
        ("syntax.rhai", "let = 1;"),
        ("seven.rhai", "run(\"exit 7\", #{echo: false});"),
        ("waits.rhai", "wait_file(\"never\", \"10ms\");"),
        ("dies.rhai", "spawn(\"job\", \"exit 4\"); sleep(\"100s\");"),
        ("lost.rhai", "run(\"no-such-program\");"),
    ];
    let place = Place::with(&files);
    for (args, code) in [
        (&["ok.rhai"][..], 0),
        (&["throws.rhai", "ok.rhai"], 1),
        (&["syntax.rhai", "throws.rhai"], 2),
        (&["throws.rhai", "seven.rhai", "syntax.rhai"], 7),
        (&["waits.rhai", "seven.rhai"], 124),
        (&["dies.rhai", "waits.rhai"], 125),
        (&[".", "--jobs", "3"], 127),
    ] {
        let _ = place.test(args).code(code);
    }
}

#[test]
fn scripts_are_found_by_path_directory_and_pattern() {
    let names = [
        "tests/b.rhai",
        "tests/a.rhai",
        "tests/_shared.rhai",
        "tests/_lib/m.rhai",
        "tests/.hidden/h.rhai",
        "tests/deep/er/c.rhai",
        "tests/deep/notes.txt",
        "e2e/login.rhai",
        "e2e/cart.rhai",
        "tool",
        "with space.rhai",
    ];
    let files: Vec<(&str, &str)> = names.iter().map(|name| (*name, "")).collect();
    let place = Place::with(&files);
    std::os::unix::fs::symlink("..", place.path().join("tests/deep/loop")).expect("a link");
    for (args, found) in [
        (&[][..], "tests/a.rhai tests/b.rhai tests/deep/er/c.rhai"),
        (&["e2e"], "e2e/cart.rhai e2e/login.rhai"),
        (&["./e2e/", "e2e/login.rhai"], "e2e/cart.rhai e2e/login.rhai"),
        (&["e2e/login.rhai", "e2e"], "e2e/login.rhai e2e/cart.rhai"),
        (&["tool", "tests/_shared.rhai"], "tool tests/_shared.rhai"),
        (&["tests/_lib"], "tests/_lib/m.rhai"),
        (&["tests/**/*.rhai"], "tests/a.rhai tests/b.rhai tests/deep/er/c.rhai"),
        (&["tests/_lib/*"], "tests/_lib/m.rhai"),
        (&["e2e/[l]*"], "e2e/login.rhai"),
        (&["*", "--filter", "login|deep"], "e2e/login.rhai tests/deep/er/c.rhai"),
        (&["with space.rhai"], "with space.rhai"),
    ] {
        let args = [args, &["--list"]].concat();
        let listed = place.test(&args).code(0).stderr("").stdout;
        let found = if found.contains(' ') && !found.starts_with("with") {
            found.replace(' ', "\n")
        } else {
            found.to_owned()
        };
        assert_eq!(listed, found + "\n", "{args:?}");
    }
}

#[test]
fn what_cannot_be_run_is_told_what_to_do() {
    let place = Place::with(&[("e2e/login.rhai", ""), ("e2e/cart.rhai", ""), ("empty/_lib.rhai", "")]);
    let help = "\n\nFor more information, try '--help'.\n";
    let cases: &[(&[&str], String)] = &[
        (
            &[],
            "error: no script was found\n  = looked for tests/**/*.rhai; names that begin with _ or . are left out\n\
             try: bgjobs test PATH   (or `bgjobs new tests/first.rhai`, for a script to begin with)\n"
                .to_owned(),
        ),
        (&["e3e"], "error: there is no file or directory `e3e`\ntry: bgjobs test e2e\n".to_owned()),
        (
            &["e2e/logni.rhai"],
            "error: there is no file or directory `e2e/logni.rhai`\ntry: bgjobs test e2e/login.rhai\n".to_owned(),
        ),
        (
            &["somewhere"],
            "error: there is no file or directory `somewhere`\n\
             try: bgjobs test --list   (the scripts of tests/, which run without a PATH)\n"
                .to_owned(),
        ),
        (
            &["empty"],
            "error: no script is in `empty`\n  = scripts are files *.rhai; names that begin with _ or . are left out\n"
                .to_owned(),
        ),
        (
            &["e2e/x*"],
            "error: no script matches `e2e/x*`\n  = scripts are files *.rhai; names that begin with _ or . are left out\n"
                .to_owned(),
        ),
        (
            &["e2e/***"],
            "error: `e2e/***` is not a pattern: wildcards are either regular `*` or recursive `**`\n".to_owned(),
        ),
        (
            &["e2e", "--filter", "logout"],
            "error: no script matches --filter `logout`\n  = 2 scripts were found: e2e/cart.rhai, e2e/login.rhai\n\
             try: bgjobs test --list   (without --filter: the paths that it is matched against)\n"
                .to_owned(),
        ),
        (
            &["--filter", "("],
            format!("error: invalid value '(' for '--filter <REGEX>': unclosed group{help}"),
        ),
        (
            &["--jobs", "0"],
            format!("error: invalid value '0' for '--jobs <N>': expected a number from 1 to 100000{help}"),
        ),
        (
            &["--timeout-all", "5 parsecs"],
            format!(
                "error: invalid value '5 parsecs' for '--timeout-all <TIME>': expected a time with a unit, such as \
                 500ms, 90s or 1m30s, or a number of seconds{help}"
            ),
        ),
    ];
    for (args, said) in cases {
        let output = place.command(args).output().expect("bgjobs starts");
        assert_eq!(String::from_utf8_lossy(&output.stderr), *said, "{args:?}");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{args:?}");
    }
}

#[test]
fn one_that_passes_when_tried_again_is_flaky() {
    let flaky = "if !exists(\"seen\") { write_file(\"seen\", \"\"); print(\"first\"); throw \"not yet\"; }";
    let place = Place::with(&[("flaky.rhai", flaky), ("fails.rhai", "print(\"again\"); exit(4);")]);
    let ended = place.test(&["flaky.rhai", "--retries", "2"]).code(0).stdout("");
    let _ = ended.stderr(
        "FAILED flaky.rhai (exit 1, T): try 2 of 3 follows\nflaky flaky.rhai (passed at try 2, T)\n\
         --- flaky.rhai (try 1 of 3: exit 1) ---\nfirst\nerror: not yet\n  --> flaky.rhai:1:62\n\
         1 | if !exists(\"seen\") { write_file(\"seen\", \"\"); print(\"first\"); throw \"not yet\"; }\n  \
         |                                                              ^^^^^\n\
         bgjobs: failed (exit 1) in T: 0 jobs stopped, 0 leaked\n\
         flaky flaky.rhai (exit 1, then passed at try 2)\nbgjobs: passed in T: 1 script passed (1 flaky)\n",
    );
    let ended = place.test(&["fails.rhai", "flaky.rhai", "--retries", "1"]).code(4);
    assert_eq!(ended.stderr.matches("\nagain\n").count(), 2, "{}", ended.stderr);
    let _ = ended
        .says("FAILED fails.rhai (exit 4, T): try 2 of 2 follows\nFAILED fails.rhai (exit 4, T)\nok flaky.rhai (T)\n")
        .says("--- fails.rhai (try 1 of 2: exit 4) ---\n")
        .says("--- fails.rhai (try 2 of 2: exit 4) ---\n")
        .verdict("bgjobs: failed (exit 4) in T: 1 script passed, 1 failed");
}

#[test]
fn after_a_failure_no_other_is_started_if_so_asked() {
    let place =
        Place::with(&[("a.rhai", "exit(1);"), ("b.rhai", "write_file(\"ran\", \"\");"), ("c.rhai", "")]);
    let _ = place
        .test(&[".", "--fail-fast"])
        .code(1)
        .verdict("bgjobs: failed (exit 1) in T: 0 scripts passed, 1 failed, 2 not run");
    assert!(!place.path().join("ran").exists());
}

#[test]
fn an_order_can_be_shuffled_and_repeated() {
    let names: Vec<String> = (0..8).map(|number| format!("{number}.rhai")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let place = Place::with(&files);
    let order = |args: &[&str]| place.test(args).code(0).stderr;
    let once = order(&[".", "--shuffle=7"]);
    assert!(once.starts_with("in random order: --shuffle=7 repeats it\n"), "{once}");
    assert_eq!(order(&[".", "--shuffle=7"]), once);
    // That two of several seeds give the same order is one in 40,000.
    assert!(
        (8..12).any(|seed| order(&[".", &format!("--shuffle={seed}")]).lines().nth(1) != once.lines().nth(1))
    );
    let said = order(&["0.rhai", "1.rhai", "--repeat", "2"]);
    let lines = "ok 0.rhai [1] (T)\nok 1.rhai [1] (T)\nok 0.rhai [2] (T)\nok 1.rhai [2] (T)\n";
    assert_eq!(said, format!("{lines}bgjobs: passed in T: 4 scripts passed\n"));
    let chosen = order(&[".", "--shuffle"]);
    let seed = chosen.split("--shuffle=").nth(1).and_then(|rest| rest.split(' ').next()).expect("a seed");
    assert_eq!(order(&[".", &format!("--shuffle={seed}")]), chosen);
}

#[test]
fn several_run_at_the_same_time() {
    let meets =
        |me: &str, other: &str| format!("write_file(\"{me}\", \"\"); wait_file(\"{other}\", \"90s\");");
    let (a, b) = (meets("a", "b"), meets("b", "a"));
    let place = Place::with(&[("a.rhai", a.as_str()), ("b.rhai", b.as_str())]);
    let _ = place.test(&[".", "--jobs", "2"]).code(0).verdict("bgjobs: passed in T: 2 scripts passed");
}

#[test]
fn each_script_and_all_together_have_their_time() {
    let slow = waits("slow");
    let place = Place::with(&[("slow.rhai", &slow), ("a.rhai", "")]);
    // On a busy machine its time may be over before it has begun.
    let ended = place.test(&["slow.rhai", "--timeout", "2s"]).code(124);
    let _ = ended
        .says("FAILED slow.rhai (exit 124, T)\n--- slow.rhai (exit 124) ---\n")
        .says("bgjobs: timed out after T (exit 124) in T: ")
        .verdict("bgjobs: failed (exit 124) in T: 0 scripts passed, 1 failed");
    let ended = place.test(&["slow.rhai", "a.rhai", "--timeout-all", "2s"]).code(124);
    let _ = ended
        .says("timed out after T (--timeout-all): stopping 1 script\nstopped slow.rhai (T)\n--- slow.rhai (stopped) ---\n")
        .says("\nstopped slow.rhai\n")
        .verdict("bgjobs: timed out after T (exit 124) in T: 0 scripts passed, 1 stopped, 1 not run");
    assert!(!lives(&place.read("slow.pid")));
}

#[test]
fn a_signal_stops_all_that_runs_and_ends_the_test_itself() {
    let (one, two) = (waits("one"), waits("two"));
    let files = [("one.rhai", one.as_str()), ("three.rhai", ""), ("two.rhai", &two)];
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
        let place = Place::with(&files);
        let mut live = place.start(&["one.rhai", "two.rhai", "three.rhai", "--jobs", "2"]);
        live.until("both run", |place| {
            ["one", "two"].iter().all(|name| lives(&place.read(&format!("{name}.pid"))))
        });
        let pids = ["one", "two"].map(|name| place.read(&format!("{name}.pid")));
        kill(live.pid(), signal).expect("it lives");
        let ended = live.ended();
        assert_eq!(ended.signal, Some(signal), "{}", ended.stderr);
        assert!(!pids.iter().any(|pid| lives(pid)), "{pids:?}");
        let number = 128 + signal as i32;
        let _ = ended
            .says(&format!("{signal}: stopping 2 scripts\n"))
            .says("stopped one.rhai (T)\n")
            .verdict(&format!(
                "bgjobs: interrupted by {signal} (exit {number}) in T: 0 scripts passed, 2 stopped, 1 not run"
            ));
    }
}

/// As the keys of a terminal do it: all processes of the group have it, each as often as it comes its way.
#[test]
fn a_signal_to_the_whole_group_is_one() {
    let one = waits("one");
    let place = Place::with(&[("one.rhai", one.as_str())]);
    let mut live = place.start(&["one.rhai"]);
    live.until("it runs", |place| lives(&place.read("one.pid")));
    killpg(live.pid(), Signal::SIGINT).expect("it lives");
    let ended = live.ended();
    assert_eq!(ended.signal, Some(Signal::SIGINT), "{}", ended.stderr);
    assert!(!lives(&place.read("one.pid")));
    let _ = ended.verdict("bgjobs: interrupted by SIGINT (exit 130) in T: 0 scripts passed, 1 stopped");
}

#[test]
fn nothing_is_left_when_the_test_is_killed() {
    let (one, two) = (waits("one"), waits("two"));
    let place = Place::with(&[("one.rhai", one.as_str()), ("two.rhai", &two)]);
    // The test itself, then with all the guards of its runs, which are in its group.
    for whole_group in [false, true] {
        let mut live = place.start(&[".", "--jobs", "2"]);
        live.until("both run", |place| {
            ["one", "two"].iter().all(|name| lives(&place.read(&format!("{name}.pid"))))
        });
        let jobs = ["one", "two"].map(|name| place.read(&format!("{name}.pid")));
        let guards = children_of(live.pid());
        assert_eq!(guards.len(), 2, "{guards:?}");
        let hosts: Vec<String> =
            guards.iter().flat_map(|pid| children_of(Pid::from_raw(pid.parse().expect("a pid")))).collect();
        assert_eq!(hosts.len(), 2, "{hosts:?}");
        if whole_group {
            killpg(live.pid(), Signal::SIGKILL).expect("it lives");
        } else {
            kill(live.pid(), Signal::SIGKILL).expect("it lives");
        }
        assert_eq!(live.ended().signal, Some(Signal::SIGKILL));
        gone(&[&jobs[..], &guards, &hosts].concat());
    }
}

fn children_of(pid: Pid) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_run_that_is_killed_is_one_that_failed() {
    let one = waits("one");
    let place = Place::with(&[("one.rhai", one.as_str()), ("two.rhai", "")]);
    let mut live = place.start(&["one.rhai", "two.rhai"]);
    live.until("it runs", |place| lives(&place.read("one.pid")));
    let guard = children_of(live.pid()).first().expect("a run").parse().expect("a pid");
    kill(Pid::from_raw(guard), Signal::SIGKILL).expect("it lives");
    let ended = live.ended().code(137);
    let _ = ended
        .says("FAILED one.rhai (killed by SIGKILL, T)\nok two.rhai (T)\n")
        .verdict("bgjobs: failed (exit 137) in T: 1 script passed, 1 failed");
    gone(&[place.read("one.pid")]);
}

#[test]
fn a_test_in_a_script_ends_with_it() {
    let one = waits("one");
    let place = Place::with(&[("one.rhai", one.as_str())]);
    let code = format!(
        "spawn(\"tests\", [{:?}, \"test\", \"one.rhai\"]); wait_file(\"one.pid\", \"90s\"); print(\"up\");",
        bgjobs().display().to_string()
    );
    let _ = Script::code(&code)
        .cwd(place.path())
        .run()
        .code(0)
        .stdout("up\n")
        .stderr_has("1 job stopped, 0 leaked");
    assert!(!lives(&place.read("one.pid")));
}

#[test]
fn colours_are_where_they_are_wanted() {
    let place = Place::with(&[("a.rhai", ""), ("b.rhai", FAILS)]);
    let said = |args: &[&str], env: &[(&str, &str)]| {
        let output = place.command(args).envs(env.iter().copied()).output().expect("bgjobs starts");
        assert!(!output.stdout.contains(&0x1b), "the verdict for programs has none");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let colored = said(&["."], &[("FORCE_COLOR", "1")]);
    // Also what the runs have said, which do not see where that is shown.
    for text in [
        "\u{1b}[1;32mok\u{1b}[0m a.rhai (",
        "\u{1b}[1;31mFAILED\u{1b}[0m b.rhai",
        "\u{1b}[1;31merror:\u{1b}[0m ",
    ] {
        assert!(colored.contains(text), "{text:?}: {colored}");
    }
    assert!(said(&[".", "--color", "always"], &[]).contains("\u{1b}[1;31mFAILED\u{1b}[0m b.rhai"));
    for (args, env) in [
        (&["."][..], &[][..]),
        (&["."], &[("FORCE_COLOR", "1"), ("NO_COLOR", "1")]),
        (&[".", "--color", "never"], &[("FORCE_COLOR", "1")]),
    ] {
        let plain = said(args, env);
        assert!(!plain.contains('\u{1b}'), "{args:?}: {plain}");
    }
}

#[test]
fn a_pipe_for_both_gets_the_verdict_once() {
    let place = Place::with(&[("b.rhai", FAILS)]);
    let shell = format!("{} test . 2>&1 | cat", bgjobs().display());
    let output =
        Command::new("sh").args(["-c", &shell]).current_dir(place.path()).output().expect("sh starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said.matches("1 failed\n").count(), 1, "{said}");
}

#[test]
fn what_stands_behind_two_dashes_is_for_the_scripts_and_secrets_are_masked() {
    let code = "let port = param(\"port\", 1); print(port); secret(\"hunter2-hunter2\"); print(\"hunter2-hunter2\"); exit(1);";
    let place = Place::with(&[("a.rhai", code)]);
    let _ = place.test(&["a.rhai", "--", "--port", "81"]).code(1).says("---\n81\n***\n");
}

#[test]
fn a_reader_that_is_gone_ends_nothing() {
    let place = Place::with(&[("a.rhai", FAILS), ("b.rhai", "write_file(\"ran\", \"\");")]);
    let (read, write) = nix::unistd::pipe().expect("a pipe");
    drop(read);
    let other = write.try_clone().expect("a descriptor");
    let status = place.command(&["."]).stdout(write).stderr(other).status().expect("bgjobs starts");
    assert_eq!(status.code(), Some(1));
    assert!(place.path().join("ran").exists());
}

#[test]
fn a_report_for_ci_has_each_test_with_its_outcome() {
    let tests = "test(\"adds\", || assert_eq(1 + 1, 2));\ntest(\"fails\", || assert_eq(1, 2));\ntest(\"skips\", || skip(\"no engine\"));";
    let flaky =
        "test(\"meets\", || { if !exists(\"seen\") { write_file(\"seen\", \"\"); fail(\"<not yet>\"); } });";
    let place = Place::with(&[
        ("a.rhai", tests),
        ("b.rhai", "print(\"bye\"); exit(3);"),
        ("c.rhai", ""),
        ("d.rhai", flaky),
        ("e.rhai", "start(\"api\", \"exit 4\", #{ready: #{log: \"up\"}});"),
    ]);
    let args =
        ["a.rhai", "b.rhai", "c.rhai", "d.rhai", "e.rhai", "--retries", "1", "--report", "junit=out.xml"];
    let ended = place.test(&args).code(125);
    let xml = place.read("out.xml");
    let report = quick_junit::Report::deserialize_from_str(&xml).expect("JUnit");
    let names = |suite: &quick_junit::TestSuite| {
        suite.test_cases.iter().map(|case| case.name.as_str().to_owned()).collect::<Vec<_>>()
    };
    let all: Vec<Vec<String>> = report.test_suites.iter().map(names).collect();
    let expected: [&[&str]; 5] = [
        &["a.rhai › adds", "a.rhai › fails", "a.rhai › skips"],
        &["b.rhai"],
        &["c.rhai"],
        &["d.rhai › meets"],
        &["e.rhai"],
    ];
    // In the order in which they ended, which is that of their names when one runs at a time.
    assert_eq!(all, expected, "{xml}\n{}", ended.stderr);
    assert_eq!((report.tests, report.failures, report.errors), (7, 3, 0), "{xml}");
    for text in [
        "<skipped message=\"no engine\"",
        "<failure message=\"exit 3\">bye\n",
        ">no engine</skipped>",
        "<flakyFailure message=",
        "message=\"&lt;not yet&gt;\" type=\"failed\">error: &lt;not yet&gt;\n",
        "<rerunFailure message=",
        "classname=\"a.rhai\"",
        " file=\"a.rhai\">",
        "job `api` ",
    ] {
        assert!(xml.contains(text), "{text:?}: {xml}");
    }
    // The text repeats the message, since some readers show no attributes.
    assert!(xml.contains(">error: assertion failed: `actual` is 1, expected 2\n  --&gt; a.rhai:2:"), "{xml}");
}

#[test]
fn a_report_tells_what_did_not_run() {
    let place = Place::with(&[("a.rhai", "exit(1);"), ("b.rhai", "")]);
    let _ = place.test(&["a.rhai", "b.rhai", "--fail-fast", "--report", "junit=out.xml"]).code(1);
    let xml = place.read("out.xml");
    assert!(
        xml.contains("<skipped message=\"not run\"") && xml.contains("<failure message=\"exit 1\""),
        "{xml}"
    );
}

#[test]
fn where_no_report_can_be_nothing_is_run() {
    let place = Place::with(&[("a.rhai", "write_file(\"ran\", \"\");")]);
    let kinds = "kinds of reports are: junit, ctrf, tap, github, html, trace";
    for (value, said) in [
        (
            "junit=no/such/out.xml",
            "error: --report no/such/out.xml: No such file or directory\n\
             try: --report junit=FILE   (in a directory that is there; an older one is replaced)\n"
                .to_owned(),
        ),
        (
            "xml=x",
            format!(
                "error: --report xml=x: there is no kind of report `xml`\n  = {kinds}\ntry: --report junit=x\n"
            ),
        ),
        (
            "out.xml",
            format!(
                "error: --report out.xml: there is no kind of report `out.xml`\n  = {kinds}\n\
                 try: --report junit=junit.xml\n"
            ),
        ),
        ("junit", "error: --report junit: the file is missing\ntry: --report junit=junit.xml\n".to_owned()),
        ("tap=", "error: --report tap=: the file is missing\ntry: --report tap=result.tap\n".to_owned()),
        (
            "tap=-",
            "error: --report tap=-: a report goes to a file, since stdout is for what scripts print\n\
             try: --report tap=result.tap\n"
                .to_owned(),
        ),
    ] {
        let _ = place.test(&["a.rhai", "--report", value]).code(2).stdout("").stderr(&said);
    }
    assert!(!place.path().join("ran").exists());
}
