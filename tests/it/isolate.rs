//! `--isolate`: what a run has for itself, that it works inside as outside, and what is said where the machine does
//! not allow it. Each as we are, and where we are root as an ordinary user too.

use crate::clock::Moment;
use crate::kill::harness::{Case, Plan, Run, children, descendants, eventually, in_own_process};
use crate::kill::harness::{signal_of, state};
use crate::support::{self, Ran, skip, skip_in_ci_too};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// An ordinary user's number; and its group's.
const NOBODY: &str = "65534";

/// Somebody who runs bgjobs.
struct User {
    /// A directory of theirs, for temporary files.
    dir: tempfile::TempDir,
    program: PathBuf,
    /// What the program is started by.
    wrapper: Vec<String>,
}

impl User {
    fn ourselves() -> Self {
        let dir = tempfile::Builder::new().prefix("bi").tempdir_in("/tmp").expect("a directory");
        Self { dir, program: support::bgjobs(), wrapper: Vec::new() }
    }

    /// None where we are not root. The program is copied: its folder may be closed to others.
    fn nobody() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            return None;
        }
        let mut user = Self::ourselves();
        let mode = |path: &std::path::Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
        };
        mode(user.dir.path(), 0o777);
        let program = user.dir.path().join("bgjobs");
        std::fs::copy(&user.program, &program).expect("a copy");
        mode(&program, 0o755);
        user.program = program;
        let words = ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"];
        user.wrapper = words.map(str::to_owned).into();
        Some(user)
    }

    /// Everybody for whom the machine allows it.
    fn all(what: &str) -> Vec<Self> {
        let all: Vec<Self> = std::iter::once(Self::ourselves()).chain(Self::nobody()).collect();
        all.into_iter().filter(|user| user.may(what)).collect()
    }

    fn may(&self, what: &str) -> bool {
        let ran = self.run(&["--isolate", what], "0");
        if ran.stderr.contains("is not possible here") {
            skip(&ran.stderr);
            return false;
        }
        ran.code(0);
        true
    }

    /// What is started by these words in front.
    fn command_under(&self, outer: &[&str], options: &[&str], code: &str) -> Command {
        let mut words: Vec<String> = outer.iter().map(|word| (*word).to_owned()).collect();
        words.extend(self.wrapper.iter().cloned());
        words.push(self.program.to_string_lossy().into_owned());
        words.push("script".to_owned());
        words.extend(options.iter().map(|word| (*word).to_owned()));
        words.extend(["-e".to_owned(), code.to_owned()]);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir("/").env("TMPDIR", self.dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn command(&self, options: &[&str], code: &str) -> Command {
        self.command_under(&[], options, code)
    }

    fn run(&self, options: &[&str], code: &str) -> Ran {
        self.run_under(&[], options, code)
    }

    fn run_under(&self, outer: &[&str], options: &[&str], code: &str) -> Ran {
        ran(self.command_under(outer, options, code).output().expect("it starts"))
    }
}

fn ran(output: std::process::Output) -> Ran {
    Ran {
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        code: output.status.code(),
        signal: output.status.signal(),
    }
}

/// What there is to isolate, and both ways to ask for both.
const WAYS: [&[&str]; 4] = [
    &["--isolate", "pid"],
    &["--isolate", "net"],
    &["--isolate", "pid,net"],
    &["--isolate", "pid", "--isolate", "net"],
];

#[test]
fn inside_one_is_who_one_was_and_has_no_more_rights() {
    // Which capabilities a process has is what tells root from somebody who is only called so.
    let ask = "print(output(\"id -u; id -g; id -un; grep CapEff /proc/self/status\"));";
    for user in User::all("pid,net") {
        let outside = user.run(&[], ask).code(0).stdout;
        for way in WAYS {
            user.run(way, ask).code(0).stdout(&outside);
        }
    }
}

#[test]
fn inside_a_pid_namespace_only_the_run_is_seen() {
    let ask = "spawn([\"sleep\", \"60\"]); print(output(\"for p in /proc/[0-9]*; do read n <$p/comm; echo $n; done\"));
        print(output(\"readlink /proc/self/ns/net\"));";
    for user in User::all("pid") {
        let ran = user.run(&["--isolate", "pid"], ask).code(0).stderr_has("1 job stopped, 0 leaked");
        let net = std::fs::read_link("/proc/self/ns/net").expect("a link");
        let mut seen: Vec<&str> = ran.stdout.lines().collect();
        // In the order of their numbers as text, which may be 9 and 10.
        seen.sort_unstable();
        let net = net.display().to_string();
        assert_eq!(seen, ["bgjobs", &net, "sh", "sleep"]);
    }
}

#[test]
fn two_runs_have_the_same_port_at_once_and_nothing_outside_is_reached() {
    let outside = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = outside.local_addr().expect("an address").port();
    // A mock on the very port that is taken outside, on both addresses of the loopback.
    let serve = format!(
        "assert(!port_in_use({port}));
        let web = spawn([\"python3\", \"-m\", \"http.server\", \"{port}\", \"--bind\", \"::1\"]);
        wait_http(\"http://[::1]:{port}/\");
        spawn([\"python3\", \"-m\", \"http.server\", \"{port}\", \"--bind\", \"127.0.0.1\"]);
        wait_http(\"http://127.0.0.1:{port}/\");
        print(\"served\"); write_file(args()[0], \"\"); wait_file(args()[1]);"
    );
    for user in User::all("net") {
        for what in ["net", "pid,net"] {
            let names = ["first", "second"].map(|name| user.dir.path().join(format!("{name}.{what}")));
            let start = |mine: &PathBuf, other: &PathBuf| {
                user.command(&["--isolate", what], &serve).args([mine, other]).spawn().expect("it starts")
            };
            // Each ends only after the other has served.
            let runs = [start(&names[0], &names[1]), start(&names[1], &names[0])];
            for run in runs {
                let ran = ran(run.wait_with_output().expect("an end"));
                ran.code(0).stdout("served\n").stderr_has("2 jobs stopped, 0 leaked");
            }
        }
    }
    outside.set_nonblocking(true).expect("a flag");
    assert!(outside.accept().is_err(), "somebody came out");
}

#[test]
fn exit_codes_and_signals_pass_through() {
    for user in User::all("pid,net") {
        for way in WAYS {
            user.run(way, "exit(3)").code(3);
            user.run(way, "run(\"exit 7\")").code(7);
            user.run(way, "throw 1").code(1);
            user.run(way, "let x = ;").code(2);
            let options: Vec<&str> = way.iter().chain(&["--timeout", "300ms"]).copied().collect();
            user.run(&options, "spawn(\"sleep 60\"); sleep(\"60s\")").code(124).stderr_has("0 leaked");
            // The host inside gets a signal from one of its own, and the guard dies of it.
            let ran = user.run(way, "run(\"kill -TERM $PPID; sleep 60\")");
            assert_eq!(ran.signal, Some(15), "{}", ran.stderr);
            // In a PID namespace the first process cannot be shot from inside.
            if way.contains(&"pid") {
                user.run(way, "run(\"kill -KILL 1; kill -ABRT 1; kill -STOP 1\"); print(1)")
                    .code(0)
                    .stdout("1\n");
            }
        }
    }
}

#[test]
fn bgjobs_works_inside_of_itself() {
    for user in User::all("pid,net") {
        let inner = "spawn([\"sleep\", \"60\"]); print(output(\"id -u\"))";
        let outer = "run([args()[0], \"script\", \"--isolate\", \"pid,net\", \"-e\", args()[1]])";
        let mut command = user.command(&["--isolate", "pid,net"], outer);
        let output = command.arg(&user.program).arg(inner).output().expect("it starts");
        let uid = ran(Command::new("id").arg("-u").output().expect("id")).stdout;
        let uid = if user.wrapper.is_empty() { uid } else { format!("{NOBODY}\n") };
        let ran = ran(output).code(0).stdout(&uid);
        assert_eq!(ran.stderr.matches("0 leaked").count(), 2, "{}", ran.stderr);
    }
}

#[test]
fn an_ordinary_user_inside_cannot_become_another() {
    for user in User::nobody().into_iter().filter(|user| user.may("pid")) {
        let code = "spawn([\"sleep\", \"60\"], #{user: \"root\"})";
        user.run(&["--isolate", "pid"], code)
            .code(126)
            .stderr_has("spawn: cannot become user `root`: Operation not permitted\n  --> -e:1:1\n")
            .stderr_has("  = only root can, and not where `--isolate` has made a user namespace\n");
    }
}

#[test]
fn what_stands_in_the_way_is_named_with_its_way_out() {
    let Some(user) = User::nobody().filter(|user| user.may("pid")) else {
        skip("only root can put something in the way");
        return;
    };
    let masked = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /proc/sys && exec \"$@\"", "sh"];
    let ran = user.run_under(&masked, &["--isolate", "pid"], "spawn(\"sleep 60\")").code(125);
    assert_eq!(
        ran.stderr,
        "error: --isolate pid is not possible here: cannot mount a /proc of its own (mount): Operation not permitted \
         (EPERM)\n  \
         = parts of /proc are masked here, as in a container, and a new one would show them\n\
         try: in Docker: --security-opt systempaths=unconfined; in Podman: --security-opt unmask=ALL\n"
    );
    let ourselves = User::ourselves();
    let limit = "echo 0 >/proc/sys/user/max_net_namespaces && exec \"$@\"";
    let limited = ["unshare", "--user", "--map-root-user", "sh", "-c", limit, "sh"];
    let ran = ourselves.run_under(&limited, &["--isolate", "net,pid"], "spawn(\"sleep 60\")").code(125);
    assert_eq!(
        ran.stderr,
        "error: --isolate pid,net is not possible here: cannot make the namespaces (unshare): No space left on device \
         (ENOSPC)\n  \
         = the limit on namespaces is reached, or is 0 (user.max_user_namespaces and the like)\n\
         try: raise the limit: sysctl user.max_user_namespaces=10000, or run bgjobs as root\n"
    );
    for user in [user, ourselves] {
        let left: Vec<_> = std::fs::read_dir(user.dir.path()).expect("a directory").flatten().collect();
        assert!(left.iter().all(|entry| entry.file_name() == "bgjobs"), "{left:?}");
    }
}

#[test]
fn a_pid_namespace_needs_no_proc_to_begin_with() {
    let user = User::ourselves();
    let without = ["unshare", "--mount", "sh", "-c", "umount -l /proc && exec \"$@\"", "sh"];
    let allowed = Command::new(without[0]).args(&without[1..5]).args(["sh", "true"]).output();
    if !allowed.is_ok_and(|output| output.status.success()) || !user.may("pid") {
        skip("/proc cannot be unmounted here");
        return;
    }
    let code = "spawn([\"sleep\", \"60\"]); print(output(\"cat /proc/1/comm\"))";
    let ran = user.run_under(&without, &["--isolate", "pid"], code).code(0);
    ran.stdout("bgjobs\n").stderr_has("1 job stopped, 0 leaked");
    user.run_under(&without, &[], code).code(125).stderr_has("/proc is not mounted here");
}

#[test]
fn what_can_be_isolated_is_told_when_it_is_mistyped() {
    let ran = User::ourselves().run(&["--isolate", "pids"], "0").code(2);
    assert!(ran.stderr.contains("[possible values: pid, net, ipc]"), "{}", ran.stderr);
}

// ---- Nothing is left -----------------------------------------------------------------------------------------

/// Every kind of victim that there is in tests/fixture, and one that needs its time.
const VICTIMS: &[&str] = &[
    "plain",
    "stubborn",
    "quick",
    "daemon",
    "leaver",
    "stopped",
    "bare",
    "nameless",
    "graceful:0.3",
    "headless",
    "hopper",
];
/// The last two want a Python, which may be installed where nobody but root can read it.
const SHELL_VICTIMS: &[&str] = VICTIMS.split_at(VICTIMS.len() - 2).0;
const SECOND: Duration = Duration::from_secs(1);
const GRACE: Duration = Duration::from_millis(500);

/// As `case!` of the kill tests: in a process of its own, which inherits whatever bgjobs leaves. Once as we are, once
/// as an ordinary user.
macro_rules! case {
    ($name:ident, $body:expr) => {
        #[test]
        fn $name() {
            in_own_process(concat!("isolate::", stringify!($name)), |case| {
                for plan in PLANS {
                    if let Some(plan) = plan() {
                        let body: fn(&mut Case, &dyn Fn() -> Plan) = $body;
                        body(case, &plan);
                    }
                }
            });
        }
    };
}

type Maker = Box<dyn Fn() -> Plan>;

const PLANS: [fn() -> Option<Maker>; 2] = [
    || {
        let plan = || Plan::victims(VICTIMS).option("--isolate").option("pid");
        User::ourselves().may("pid").then(|| Box::new(plan) as Maker)
    },
    || {
        // The directory of the run is ours, and so may be the one of the program.
        let become_nobody = "chmod 777 \"$TMPDIR\" \"$TMPDIR/..\"
            program=$1; shift
            exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$program\" \"$@\"";
        let plan = move || {
            let wrapper = ["sh", "-c", become_nobody, "sh"];
            Plan::victims(SHELL_VICTIMS).option("--isolate").option("pid").under(&wrapper)
        };
        let nobody = User::nobody()?;
        let may_read = nobody.wrapper.iter().cloned().chain(["test".to_owned(), "-x".to_owned()]);
        let may_read: Vec<String> =
            may_read.chain([support::bgjobs().to_string_lossy().into_owned()]).collect();
        if !Command::new(&may_read[0]).args(&may_read[1..]).status().expect("test").success() {
            skip_in_ci_too("the built program is not theirs to read");
            return None;
        }
        nobody.may("pid").then(|| Box::new(plan) as Maker)
    },
];

/// Stops all processes of bgjobs itself, so that none of them sees another one die, and kills them.
fn kill_guard_and_host(run: &Run) {
    let is_bgjobs =
        |pid: &i32| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == support::bgjobs());
    // What was started is not bgjobs yet, perhaps, but is about to become it.
    let all = || std::iter::once(run.pid()).chain(descendants(run.pid()).into_iter().filter(is_bgjobs));
    let mut stopped = Vec::new();
    // What one of them has started before it stood still is found by the next look.
    while let Some(next) = all().find(|pid| !stopped.contains(pid)) {
        let _ = kill(Pid::from_raw(next), Signal::SIGSTOP);
        eventually(|| "it stands still".to_owned(), || !matches!(state(next), Some('R' | 'S' | 'D')));
        stopped.push(next);
    }
    for pid in stopped {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

case!(nothing_is_left_when_guard_and_host_are_killed_at_once, |case, plan| {
    case.rounds(|case| {
        // Nobody is left to wait for a grace period: the kernel does it.
        let mut run = plan().grace("60s").start();
        case.moment_after_ready(&run);
        kill_guard_and_host(&run);
        let killed = Moment::now();
        run.wait();
        case.measured(run.assert_gone_within(SECOND, killed));
    });
});

case!(nothing_is_left_when_guard_and_host_are_killed_at_once_in_their_first_moments, |case, plan| {
    case.rounds(|case| {
        let mut run = plan().grace("500ms").start();
        case.early_moment(&run);
        kill_guard_and_host(&run);
        let killed = Moment::now();
        run.wait();
        case.measured(run.assert_gone_within(GRACE + SECOND, killed));
    });
});

case!(nothing_is_left_when_the_host_alone_is_killed, |case, plan| {
    let mut run = plan().grace("60s").start();
    case.moment_after_ready(&run);
    let host = children(run.guard().expect("the guard"))[0];
    let killed = Moment::now();
    let _ = kill(Pid::from_raw(host), Signal::SIGKILL);
    let status = run.wait();
    run.assert_nothing_left();
    case.measured(run.took(killed));
    run.assert_took(killed, SECOND);
    let text = run.stderr();
    assert_eq!(status.code(), Some(125), "{text}");
    assert!(text.contains("error: host killed by SIGKILL") && text.contains(", 0 leaked"), "{text}");
    assert!(text.contains("  = killed with it by the kernel: "), "{text}");
});

case!(jobs_inside_have_their_time_when_the_run_is_terminated, |case, plan| {
    case.rounds(|case| {
        let mut run = plan().grace("1s").start();
        case.moment_after_ready(&run);
        let sent = Moment::now();
        run.signal(Signal::SIGTERM);
        let status = run.wait();
        run.assert_nothing_left();
        case.measured(run.took(sent));
        run.assert_took(sent, SECOND * 2);
        assert_eq!(signal_of(status), Some(Signal::SIGTERM), "{}", run.stderr());
        assert!(run.marker() && run.stderr().contains(", 0 leaked"), "{}", run.stderr());
    });
});

case!(jobs_inside_have_their_time_when_the_guard_is_killed, |case, plan| {
    let mut run = plan().grace("1s").start();
    case.moment_after_ready(&run);
    run.freeze_host();
    let killed = Moment::now();
    run.signal(Signal::SIGKILL);
    run.wait();
    case.measured(run.assert_gone_within(SECOND * 2, killed));
    assert!(run.marker(), "{}", run.stderr());
});

case!(a_run_inside_stands_still_and_goes_on, |case, plan| {
    let mut run = plan().grace("1s").start();
    case.moment_after_ready(&run);
    let guard = run.guard().expect("the guard");
    let host = children(guard)[0];
    run.signal(Signal::SIGTSTP);
    eventually(|| "both stand still".to_owned(), || (state(guard), state(host)) == (Some('T'), Some('T')));
    run.signal(Signal::SIGCONT);
    eventually(|| "both go on".to_owned(), || state(guard) != Some('T') && state(host) != Some('T'));
    run.signal(Signal::SIGTERM);
    let status = run.wait();
    run.assert_nothing_left();
    assert_eq!(signal_of(status), Some(Signal::SIGTERM), "{}", run.stderr());
    assert!(run.marker(), "{}", run.stderr());
});

#[test]
fn without_isolation_somebody_is_left_and_found_when_guard_and_host_are_killed_at_once() {
    in_own_process(
        "isolate::without_isolation_somebody_is_left_and_found_when_guard_and_host_are_killed_at_once",
        |case| {
            let mut run = Plan::victims(VICTIMS).start();
            case.moment_after_ready(&run);
            kill_guard_and_host(&run);
            run.wait();
            std::thread::sleep(SECOND); // The time in which with `--isolate pid` all are gone.
            let found = run.carriers();
            run.clean_up();
            assert!(!found.is_empty());
        },
    );
}

/// Processes that nothing ends before this is dropped, not even SIGKILL.
struct Frozen(PathBuf);

impl Frozen {
    /// Needs cgroup version 1, which newer machines are without.
    fn new() -> Option<Self> {
        let dir = PathBuf::from(format!("/sys/fs/cgroup/freezer/bgjobs-test-{}", std::process::id()));
        std::fs::create_dir(&dir).ok().map(|()| Self(dir))
    }

    fn freeze(&self, pid: i32) {
        std::fs::write(self.0.join("cgroup.procs"), pid.to_string()).expect("moved");
        std::fs::write(self.0.join("freezer.state"), "FROZEN").expect("frozen");
        let frozen = || std::fs::read_to_string(self.0.join("freezer.state")).expect("a state");
        eventually(|| "it is frozen".to_owned(), || frozen() == "FROZEN\n");
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = std::fs::write(self.0.join("freezer.state"), "THAWED");
        let members = || std::fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
        eventually(|| "all of it is gone".to_owned(), || members().is_empty());
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn what_not_even_the_kernel_can_end_is_named_by_its_number_outside() {
    let user = User::ourselves();
    if !user.may("pid") {
        return;
    }
    for host_too in [false, true] {
        let Some(frozen) = Frozen::new() else {
            skip_in_ci_too("without cgroup v1 nothing can be made that SIGKILL does not end");
            return;
        };
        let code = "spawn([\"sleep\", \"61\"]); print(\"ready\"); loop { sleep(0.01); }";
        let mut run = user.command(&["--isolate", "pid", "--grace", "200ms"], code);
        let run = run.spawn().expect("it starts");
        let guard = run.id().cast_signed();
        let is_sleep = |pid: &i32| {
            std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|words| words == b"sleep\x0061\0")
        };
        let find = || descendants(guard).into_iter().find(is_sleep);
        eventually(|| "the job runs".to_owned(), || find().is_some());
        let (job, host) = (find().expect("the job"), children(guard)[0]);
        frozen.freeze(job);
        let sent = Moment::now();
        let (target, signal) = if host_too { (host, Signal::SIGKILL) } else { (guard, Signal::SIGTERM) };
        kill(Pid::from_raw(target), signal).expect("a signal");
        let ran = ran(run.wait_with_output().expect("an end"));
        let took = sent.elapsed();
        // To be given up by the host, and then once more by the guard.
        assert!(took < SECOND * if host_too { 3 } else { 6 }, "{took:?}\n{}", ran.stderr);
        let named = format!("leaked: pid {job} (user root, state D): sleep 61\n");
        assert_eq!(ran.stderr.matches(&named).count(), 1, "{}", ran.stderr);
        if host_too {
            assert_eq!(ran.code, Some(125), "{}", ran.stderr);
            assert!(ran.stderr.contains("something in its PID namespace does not end"), "{}", ran.stderr);
        } else {
            assert_eq!(ran.signal, Some(15), "{}", ran.stderr);
            assert!(ran.stderr.contains("leaked: inside pid "), "{}", ran.stderr);
        }
        assert!(ran.stderr.ends_with("1 leaked\n"), "{}", ran.stderr);
    }
}
