//! How a function of the standard library is called rightly, as far as the comments of its module say so: the options
//! that are for those who call it, which other function takes one, a call that works, and what its parameters are. It is
//! what an error of a wrong call shows. A function is asked for by what it is called in errors, `redis::start`.

use super::Type;
use super::modules::{self, Module};

/// The module of a function, and the name of that; none for what stands in an option, and for functions of others.
fn found(function: &str) -> Option<(&'static Module, &str)> {
    let (module, name) = function.split_once("::")?;
    let module = modules::module(module)?;
    module.functions.iter().any(|known| known.name == name).then_some((module, name))
}

/// Of the options that a function takes those that its module describes. Others are handed on between modules.
pub fn shown<'a>(function: &str, known: &[&'a str]) -> Vec<&'a str> {
    let found = found(function);
    let mut shown: Vec<&'a str> = Vec::new();
    for option in known {
        // Defaults that are laid over others name some of them twice.
        let is_shown = found.is_none_or(|(module, name)| module.option(name, option).is_some());
        if is_shown && !shown.contains(option) {
            shown.push(*option);
        }
    }
    shown
}

/// Other functions of the same module that describe an option: `redis::cluster` for `nodes`.
pub fn takers(function: &str, option: &str) -> Vec<String> {
    let Some((module, name)) = found(function) else { return Vec::new() };
    let others = module.describing(option).filter(|other| *other != name);
    others.map(|other| format!("{}::{other}", module.short_name())).collect()
}

/// What further words for the command line look like, in a function that takes them as `args`.
pub fn args(function: &str) -> Option<&'static str> {
    let (module, name) = found(function)?;
    module.option(name, "args")?;
    let own = module.functions.iter().filter(|known| known.name == name).map(|known| known.doc.as_str());
    let docs = own.chain([module.about.as_str()]);
    docs.filter_map(|doc| Some(doc.split_once("`args: ")?.1)).find_map(|doc| {
        let end = doc.find("\n*").unwrap_or(doc.len());
        // It begins within the backticks of its type.
        let mut quoted = doc[..end].split('`').step_by(2).skip(1);
        quoted.find(|text| text.starts_with("[\""))
    })
}

/// A call of a function that its module shows. One with options comes first: they are what is mostly wrong.
pub fn example(function: &str) -> Option<&'static str> {
    let (module, name) = found(function)?;
    let own = module.functions.iter().filter(|known| known.name == name);
    let others = module.functions.iter().filter(|known| known.name != name);
    let docs: Vec<&'static str> = own
        .map(|known| known.doc.as_str())
        .chain([module.about.as_str()])
        .chain(others.map(|known| known.doc.as_str()))
        .collect();
    let all = || docs.iter().copied().flat_map(|doc| calls(doc, function));
    all().find(|call| call.contains("#{")).or_else(|| all().next())
}

/// The calls of a function in a text that stand in one line.
fn calls<'a>(text: &'a str, function: &str) -> Vec<&'a str> {
    let start = format!("{function}(");
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let at = text.match_indices(&start).map(|(at, _)| at).filter(|at| !text[..*at].ends_with(is_part));
    at.filter_map(|at| whole_call(text[at..].lines().next()?))
        .filter(|call| !call.ends_with("opts)"))
        .collect()
}

/// A line up to the parenthesis that closes the first one.
fn whole_call(line: &str) -> Option<&str> {
    let (mut depth, mut quoted) = (0_usize, false);
    for (at, c) in line.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(&line[..=at]);
                }
            }
            _ => {}
        }
    }
    None
}

/// What the parameters of the documented functions are, by their names, which mean the same in all modules.
const PARAMS: &[(&str, Type)] = &[
    ("opts", Type::Map),
    ("limits", Type::Map),
    ("result", Type::Map),
    ("database", Type::Map),
    ("job", Type::Either(&[Type::Object("Job"), Type::Map])),
    ("closure", Type::Closure),
    ("time", Type::Duration),
    ("url", Type::Text),
    ("image", Type::Either(&[Type::Text, Type::Map])),
    ("app", Type::Text),
    ("bin", Type::Text),
    ("script", Type::Text),
    ("path", Type::Text),
    ("dir", Type::Text),
    ("name", Type::Text),
    ("cmd", Type::Either(&[Type::Text, Type::Array])),
    ("files", Type::Either(&[Type::Text, Type::Array])),
    ("args", Type::Array),
    ("jobs", Type::Map),
    ("services", Type::Array),
    ("scripts", Type::Map),
    ("text", Type::Text),
    ("file", Type::Map),
];

/// What the parameters of a function with so many of them are, with their names.
pub fn params(function: &str, count: usize) -> Vec<(&'static str, Type)> {
    of_form(function, |length| length == count)
}

