//! Habits of shell scripts that run, but are not what bgjobs is for: told by `bgjobs check`, never an error. Silence is
//! better than a false alarm, so only what is written out is judged.

use crate::event::Failure;
use crate::host::source::text;
use rhai::{AST, ASTNode, Expr, FnCallExpr, Position, Stmt};
use std::sync::OnceLock;

/// Functions that start something in the background, and functions that run a command.
const STARTS: &[&str] = &["spawn", "start"];
const RUNS: &[&str] = &["run", "try_run", "output", "wait_cmd"];

/// Patterns of commands, for whom they are, what is said, and what to write instead.
struct Habit {
    pattern: &'static str,
    /// One of these is in all that it matches: to make the pattern takes longer than all the rest of a check.
    words: &'static [&'static str],
    functions: &'static [&'static [&'static str]],
    message: &'static str,
    hint: &'static str,
}

const HABITS: &[Habit] = &[
    Habit {
        pattern: r"(?:^|[;&|(]\s*|\bsudo\s+)(?:pkill|killall)\b",
        words: &["pkill", "killall"],
        functions: &[STARTS, RUNS],
        message: "pkill and killall also end processes that this run did not start",
        hint: "job.stop()   (jobs end with the run by themselves; a port is freed by kill_port(8080))",
    },
    Habit {
        pattern: r"(?:^|[;&|(]\s*)kill\s+-(?:9|KILL|SIGKILL|s\s*KILL)\s+[^\x01]",
        words: &["kill"],
        functions: &[STARTS, RUNS],
        message: "`kill -9` gives a server no time to clean up",
        hint: "job.stop()   (TERM, and SIGKILL after the grace period; job.kill() to test a crash)",
    },
    Habit {
        pattern: r"(?:^|[;&|(]\s*)nohup\b",
        words: &["nohup"],
        functions: &[STARTS, RUNS],
        message: "nohup keeps a process from hearing that its terminal is gone; a job has none",
        hint: "spawn(\"COMMAND\")   (its output is in its log: job.output)",
    },
    Habit {
        pattern: r"[^&\\]&\s*$",
        words: &["&"],
        functions: &[RUNS],
        message: "what a command leaves in the background is stopped when the command ends",
        hint: "start(\"NAME\", \"COMMAND\", #{ready: …}), or spawn(\"COMMAND\")",
    },
    Habit {
        pattern: r"(?:^|[;&|(]\s*)tail\s+(?:[^;&|]*\s)?(?:-f|-F|--follow)\b",
        words: &["tail"],
        functions: &[RUNS],
        message: "`tail -f` never ends by itself",
        hint: "job.wait_log(\"REGEX\")   (or job.tail(20), job.output)",
    },
    Habit {
        pattern: r"\|\s*(?:head|tail|grep\s+-\S*q)\b",
        words: &["|"],
        functions: &[STARTS],
        message: "a pipe hides the end of the server, and may end it when its reader has had enough",
        hint: "spawn(\"SERVER\")   (job.tail(20) and job.wait_log(\"REGEX\") read its log)",
    },
];

static PATTERNS: [OnceLock<Option<regex::Regex>>; HABITS.len()] = [const { OnceLock::new() }; HABITS.len()];

/// What is to be said about a script, from top to bottom. `text`: as it is written.
pub fn warnings(ast: &AST, name: &str, text: &str) -> Vec<Failure> {
    let mut found: Vec<(Position, String, String)> = Vec::new();
    ast.walk(&mut |path: &[ASTNode]| {
        match path.last() {
            Some(
                ASTNode::Expr(Expr::FnCall(call, position)) | ASTNode::Stmt(Stmt::FnCall(call, position)),
            ) => {
                command(call, *position, &mut found);
                fixed_port(call, *position, &mut found);
            }
            Some(ASTNode::Stmt(Stmt::Var(var, _, position))) => {
                unused(&var.0.name, &var.1, *position, text, &mut found);
            }
            Some(ASTNode::Stmt(Stmt::Block(block))) => in_a_row(block.statements(), &mut found),
            _ => {}
        }
        true
    });
    in_a_row(ast.statements(), &mut found);
    too_early(ast.statements(), &mut found);
    found.sort_by_key(|(position, ..)| *position);
    found.dedup_by(|a, b| a.0 == b.0 && a.1 == b.1);
    let warning = |(position, message, hint): (Position, String, String)| Failure {
        message,
        place: text::place(name, position),
        hint: Some(hint),
        ..Failure::default()
    };
    found.into_iter().map(warning).collect()
}

type Found = Vec<(Position, String, String)>;

/// The call that a statement is, or that it keeps the result of.
fn call_of(stmt: &Stmt) -> Option<(&FnCallExpr, Position)> {
    match stmt {
        Stmt::FnCall(call, position) => Some((call, *position)),
        Stmt::Expr(expr) => call_in(expr),
        Stmt::Var(var, ..) => call_in(&var.1),
        _ => None,
    }
}

fn call_in(expr: &Expr) -> Option<(&FnCallExpr, Position)> {
    match expr {
        Expr::FnCall(call, position) => Some((call, *position)),
        _ => None,
    }
}

