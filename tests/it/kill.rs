//! The promise: when `bgjobs script` returns, however it ended, nothing that it started is still running.
//!
//! `harness` says how a case works. Each test here is one way to end; the victims are in tests/fixture.

// The tests are not the product: here nobody else reaps.
#![expect(clippy::disallowed_methods, reason = "the harness starts and awaits its processes itself")]

pub mod harness;

use crate::clock::Moment;
use crate::support::skip;
use harness::{Case, Plan, Run, case, children, descendants, eventually, pipe, signal_of, state, terminal};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, ExitStatus};
use std::time::Duration;

/// Every kind of victim at once.
const ALL: &[&str] =
    &["plain", "stubborn", "quick", "daemon", "leaver", "stopped", "bare", "nameless", "headless", "hopper"];
/// The grace period where it is not the point.
const GRACE: Duration = Duration::from_millis(500);
const SECOND: Duration = Duration::from_secs(1);
/// What the process model gives the host to kill everything, for a script that forks as fast as it can.
const KILL_NOW: Duration = Duration::from_secs(2);

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn everyone() -> Plan {
    Plan::victims(ALL).grace("500ms")
}

// ---- SIGKILL ----------------------------------------------------------------------------------------------

/// After SIGKILL of the guard its caller sees it end at once; the rest follows.
fn guard_killed(case: &mut Case, frozen: bool) {
    case.rounds(|case| {
        let mut run = everyone().start();
        case.random_moment(&run);
        if frozen {
            run.freeze_host();
        }
        let killed = Moment::now();
        run.signal(Signal::SIGKILL);
        run.wait();
        let took = run.assert_gone_within(GRACE + SECOND, killed);
        case.measured(took);
        // One line, which names what is kept.
        let said = run.stderr();
        let last = said.lines().filter(|line| line.contains("the guard was killed"));
        let named = |line: &str| line.contains("; logs: /") || !said.contains(" started: ");
        assert!(last.clone().all(named), "{said}");
        assert!(last.count() <= 1, "{said}");
    });
}

case!(nothing_is_left_when_the_guard_is_killed, |case| guard_killed(case, false));
case!(nothing_is_left_when_the_guard_of_a_stopped_host_is_killed, |case| guard_killed(case, true));

/// After SIGKILL of the host the guard returns when all are gone, within the same bound.
fn host_killed(case: &mut Case, frozen: bool) {
    case.rounds(|case| {
        let mut run = everyone().start();
        case.random_moment(&run);
        if frozen {
            run.freeze_host();
        }
        let Some(host) = run.await_host() else { return };
        let killed = Moment::now();
        let _ = kill(Pid::from_raw(host), Signal::SIGKILL);
        let status = run.wait();
        run.assert_nothing_left();
        case.measured(run.took(killed));
        run.assert_took(killed, GRACE + SECOND);
        assert_eq!(status.code(), Some(125), "{}", run.stderr());
        assert!(run.stderr().contains("killed by SIGKILL"), "{}", run.stderr());
    });
}

case!(nothing_is_left_when_the_host_is_killed, |case| host_killed(case, false));
case!(nothing_is_left_when_a_stopped_host_is_killed, |case| host_killed(case, true));

