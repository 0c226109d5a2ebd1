//! `bgjobs script -n`: what a script starts, what waits for what, and how long at most, read from its text. Nothing is
//! started or evaluated: what is computed shows as `…`, and what stands in a branch or a loop is listed as if it ran once.

use crate::manual::Step;
use crate::words::quote;
use rhai::{AST, ASTNode, Expr, FnCallExpr, Position, Stmt};

const STARTS: &[&str] = &["spawn", "start"];
const RUNS: &[&str] = &["run", "try_run", "output"];
/// These wait for 30 s when nothing else is said.
const WAITS: &[&str] = &[
    "wait_http",
    "wait_port",
    "wait_port_free",
    "wait_log",
    "wait_file",
    "wait_socket",
    "wait_cmd",
    "wait_until",
    "wait_ready",
    "wait_listening",
    "eventually",
];
/// These have no limit of their own.
const OTHERS: &[&str] = &["wait_exit", "mock", "kill_port", "test", "parallel", "timeout", "sleep", "stay"];
const USUAL: &str = "30s";

/// From top to bottom.
pub fn plan(ast: &AST) -> Vec<Step> {
    let mut steps: Vec<(Position, Step)> = Vec::new();
    ast.walk(&mut |path: &[ASTNode]| {
        let (call, position) = match path.last() {
            Some(
                ASTNode::Expr(Expr::FnCall(call, position) | Expr::MethodCall(call, position))
                | ASTNode::Stmt(Stmt::FnCall(call, position)),
            ) => (call, *position),
            _ => return true,
        };
        // A module's own functions tell nothing that can be read here but their name.
        let name = match call.namespace.path.first() {
            Some(module) => format!("{}::{}", module.name, call.name),
            None => call.name.to_string(),
        };
        let of_module = !call.namespace.path.is_empty();
        steps.extend(steps_of(&name, of_module, call, position).into_iter().map(|step| (position, step)));
        true
    });
    // A closure is walked where it stands and where it is kept.
    steps.sort_by_key(|(position, _)| *position);
    steps.dedup_by(|a, b| a.0 == b.0 && a.1.what == b.1.what);
    steps.into_iter().map(|(_, step)| step).collect()
}

fn steps_of(name: &str, of_module: bool, call: &FnCallExpr, position: Position) -> Vec<Step> {
    let line = position.line().unwrap_or(0);
    let step = |what: String, facts: Vec<String>| Step { line, call: name.to_owned(), what, facts };
    let options = call.args.last().filter(|last| matches!(last, Expr::Map(..)));
    let words: Vec<String> =
        call.args.iter().filter(|arg| !matches!(arg, Expr::Map(..))).map(shown).collect();
    if of_module {
        let facts = option(options, "timeout").map(|time| format!("at most {time}"));
        return vec![step(words.join(", "), facts.into_iter().collect())];
    }
    if name == "start"
        && let [Expr::Array(services, _)] = call.args.as_slice()
        && services.iter().any(|one| matches!(one, Expr::Map(..)))
    {
        let service = |one: &Expr| {
            let what: Vec<String> =
                ["name", "cmd"].into_iter().filter_map(|key| option(Some(one), key)).collect();
            let line = one.position().line().unwrap_or(line);
            Step { line, ..step(what.join(": "), facts(Some(one), true)) }
        };
        return services.iter().map(service).collect();
    }
    if STARTS.contains(&name) {
        return vec![step(words.join(": "), facts(options, name == "start"))];
    }
    if RUNS.contains(&name) {
        let limit = option(options, "timeout")
            .map_or_else(|| "no limit".to_owned(), |time| format!("at most {time}"));
        return vec![step(words.join(" "), vec![limit])];
    }
    if WAITS.contains(&name) {
        // A bare duration may stand for the options.
        let bare =
            call.args.last().filter(|_| call.args.len() > 1).map(shown).filter(|text| is_duration(text));
        let what = if bare.is_some() { words[..words.len() - 1].join(", ") } else { words.join(", ") };
        let time = option(options, "timeout").or(bare).unwrap_or_else(|| USUAL.to_owned());
        return vec![step(what, vec![format!("at most {time}")])];
    }
    if OTHERS.contains(&name) {
        return vec![step(words.into_iter().next().unwrap_or_default(), Vec::new())];
    }
    Vec::new()
}

fn is_duration(text: &str) -> bool {
    humantime::parse_duration(text).is_ok()
}

/// What the options of a job say about when it is ready.
fn facts(options: Option<&Expr>, waits: bool) -> Vec<String> {
    let mut facts = Vec::new();
    for key in ["needs", "port", "ready", "expect_exit", "tries"] {
        if let Some(value) = option(options, key) {
            facts.push(format!("{} {value}", key.replace('_', " ")));
        }
    }
    if waits {
        facts.push(format!("at most {}", option(options, "timeout").unwrap_or_else(|| USUAL.to_owned())));
    } else if let Some(time) = option(options, "timeout") {
        facts.push(format!("ready within {time}"));
    }
    facts
}

fn option(map: Option<&Expr>, name: &str) -> Option<String> {
    let Some(Expr::Map(map, _)) = map else { return None };
    map.0.iter().find(|(key, _)| key.name == name).map(|(_, value)| shown(value))
}

/// A value as it is written, as far as it is; `…` for what is computed.
fn shown(value: &Expr) -> String {
    match value {
        Expr::StringConstant(text, _) => text.replace('\n', " "),
        Expr::IntegerConstant(number, _) => number.to_string(),
        Expr::FloatConstant(number, _) => number.to_string(),
        Expr::BoolConstant(truth, _) => truth.to_string(),
        Expr::Unit(_) => "()".to_owned(),
        Expr::Variable(variable, ..) => variable.1.to_string(),
        Expr::InterpolatedString(parts, _) => {
            let part = |part: &Expr| match part {
                Expr::StringConstant(text, _) => text.replace('\n', " "),
                _ => "…".to_owned(),
            };
            parts.iter().map(part).collect()
        }
        Expr::Array(items, _) => {
            items.iter().map(|item| quote_if_needed(&shown(item))).collect::<Vec<_>>().join(" ")
        }
        Expr::Map(map, _) => {
            let pair = |(key, value): &(rhai::Ident, Expr)| format!("{} {}", key.name, shown(value));
            map.0.iter().map(pair).collect::<Vec<_>>().join(", ")
        }
        _ => "…".to_owned(),
    }
}

fn quote_if_needed(word: &str) -> String {
    if word.contains('…') { word.to_owned() } else { quote(word) }
}