fn is_one_of(call: &FnCallExpr, names: &[&str]) -> bool {
    call.namespace.path.is_empty() && names.contains(&call.name.as_str())
}

/// Stands for `${…}`: which process a script has in hand it knows.
const COMPUTED: &str = "\u{1}";

/// The texts among the arguments.
fn texts(call: &FnCallExpr) -> impl Iterator<Item = String> {
    call.args.iter().filter_map(|arg| match arg {
        Expr::StringConstant(text, _) => Some(text.to_string()),
        Expr::InterpolatedString(parts, _) => {
            let parts = parts.iter().map(|part| match part {
                Expr::StringConstant(text, _) => text.to_string(),
                _ => COMPUTED.to_owned(),
            });
            Some(parts.collect())
        }
        _ => None,
    })
}

fn command(call: &FnCallExpr, position: Position, found: &mut Found) {
    for (habit, pattern) in HABITS.iter().zip(PATTERNS.iter()) {
        let meant = habit.functions.iter().any(|names| is_one_of(call, names));
        let pattern = || pattern.get_or_init(|| regex::Regex::new(habit.pattern).ok()).as_ref();
        let has = |text: String| {
            habit.words.iter().any(|word| text.contains(word))
                && pattern().is_some_and(|pattern| pattern.is_match(&text))
        };
        if meant && texts(call).any(has) {
            found.push((position, habit.message.to_owned(), habit.hint.to_owned()));
        }
    }
}

/// An option of a call that is written out.
fn option<'a>(call: &'a FnCallExpr, name: &str) -> Option<&'a Expr> {
    let Some(Expr::Map(map, _)) = call.args.last() else { return None };
    map.0.iter().find(|(key, _)| key.name == name).map(|(_, value)| value)
}

/// `start("server 8080", #{ready: 8080})`: where the port could be any.
fn fixed_port(call: &FnCallExpr, position: Position, found: &mut Found) {
    if !is_one_of(call, STARTS) {
        return;
    }
    for key in ["ready", "port"] {
        let Some(Expr::IntegerConstant(port, _)) = option(call, key) else { continue };
        let digits = port.to_string();
        let is_word =
            |text: &String| text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == digits);
        if texts(call).any(|text| is_word(&text)) {
            found.push((
                position,
                format!("port {port} may be taken, by another run of this script for one"),
                "port: \"free\", and $PORT in the command   (then ready: \"/\" or job.port)".to_owned(),
            ));
            return;
        }
    }
}

/// `let job = spawn(…)`, and nothing more of it.
fn unused(name: &str, value: &Expr, position: Position, text: &str, found: &mut Found) {
    let Some((call, _)) = call_in(value).filter(|(call, _)| is_one_of(call, &["spawn"])) else { return };
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let uses = text
        .match_indices(name)
        .filter(|(at, _)| !text[..*at].ends_with(is_word) && !text[at + name.len()..].starts_with(is_word));
    if uses.count() == 1 && !name.starts_with('_') && option(call, "expect_exit").is_none() {
        found.push((
            position,
            format!(
                "nobody waits for `{name}` or asks about it: it may not be ready, or even fail, unnoticed"
            ),
            "start(…, #{ready: …}), or a wait: `wait_port`, `wait_http`, `.wait_log`".to_owned(),
        ));
    }
}

/// `spawn(…); sleep(3);`
fn in_a_row(statements: &[Stmt], found: &mut Found) {
    for pair in statements.windows(2) {
        let (Some((first, _)), Some((second, position))) = (call_of(&pair[0]), call_of(&pair[1])) else {
            continue;
        };
        if is_one_of(first, STARTS) && is_one_of(second, &["sleep"]) {
            found.push((
                position,
                "a pause is too short on a slow machine, and too long on all others".to_owned(),
                "start(…, #{ready: …}), or a wait: `wait_port`, `wait_http`, `.wait_log`".to_owned(),
            ));
        }
    }
}

/// A wait for a server as the first thing that a script does.
fn too_early(statements: &[Stmt], found: &mut Found) {
    let mut plain = statements.iter().take_while(|stmt| match stmt {
        // A module may start something.
        Stmt::Import(..) => false,
        Stmt::Var(var, ..) => matches!(
            var.1,
            Expr::StringConstant(..) | Expr::IntegerConstant(..) | Expr::BoolConstant(..) | Expr::Unit(_)
        ),
        _ => call_of(stmt).is_some(),
    });
    let first = plain.find_map(call_of_statement);
    if let Some((call, position)) = first
        && is_one_of(call, &["wait_http", "wait_port"])
        && option(call, "external").is_none()
    {
        found.push((
            position,
            "nothing was started that could come up".to_owned(),
            "external: true   (in its options, when a server outside of this run is meant)".to_owned(),
        ));
    }
}

fn call_of_statement(stmt: &Stmt) -> Option<(&FnCallExpr, Position)> {
    match stmt {
        Stmt::FnCall(..) | Stmt::Expr(..) => call_of(stmt),
        _ => None,
    }
}