/// Two jobs whose first processes leave a line in a file for each TERM: one as it was started, of which the kernel tells
/// the death of the host, and one that has become another user since, of which it does not.
const CHANGED: &str = "let shell = |file| [\"sh\", \"-c\", `trap 'echo TERM >>{dir}/${file}; asked=yes' TERM
        : >{dir}/${file}
        while [ -z $asked ]; do sleep 1 & wait $!; done`, \"{token}\"];
    spawn(shell.call(\"same\"));
    spawn([\"setpriv\", \"--reuid\", \"65534\", \"--regid\", \"65534\", \"--clear-groups\"] + shell.call(\"other\"));
    loop { sleep(0.003); }";

case!(each_leader_is_asked_to_stop_when_the_host_is_killed, |case| {
    if !nix::unistd::geteuid().is_root() {
        skip("only root can become another user");
        return;
    }
    case.rounds(|case| {
        let mut run = Plan::victims(&[]).grace("60s").then(CHANGED).start();
        let ready = || run.file("same").exists() && run.file("other").exists();
        eventually(|| format!("two jobs run\n{}", run.stderr()), ready);
        case.moment_after_ready(&run);
        let _ = kill(Pid::from_raw(run.await_host().expect("a host")), Signal::SIGKILL);
        let status = run.wait();
        run.assert_nothing_left();
        assert_eq!(status.code(), Some(125), "{}", run.stderr());
        for name in ["same", "other"] {
            let lines = std::fs::read_to_string(run.file(name)).expect("a file");
            assert!(lines.starts_with("TERM\n"), "{name}: {lines:?}\n{}", run.stderr());
        }
    });
});

/// The caller's whole process group: a shell, perhaps `timeout`, the guard. No job is in it.
fn group_killed(case: &mut Case, frozen: bool) {
    case.rounds(|case| {
        let mut run = everyone().under(&["sh", "-c", "\"$@\"; :", "sh"]).start();
        case.random_moment(&run);
        if frozen {
            run.freeze_host();
        }
        let killed = Moment::now();
        run.signal_group(Signal::SIGKILL);
        run.wait();
        let took = run.assert_gone_within(GRACE + SECOND, killed);
        case.measured(took);
    });
}

case!(nothing_is_left_when_the_group_of_the_caller_is_killed, |case| group_killed(case, false));
case!(nothing_is_left_when_the_group_of_a_stopped_host_is_killed, |case| group_killed(case, true));

// ---- Negative controls: without these parts the checker must find somebody ----------------------------------

/// Runs with a part of the containment left out; the victims that are left. Tried again when there are none: on a busy
/// machine a daemon may be found before it has got away from its parent.
fn leaves(part: &str, victims: &[&str], end: impl Fn(&mut Run)) -> Vec<harness::Found> {
    let attempt = |_| {
        let mut run = Plan::victims(victims).grace("300ms").env("BGJOBS_TEST_OFF", part).start();
        run.wait_ready();
        end(&mut run);
        run.wait();
        std::thread::sleep(GRACE + SECOND); // Nobody would come late; the time is that of the promise.
        let found = run.carriers();
        run.clean_up();
        found
    };
    (0..5).map(attempt).find(|found| !found.is_empty()).unwrap_or_default()
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

case!(without_the_grace_period_a_job_that_needs_it_leaves_no_marker, |case| {
    let mut run = Plan::victims(&["graceful:0.5"]).env("BGJOBS_TEST_OFF", "grace").start();
    case.moment_after_ready(&run);
    run.signal(Signal::SIGTERM);
    run.wait();
    run.assert_nothing_left();
    assert!(!run.marker(), "{}", run.stderr());
});

// ---- Signals ----------------------------------------------------------------------------------------------

/// Stops gracefully, and dies of the very signal; at whatever moment it comes.
fn stopped_by(case: &mut Case, signal: Signal) {
    case.rounds(|case| {
        let mut run = everyone().start();
        case.random_moment(&run);
        let sent = Moment::now();
        run.signal(signal);
        let status = run.wait();
        run.assert_nothing_left();
        case.measured(run.took(sent));
        assert_eq!(signal_of(status), Some(signal), "{status:?}\n{}", run.stderr());
        run.assert_took(sent, GRACE + SECOND);
    });
}

case!(an_interrupt_stops_all_and_the_guard_dies_of_it, |case| stopped_by(case, Signal::SIGINT));
case!(a_termination_stops_all_and_the_guard_dies_of_it, |case| stopped_by(case, Signal::SIGTERM));
case!(a_hangup_stops_all_and_the_guard_dies_of_it, |case| stopped_by(case, Signal::SIGHUP));

case!(a_termination_of_the_host_alone_means_stop, |case| {
    case.rounds(|case| {
        let mut run = everyone().start();
        case.random_moment(&run);
        let Some(host) = run.await_host() else { return };
        let sent = Moment::now();
        let _ = kill(Pid::from_raw(host), Signal::SIGTERM);
        let status = run.wait();
        run.assert_nothing_left();
        case.measured(run.took(sent));
        assert_eq!(signal_of(status), Some(Signal::SIGTERM), "{status:?}\n{}", run.stderr());
        run.assert_took(sent, GRACE + SECOND);
    });
});

case!(a_stopped_host_is_woken_to_stop, |case| {
    case.rounds(|case| {
        let mut run = everyone().start();
        case.random_moment(&run);
        run.freeze_host();
        let sent = Moment::now();
        run.signal(Signal::SIGTERM);
        let status = run.wait();
        run.assert_nothing_left();
        case.measured(run.took(sent));
        assert_eq!(signal_of(status), Some(Signal::SIGTERM), "{status:?}\n{}", run.stderr());
        run.assert_took(sent, GRACE + SECOND);
    });
});

case!(a_quit_kills_all_at_once, |case| {
    case.rounds(|case| {
        let mut run = Plan::victims(ALL).grace("60s").start();
        case.random_moment(&run);
        let sent = Moment::now();
        run.signal(Signal::SIGQUIT);
        let status = run.wait();
        run.assert_nothing_left();
        case.measured(run.took(sent));
        assert_eq!(signal_of(status), Some(Signal::SIGQUIT), "{status:?}\n{}", run.stderr());
        run.assert_took(sent, SECOND);
    });
});

case!(a_second_signal_half_a_second_later_kills_all_at_once, |case| {
    case.rounds(|case| {
        let mut run = Plan::victims(ALL).grace("60s").start();
        case.moment_after_ready(&run);
        run.signal(Signal::SIGINT);
        // The pause is the point here: a second signal counts from 500 ms on.
        std::thread::sleep(ms(520) + case.random_time(ms(200)));
        assert!(state(run.pid()).is_some_and(|state| state != 'Z'), "{}", run.stderr());
        let second = Moment::now();
        run.signal(Signal::SIGTERM);
        let status = run.wait();
        run.assert_nothing_left();
        case.measured(run.took(second));
        assert_eq!(signal_of(status), Some(Signal::SIGINT), "{status:?}\n{}", run.stderr());
        run.assert_took(second, SECOND);
    });
});

/// A job that needs 1.5 s after TERM gets them, however the stop is said.
fn time_to_stop(case: &mut Case, wrapper: &[&str], stop: fn(&mut Case, &Run), check: fn(ExitStatus)) {
    let mut run = Plan::victims(&["graceful:1.5", "daemon", "leaver"]).grace("60s").under(wrapper).start();
    case.moment_after_ready(&run);
    let sent = Moment::now();
    stop(case, &run);
    let status = run.wait();
    run.assert_nothing_left();
    case.measured(run.took(sent));
    assert!(run.marker(), "no marker after {:?}\n{}", run.took(sent), run.stderr());
    assert!(run.stderr().contains("0 leaked"), "{}", run.stderr());
    check(status);
}

/// What `timeout` gets from its timer, here once the jobs are up, however long that takes.
fn time_out(_: &mut Case, run: &Run) {
    run.signal(Signal::SIGALRM);
}

case!(the_timeout_command_leaves_jobs_their_time, |case| {
    let check = |status: ExitStatus| assert_eq!(status.code(), Some(124));
    time_to_stop(case, &["timeout", "1000"], time_out, check);
});

case!(the_timeout_command_in_the_foreground_leaves_jobs_their_time, |case| {
    let check = |status: ExitStatus| assert_eq!(status.code(), Some(124));
    time_to_stop(case, &["timeout", "--foreground", "1000"], time_out, check);
});

case!(a_termination_of_guard_host_and_jobs_at_once_leaves_jobs_their_time, |case| {
    let stop = |case: &mut Case, run: &Run| {
        let mut all = descendants(run.pid());
        all.push(run.pid());
        while !all.is_empty() {
            let which = usize::try_from(case.random(all.len() as u64)).expect("small");
            let _ = kill(Pid::from_raw(all.swap_remove(which)), Signal::SIGTERM);
        }
    };
    let check = |status: ExitStatus| assert_eq!(signal_of(status), Some(Signal::SIGTERM));
    case.rounds(|case| time_to_stop(case, &[], stop, check));
});

case!(an_interrupt_of_the_group_and_a_forwarded_one_leave_jobs_their_time, |case| {
    let stop = |case: &mut Case, run: &Run| {
        run.signal_group(Signal::SIGINT);
        std::thread::sleep(case.random_time(ms(300)));
        run.signal(Signal::SIGINT);
    };
    let check = |status: ExitStatus| assert_eq!(signal_of(status), Some(Signal::SIGINT));
    case.rounds(|case| time_to_stop(case, &[], stop, check));
});

case!(a_termination_of_everybody_at_any_moment_ends_the_run_by_it, |case| {
    case.rounds(|case| {
        let mut run = everyone().start();
        case.early_moment(&run);
        let sent = Moment::now();
        run.signal(Signal::SIGTERM);
        if let Some(host) = run.host() {
            let _ = kill(Pid::from_raw(host), Signal::SIGTERM);
        }
        let status = run.wait();
        run.assert_nothing_left();
        case.measured(run.took(sent));
        assert_eq!(signal_of(status), Some(Signal::SIGTERM), "{status:?}\n{}", run.stderr());
    });
});

case!(an_interrupt_that_was_ignored_at_the_start_stays_ignored, |case| {
    let mut run = Plan::victims(&["plain"]).under(&["sh", "-c", "trap '' INT; exec \"$@\"", "sh"]).start();
    case.moment_after_ready(&run);
    for _ in 0..10 {
        run.signal_group(Signal::SIGINT);
        std::thread::sleep(ms(10));
    }
    assert!(state(run.pid()).is_some_and(|state| state != 'Z'), "{}", run.stderr());
    assert!(!run.stderr().contains("INT"), "{}", run.stderr());
    run.signal(Signal::SIGTERM);
    assert_eq!(signal_of(run.wait()), Some(Signal::SIGTERM));
    run.assert_nothing_left();
});

// ---- Ends from within -------------------------------------------------------------------------------------

/// A script that goes on for a random while and then ends by `code`.
fn ends_by(case: &mut Case, code: &str, options: &[&str], exit: i32) {
    case.rounds(|case| {
        let turns = case.random(60);
        let code = format!("for turn in 0..{turns} {{ sleep(0.003); }}\n{code}");
        let mut plan = everyone().then(&code);
        for option in options {
            plan = plan.option(option);
        }
        let mut run = plan.start();
        let status = run.wait();
        run.assert_nothing_left();
        assert_eq!(status.code(), Some(exit), "{status:?}\n{}", run.stderr());
        assert!(run.stderr().contains("0 leaked"), "{}", run.stderr());
        case.measured(GRACE);
        if exit == 0 {
            run.assert_no_directory();
        }
    });
}

case!(nothing_is_left_at_the_end_of_the_script, |case| ends_by(case, "", &[], 0));
case!(nothing_is_left_after_an_error, |case| ends_by(case, "let x = 1 / 0;", &[], 1));
case!(nothing_is_left_after_a_throw, |case| ends_by(case, "throw \"enough\";", &[], 1));
case!(nothing_is_left_after_the_deadline, |case| {
    ends_by(case, "loop { sleep(0.003); }", &["--timeout", "300ms"], 124);
});

case!(nothing_is_left_when_stdout_is_closed, |case| {
    case.rounds(|case| {
        let (read, write) = pipe();
        let mut run = everyone().stdout(write).then("loop { print(\"x\"); sleep(0.003); }").start();
        case.moment_after_ready(&run);
        let closed = Moment::now();
        drop(read);
        let status = run.wait();
        run.assert_nothing_left();
        case.measured(run.took(closed));
        assert_eq!(status.code(), Some(141), "{status:?}\n{}", run.stderr());
        assert!(!run.stderr().contains("error") && !run.stderr().contains("bgjobs:"), "{}", run.stderr());
        run.assert_took(closed, GRACE + SECOND);
    });
});

/// A reader that never reads holds up nobody but whoever prints: not the teardown.
fn reader_stalls(case: &mut Case, signal: Signal) {
    case.rounds(|case| {
        let (read, write) = pipe();
        let code = "let line = \"x\"; line.pad(4000, 'x'); loop { print(line); }";
        let mut run = everyone().stdout(write).then(code).start();
        case.moment_after_ready(&run);
        let sent = Moment::now();
        run.signal(signal);
        let status = run.wait();
        // The writers have a second at the end.
        let bound = GRACE + SECOND + SECOND;
        if signal == Signal::SIGKILL {
            case.measured(run.assert_gone_within(GRACE + SECOND, sent));
        } else {
            run.assert_nothing_left();
            case.measured(run.took(sent));
            run.assert_took(sent, bound);
        }
        assert_eq!(signal_of(status), Some(signal), "{status:?}\n{}", run.stderr());
        drop(read);
    });
}

case!(a_reader_that_stalls_does_not_hold_up_the_stop, |case| reader_stalls(case, Signal::SIGTERM));
case!(a_reader_that_stalls_does_not_hold_up_the_host_of_a_killed_guard, |case| {
    reader_stalls(case, Signal::SIGKILL);
});

/// A panic in one of the host's threads stops the run like any other failure.
fn panics(case: &mut Case, thread: &str, victims: &[&str], code: Option<i32>, nudge: fn(&Run)) {
    case.rounds(|case| {
        let switch = format!("{thread}:{{dir}}/panic");
        let mut run = Plan::victims(victims).grace("500ms").env("BGJOBS_TEST_PANIC", &switch).start();
        case.moment_after_ready(&run);
        let thrown = Moment::now();
        std::fs::write(run.file("panic"), "").expect("a file");
        nudge(&run);
        let status = run.wait();
        run.assert_nothing_left();
        case.measured(run.took(thrown));
        run.assert_took(thrown, GRACE + SECOND);
        assert_eq!(status.code(), code, "{status:?}\n{}", run.stderr());
    });
}

case!(nothing_is_left_after_a_panic_of_the_script_thread, |case| panics(
    case,
    "script",
    ALL,
    Some(125),
    |_| ()
));
case!(nothing_is_left_after_a_panic_of_the_reaper, |case| {
    // The burst victim ends, which wakes the reaper.
    let nudge = |run: &Run| std::fs::write(run.file("burst"), "").expect("a file");
    panics(case, "reaper", &["burst", "stubborn", "daemon", "bare", "plain"], Some(125), nudge);
});
case!(nothing_is_left_after_a_panic_of_the_control_thread, |case| {
    panics(case, "control", ALL, None, |run| run.signal(Signal::SIGTERM));
});
case!(nothing_is_left_after_a_panic_of_the_main_thread, |case| {
    panics(case, "main", &["burst", "stubborn", "daemon", "bare"], Some(125), |run| {
        std::fs::write(run.file("burst"), "").expect("a file");
    });
});

case!(nothing_is_left_after_an_exit_code, |case| ends_by(case, "exit(3);", &[], 3));
case!(nothing_is_left_after_a_command_that_failed, |case| ends_by(case, "run(\"exit 7\");", &[], 7));

case!(closures_run_before_the_jobs_stop_when_interrupted, |case| {
    case.rounds(|case| {
        let before = "on_exit(|| { run(\"kill -0 $(cat {dir}/pid) && touch {dir}/first\"); });
            on_exit(|| { run(\"touch {dir}/second\"); throw 1; });
            spawn([\"/bin/sh\", \"-c\", \"echo $$ >{dir}/pid; exec sleep 60\"]);
            loop { sleep(0.003); }";
        let mut run = everyone().then(before).start();
        eventually(|| "the last job runs".to_owned(), || run.file("pid").exists());
        case.moment_after_ready(&run);
        let sent = Moment::now();
        run.signal(Signal::SIGINT);
        let status = run.wait();
        run.assert_nothing_left();
        case.measured(run.took(sent));
        assert_eq!(signal_of(status), Some(Signal::SIGINT), "{}", run.stderr());
        assert!(run.file("first").exists() && run.file("second").exists(), "{}", run.stderr());
    });
});

/// What the script does while it is ended: each of these must leave nothing at whatever moment it comes.
const BUSY: &[(&str, &str)] = &[
    ("starting jobs", "for i in 0..150 { spawn({plain}); } loop { sleep(0.003); }"),
    ("running commands", "loop { try_run(\"sleep 0.002\"); }"),
    (
        "leaving daemons",
        "for i in 0..40 { run(\"setsid sh -c 'sleep 60; :' {token} &\"); } loop { sleep(0.003); }",
    ),
    ("stopping jobs", "loop { let job = spawn({plain}); job.stop(); }"),
    ("restarting a job", "let job = spawn({plain}); loop { job.restart(); }"),
    ("running a long command", "run(\"trap '' TERM INT; sleep 60; :\");"),
    (
        "in several closures",
        "parallel([|| loop { try_run(\"sleep 0.002\"); }, || for i in 0..40 { spawn({plain}); }, || run(\"sleep 60\")]);",
    ),
    (
        "running itself",
        "run([{bgjobs}, \"script\", \"-e\", `spawn(\"trap '' TERM; : {token}; sleep 60; :\"); loop { sleep(0.003); }`]);",
    ),
    (
        "starting itself",
        "spawn([{bgjobs}, \"script\", \"-e\", `loop { spawn(\"setsid sleep 60; : {token}\"); sleep(0.01); }`]); loop { sleep(0.003); }",
    ),
    ("forking", "spawn(\"while :; do (setsid sleep 60 &) ; sleep 0.01; done\"); loop { sleep(0.003); }"),
];

