//! The run's cgroup: everything that a run starts is in it, it ends at one stroke, and nothing of it is left, however
//! the run ends. Where the machine has none to give the run does without.
//!
//! What is looked at is the tree of the cgroups itself, and the process that the test has put into it.
//!
//! ```text
//! BGJOBS_VM=1   also what only a virtual machine can show: limits that hold, out of memory, a delegated subtree
//! ```

use crate::support::{Script, bgjobs, repo, skip, skip_in_ci_too};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long anything that must happen may take on a busy machine before the test gives up.
const PATIENCE: Duration = Duration::from_secs(60);
const NOBODY: u32 = 65534;

/// Where this machine has cgroup v2 mounted, if the tests' own cgroup is its root and they may change it.
fn root() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("/proc");
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "));
    let path = mount.and_then(|line| line.split(' ').nth(4)).map(PathBuf::from);
    let own = fs::read_to_string("/proc/self/cgroup").expect("/proc");
    let probe = |path: &PathBuf| {
        // Each thread has a probe of its own: the tests run at the same time.
        let dir = path.join(format!("test-{}-probe-{:?}", std::process::id(), std::thread::current().id()));
        own.lines().any(|line| line == "0::/")
            && fs::create_dir(&dir).and_then(|()| fs::remove_dir(&dir)).is_ok()
    };
    let found = path.filter(probe);
    if found.is_none() {
        skip("needs cgroup v2, and the right to make a cgroup in its root");
    }
    found
}

/// A cgroup that is the test's: made for it, removed with whatever is in it.
struct Own(PathBuf);

impl Own {
    fn new(root: &Path, name: &str) -> Self {
        let path = root.join(format!("test-{}-{name}", std::process::id()));
        fs::create_dir(&path).expect("a cgroup");
        Self(path)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
        let until = Instant::now() + PATIENCE;
        while !remove(&self.0) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn remove(path: &Path) -> bool {
    for entry in fs::read_dir(path).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()) {
        remove(&entry.path());
    }
    fs::remove_dir(path).is_ok()
}

/// A run whose script has printed the cgroup of one of its commands, and goes on.
struct Run {
    child: Child,
    dir: tempfile::TempDir,
    /// What /proc/PID/cgroup says of that command.
    name: String,
    /// The run's own cgroup.
    path: PathBuf,
}

const TELL: &str =
    "write_file(env(\"TMPDIR\") + \"/told\", output(\"sed -n s/^0:://p /proc/self/cgroup\") + \"\\n\");";

impl Run {
    fn start(root: &Path, code: &str, off: &str) -> Self {
        Self::start_by(root, code, off, |_| {})
    }

    fn start_by(root: &Path, code: &str, off: &str, change: impl Fn(&mut Command)) -> Self {
        let dir = tempfile::Builder::new().prefix("bc").tempdir_in("/tmp").expect("a directory");
        let file = |name: &str| File::create(dir.path().join(name)).expect("a file");
        let mut command = Command::new(bgjobs());
        // The test may be killed: then nobody else ends it.
        command
            .args(["script", "--grace", "300ms", "--timeout", "3m", "-e", &format!("{TELL}{code}")])
            .env("TMPDIR", dir.path());
        command.env("BGJOBS_TEST_OFF", off).stdin(Stdio::null());
        command.stdout(file("stdout")).stderr(file("stderr"));
        change(&mut command);
        let child = command.spawn().expect("bgjobs starts");
        let mut run = Self { child, dir, name: String::new(), path: PathBuf::new() };
        run.eventually("it tells its cgroup", |run| run.read("told").ends_with('\n'));
        run.name = run.read("told").trim().to_owned();
        let part = run.name.split('/').find(|part| part.starts_with("bgjobs-")).expect("a cgroup of its own");
        let above = run.name.split("bgjobs-").next().expect("a start").trim_matches('/');
        run.path = root.join(above).join(part);
        run
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }

    fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    fn host(&self) -> i32 {
        let pid = self.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("/proc");
        children.split_whitespace().next().and_then(|pid| pid.parse().ok()).expect("a host")
    }

    #[track_caller]
    fn eventually(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < until, "it never came that {what}; stderr:\n{}", self.read("stderr"));
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn signal(&self, pid: i32, signal: Signal) {
        kill(Pid::from_raw(pid), signal).expect("it lives");
    }

    fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("our child")
    }

    /// bgjobs has returned: its cgroup must be gone, now.
    #[track_caller]
    fn assert_nothing_left(&self) {
        assert!(
            self.path.is_absolute() && !self.path.exists(),
            "{:?} is left\n{}",
            self.path,
            self.read("stderr")
        );
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.path.is_absolute() {
            let _ = fs::write(self.path.join("cgroup.kill"), "1");
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What /proc says is the cgroup of a process.
fn cgroup_of(pid: i32) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default().to_owned()
}

/// A stranger, so that only the cgroup can be what ended it.
fn stranger(run: &Run) -> Child {
    let child = Command::new("sleep").arg("600").process_group(0).spawn().expect("sleep starts");
    fs::write(run.path.join("jobs/cgroup.procs"), child.id().to_string()).expect("it can be moved");
    child
}

/// Every kind of process that a script can start, the ones that hide included.
const EVERYONE: &str = "
    spawn(\"sleep 600\");
    spawn(\"trap '' TERM; sleep 600; :\");
    run(\"setsid sh -c 'trap \\\"\\\" TERM HUP; sleep 600; :' >/dev/null 2>&1 &\");
    run(\"setsid env -i sleep 600 >/dev/null 2>&1 &\");
    write_file(env(\"TMPDIR\") + \"/up\", \"\");
";
const FOR_EVER: &str = "loop { sleep(0.01); }";

/// Where the record of a run says that its cgroup is; none where there is none to be had.
pub fn recorded_cgroup(run: &Path) -> Option<String> {
    let record = fs::read(run.join("lock")).expect("a record");
    let end = format!("/{}", run.file_name()?.to_str()?);
    let mut texts = record.split(|byte| *byte == 0).filter_map(|text| std::str::from_utf8(text).ok());
    texts.find(|text| text.starts_with('/') && text.ends_with(&end)).map(str::to_owned)
}

// ---- Who is in it -----------------------------------------------------------------------------------------

/// The job, the command and their children are in the run's; guard and host stay where they were.
#[track_caller]
fn all_are_in(off: &str) {
    let Some(root) = root() else { return };
    let code = "
        let job = spawn(\"sleep 600 & wait\");
        let other = spawn(\"sleep 600\", #{user: \"nobody\"});
        wait_until(|| job.descendants.len() == 1);
        write_file(env(\"TMPDIR\") + \"/pids\", `${job.pid} ${job.descendants[0].pid} ${other.pid}`);
        loop { sleep(0.01); }";
    let mut run = Run::start(&root, code, off);
    let directory = run.dir.path().join(run.path.file_name().expect("a name"));
    assert!(directory.join("lock").exists(), "it is named like the directory of the run: {:?}", run.path);
    assert_eq!(recorded_cgroup(&directory).as_deref(), run.path.to_str());
    run.eventually("the jobs run", |run| run.read("pids").split(' ').count() == 3);
    for pid in run.read("pids").split(' ') {
        assert_eq!(cgroup_of(pid.parse().expect("a pid")), run.name);
    }
    for ours in [run.pid(), run.host()] {
        assert_eq!(cgroup_of(ours), "/");
    }
    run.signal(run.pid(), Signal::SIGTERM);
    run.wait();
    run.assert_nothing_left();
}

#[test]
fn all_that_a_run_starts_is_born_in_its_cgroup() {
    all_are_in("");
}

#[test]
fn without_clone3_all_that_a_run_starts_joins_its_cgroup() {
    all_are_in("clone3");
}

#[test]
fn without_close_range_all_that_a_run_starts_is_born_in_its_cgroup() {
    all_are_in("close_range");
    all_are_in("close_range,unshare");
}

#[test]
fn by_an_ordinary_fork_all_that_a_run_starts_is_born_in_its_cgroup() {
    all_are_in("vfork");
}

// ---- Nothing is left --------------------------------------------------------------------------------------

/// The cgroup is gone when bgjobs returns; the stranger in it shows that it was the cgroup that was killed.
#[track_caller]
fn nothing_is_left(code: &str, off: &str, end: impl Fn(&Run), check: impl Fn(ExitStatus)) {
    let Some(root) = root() else { return };
    let wait = "wait_file(env(\"TMPDIR\") + \"/go\", \"60s\");";
    let mut run = Run::start(&root, &format!("{EVERYONE}{wait}{code}"), off);
    run.eventually("all run", |run| run.dir.path().join("up").exists());
    let mut stranger = stranger(&run);
    fs::write(run.dir.path().join("go"), "").expect("written");
    end(&run);
    let status = run.wait();
    run.assert_nothing_left();
    assert_eq!(stranger.wait().expect("our child").signal(), Some(9), "{}", run.read("stderr"));
    check(status);
}

fn code_is(code: i32) -> impl Fn(ExitStatus) {
    move |status| assert_eq!(status.code(), Some(code), "{status:?}")
}

fn signal_is(signal: Signal) -> impl Fn(ExitStatus) {
    move |status| assert_eq!(status.signal(), Some(signal as i32), "{status:?}")
}

#[test]
fn nothing_is_left_when_the_script_ends() {
    nothing_is_left("", "", |_| {}, code_is(0));
    nothing_is_left("exit(3);", "", |_| {}, code_is(3));
    nothing_is_left("throw 1;", "", |_| {}, code_is(1));
}

#[test]
fn nothing_is_left_after_a_termination_and_a_quit() {
    for signal in [Signal::SIGTERM, Signal::SIGQUIT] {
        nothing_is_left(FOR_EVER, "", |run| run.signal(run.pid(), signal), signal_is(signal));
    }
}

#[test]
fn nothing_is_left_when_the_host_is_killed() {
    nothing_is_left(FOR_EVER, "", |run| run.signal(run.host(), Signal::SIGKILL), code_is(125));
}

#[test]
fn before_linux_5_14_it_is_frozen_and_killed() {
    nothing_is_left("", "cgroup.kill", |_| {}, code_is(0));
    nothing_is_left(FOR_EVER, "cgroup.kill", |run| run.signal(run.host(), Signal::SIGKILL), code_is(125));
}

#[test]
fn nothing_is_left_when_the_guard_is_killed() {
    let Some(root) = root() else { return };
    for off in ["", "cgroup.kill"] {
        let mut run = Run::start(&root, &format!("{EVERYONE}{FOR_EVER}"), off);
        run.eventually("all run", |run| run.dir.path().join("up").exists());
        let mut stranger = stranger(&run);
        run.signal(run.pid(), Signal::SIGKILL);
        run.wait();
        // Nobody tells when the host is done.
        run.eventually("the cgroup is gone", |run| !run.path.exists());
        assert_eq!(stranger.wait().expect("our child").signal(), Some(9));
    }
}

#[test]
fn the_grace_period_comes_before_the_cgroup_is_killed() {
    let Some(root) = root() else { return };
    let code = "
        spawn(\"trap 'sleep 1; echo done >$TMPDIR/done; exit' TERM; touch $TMPDIR/up; while :; do sleep 0.1; done\", #{grace: \"30s\"});
        loop { sleep(0.01); }";
    for of_host in [false, true] {
        let mut run = Run::start(&root, code, "");
        run.eventually("the job runs", |run| run.dir.path().join("up").exists());
        // Only then does the guard know its grace period.
        run.eventually("it is known", |run| run.read("stderr").contains(" started: "));
        if of_host {
            run.signal(run.host(), Signal::SIGKILL);
        } else {
            run.signal(run.pid(), Signal::SIGTERM);
        }
        run.wait();
        assert_eq!(run.read("done"), "done\n", "of the host: {of_host}\n{}", run.read("stderr"));
        run.assert_nothing_left();
    }
}

#[test]
fn a_chain_that_forks_as_fast_as_it_can_ends_at_once() {
    let Some(root) = root() else { return };
    for off in ["", "cgroup.kill"] {
        let chain = "for i in 1 2 3 4; do setsid $TMPDIR/chain >/dev/null 2>&1 & done; wait";
        let code = format!("run(\"{chain}\"); write_file(env(\"TMPDIR\") + \"/up\", \"\"); {FOR_EVER}");
        let mut run =
            Run::start_by(&root, &format!("wait_file(env(\"TMPDIR\") + \"/go\");{code}"), off, |_| {});
        let file = run.dir.path().join("chain");
        // Not one process of it is seen twice. It ends by itself some time after a test that has failed.
        let text = "#!/bin/sh\ntrap '' TERM HUP\n[ -e \"$TMPDIR/go\" ] || exit\nsetsid \"$0\" &\n";
        fs::write(&file, text).expect("written");
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("permitted");
        fs::write(run.dir.path().join("go"), "").expect("written");
        run.eventually("the chains run", |run| run.dir.path().join("up").exists());
        run.signal(run.pid(), Signal::SIGTERM);
        let status = run.wait();
        assert_eq!(status.signal(), Some(15), "{status:?}\n{}", run.read("stderr"));
        run.assert_nothing_left();
        assert!(run.read("stderr").contains("0 leaked"), "{}", run.read("stderr"));
    }
}

#[test]
fn what_a_job_has_moved_out_of_the_cgroup_is_found_all_the_same() {
    let Some(root) = root() else { return };
    let out = format!("(echo 0 >{}/cgroup.procs; exec sleep 600) >/dev/null 2>&1 &", root.display());
    let code = format!("run(\"{out} echo $! >$TMPDIR/pid\"); {FOR_EVER}");
    let mut run = Run::start(&root, &code, "");
    let pid = |run: &Run| run.read("pid").trim().parse().unwrap_or(0);
    run.eventually("it has moved", |run| pid(run) != 0 && cgroup_of(pid(run)) == "/");
    let pid = pid(&run);
    run.signal(run.pid(), Signal::SIGTERM);
    run.wait();
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    run.assert_nothing_left();
}

#[test]
fn who_has_left_the_cgroup_and_the_group_is_asked_to_end_all_the_same() {
    let Some(root) = root() else { return };
    let out = format!(
        "setsid sh -c 'echo 0 >{}/cgroup.procs; trap \"echo >$TMPDIR/asked; exit\" TERM; echo >$TMPDIR/up
         while :; do sleep 0.01; done' &",
        root.display()
    );
    // Its parent ends at once, and leaves it to us, or waits for it.
    for parent in ["wait", "trap : TERM; while kill -0 $!; do wait; done"] {
        let code = format!(
            "write_file(env(\"TMPDIR\") + \"/job\", `{out} {parent}`);
             spawn(\"api\", \"sh $TMPDIR/job\", #{{grace: \"5m\"}}); wait_file(env(\"TMPDIR\") + \"/up\"); kill_all();"
        );
        let mut run = Run::start(&root, &code, "");
        assert!(run.wait().success(), "{parent}: {}", run.read("stderr"));
        assert!(run.dir.path().join("asked").exists(), "{parent}: {}", run.read("stderr"));
        run.assert_nothing_left();
    }
}

#[test]
fn the_empty_cgroup_of_a_dead_run_is_removed_by_the_next_one_and_that_of_a_living_one_stays() {
    let Some(root) = root() else { return };
    let dead = root.join(format!("bgjobs-test-{}-dead", std::process::id()));
    let alive = root.join(format!("bgjobs-test-{}-alive", std::process::id()));
    for path in [&dead, &alive] {
        fs::create_dir_all(path.join("jobs")).expect("a cgroup");
    }
    let lock = File::open(&alive).expect("there");
    lock.try_lock().expect("ours");
    let until = Instant::now() + PATIENCE;
    while dead.exists() {
        assert!(Instant::now() < until, "it stays");
        Script::code("").run().code(0);
    }
    assert!(alive.exists());
    assert!(remove(&alive));
}

// ---- Nested, and without rights -----------------------------------------------------------------------------

#[test]
fn the_jobs_of_an_inner_run_end_with_the_outer_one() {
    let Some(root) = root() else { return };
    let inner = format!("{TELL}spawn(\"trap '' TERM; sleep 600; :\"); loop {{ sleep(0.01); }}");
    let code = format!(
        "write_file(env(\"TMPDIR\") + \"/inner.rhai\", {inner:?});
         spawn([{:?}, \"script\", env(\"TMPDIR\") + \"/inner.rhai\"]);
         {FOR_EVER}",
        bgjobs()
    );
    for signal in [Signal::SIGTERM, Signal::SIGQUIT] {
        let mut run = Run::start(&root, &code, "");
        let outer = run.name.clone();
        run.eventually("the inner run tells its cgroup", |run| {
            let told = run.read("told");
            told.ends_with('\n') && told.trim() != outer
        });
        let told = run.read("told");
        let above = format!("/{}/bgjobs-", run.path.file_name().expect("a name").to_string_lossy());
        assert!(told.starts_with(&above) && told.ends_with("/jobs\n"), "{told}");
        run.signal(run.pid(), signal);
        run.wait();
        run.assert_nothing_left();
    }
}

/// Has the command run as an ordinary user.
fn as_nobody(command: &mut Command, dir: &Path) {
    std::os::unix::fs::chown(dir, Some(NOBODY), Some(NOBODY)).expect("we are root");
    command.uid(NOBODY).gid(NOBODY);
}

#[test]
fn an_ordinary_user_does_without_a_cgroup() {
    if root().is_none() {
        return;
    }
    let dir = tempfile::Builder::new().prefix("bc").tempdir_in("/tmp").expect("a directory");
    let code = "print(output(\"sed -n s/^0:://p /proc/self/cgroup\")); spawn(\"setsid sleep 600 &\"); sleep(\"50ms\");";
    let mut command = Script::code(code).cwd("/").command();
    as_nobody(command.env("TMPDIR", dir.path()), dir.path());
    let ran = command.output().expect("bgjobs starts");
    let stderr = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "/\n", "{stderr}");
    assert!(ran.status.success() && stderr.contains("0 leaked"), "{stderr}");
    // A limit is asked for on purpose.
    let mut command = Script::code("spawn(\"sleep 600\", #{max_procs: 10});").cwd("/").command();
    as_nobody(command.env("TMPDIR", dir.path()), dir.path());
    let ran = command.output().expect("bgjobs starts");
    let stderr = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(125), "{stderr}");
    let reason = "error: spawn: the limit cannot be enforced: there is no cgroup for this run: ";
    assert!(stderr.starts_with(reason) && stderr.contains("is not delegated to this user"), "{stderr}");
}

#[test]
fn an_ordinary_user_with_a_subtree_of_its_own_has_a_cgroup_in_it() {
    let Some(root) = root() else { return };
    let own = Own::new(&root, "delegated");
    for file in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
        std::os::unix::fs::chown(own.0.join(file), Some(NOBODY), Some(NOBODY)).expect("we are root");
    }
    for off in ["", "clone3", "vfork", "cgroup.kill"] {
        // Without `cgroup.kill` a set-id program is not ours to kill.
        let powerful =
            if off == "cgroup.kill" { "" } else { "spawn([env(\"TMPDIR\") + \"/powerful\", \"600\"]);" };
        let code = format!("wait_file(env(\"TMPDIR\") + \"/powerful\"); {powerful}{EVERYONE}{FOR_EVER}");
        let mut run = Run::start_by(&root, &code, off, |command| {
            let procs = own.0.join("cgroup.procs");
            let dir = command.get_envs().find(|(name, _)| *name == "TMPDIR").and_then(|(_, value)| value);
            as_nobody(command, &PathBuf::from(dir.expect("set")));
            // From inside, as whoever is moved by its session manager. Only plain system calls after the fork.
            let procs = File::options().write(true).open(procs).expect("we are root");
            let join = move || nix::unistd::write(&procs, b"0").map(drop).map_err(std::io::Error::from);
            run_before_exec(command, join);
        });
        let (draft, powerful) = (run.dir.path().join("draft"), run.dir.path().join("powerful"));
        fs::copy("/bin/sleep", &draft).expect("copied");
        fs::set_permissions(&draft, std::os::unix::fs::PermissionsExt::from_mode(0o4755)).expect("permitted");
        fs::rename(draft, powerful).expect("renamed");
        run.eventually("all run", |run| run.dir.path().join("up").exists());
        let parent = own.0.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(run.name.starts_with(&format!("/{parent}/bgjobs-")), "{}", run.name);
        run.signal(run.pid(), Signal::SIGTERM);
        run.wait();
        assert!(run.read("stderr").contains("0 leaked"), "{}", run.read("stderr"));
        run.assert_nothing_left();
    }
}

fn run_before_exec(command: &mut Command, work: impl FnMut() -> std::io::Result<()> + Send + Sync + 'static) {
    // SAFETY: the closure only writes to a descriptor that is already open.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(work);
    }
}

// ---- Limits -----------------------------------------------------------------------------------------------

#[test]
fn a_limit_that_cannot_be_enforced_is_an_error_of_kind_io() {
    let code = "
        for opts in [#{max_memory: \"64MB\"}, #{max_procs: 10}] {
            try { spawn(\"sleep 600\", opts); fail(\"no error\"); } catch (e) { print(`${e.kind}: ${e.message}`); }
            try { try_run(\"true\", opts); fail(\"no error\"); } catch (e) { print(`${e.kind}: ${e.message}`); }
        }
        assert_eq(jobs().len(), 0);";
    let line = |function: &str| {
        let reason = "there is no cgroup for this run: switched off by a test";
        format!("io: {function}: the limit cannot be enforced: {reason}\n")
    };
    let both = line("spawn") + &line("try_run");
    Script::code(code).env("BGJOBS_TEST_OFF", "cgroup").run().code(0).stdout(&(both.clone() + &both));
}

#[test]
fn a_controller_that_version_1_has_taken_is_named() {
    let Some(root) = root() else { return };
    let there = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("/proc");
    let old = mounts.lines().any(|line| line.contains(" - cgroup ") && line.ends_with(",memory"));
    if there.contains("memory") || !old {
        skip_in_ci_too("version 2 has the controller `memory` here");
        return;
    }
    Script::code("spawn(\"sleep 600\", #{max_memory: \"64MB\"});")
        .run()
        .code(125)
        .stderr_has("the limit cannot be enforced: the controller `memory` is in use by cgroup v1 (")
        .stderr_has("version 2 has it when the machine is booted with `cgroup_no_v1=all`");
}

/// Few machines that tests run on have the controllers in version 2: a machine of its own has.
#[test]
fn in_a_virtual_machine_limits_hold() {
    if std::env::var_os("BGJOBS_VM").is_none() {
        skip_in_ci_too("takes a virtual machine and a minute; BGJOBS_VM=1 runs it");
        return;
    }
    let ran = Command::new(repo("tests/vm/cgroup.sh")).arg(bgjobs()).output().expect("the script starts");
    let said = String::from_utf8_lossy(&ran.stdout);
    if ran.status.code() == Some(77) {
        skip_in_ci_too(&said);
        return;
    }
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
}
