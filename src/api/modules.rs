//! The modules of the standard library as their own comments describe them: what each is for, its functions, and the
//! options of these with their types. Read when they are asked for; no rhai.
//!
//! An option is described where it is explained, by its name and its type in backticks:
//!
//! ```text
//! /// * `databases: array of string` (`["app"]`): names of databases to create;
//! /// * `users: map of (string | map) | array of map` (none): further users; their keys are
//! ///   - `password: secret` (none), `roles: array of string` (`[]`);
//! /// * `name: string` (`"postgres"`), `port: port | "free"` (a free one), `timeout: duration` (30 s).
//! ```
//!
//! Types are written as in signatures (see [`Type::name`]), with `integer from 1 to 9`, `secret`, and parentheses. Those in
//! lines that begin with `-` or `*` further to the right are keys of the option before, where that is a `map`. What stands
//! at the top of a module (`//!`) holds for all of its functions, and what one of them says of an option for the others
//! that take it, too.
//!
//! What a function takes and no comment describes is handed on between modules: it is accepted, but not shown to anybody.
//!
//! Modules of others are read in the same way, and taken at their word by the check, but with less trust: see
//! [`Module::option_of_form`].

use super::{Opt, Options, Type};
use crate::builtin::MODULES;
use crate::lock::lock;
use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};

/// A module of the standard library.
#[derive(Debug)]
pub struct Module {
    /// `std/redis`.
    pub name: &'static str,
    /// What stands at its top, without comment marks.
    pub about: String,
    /// Those that are documented, in their order.
    pub functions: Vec<Function>,
    options: Vec<Opt>,
}

/// A function of a module.
#[derive(Debug)]
pub struct Function {
    pub name: &'static str,
    /// `start(opts)`.
    pub call: &'static str,
    /// Without comment marks.
    pub doc: String,
    options: Vec<Opt>,
}

const COUNT: usize = MODULES.len();
static READ: [OnceLock<Module>; COUNT] = [const { OnceLock::new() }; COUNT];

pub fn names() -> impl Iterator<Item = &'static str> {
    MODULES.iter().map(|(name, _)| *name)
}

pub fn all() -> impl Iterator<Item = &'static Module> {
    MODULES.iter().zip(&READ).map(|((name, text), place)| place.get_or_init(|| Module::new(name, text)))
}

/// The module of this name, with or without `std/` and `.rhai`.
pub fn module(name: &str) -> Option<&'static Module> {
    let name = name.trim_end_matches(".rhai");
    let is = |known: &str| known == name || known.strip_prefix("std/") == Some(name);
    let at = MODULES.iter().position(|(known, _)| is(known))?;
    Some(READ[at].get_or_init(|| Module::new(MODULES[at].0, MODULES[at].1)))
}

/// A module that is a file, by its name as errors show it. What is read stays as long as the program, as what is built
/// in does; so each is read once.
pub fn of_file(name: &str, text: &str) -> &'static Module {
    static FILES: Mutex<Option<HashMap<String, &'static Module>>> = Mutex::new(None);
    let mut files = lock(&FILES);
    let files = files.get_or_insert_default();
    if let Some(known) = files.get(name).copied() {
        return known;
    }
    let module: &'static Module = Box::leak(Box::new(Module::new(leak(name), leak(text))));
    files.insert(name.to_owned(), module);
    module
}

impl Module {
    fn new(name: &'static str, text: &'static str) -> Self {
        let about = comment(text.lines(), "//!");
        let mut functions = Vec::new();
        let mut doc: Vec<&str> = Vec::new();
        for line in text.lines() {
            if line.starts_with("///") {
                doc.push(line);
                continue;
            }
            if let Some(rest) = line.strip_prefix("fn ")
                && let (Some(open), Some(end)) = (rest.find('('), rest.find(')'))
                && !doc.is_empty()
            {
                let doc = comment(doc.iter().copied(), "///");
                let options = described(&doc);
                functions.push(Function { name: rest[..open].trim(), call: &rest[..=end], doc, options });
            }
            doc.clear();
        }
        Self { name, options: described(&about), about, functions }
    }