fn busy(case: &mut Case, end: fn(&mut Run), bound: Duration) {
    case.rounds(|case| {
        for _ in 0..3 {
            let which = usize::try_from(case.random(BUSY.len() as u64)).expect("small");
            let (what, code) = BUSY[which];
            let mut run = Plan::victims(&[]).grace("500ms").then(code).start();
            let moment = case.random_time(ms(250));
            while run.started.elapsed() < moment {
                std::thread::sleep(Duration::from_micros(50));
            }
            let sent = Moment::now();
            end(&mut run);
            let status = run.wait();
            if signal_of(status) == Some(Signal::SIGKILL) {
                case.measured(run.assert_gone_within(bound, sent));
            } else {
                run.assert_nothing_left();
                case.measured(run.took(sent));
                run.assert_took(sent, bound);
            }
            assert!(!run.stderr().contains("bug in bgjobs"), "{what}: {}", run.stderr());
        }
    });
}

case!(nothing_is_left_of_a_busy_script_that_is_interrupted, |case| {
    // A command that is interrupted has 2 s of its own.
    busy(case, |run| run.signal(Signal::SIGINT), GRACE + SECOND * 3);
});
case!(nothing_is_left_of_a_busy_script_whose_guard_is_killed, |case| {
    busy(case, |run| run.signal(Signal::SIGKILL), GRACE + SECOND);
});
case!(nothing_is_left_of_a_busy_script_whose_host_is_killed, |case| {
    let end = |run: &mut Run| {
        if let Some(host) = run.await_host() {
            let _ = kill(Pid::from_raw(host), Signal::SIGKILL);
        }
    };
    busy(case, end, GRACE + SECOND);
});
case!(nothing_is_left_of_a_busy_script_that_is_to_die_at_once, |case| {
    busy(case, |run| run.signal(Signal::SIGQUIT), KILL_NOW);
});

