//! The torture suite: every way to end, with every kind of victim, at random moments. A *cell* is one victim in one
//! run that ends in one way; afterwards nobody may be left.
//!
//! Each worker is a process in a PID namespace of its own, as in `kill::harness`, which has the checker, too. In
//! short form by default; the longer it runs, the more it has seen:
//!
//! ```text
//! BGJOBS_TORTURE=n        how many cells, at least (100)
//! BGJOBS_TORTURE_JOBS=n   how many workers (2)
//! BGJOBS_TORTURE_HEAVY=1  also with victims that leave no processor, or no process number, to anybody else
//! BGJOBS_TORTURE_SEED=n   the seed of the first run; with BGJOBS_TORTURE=1 it repeats the one that has failed
//! ```
//!
//! The group scheduling of some kernels leaves all that is outside one session without a processor for ten seconds and
//! more, kernel threads among it, when such a session only computes (seen with Linux 6.18.44; 101f3498b4bd "sched/fair:
//! Revert 6d71a9c61604" is said to mend it). Nothing keeps its time then. The long form wants
//! `sysctl kernel.sched_autogroup_enabled=0` there.

use crate::clock::Moment;
use crate::kill::harness::{self, CASE, Plan, Run, User, descendants, pipe, signal_of, terminal};
use crate::support::Random;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// Victims as in tests/fixture, each with how often it is drawn.
const VICTIMS: &[(&str, u64)] = &[
    ("plain", 12),
    ("stubborn", 12),
    ("family", 12),
    ("leaver", 12),
    ("daemon", 12),
    ("mover", 12),
    ("nohup", 12),
    ("stopped", 12),
    ("respawner", 12),
    ("bare", 12),
    ("titled", 12),
    ("headless", 12),
    ("nameless", 12),
    ("holder", 12),
    ("graceful:1.5", 6),
    ("hopper:1", 8),
    ("hopper:4", 4),
    ("hopper:20", 2),
    ("hopper:100", 1),
    ("swarm:1", 4),
    ("swarm:4", 2),
    ("swarm:20", 2),
    ("swarm:100", 1),
    ("bomb", 2),
    ("crowd", 2),
];

/// Those that leave no processor to anybody else: one a run is enough.
fn is_heavy(victim: &str) -> bool {
    ["swarm", "bomb", "crowd", "hopper:20", "hopper:100"].iter().any(|heavy| victim.starts_with(heavy))
}

#[derive(Clone, Copy, PartialEq)]
enum Act {
    /// The script does it itself.
    Nothing,
    Guard(Signal),
    Group(Signal),
    Session,
    Host(Signal),
    /// The host is stopped first, then this comes to the guard.
    Frozen(Signal),
    /// A file that the test switches wait for is there, then this comes to the guard.
    Switch(Option<Signal>),
    /// The host is killed while one of its children is between fork and exec.
    HostInSpawn,
    /// Two signals to the guard, so many milliseconds apart.
    Twice(Signal, Signal, u64),
    TerminalGone,
    StdoutGone,
    /// Guard and host in the same instant.
    Both,
}

#[derive(Clone, Copy)]
enum Status {
    Code(i32),
    Signal(Signal),
    Any,
}

/// One way to end.
struct End {
    name: &'static str,
    act: Act,
    /// What the script does once its victims are started.
    then: &'static str,
    options: &'static [&'static str],
    env: Option<(&'static str, &'static str)>,
    under: &'static [&'static str],
    status: Status,
    /// Jobs get their time to shut down.
    grace: bool,
    /// What it may take besides the grace periods.
    bound: Duration,
    /// How many of them: the guard waits for two, in which a host that is well stops the jobs in their order.
    graces: u32,
}

const ON: &str = "loop { sleep(0.003); }";
/// Goes on until it is told to end, so that there is a teardown to be disturbed.
const UNTIL_TOLD: &str = "while !exists(\"{dir}/over\") { sleep(0.002); }";
const SECOND: Duration = Duration::from_secs(1);

const fn end(name: &'static str, act: Act, status: Status) -> End {
    let bound = SECOND;
    End { name, act, then: ON, options: &[], env: None, under: &[], status, grace: true, bound, graces: 1 }
}

const fn within(name: &'static str, then: &'static str, code: i32) -> End {
    End { then, ..end(name, Act::Nothing, Status::Code(code)) }
}