    /// `redis`: what its functions are called behind.
    pub fn short_name(&self) -> &'static str {
        self.name.trim_start_matches("std/")
    }

    /// The names of its functions, each once.
    pub fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<&str> = self.functions.iter().map(|function| function.name).collect();
        names.dedup();
        names
    }

    /// What is said of an option that this function takes: by itself, by the module, or by another function.
    pub fn option(&self, function: &str, option: &str) -> Option<&Opt> {
        let own = self.functions.iter().filter(|other| other.name == function);
        let others = self.functions.iter().filter(|other| other.name != function);
        let all = own.flat_map(|own| &own.options).chain(&self.options);
        let mut all = all.chain(others.flat_map(|other| &other.options));
        all.find(|opt| opt.name == option)
    }

    /// What the form of a function with so many parameters says itself of an option, or else the top of the module. Of
    /// modules that nobody here has read: an option of the same name may be something else in another function.
    pub fn option_of_form(&self, function: &str, params: usize, option: &str) -> Option<&Opt> {
        let is_meant = |form: &&Function| form.name == function && form.params() == params;
        let own = self.functions.iter().find(is_meant)?;
        own.options.iter().chain(&self.options).find(|opt| opt.name == option)
    }

    /// The first parameters of a form that has at least so many, as its own comment describes them.
    pub fn first_params(&self, function: &str, count: usize) -> Vec<(&'static str, Type)> {
        let form = self.functions.iter().find(|form| form.name == function && form.params() >= count);
        let kind =
            |form: &Function, name| form.options.iter().find(|opt| opt.name == name).map(|opt| opt.kind);
        let params = |form: &Function| -> Vec<_> {
            form.names_of_params()
                .map(|name| (name, kind(form, name).unwrap_or(Type::Any)))
                .take(count)
                .collect()
        };
        form.map(params).unwrap_or_default()
    }

    /// The functions whose own comments describe an option, each once.
    pub fn describing<'a>(&'a self, option: &'a str) -> impl Iterator<Item = &'static str> + 'a {
        let with = |function: &&Function| function.options.iter().any(|opt| opt.name == option);
        let mut names: Vec<&str> = self.functions.iter().filter(with).map(|function| function.name).collect();
        names.dedup();
        names.into_iter()
    }

    /// All options that are described, once for each function that does.
    #[cfg(test)]
    pub fn options(&self) -> impl Iterator<Item = &Opt> {
        self.options.iter().chain(self.functions.iter().flat_map(|function| &function.options))
    }
}

impl Function {
    /// How many it has.
    fn params(&self) -> usize {
        self.names_of_params().count()
    }

    pub fn names_of_params(&self) -> impl Iterator<Item = &'static str> {
        let inner = self.call.split_once('(').map_or("", |(_, rest)| rest.trim_end_matches(')'));
        inner.split(',').map(str::trim).filter(|param| !param.is_empty())
    }
}

/// The option of a function, `redis::start`, by what it is called in errors. None for what stands in an option: that is
/// judged with it.
pub fn option(function: &str, option: &str) -> Option<&'static Opt> {
    let (module, function) = function.split_once("::")?;
    let module = self::module(module)?;
    let is_known = module.functions.iter().any(|known| known.name == function);
    module.option(function, option).filter(|_| is_known)
}