// ---- How long it takes --------------------------------------------------------------------------------------

case!(jobs_that_end_at_once_are_gone_at_once, |case| {
    case.rounds(|case| {
        let mut run = Plan::victims(&["quick", "plain", "leaver", "daemon"]).start();
        case.moment_after_ready(&run);
        let sent = Moment::now();
        run.signal(Signal::SIGTERM);
        run.wait();
        let took = run.took(sent);
        run.assert_nothing_left();
        case.measured(took);
        assert!(took < ms(400), "{took:?}\n{}", run.stderr());
    });
});

case!(jobs_that_ignore_their_signal_are_killed_together_after_one_grace, |case| {
    let victims: Vec<String> = (0..20).map(|n| format!("stubborn{n}")).collect();
    let victims: Vec<&str> = victims.iter().map(String::as_str).collect();
    let mut run = Plan::victims(&victims).grace("1s").start();
    case.moment_after_ready(&run);
    let sent = Moment::now();
    run.signal(Signal::SIGTERM);
    run.wait();
    let took = run.took(sent);
    run.assert_nothing_left();
    case.measured(took);
    assert!(took < ms(1900), "{took:?}\n{}", run.stderr());
    assert_eq!(run.stderr().matches("killed after 1 s").count(), 20, "{}", run.stderr());
});