const TERM: Signal = Signal::SIGTERM;
const KILL: Signal = Signal::SIGKILL;
const INT: Signal = Signal::SIGINT;
const PRINTING: &str = "let line = \"x\"; line.pad(4000, 'x'); loop { print(line); sleep(0.001); }";
const TO_SPAWN: &str = "write_file(\"{dir}/switch\", \"\"); spawn({plain}); loop { sleep(0.003); }";

const ENDS: &[End] = &[
    within("script ends", "sleep({short});", 0),
    within("exit(3)", "sleep({short}); exit(3);", 3),
    within("script throws", "sleep({short}); throw \"enough\";", 1),
    End {
        env: Some(("BGJOBS_TEST_PANIC", "script:{dir}/switch")),
        ..end("panic in bgjobs", Act::Switch(None), Status::Code(125))
    },
    End { options: &["--timeout", "{short}"], ..end("--timeout", Act::Nothing, Status::Code(124)) },
    end("INT to guard", Act::Guard(INT), Status::Signal(INT)),
    end("TERM to guard", Act::Guard(TERM), Status::Signal(TERM)),
    end("HUP to guard", Act::Guard(Signal::SIGHUP), Status::Signal(Signal::SIGHUP)),
    End {
        grace: false,
        bound: Duration::from_secs(2),
        ..end("QUIT to guard", Act::Guard(Signal::SIGQUIT), Status::Signal(Signal::SIGQUIT))
    },
    end("INT to group", Act::Group(INT), Status::Signal(INT)),
    end("KILL to guard", Act::Guard(KILL), Status::Signal(KILL)),
    end("KILL to host", Act::Host(KILL), Status::Code(125)),
    end("KILL to group", Act::Group(KILL), Status::Signal(KILL)),
    End { under: &["setsid", "--wait"], ..end("KILL to session", Act::Session, Status::Any) },
    end("host stopped, TERM", Act::Frozen(TERM), Status::Signal(TERM)),
    end("host stopped, KILL to guard", Act::Frozen(KILL), Status::Signal(KILL)),
    End {
        env: Some(("BGJOBS_TEST_HANG", "script:{dir}/switch")),
        bound: Duration::from_secs(2), // A script that hears nothing has a second to notice.
        ..end("host spins, TERM", Act::Switch(Some(TERM)), Status::Signal(TERM))
    },
    End {
        env: Some(("BGJOBS_TEST_HANG", "teardown:{dir}/switch")),
        grace: false, // It has passed when the guard gives up on the host.
        // 4 s, and what the host has waited for a processor, of which it may have one with everybody else.
        bound: Duration::from_secs(7),
        graces: 2,
        ..end("deadlock in teardown", Act::Switch(Some(TERM)), Status::Signal(TERM))
    },
    end("TERM, KILL 100 ms later", Act::Twice(TERM, KILL, 100), Status::Any),
    end("two INTs 50 ms apart", Act::Twice(INT, INT, 50), Status::Signal(INT)),
    End {
        grace: false,
        bound: Duration::from_millis(2600),
        ..end("two INTs 600 ms apart", Act::Twice(INT, INT, 600), Status::Signal(INT))
    },
    End { under: &["setsid", "--ctty", "--wait"], ..end("terminal closed", Act::TerminalGone, Status::Any) },
    End { then: PRINTING, ..end("stdout closed", Act::StdoutGone, Status::Any) },
    End {
        then: PRINTING,
        bound: Duration::from_secs(2), // The writers have a second.
        ..end("reader stalled, TERM", Act::Guard(TERM), Status::Signal(TERM))
    },
    End { under: &["timeout", "-s", "KILL", "{short}"], ..end("timeout -s KILL", Act::Nothing, Status::Any) },
    End {
        env: Some(("BGJOBS_TEST_HANG", "spawn:{dir}/switch")),
        then: TO_SPAWN,
        ..end("KILL to host in a spawn", Act::HostInSpawn, Status::Code(125))
    },
    End {
        options: &["--isolate", "pid"],
        ..end("KILL to both, --isolate pid", Act::Both, Status::Signal(KILL))
    },
    End {
        options: &["--isolate", "pid"],
        ..end("TERM to guard, --isolate pid", Act::Guard(TERM), Status::Signal(TERM))
    },
    End {
        options: &["--isolate", "pid"],
        ..end("KILL to guard, --isolate pid", Act::Guard(KILL), Status::Signal(KILL))
    },
    End {
        options: &["--isolate", "pid"],
        grace: false, // The kernel ends them with it.
        ..end("KILL to host, --isolate pid", Act::Host(KILL), Status::Code(125))
    },
    // The one that is not promised: its survivors are counted, not held against anybody.
    end(BOTH, Act::Both, Status::Signal(KILL)),
];
const BOTH: &str = "KILL to both";