/// A comment without its marks; ends with the first line that has none.
fn comment<'a>(lines: impl Iterator<Item = &'a str>, mark: &str) -> String {
    let lines = lines.map_while(|line| line.strip_prefix(mark));
    lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// The options that a comment describes. They live as long as the program: each module is read once.
fn described(doc: &str) -> Vec<Opt> {
    let mut found: Vec<(Opt, Vec<Opt>)> = Vec::new();
    let mut inner = false;
    // How far to the right the bullets of this list stand.
    let mut outer: Option<usize> = None;
    for line in doc.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        // What is wrapped belongs to its bullet.
        if text.starts_with("- ") || text.starts_with("* ") {
            inner = indent > *outer.get_or_insert(indent);
        } else if text.is_empty() {
            (inner, outer) = (false, None);
        }
        for (name, kind) in mentions(line) {
            let opt = Opt { name: leak(name), kind, default: "", doc: &[], also: &[] };
            match found.last_mut().filter(|_| inner) {
                Some((_, keys)) => keys.push(opt),
                None => found.push((opt, Vec::new())),
            }
        }
    }
    let with_keys = |(opt, keys): (Opt, Vec<Opt>)| match keys.is_empty() {
        true => opt,
        false => {
            let keys = Box::leak(keys.into_boxed_slice());
            let options = Box::leak(Box::new(Options { keys, like: &[], bare: None }));
            Opt { kind: with_options(opt.kind, options), ..opt }
        }
    };
    found.into_iter().map(with_keys).collect()
}

/// What a line has of the form `` `name: type` ``.
fn mentions(line: &str) -> impl Iterator<Item = (&str, Type)> {
    line.split('`').skip(1).step_by(2).filter_map(|quoted| {
        let (name, kind) = quoted.split_once(": ")?;
        let is_name = !name.is_empty()
            && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_');
        Some((name, parse(kind)?)).filter(|_| is_name)
    })
}

fn leak(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

fn put(kind: Type) -> &'static Type {
    Box::leak(Box::new(kind))
}

/// A type with these keys for its maps that have none.
fn with_options(kind: Type, options: &'static Options) -> Type {
    match kind {
        Type::Map => Type::Options(options),
        Type::List(of) => Type::List(put(with_options(*of, options))),
        Type::MapOf(of) => Type::MapOf(put(with_options(*of, options))),
        Type::Either(types) => {
            let types: Vec<Type> = types.iter().map(|one| with_options(*one, options)).collect();
            Type::Either(Box::leak(types.into_boxed_slice()))
        }
        other => other,
    }
}

/// A type as it is written in a signature; none for anything else.
fn parse(text: &str) -> Option<Type> {
    let text = text.trim();
    let parts = alternatives(text);
    if parts.len() > 1 {
        let mut types = Vec::new();
        let mut words = Vec::new();
        for part in parts {
            match word(part) {
                Some(word) => words.push(leak(word)),
                None => types.push(parse(part)?),
            }
        }
        if !words.is_empty() {
            types.push(Type::OneOf(Box::leak(words.into_boxed_slice())));
        }
        return match types.as_slice() {
            [one] => Some(*one),
            _ => Some(Type::Either(Box::leak(types.into_boxed_slice()))),
        };
    }
    if let Some(inner) = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        return parse(inner);
    }
    if let Some(of) = text.strip_prefix("array of ") {
        return Some(Type::List(put(parse(of)?)));
    }
    if let Some(of) = text.strip_prefix("map of ") {
        return Some(Type::MapOf(put(parse(of)?)));
    }
    if let Some(bounds) = text.strip_prefix("integer from ") {
        let (least, most) = bounds.split_once(" to ").unwrap_or((bounds, ""));
        let most = if most.is_empty() { Some(i64::MAX) } else { most.parse().ok() };
        return Some(Type::Int(least.parse().ok()?, most?));
    }
    if let Some(word) = word(text) {
        return Some(Type::OneOf(Box::leak(Box::new([leak(word)]))));
    }
    let named = NAMED.iter().find(|kind| kind.name() == text).copied();
    named.or_else(|| (text == "secret").then_some(Type::Secret(&Type::Text)))
}

/// What is written as one word.
const NAMED: &[Type] = &[
    Type::Any,
    Type::Bool,
    Type::Int(i64::MIN, i64::MAX),
    Type::Number,
    Type::Text,
    Type::Word,
    Type::Url,
    Type::Duration,
    Type::Size,
    Type::Port,
    Type::Signal,
    Type::Regex,
    Type::Status,
    Type::Command,
    Type::Closure,
    Type::Map,
    Type::Array,
    Type::Object("Job"),
];