/// The same of a form that has at least so many: a function judges what comes before its options by itself.
pub fn first_params(function: &str, count: usize) -> Vec<(&'static str, Type)> {
    of_form(function, |length| length >= count)
}

fn of_form(function: &str, fits: impl Fn(usize) -> bool) -> Vec<(&'static str, Type)> {
    let Some((module, name)) = found(function) else { return Vec::new() };
    let forms = module.functions.iter().filter(|known| known.name == name);
    let form = forms.map(|form| form.names_of_params().collect::<Vec<_>>()).find(|form| fits(form.len()));
    let kind =
        |name: &str| PARAMS.iter().find(|(known, _)| *known == name).map_or(Type::Any, |known| known.1);
    form.unwrap_or_default().into_iter().map(|name| (name, kind(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::names;

    #[test]
    fn what_is_handed_on_between_modules_is_not_shown() {
        assert_eq!(shown("compose::up", &["args", "called", "file"]), ["args", "file"]);
        assert_eq!(shown("services::start", &["only", "task_hint"]), ["only"]);
        assert_eq!(shown("own::serve", &["called"]), ["called"]);
        assert_eq!(shown("postgres::start: option `users`", &["name"]), ["name"]);
    }

    #[test]
    fn an_option_of_another_function_is_found() {
        assert_eq!(takers("redis::start", "nodes"), ["redis::cluster"]);
        assert_eq!(takers("redis::cluster", "nodes"), [""; 0]);
        assert_eq!(takers("own::serve", "nodes"), [""; 0]);
    }

    #[test]
    fn every_function_with_options_has_an_example_of_them() {
        let mut missing = Vec::new();
        for module in modules::all() {
            for form in &module.functions {
                let function = format!("{}::{}", module.short_name(), form.name);
                let has_options = form.names_of_params().last().is_some_and(|last| last == "opts");
                if has_options && !example(&function).is_some_and(|call| call.contains("#{")) {
                    missing.push(function);
                }
            }
        }
        assert_eq!(missing, [""; 0]);
        assert_eq!(
            example("compose::up"),
            Some("compose::up(#{file: \"compose.yml\", env: #{TAG: \"latest\"}})")
        );
        assert_eq!(example("own::serve"), None);
    }

    #[test]
    fn what_is_said_otherwise_is_said_of_what_there_is() {
        for (of, _, advice) in names::SAID_OTHERWISE {
            for name in of.iter() {
                let is_there = found(name).is_some()
                    // What the language has is described by the host alone.
                    || ["spawn", "start"].contains(name)
                    || modules::names().any(|known| known.ends_with(&format!("/{name}")));
                assert!(is_there, "{name}: {advice}");
                assert!(
                    !advice.starts_with("args: ") || !name.contains("::") || has_args(name),
                    "{name}: {advice}"
                );
            }
        }
    }

    fn has_args(function: &str) -> bool {
        found(function).is_some_and(|(module, name)| module.option(name, "args").is_some())
    }

    #[test]
    fn further_words_are_shown_as_a_module_does() {
        assert_eq!(args("postgres::start"), Some("[\"-c\", \"log_statement=all\"]"));
        assert_eq!(args("compose::up"), Some("[\"--build\"]"));
        assert_eq!(args("tls::certificate"), None);
    }

    #[test]
    fn every_function_judges_its_arguments_first() {
        let mut missing = Vec::new();
        for (module, (_, text)) in modules::all().zip(crate::builtin::MODULES) {
            for name in module.names() {
                let function = format!("{}::{name}", module.short_name());
                let forms = module.functions.iter().filter(|form| form.name == name);
                let longest = forms.map(|form| form.names_of_params().count()).max().unwrap_or_default();
                let mut params = params(&function, longest);
                // Options are judged by `options`.
                params
                    .retain(|(name, kind)| !matches!(*name, "opts" | "limits") && !matches!(kind, Type::Any));
                let names: Vec<&str> = params.iter().map(|(name, _)| *name).collect();
                let judged = format!("arguments(\"{function}\", [{}", names.join(", "));
                if !names.is_empty() && !text.contains(&judged) {
                    missing.push(judged);
                }
            }
        }
        assert_eq!(missing, [""; 0]);
    }

    #[test]
    fn parameters_of_one_name_are_the_same_everywhere() {
        assert!(matches!(params("node::npm", 2)[..], [("script", Type::Text), ("opts", Type::Map)]));
        assert!(params("node::npm", 3).is_empty());
        let mut used = Vec::new();
        for module in modules::all() {
            used.extend(module.functions.iter().flat_map(|form| form.names_of_params()));
        }
        let unused: Vec<_> = PARAMS.iter().filter(|(name, _)| !used.contains(name)).collect();
        assert!(unused.is_empty(), "{unused:?}");
    }
}
