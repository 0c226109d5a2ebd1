//! What a script does as its closures run at its end.

use crate::support::Script;

/// It takes the ten seconds that all closures together have.
#[test]
fn a_closure_that_does_not_end_hides_no_failure() {
    let ran = Script::code("on_exit(|| sleep(\"60s\")); assert_eq(1, 2);").run().code(1);
    let ran = ran.stderr_has("assertion failed: `actual` is 1, expected 2");
    let _ = ran.stderr_has("warning: on_exit: the closures were cut off after 10 s");
}
