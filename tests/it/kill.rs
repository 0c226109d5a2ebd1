//! The promise: when `bgjobs script` returns, however it ended, nothing that it started is still running.
//!
//! `harness` says how a case works. Each test here is one way to end; the victims are in tests/fixture.

// The tests are not the product: here nobody else reaps.
#![expect(clippy::disallowed_methods, reason = "the harness starts and awaits its processes itself")]

mod harness;

use harness::{Case, Plan, Run, case, children, descendants, eventually, pipe, signal_of, state};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// Every kind of victim at once.
const ALL: &[&str] =
    &["plain", "stubborn", "quick", "daemon", "leaver", "stopped", "bare", "nameless", "headless", "hopper"];
/// The grace period where it is not the point.
const GRACE: Duration = Duration::from_millis(500);
const SECOND: Duration = Duration::from_secs(1);

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn everyone() -> Plan {
    Plan::victims(ALL).grace("500ms")
}

// ---- SIGKILL ----------------------------------------------------------------------------------------------

/// After SIGKILL of the guard its caller sees it end at once; the rest follows.
fn guard_killed(case: &mut Case, frozen: bool) {
    case.rounds(|case, round| {
        let mut run = everyone().start();
        case.random_moment(&run, round);
        if frozen {
            run.freeze_host();
        }
        let killed = Instant::now();
        run.signal(Signal::SIGKILL);
        run.wait();
        let took = run.assert_gone_within(GRACE + SECOND, killed);
        case.measured(took);
    });
}

case!(nothing_is_left_when_the_guard_is_killed, |case| guard_killed(case, false));
case!(nothing_is_left_when_the_guard_of_a_stopped_host_is_killed, |case| guard_killed(case, true));

/// After SIGKILL of the host the guard returns when all are gone, within the same bound.
fn host_killed(case: &mut Case, frozen: bool) {
    case.rounds(|case, round| {
        let mut run = everyone().start();
        case.random_moment(&run, round);
        if frozen {
            run.freeze_host();
        }
        let Some(host) = run.await_host() else { return };
        let killed = Instant::now();
        let _ = kill(Pid::from_raw(host), Signal::SIGKILL);
        let status = run.wait();
        run.assert_nothing_left();
        case.measured(killed.elapsed());
        assert!(killed.elapsed() <= GRACE + SECOND, "{:?}\n{}", killed.elapsed(), run.stderr());
        assert_eq!(status.code(), Some(125), "{}", run.stderr());
        assert!(run.stderr().contains("killed by SIGKILL"), "{}", run.stderr());
    });
}

case!(nothing_is_left_when_the_host_is_killed, |case| host_killed(case, false));
case!(nothing_is_left_when_a_stopped_host_is_killed, |case| host_killed(case, true));

/// The caller's whole process group: a shell, perhaps `timeout`, the guard. No job is in it.
fn group_killed(case: &mut Case, frozen: bool) {
    case.rounds(|case, round| {
        let mut run = everyone().under(&["sh", "-c", "\"$@\"; :", "sh"]).start();
        case.random_moment(&run, round);
        if frozen {
            run.freeze_host();
        }
        let killed = Instant::now();
        run.signal_group(Signal::SIGKILL);
        run.wait();
        let took = run.assert_gone_within(GRACE + SECOND, killed);
        case.measured(took);
    });
}

case!(nothing_is_left_when_the_group_of_the_caller_is_killed, |case| group_killed(case, false));
case!(nothing_is_left_when_the_group_of_a_stopped_host_is_killed, |case| group_killed(case, true));

// ---- Negative controls: without these parts the checker must find somebody ----------------------------------

/// Runs with a part of the containment left out; the victims that are left.
fn leaves(part: &str, victims: &[&str], end: impl Fn(&mut Run)) -> Vec<harness::Found> {
    let mut run = Plan::victims(victims).grace("300ms").env("BGJOBS_TEST_OFF", part).start();
    run.wait_ready();
    end(&mut run);
    run.wait();
    std::thread::sleep(GRACE + SECOND); // Nobody would come late; the time is that of the promise.
    let found = run.carriers();
    run.clean_up();
    found
}

case!(without_a_subreaper_a_daemon_survives_and_is_found, |_| {
    let left = leaves("subreaper", &["daemon"], |run| run.signal(Signal::SIGTERM));
    assert!(!left.is_empty());
});

case!(without_the_sweep_an_unknown_process_survives_and_is_found, |_| {
    let left = leaves("sweep", &["bare"], |run| run.signal(Signal::SIGTERM));
    assert!(!left.is_empty());
});

case!(without_the_death_signal_a_stopped_host_survives_its_guard_and_is_found, |_| {
    let left = leaves("pdeathsig", &["plain"], |run| {
        run.freeze_host();
        run.signal(Signal::SIGKILL);
    });
    assert!(!left.is_empty());
});