/// One to four victims.
fn draw(random: &mut Random) -> Vec<&'static str> {
    let total: u64 = VICTIMS.iter().map(|(_, weight)| weight).sum();
    let mut chosen: Vec<&'static str> = Vec::new();
    for _ in 0..=random.below(4) {
        let mut at = random.below(total);
        let found = VICTIMS.iter().find(|(_, weight)| {
            let hit = at < *weight;
            at = at.saturating_sub(*weight);
            hit
        });
        let (victim, _) = found.expect("below the total");
        let kind = |victim: &str| victim.split(':').next().map(str::to_owned);
        let twice = chosen.iter().any(|other| kind(other) == kind(victim));
        let crowded = is_heavy(victim) && chosen.iter().any(|other| is_heavy(other));
        if !(twice || crowded) {
            chosen.push(victim);
        }
    }
    chosen
}

/// When it happens.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// In the first 20 ms.
    Start,
    /// While it runs, or somewhat later.
    Run,
    /// After the script has come to its end by itself.
    Teardown,
}

/// What else the machine does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Load {
    Idle,
    /// Both processors are busy.
    Busy,
    /// There is only one.
    OneProcessor,
}

/// Keeps both processors busy as long as it lives.
struct Hogs(&'static AtomicBool, Vec<std::thread::JoinHandle<()>>);

impl Hogs {
    fn start() -> Self {
        let on: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(true)));
        let spin = move || while on.load(SeqCst) {};
        Self(on, (0..2).map(|_| std::thread::spawn(spin)).collect())
    }
}

impl Drop for Hogs {
    fn drop(&mut self) {
        self.0.store(false, SeqCst);
        for hog in self.1.drain(..) {
            let _ = hog.join();
        }
    }
}

/// The machine as the workers share it. A run with heavy victims has it for itself: they take the processors from the
/// run of another worker as well, and how late that one then is says nothing about it.
struct Machine(File);

impl Machine {
    /// Waits until it may be used, `alone` or with others.
    fn enter(alone: bool) -> Self {
        let rooms = std::env::var_os(ROOMS).map(PathBuf::from).expect("the test sets it for its workers");
        let open =
            |name| File::options().append(true).create(true).open(rooms.join(name)).expect("a lock file");
        // Whoever comes after one that waits to be alone waits behind it.
        let queue = open("queue");
        queue.lock().expect("locked");
        let machine = open("machine");
        if alone { machine.lock() } else { machine.lock_shared() }.expect("locked");
        queue.unlock().expect("unlocked");
        Self(machine)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Not left to `close`: a child of another thread may have the file until it execs.
        let _ = self.0.unlock();
    }
}

/// What came of one run.
struct Outcome {
    victims: Vec<&'static str>,
    took: Duration,
    /// The same by the time of day.
    wall: Duration,
    survivors: usize,
}

fn ordinary_user() -> Option<&'static User> {
    static USER: OnceLock<Option<User>> = OnceLock::new();
    let copies = || {
        let dir = tempfile::Builder::new().prefix("bu").tempdir_in("/tmp").expect("a directory");
        User::ordinary(&dir.keep())
    };
    USER.get_or_init(copies).as_ref()
}