case!(jobs_that_wait_for_each_other_are_killed_within_twice_the_grace, |case| {
    let chain = "for n in 1..=5 { start(`deaf${n}`, [\"sh\", \"-c\", \"trap '' TERM; echo up; sleep 60; :\", \"{token}\"],
        #{ready: #{log: \"up\"}}); } write_file(\"{dir}/chained\", \"\"); sleep(60);";
    let mut run = Plan::victims(&[]).grace("1s").then(chain).start();
    eventually(|| format!("five jobs run\n{}", run.stderr()), || run.file("chained").exists());
    let sent = Moment::now();
    run.signal(Signal::SIGTERM);
    run.wait();
    let took = run.took(sent);
    run.assert_nothing_left();
    case.measured(took);
    assert!(took < ms(2900), "{took:?}\n{}", run.stderr());
    assert_eq!(run.stderr().matches("killed after 1 s").count(), 5, "{}", run.stderr());
});

// ---- Two misfortunes ----------------------------------------------------------------------------------------

/// The guard is killed while a stop is under way: the stop keeps its clock, and the directory goes too.
fn guard_killed_during(case: &mut Case, first: fn(&Run), code: &str) {
    case.rounds(|case| {
        let mut run = everyone().then(code).start();
        case.moment_after_ready(&run);
        let asked = Moment::now();
        first(&run);
        std::thread::sleep(case.random_time(ms(550)));
        run.signal(Signal::SIGKILL);
        run.wait();
        let took = run.assert_gone_within(GRACE + SECOND, asked);
        case.measured(took);
    });
}