/// `"mqtt"` → mqtt.
fn word(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix('"')?.strip_suffix('"')?;
    (!inner.contains('"')).then_some(inner)
}

/// The parts between bars that stand in no parentheses.
fn alternatives(text: &str) -> Vec<&str> {
    let (mut depth, mut from) = (0, 0);
    let mut parts = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            '|' if depth == 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_as_they_are_written() {
        for text in [
            "string",
            "array of word",
            "map of word",
            "port | \"free\"",
            "\"mqtt\" | \"websockets\"",
            "array of port | string",
        ] {
            assert_eq!(parse(text).map(Type::name).as_deref(), Some(text));
        }
        assert!(matches!(parse("integer from 1 to 9"), Some(Type::Int(1, 9))));
        assert!(matches!(
            parse("map of (string | map)"),
            Some(Type::MapOf(Type::Either([Type::Text, Type::Map])))
        ));
        assert!(matches!(parse("secret"), Some(Type::Secret(_))));
        for text in ["", "true", "strnig", "array of", "#{cmd: …}", "\"a\"b\"", "integer from x", "string |"]
        {
            assert!(parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn options_are_found_where_they_are_explained() {
        let found = described(
            "Options: `name: string` (`\"x\"`), `health: true`.\n\n* `users: map of (string | map)` (none); their keys are\n  \
             - `password: secret` (none),\n    and `roles: array of string`;\n* `port: port`.\n\nReturns `job: Job`\n",
        );
        let names: Vec<&str> = found.iter().map(|opt| opt.name).collect();
        assert_eq!(names, ["name", "users", "port", "job"]);
        let keys = found[1].kind.values().and_then(|of| of.options()).map(Options::names);
        assert_eq!(keys, Some(vec!["password", "roles"]));
        // What begins every bullet is a matter of taste.
        let found = described("- `env: map`: words\n- `name: string`\n  * `inner: map`\n\n- `port: port`");
        let names: Vec<&str> = found.iter().map(|opt| opt.name).collect();
        assert_eq!(names, ["env", "name", "port"]);
        assert!(found[0].kind.options().is_none());
    }

    #[test]
    fn of_a_file_only_the_form_that_is_called_and_the_top_count() {
        let text = "//! `timeout: duration`\n\n/// `port: port`\nfn serve(opts) {}\n\n/// `port: string`\nfn serve(a, opts) {}\n\n\
                    /// Other.\nfn other(opts) {}\n";
        let module = of_file("./of_a_file.rhai", text);
        let kind = |function, params, option| {
            module.option_of_form(function, params, option).map(|opt| opt.kind.name())
        };
        assert_eq!(kind("serve", 1, "port").as_deref(), Some("port"));
        assert_eq!(kind("serve", 2, "port").as_deref(), Some("string"));
        assert_eq!(kind("other", 1, "timeout").as_deref(), Some("duration"));
        assert_eq!(kind("other", 1, "port"), None);
        assert_eq!(kind("none", 1, "timeout"), None);
    }

    /// Whether `"free"` may stand wherever a port may.
    fn takes_free(kind: Type) -> bool {
        match kind {
            Type::Port => false,
            Type::Either(types) => {
                let free =
                    types.iter().any(|one| matches!(one, Type::OneOf(words) if words.contains(&"free")));
                types.iter().all(|one| matches!(one, Type::Port) && free || takes_free(*one))
            }
            Type::List(of) | Type::OneOrMore(of) | Type::MapOf(of) => takes_free(*of),
            Type::Options(options) => options.all().all(|opt| takes_free(opt.kind)),
            _ => true,
        }
    }

    #[test]
    fn a_port_of_a_module_may_be_a_free_one() {
        for module in all() {
            for opt in module.options() {
                assert!(takes_free(opt.kind), "{}: `{}: {}`", module.name, opt.name, opt.kind.name());
            }
        }
        assert!(!takes_free(Type::List(&Type::Port)));
    }
}