/// One run: panics with what is wrong.
fn run_one(end: &End, seed: u64) -> Outcome {
    let mut random = Random::new(seed);
    let user = if random.below(2) == 0 { ordinary_user() } else { None };
    let with_heavy = std::env::var_os("BGJOBS_TORTURE_HEAVY").is_some();
    let mut victims: Vec<_> =
        draw(&mut random).into_iter().filter(|victim| with_heavy || !is_heavy(victim)).collect();
    if victims.is_empty() {
        victims.push("plain");
    }
    let graceful = victims.iter().any(|victim| victim.starts_with("graceful"));
    let heavy = victims.iter().any(|victim| is_heavy(victim));
    let grace = Duration::from_millis(if graceful { 6000 } else { 300 });
    let load = match random.below(4) {
        0 if !heavy => Load::Busy,
        1 if !heavy => Load::OneProcessor,
        _ => Load::Idle,
    };
    let phase = match random.below(3) {
        0 => Phase::Start,
        1 => Phase::Run,
        _ => Phase::Teardown,
    };
    // A switch is for a run under way.
    let switched = matches!(end.act, Act::Switch(_) | Act::HostInSpawn);
    let phase = if switched { Phase::Run } else { phase };
    let short = format!("{}ms", 1 + random.below(400));

    let mut plan = Plan::victims(&victims).grace(&format!("{}ms", grace.as_millis()));
    let own_end = !matches!(end.act, Act::Nothing) && matches!(phase, Phase::Teardown) && end.then == ON;
    plan =
        plan.then(&(if own_end { UNTIL_TOLD } else { end.then }).replace("{short}", &format!("\"{short}\"")));
    for option in end.options {
        plan = plan.option(&option.replace("{short}", &short));
    }
    if let Some((name, value)) = end.env {
        plan = plan.env(name, value);
    }
    if let Some(user) = user {
        plan = plan.by(user);
    }
    // `timeout` has no milliseconds.
    let seconds = format!("0.{:03}", 1 + random.below(600));
    let words = end.under.iter().map(|word| word.replace("{short}", &seconds));
    let one =
        if load == Load::OneProcessor { vec!["taskset".to_owned(), "-c".into(), "0".into()] } else { vec![] };
    let words: Vec<String> = one.into_iter().chain(words).collect();
    plan = plan.under(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let mut reader = None;
    if end.then == PRINTING {
        let (read, write) = pipe();
        reader = Some(read);
        plan = plan.stdout(write);
    }
    let mut keys = None;
    if end.act == Act::TerminalGone {
        let (master, stdin) = terminal();
        keys = Some(master);
        plan = plan.stdin(stdin);
    }

    let _machine = Machine::enter(heavy);
    let _hogs = (load == Load::Busy).then(Hogs::start);
    let begun = Instant::now();
    let mut run = plan.start();
    let about = format!("{} with {victims:?}, {phase:?}, {load:?}, user {}", end.name, user.is_some());
    if end.act != Act::Nothing {
        wait_for_moment(&mut run, phase, own_end, grace, &mut random);
    }
    let ready = run.file("ready.graceful").exists();
    let (since, asked) = (Moment::now(), Instant::now());
    let started = run.started;
    perform(end, &mut run, (reader, keys));
    let status = run.wait();
    let killed =
        signal_of(status) == Some(KILL) || matches!(end.act, Act::Session) || end.name.contains("timeout");

    // How long: from what ended it, or, where that was the script or a clock, from the start.
    let (from, wall) = if end.act == Act::Nothing { (started, begun) } else { (since, asked) };
    let starting = match (end.act == Act::Nothing, heavy) {
        (true, true) => SECOND * 5, // 300 jobs, or 2,000 forks.
        (true, false) => SECOND,
        _ => Duration::ZERO,
    };
    // What a command has left outlives the jobs that were started after it, so that they stop one after the other.
    let waves = if !killed && victims.contains(&"holder") { 2 } else { 1 };
    let bound = grace * end.graces.max(waves) + end.bound + starting;
    let mut survivors = 0;
    let took = if end.name == BOTH {
        survivors = count_survivors(&mut run, grace);
        Duration::ZERO
    } else if killed {
        run.assert_gone_within(bound, from)
    } else {
        run.assert_nothing_left();
        let took = run.took(from);
        assert!(took <= bound, "{about}: it took {took:?}\n{}", run.stderr());
        took
    };
    let wall = if end.name == BOTH { Duration::ZERO } else { wall.elapsed() };
    let told = run.stderr();
    assert!(!told.contains("leaked: "), "{about}:\n{told}");
    // A script that was at its end keeps its own result, unless a signal came.
    match end.status {
        Status::Code(code) if !own_end => {
            assert_eq!(status.code(), Some(code), "{about}: {status:?}\n{told}")
        }
        Status::Signal(signal) if !own_end && end.under.is_empty() => {
            assert_eq!(signal_of(status), Some(signal), "{about}: {status:?}\n{told}");
        }
        _ => {}
    }
    if graceful && end.grace && ready && end.act != Act::Both && !own_end {
        assert!(run.marker(), "{about}: no time to shut down\n{told}");
    }
    Outcome { victims, took, wall, survivors }
}

fn wait_for_moment(run: &mut Run, phase: Phase, own_end: bool, grace: Duration, random: &mut Random) {
    let pause = |time: Duration| std::thread::sleep(time);
    match phase {
        Phase::Start => {
            let moment = random.time(Duration::from_millis(20));
            let start = Instant::now();
            while start.elapsed() < moment {
                std::thread::yield_now();
            }
        }
        Phase::Run => {
            if random.below(3) > 0 {
                run.wait_ready();
                pause(random.time(Duration::from_millis(30)));
            } else {
                pause(random.time(Duration::from_millis(300)));
            }
        }
        Phase::Teardown if own_end => {
            run.wait_ready();
            std::fs::write(run.file("over"), "").expect("a file");
            pause(random.time(grace.min(Duration::from_millis(400)) + Duration::from_millis(50)));
        }
        Phase::Teardown => run.wait_ready(),
    }
}

fn perform(end: &End, run: &mut Run, ends: (Option<std::os::fd::OwnedFd>, Option<std::fs::File>)) {
    let to = |pid: i32, signal: Signal| {
        let _ = kill(Pid::from_raw(pid), signal);
    };
    match end.act {
        Act::Nothing => {}
        Act::Guard(signal) => {
            run.signal(signal);
            // A stalled reader stays to the end.
            std::mem::forget(ends);
        }
        Act::Group(signal) => run.signal_group(signal),
        Act::Session => {
            let session_of = |pid: i32| nix::unistd::getsid(Some(Pid::from_raw(pid))).ok();
            harness::eventually(|| "the guard is there".to_owned(), || run.guard().is_some() || is_over(run));
            let Some(guard) = run.guard() else { return };
            let session = session_of(guard);
            for pid in descendants(run.pid()).into_iter().filter(|pid| session_of(*pid) == session) {
                to(pid, KILL);
            }
        }
        Act::Host(signal) => {
            if let Some(host) = host_of(end, run) {
                to(host, signal);
            }
        }
        Act::Frozen(signal) => {
            run.freeze_host();
            run.signal(signal);
        }
        Act::Switch(signal) => {
            std::fs::write(run.file("switch"), "").expect("a file");
            if let Some(signal) = signal {
                run.signal(signal);
            }
        }
        Act::HostInSpawn => {
            harness::eventually(
                || "a child is between fork and exec".to_owned(),
                || run.file("switch.reached").exists(),
            );
            if let Some(host) = run.host() {
                to(host, KILL);
            }
            let _ = std::fs::remove_file(run.file("switch"));
        }
        Act::Twice(first, second, pause) => {
            run.signal(first);
            std::thread::sleep(Duration::from_millis(pause));
            run.signal(second);
        }
        Act::TerminalGone | Act::StdoutGone => drop(ends),
        Act::Both => {
            let Some(host) = host_of(end, run) else { return };
            let Some(guard) = run.guard() else { return };
            to(guard, Signal::SIGSTOP);
            to(host, Signal::SIGSTOP);
            to(guard, KILL);
            to(host, KILL);
        }
    }
}

fn is_over(run: &Run) -> bool {
    matches!(harness::state(run.pid()), None | Some('Z'))
}

/// The host, once it is there. In a PID namespace the guard's first child only makes that: the host is the one that has
/// a session of its own.
fn host_of(end: &End, run: &mut Run) -> Option<i32> {
    if end.options.is_empty() {
        return run.await_host();
    }
    let leads =
        |pid: &i32| nix::unistd::getsid(Some(Pid::from_raw(*pid))).is_ok_and(|own| own.as_raw() == *pid);
    while !is_over(run) {
        // Not at once where a wrapper has to become the guard first.
        let children = run.guard().map(harness::children).unwrap_or_default();
        if let Some(host) = children.into_iter().find(leads) {
            return Some(host);
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    None
}

/// After both have been killed: how many processes are left when the time of the promise is over.
fn count_survivors(run: &mut Run, grace: Duration) -> usize {
    std::thread::sleep(grace + SECOND);
    while matches!(
        nix::sys::wait::waitpid(None, Some(nix::sys::wait::WaitPidFlag::WNOHANG)),
        Ok(status) if status.pid().is_some()
    ) {}
    let left = descendants(std::process::id().cast_signed()).len();
    run.clean_up();
    left
}

const WORKER: &str = "BGJOBS_TORTURE_WORKER";
/// Where the workers' lock files are.
const ROOMS: &str = "BGJOBS_TORTURE_ROOMS";

/// Runs cells until there are enough, and tells each in a line.
#[test]
#[ignore = "the worker of the other test"]
fn worker() {
    let Some((seed, runs)) = std::env::var(WORKER).ok().and_then(|text| {
        let (seed, runs) = text.split_once(' ')?;
        Some((seed.parse::<u64>().ok()?, runs.parse::<u64>().ok()?))
    }) else {
        return;
    };
    nix::sys::prctl::set_child_subreaper(true).expect("subreaper");
    // The test runner has begun a line.
    println!();
    for seed in seed..seed + runs {
        let end = &ENDS[usize::try_from(Random::new(seed ^ 0x5eed).below(ENDS.len() as u64)).expect("small")];
        match catch_unwind(AssertUnwindSafe(|| run_one(end, seed))) {
            Ok(Outcome { victims, took, wall, survivors }) => {
                let (victims, took, wall) = (victims.join(","), took.as_millis(), wall.as_millis());
                println!("cell\t{}\t{victims}\t{took}\t{wall}\t{survivors}", end.name);
            }
            Err(_) => println!("failed\t{}\t{seed}", end.name),
        }
    }
}

#[test]
fn every_end_with_every_victim_leaves_nobody() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (cells, workers) =
        (number("BGJOBS_TORTURE").unwrap_or(100), number("BGJOBS_TORTURE_JOBS").unwrap_or(2));
    let nanos = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.subsec_nanos());
    let seed = number("BGJOBS_TORTURE_SEED").unwrap_or(u64::from(nanos));
    println!("torture: seed {seed}");
    let workers = workers.min(cells);
    // Two cells a run, more or less.
    let runs = cells.div_ceil(2 * workers);
    let rooms = tempfile::tempdir().expect("a directory");
    let start = Instant::now();
    let mut children: Vec<_> = (0..workers)
        .map(|worker| {
            let test = std::env::current_exe().expect("the test binary");
            let mut words: Vec<_> = harness::own_world().iter().map(std::ffi::OsString::from).collect();
            words.push(test.into());
            Command::new(&words[0])
                .args(&words[1..])
                .args(["torture::worker", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
                .env(WORKER, format!("{} {runs}", seed + worker * 1_000_000))
                .env(ROOMS, rooms.path())
                .env("BGJOBS_KILL_PYTHON", harness::python())
                .env_remove(CASE)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("the test binary starts")
        })
        .collect();
    let errors: Vec<_> = children
        .iter_mut()
        .map(|child| {
            let stderr = child.stderr.take().expect("piped");
            std::thread::spawn(move || {
                BufReader::new(stderr).lines().map_while(Result::ok).collect::<Vec<_>>()
            })
        })
        .collect();
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    let mut failed = Vec::new();
    for mut child in children {
        let output = BufReader::new(child.stdout.take().expect("piped"));
        for line in output.lines().map_while(Result::ok) {
            match line.split('\t').collect::<Vec<_>>().as_slice() {
                ["cell", end, victims, took, wall, survivors] => {
                    let row = rows.entry((*end).to_owned()).or_default();
                    row.runs += 1;
                    row.cells += victims.split(',').count();
                    row.slowest = row.slowest.max(took.parse().unwrap_or(0));
                    row.wall = row.wall.max(wall.parse().unwrap_or(0));
                    row.survivors += survivors.parse::<usize>().unwrap_or(0);
                }
                ["failed", end, seed] => {
                    failed.push(format!("{end}: BGJOBS_TORTURE=1 BGJOBS_TORTURE_SEED={seed}"))
                }
                _ => {}
            }
        }
        let _ = child.wait();
    }
    let errors: Vec<String> =
        errors.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect();
    // The slowest as the bounds count (see `Moment`), and by the time of day.
    println!("torture: end                                runs  cells  survivors      slowest   wall clock");
    for (end, Row { runs, cells, survivors, slowest, wall }) in &rows {
        println!("torture: {end:<32} {runs:>6} {cells:>6} {survivors:>10} {slowest:>9} ms {wall:>9} ms");
    }
    let promised = rows.iter().filter(|(end, _)| *end != BOTH);
    let (total, left) =
        promised.fold((0, 0), |(cells, left), (_, row)| (cells + row.cells, left + row.survivors));
    println!("torture: {total} cells of what is promised in {:?}: {left} survivors", start.elapsed());
    assert!(failed.is_empty(), "{}\n{}", failed.join("\n"), errors.join("\n"));
    assert!(left == 0 && total > 0, "{left} survivors in {total} cells");
}

#[derive(Default)]
struct Row {
    runs: usize,
    cells: usize,
    survivors: usize,
    slowest: u64,
    wall: u64,
}