case!(a_guard_killed_during_a_stop_changes_nothing, |case| {
    guard_killed_during(case, |run| run.signal(Signal::SIGTERM), "loop { sleep(0.003); }");
});

case!(a_host_killed_during_a_stop_keeps_its_clock, |case| {
    case.rounds(|case| {
        let mut run = everyone().start();
        case.moment_after_ready(&run);
        let asked = Moment::now();
        run.signal(Signal::SIGTERM);
        std::thread::sleep(case.random_time(ms(550)));
        if let Some(host) = run.host() {
            let _ = kill(Pid::from_raw(host), Signal::SIGKILL);
        }
        run.wait();
        run.assert_nothing_left();
        case.measured(run.took(asked));
        run.assert_took(asked, GRACE + SECOND);
    });
});

case!(a_script_stuck_in_native_code_does_not_keep_the_host_of_a_killed_guard, |case| {
    let mut run = everyone().then("run(\"mkfifo {dir}/fifo\"); read_file(\"{dir}/fifo\");").start();
    eventually(|| "the script is stuck".to_owned(), || run.file("fifo").exists());
    case.moment_after_ready(&run);
    let killed = Moment::now();
    run.signal(Signal::SIGKILL);
    run.wait();
    case.measured(run.assert_gone_within(GRACE + SECOND, killed));
});

