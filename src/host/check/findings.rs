//! What is checked before anything runs: the whole script and the modules it imports, dead branches and
//! closures included, so that a typo in line 90 costs no started process.

use super::project::Project;
use super::walk::Walk;
use crate::event::Failure;
use crate::exit;
use crate::host::explain::signature::{CallAdvice, Names};
use crate::host::source::text;
use rhai::{AST, Engine, Position};

/// What of a script must be known before it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// One of its tests has the option `only`.
    pub only: bool,
}

/// What is wrong, with the file and the place there.
type Found = Vec<(String, Position, CallAdvice)>;

/// All that is wrong with a script and with what it imports.
fn findings(engine: &Engine, ast: &AST, source: &str) -> Result<(Found, Facts), Failure> {
    let names = Names::of(engine);
    let mut project = Project { main: source.to_owned(), ..Project::default() };
    project.add(engine, ast, source, &mut Vec::new())?;
    project.read_words();
    let mut found = Vec::new();
    for file in project.files.values() {
        let mut walk = Walk::new(&names, &project, file);
        walk.file();
        found.extend(walk.found.into_iter().map(|(position, advice)| (file.name.clone(), position, advice)));
    }
    // The script itself first, then its modules; each from top to bottom.
    found.sort_by_key(|(name, position, _)| (name.as_str() != source, name.to_owned(), *position));
    found.dedup_by(|a, b| a.0 == b.0 && a.1 == b.1);
    Ok((found, Facts { only: project.only }))
}

/// Checks a compiled script and what it imports.
pub fn check(engine: &Engine, ast: &AST, source: &str) -> Result<Facts, Failure> {
    let (found, facts) = findings(engine, ast, source)?;
    let Some((name, position, advice)) = found.first() else { return Ok(facts) };
    let mut failure = Failure {
        code: exit::USAGE,
        message: advice.message.clone(),
        place: text::place(name, *position),
        notes: advice.notes.clone(),
        hint: advice.hint.clone(),
        ..Failure::default()
    };
    const MOST: usize = 8;
    for (name, position, advice) in found.iter().skip(1).take(MOST) {
        let (line, column) = (position.line().unwrap_or(0), position.position().unwrap_or(0));
        let hint = advice.hint.as_ref().map_or_else(String::new, |hint| format!("; try {hint}"));
        // Of an option that nobody knows the note says what to do.
        let is_asked = advice.hint.is_none() && advice.message.contains(": unknown option `");
        let note = advice.notes.first().filter(|_| is_asked);
        let note = note.map_or_else(String::new, |note| format!(" ({note})"));
        failure.notes.push(format!("also {name}:{line}:{column}: {}{note}{hint}", advice.message));
    }
    if found.len() > MOST + 1 {
        failure.notes.push(format!("and {} more", found.len() - MOST - 1));
    }
    Err(failure)
}

/// As [`check`], each finding for itself.
pub fn each(engine: &Engine, ast: &AST, source: &str) -> Vec<Failure> {
    let failure = |(name, position, advice): (String, Position, CallAdvice)| Failure {
        code: exit::USAGE,
        message: advice.message,
        place: text::place(&name, position),
        notes: advice.notes,
        hint: advice.hint,
        ..Failure::default()
    };
    match findings(engine, ast, source) {
        Ok((found, _)) => found.into_iter().map(failure).collect(),
        Err(failure) => vec![failure],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{self, Options};

    /// A map with this key, and below it with every one that it has, whose values are computed.
    fn maps_of(options: &'static Options) -> Vec<String> {
        let of = |opt: &'static api::Opt| {
            let below = opt.kind.options().map_or_else(Vec::new, maps_of).into_iter();
            let below = below.map(|map| format!("#{{{}: {map}}}", opt.name));
            std::iter::once(format!("#{{{}: x}}", opt.name)).chain(below).collect::<Vec<_>>()
        };
        options.all().flat_map(of).collect()
    }

    /// Its description is what the check, the reference and the reading walk: an option that one of them misses is a
    /// mistake in how it is walked.
    #[test]
    fn every_described_option_is_accepted_and_is_in_the_reference() {
        let engine = crate::host::engine::engine(&[]);
        let reference = crate::host::reference::reference();
        let mut tried = 0;
        for (_, function) in api::functions() {
            for form in function.forms {
                let Some(options) = form.options else { continue };
                for map in maps_of(options) {
                    let call = format!("{}({}{map});", function.name, "x, ".repeat(form.params.len()));
                    let ast = engine.compile(format!("let x = parse_json(\"1\"); {call}")).expect(&call);
                    let refused = check(&engine, &ast, "option").err().map(|failure| failure.message);
                    assert_eq!(refused, None, "{call}");
                    tried += 1;
                }
                for opt in options.all() {
                    assert!(
                        reference.contains(&format!("* `{}`: ", opt.name)),
                        "{}: {}",
                        function.name,
                        opt.name
                    );
                    assert!(
                        !opt.doc.is_empty() && opt.kind.name() != "()",
                        "{}: {}",
                        function.name,
                        opt.name
                    );
                }
            }
        }
        assert!(tried > 300, "only {tried}");
    }

    /// Eight times the script is to cost about eight times the time, not 64. What the parser costs is another matter.
    #[test]
    fn what_the_check_costs_grows_with_the_script_and_no_faster() {
        type Shape = fn(usize) -> String;
        let shapes: &[(&str, Shape)] = &[
            ("functions", |n| {
                format!("fn f{n}(x) {{ let y = x + {n}; if y > 3 {{ f{n}(y) }} else {{ x }} }}")
            }),
            ("closures", |n| format!("[#{{a: || {n}}}].map(|x| x.a.call() + {n});")),
            ("calls", |n| format!("run(\"echo ${{A{n}}}\", #{{timeout: \"1s\"}});")),
            ("blocks", |n| {
                format!("if true {{ for i in 0..{n} {{ try {{ print(`${{i}}`); }} catch (e) {{ }} }} }}")
            }),
        ];
        let engine = crate::host::engine::engine(&[]);
        let cost = |shape: &Shape, count: usize| {
            let code: Vec<String> = (0..count).map(shape).collect();
            let ast = engine.compile(code.join("\n")).expect("compiles");
            let before = crate::fuzz::worked();
            check(&engine, &ast, "many").expect("passes");
            crate::fuzz::worked().saturating_sub(before)
        };
        for (name, shape) in shapes {
            let (few, many) = (cost(shape, 500), cost(shape, 4000));
            assert!(many < few * 24, "{name}: {few:?} for 500, {many:?} for 4000");
        }
    }
}
