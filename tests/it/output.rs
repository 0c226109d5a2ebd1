//! What is written to stdout and stderr: all of it, in order, whoever reads it and however slowly.

use crate::support::Script;

#[test]
fn no_event_is_shown_before_its_cause() {
    let code = "for i in 0..40 { spawn(`j${i}`, [\"false\"], #{expect_exit: 1}); } wait_until(|| jobs().all(|job| !job.running));";
    let ran = Script::code(code).run().code(0);
    let line = |text: &str| ran.stderr.lines().position(|line| line.contains(text));
    for i in 0..40 {
        let (started, ended) = (line(&format!(" j{i} started")), line(&format!(" j{i} ended")));
        assert!(started.is_some() && started < ended, "j{i}: {started:?} {ended:?}\n{}", ran.stderr);
    }
    let ran = Script::code("for i in 0..20 { run(`echo out${i} >&2`) }").option("-v").run().code(0);
    for i in 0..20 {
        let (run, out) = (format!("run: echo out{i}"), format!("\nout{i}\n"));
        assert!(ran.stderr.find(&run) < ran.stderr.find(&out), "{i}:\n{}", ran.stderr);
    }
}