case!(the_host_of_a_killed_guard_removes_the_directory_of_a_run_that_passed, |case| {
    case.rounds(|case| {
        // The script is over and `stubborn` holds up the end when the guard is killed.
        let mut run = Plan::victims(&["stubborn", "plain"]).grace("500ms").then("sleep(0.3);").start();
        run.wait_ready();
        eventually(|| "the script is over".to_owned(), || run.stderr().contains(" stopped ("));
        let killed = Moment::now();
        run.signal(Signal::SIGKILL);
        run.wait();
        case.measured(run.assert_gone_within(GRACE + SECOND, killed));
        run.assert_no_directory();
    });
});

// ---- A terminal ---------------------------------------------------------------------------------------------

const CTRL_C: &[u8] = b"\x03";
const CTRL_Z: &[u8] = b"\x1a";

case!(ctrl_z_stops_the_run_and_its_clock_and_ctrl_c_ends_it, |case| {
    let (mut keys, stdin) = terminal();
    // A shell with job control: it says how its job stopped, and brings it back when it is told to.
    let shell = r#"cd "$TMPDIR/.."; "$@" 2>stderr; echo "first $?" >>said
        while [ ! -e resume ]; do sleep 0.02; done; trap 'echo "last $?" >>said' EXIT; fg"#;
    let plan = Plan::victims(&["graceful:0.1", "plain"]).grace("60s").option("--timeout").option("6s");
    // bash wants its own stderr to be the terminal.
    let to_terminal = "exec bash --norc -mc \"$@\" 2>/dev/tty";
    let wrapper = ["setsid", "--ctty", "--wait", "sh", "-c", to_terminal, "sh", shell, "bash"];
    let mut run = plan.stdin(stdin).under(&wrapper).start();
    case.moment_after_ready(&run);
    let (guard, host) = (run.guard().expect("the guard"), run.host().expect("the host"));
    let said = |run: &Run| std::fs::read_to_string(run.file("said")).unwrap_or_default();

    keys.write_all(CTRL_Z).expect("a key");
    eventually(|| format!("bgjobs is stopped: {}", said(&run)), || said(&run) == "first 148\n");
    assert_eq!((state(guard), state(host)), (Some('T'), Some('T')));
    std::thread::sleep(ms(6100)); // Longer than --timeout.
    std::fs::write(run.file("resume"), "").expect("a file");
    eventually(|| "bgjobs goes on".to_owned(), || state(guard) != Some('T') && state(host) != Some('T'));
    std::thread::sleep(ms(200));
    assert!(!run.stderr().contains("timed out"), "{}", run.stderr());

    let pressed = Moment::now();
    keys.write_all(CTRL_C).expect("a key");
    run.wait();
    run.assert_nothing_left();
    case.measured(run.took(pressed));
    assert_eq!(said(&run), "first 148\nlast 130\n", "{}", run.stderr());
    assert!(run.stderr().contains("interrupted by SIGINT") && run.marker(), "{}", run.stderr());
});

case!(ctrl_z_does_nothing_where_nobody_could_continue_the_run, |case| {
    let (mut keys, stdin) = terminal();
    let plan = Plan::victims(&["graceful:0.1", "plain"]).grace("60s");
    let mut run = plan.stdin(stdin).under(&["setsid", "--ctty", "--wait"]).start();
    case.moment_after_ready(&run);
    let guard = run.guard().expect("the guard");
    keys.write_all(CTRL_Z).expect("a key");
    std::thread::sleep(ms(100));
    keys.write_all(CTRL_C).expect("a key");
    run.wait();
    run.assert_nothing_left();
    assert!(state(guard).is_none() && run.marker(), "{}", run.stderr());
    assert!(run.stderr().contains("interrupted by SIGINT"), "{}", run.stderr());
});

case!(a_terminal_that_goes_away_stops_the_run, |case| {
    case.rounds(|case| {
        let (keys, stdin) = terminal();
        let mut run = everyone().stdin(stdin).under(&["setsid", "--ctty", "--wait"]).start();
        case.random_moment(&run);
        let gone = Moment::now();
        drop(keys);
        run.wait();
        run.assert_nothing_left();
        case.measured(run.took(gone));
        run.assert_took(gone, GRACE + SECOND);
    });
});

// ---- Surroundings -------------------------------------------------------------------------------------------

case!(a_child_that_the_caller_had_before_survives, |case| {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        // `sleep` becomes a child of bgjobs by exec, without being one of its jobs.
        let shell = "env -u KILL_TOKEN sleep 1000 & echo $! >\"$TMPDIR/../foreign\"; exec \"$@\"";
        let mut run = everyone().under(&["sh", "-c", shell, "sh"]).start();
        case.moment_after_ready(&run);
        let foreign: i32 =
            std::fs::read_to_string(run.file("foreign")).expect("a pid").trim().parse().expect("a pid");
        let sent = Moment::now();
        run.signal(signal);
        let status = run.wait();
        assert_eq!(signal_of(status), Some(signal), "{}", run.stderr());
        if signal == Signal::SIGTERM {
            assert!(run.carriers().is_empty(), "{:?}\n{}", run.carriers(), run.stderr());
        }
        eventually(
            || "only the foreign child is left".to_owned(),
            || {
                let _ = nix::sys::wait::waitpid(None, Some(nix::sys::wait::WaitPidFlag::WNOHANG));
                run.carriers().is_empty() && children(std::process::id().cast_signed()) == [foreign]
            },
        );
        let _ = kill(Pid::from_raw(foreign), Signal::SIGKILL);
        case.measured(run.took(sent));
        run.assert_took(sent, GRACE + SECOND);
    }
});

case!(as_pid_1_of_a_namespace_it_stops_all_the_same, |case| {
    let unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let allowed = Command::new(unshare[0]).args(&unshare[1..]).arg("true").output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        skip("unshare is not allowed here");
        return;
    }
    // Those that need their grace period have plenty of it; those that ignore the signal use it up.
    let graceful = Plan::victims(&["graceful:0.3", "daemon", "leaver"]).grace("60s");
    let deaf = Plan::victims(&["stubborn", "daemon", "bare", "leaver"]).grace("500ms");
    for (plan, bound) in [(graceful, None), (deaf, Some(GRACE + SECOND))] {
        let mut run = plan.under(&unshare).start();
        case.moment_after_ready(&run);
        let guard = run.guard().expect("the guard");
        let sent = Moment::now();
        let _ = kill(Pid::from_raw(guard), Signal::SIGTERM);
        let status = run.wait();
        run.assert_nothing_left();
        case.measured(run.took(sent));
        assert_eq!(run.marker(), bound.is_none(), "{}", run.stderr());
        assert_eq!(status.code(), Some(143), "{status:?}\n{}", run.stderr());
        if let Some(bound) = bound {
            run.assert_took(sent, bound);
        }
    }
});

case!(what_cannot_be_killed_is_named_within_the_bound, |case| {
    if !nix::unistd::geteuid().is_root() {
        skip("only root can make a process that another user cannot kill");
        return;
    }
    // An interpreter that becomes root, started by a run of another user.
    let dir = tempfile::Builder::new().prefix("bk").tempdir_in("/tmp").expect("a directory");
    let copy = |from: &std::path::Path, name: &str, mode: u32| {
        let to = dir.path().join(name);
        std::fs::copy(from, &to).expect("a copy");
        std::fs::set_permissions(&to, std::fs::Permissions::from_mode(mode)).expect("a mode");
        to.to_string_lossy().into_owned()
    };
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).expect("a mode");
    let python = harness::python();
    let interpreter = copy(std::path::Path::new(&python), "python", 0o4755);
    let program = copy(&crate::support::bgjobs(), "bgjobs", 0o755);
    let ready = dir.path().join("ready");
    let become_root = format!("import os, time; os.setuid(0); open({ready:?}, 'w').close(); time.sleep(60)");
    let script = format!(
        "spawn([{interpreter:?}, \"-SEc\", {become_root:?}]); spawn(\"sleep 60\"); loop {{ sleep(0.003); }}"
    );
    let words = [
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        &program,
        "script",
        "--grace",
        "300ms",
        "-e",
        &script,
    ];
    let child = Command::new("setpriv")
        .args(words)
        .env("TMPDIR", dir.path())
        .current_dir("/")
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("setpriv starts");
    eventually(|| "the victim is root".to_owned(), || ready.exists());
    let sent = Moment::now();
    let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
    let output = child.wait_with_output().expect("an end");
    let took = sent.elapsed();
    let text = String::from_utf8_lossy(&output.stderr);
    let left = children(std::process::id().cast_signed());
    for pid in &left {
        let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        let _ = nix::sys::wait::waitpid(Pid::from_raw(*pid), None);
    }
    case.measured(took);
    assert_eq!(left.len(), 1, "{left:?}\n{text}");
    assert_eq!(text.matches(&format!("leaked: pid {} (user root, state S)", left[0])).count(), 1, "{text}");
    assert_eq!(signal_of(output.status), Some(Signal::SIGTERM), "{text}");
    assert!(took < ms(4000), "{took:?}\n{text}");
});
