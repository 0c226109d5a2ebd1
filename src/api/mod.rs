//! What scripts can call, as plain data: names, parameters, options, results, errors and texts. No rhai, no allocation,
//! and nothing here is read twice: registration, the reading of options, the check, "did you mean", the reference and
//! its JSON all walk these descriptions. An option is added in one place, and is in all of them.
//!
//! ```text
//! modules  the modules of the standard library, as their comments describe them
//! names    what functions are called elsewhere
//! usage    how a function of a module is called rightly
//! ```
//!
//! # How to describe the options of a function
//!
//! In the file of its namespace, with `options!` (src/host/value/describe.rs has the grammar and two examples):
//!
//! ```text
//! options! {
//!     /// What a wait for a file can be told.
//!     pub struct WaitFile or timeout: Waiting as waiting {     // `or timeout`: a bare duration may stand for the map
//!         /// So many bytes must be in it. In bytes.
//!         size: Size = "1B", also bytes min_size;              // default: what `size: "1B"` would be read as
//!         /// Its owner.
//!         user: Option<String>, default "anybody";             // no value is a default that can be written down
//!     }
//! }
//! ```
//!
//! That is the struct with typed fields, its description (`WaitFile::OPTIONS`), and its reading. A name that is a word of
//! Rust is written `r#override`. The Rust type of a field says how a value is read and judged: `Duration`, `Size`,
//! `Port`, `Regex`, `Within<1, 10>`, `bool`, `String` …, see the list in src/host/value/kinds.rs. A field without `=` and with a
//! type `Option<T>` is `None` unless it is given.
//! `OneOrMore<T>` is a value or an array of them, `MapOf<T>` a map with any keys.
//!
//! # How to describe a function
//!
//! ```text
//! function! {
//!     /// Waits until a file exists.
//!     ///
//!     /// (an example in ```rhai; the first sentence is the short reference)
//!     pub WAIT_FILE = "wait_file" -> (), throws timeout job_died {
//!         (path: String; WaitFile) => wait_file;               // called as wait_file(ctx, path, opts)
//!         /// What is special about this form.
//!         (job: Job, path: String; WaitFile) => of_job;        // a form with a Job first is also a method of jobs
//!         (size: Size) => |ctx| wait_size(ctx, size);          // or what it does, where that is one expression
//!     }
//! }
//! pub const FUNCTIONS: &[Entry] = &[WAIT_FILE];
//! ```
//!
//! Then the namespace has `FUNCTIONS` in its line of the registry (src/host/engine.rs). A form without `=> function` is
//! described here and registered otherwise: what changes its first argument in place, and what Rhai has itself for the
//! same types, such as `sleep(i64)`. A form whose arguments fit best is called, the first of several; so no two forms
//! need to be told apart by hand, also where objects of several types have methods of one name.
//!
//! # How to describe the properties of an object
//!
//! ```text
//! properties! {
//!     OF_JOB of Job {
//!         /// Its name.
//!         name: String => |job| Ok(job.0.spec.name.clone());
//!     }
//! }
//! pub const PROPERTIES: &[&[Property]] = &[OF_JOB];
//! ```

pub mod modules;
pub mod names;
pub mod usage;

use std::sync::OnceLock;

/// A function or a method, in all its forms.
#[derive(Debug)]
pub struct Function {
    pub name: &'static str,
    pub forms: &'static [Form],
    pub returns: Type,
    /// The kinds of the errors that a script may want to catch.
    pub throws: &'static [&'static str],
    /// Markdown with an example, line by line.
    pub doc: &'static [&'static str],
}

/// One list of arguments.
#[derive(Debug)]
pub struct Form {
    pub params: &'static [Param],
    /// What may come last, always optional.
    pub options: Option<&'static Options>,
    pub doc: &'static [&'static str],
}

#[derive(Debug)]
pub struct Param {
    pub name: &'static str,
    pub kind: Type,
}

/// What can be read of an object without a call.
#[derive(Debug)]
pub struct Property {
    /// The type of the object: `Job`.
    pub of: &'static str,
    /// `[]` for what stands in brackets: `headers["content-type"]`.
    pub name: &'static str,
    pub kind: Type,
    /// Markdown, line by line.
    pub doc: &'static [&'static str],
}

/// The keys of an option map.
#[derive(Debug)]
pub struct Options {
    pub keys: &'static [Opt],
    /// Those of others that it takes as well.
    pub like: &'static [&'static Options],
    /// The key whose bare value may stand in place of the map.
    pub bare: Option<&'static str>,
}

#[derive(Debug)]
pub struct Opt {
    pub name: &'static str,
    pub kind: Type,
    /// As it would be written, or in words; empty where there is none.
    pub default: &'static str,
    pub doc: &'static [&'static str],
    /// What other tools call it.
    pub also: &'static [&'static str],
}

/// What a value can be.
#[derive(Clone, Copy, Debug)]
pub enum Type {
    Unit,
    Any,
    Bool,
    /// A whole number in these bounds.
    Int(i64, i64),
    Number,
    Text,
    /// Text, number or boolean: what becomes one word of a command.
    Word,
    Host,
    Url,
    Duration,
    Size,
    Port,
    Signal,
    Regex,
    /// 200, `[200, 404]` or `"2xx"`.
    Status,
    Command,
    Closure,
    Map,
    Array,
    /// An object with properties and methods of its own.
    Object(&'static str),
    /// A job, an array of jobs, or a map of them.
    Jobs,
    /// One of these words.
    OneOf(&'static [&'static str]),
    List(&'static Type),
    /// One, or an array of them.
    OneOrMore(&'static Type),
    /// A map with any keys.
    MapOf(&'static Type),
    /// An option map in an option.
    Options(&'static Options),
    Either(&'static [Type]),
    /// What no error may show.
    Secret(&'static Type),
}

impl Options {
    pub fn all(&self) -> impl Iterator<Item = &'static Opt> {
        let mut found: Vec<&'static Opt> = Vec::new();
        self.collect(&mut found);
        found.into_iter()
    }

    fn collect(&self, into: &mut Vec<&'static Opt>) {
        into.extend(self.keys);
        self.like.iter().for_each(|other| other.collect(into));
    }

    pub fn get(&self, name: &str) -> Option<&'static Opt> {
        let own = self.keys.iter().find(|opt| opt.name == name);
        own.or_else(|| self.like.iter().find_map(|other| other.get(name)))
    }

    pub fn names(&self) -> Vec<&'static str> {
        self.all().map(|opt| opt.name).collect()
    }
}

impl Form {
    /// Whether so many arguments can be these.
    pub fn takes(&self, length: usize) -> bool {
        length == self.params.len() || (self.options.is_some() && length == self.params.len() + 1)
    }

    /// The form that is meant by so many arguments: the one that they fit furthest, and of several the first; with how
    /// many fit in a row.
    pub fn best<'a>(
        forms: impl Iterator<Item = &'a Form>,
        length: usize,
        fits: impl Fn(usize, Type) -> bool,
    ) -> Option<(&'a Form, usize)> {
        let scored = forms.filter(|form| form.takes(length)).map(|form| {
            let params = form.params.iter().enumerate();
            (form, params.take_while(|(at, param)| fits(*at, param.kind)).count())
        });
        scored.reduce(|best, other| if other.1 > best.1 { other } else { best })
    }
}

impl Function {
    /// Where its options are described: of the first form that has some, be it in a parameter.
    pub fn options(&self) -> Option<&'static Options> {
        let of = |kind: Type| kind.options().or_else(|| kind.items().and_then(|item| item.options()));
        let in_params = |form: &Form| form.params.iter().find_map(|param| of(param.kind));
        self.forms.iter().find_map(|form| form.options.or_else(|| in_params(form)))
    }
}

impl Type {
    /// In a signature: `wait_file(path: string)`.
    pub fn name(self) -> String {
        match self {
            Self::Unit => "()".to_owned(),
            Self::Any => "any".to_owned(),
            Self::Bool => "bool".to_owned(),
            Self::Int(..) => "integer".to_owned(),
            Self::Number => "number".to_owned(),
            Self::Text | Self::Host => "string".to_owned(),
            Self::Word => "word".to_owned(),
            Self::Url => "url".to_owned(),
            Self::Duration => "duration".to_owned(),
            Self::Size => "size".to_owned(),
            Self::Port => "port".to_owned(),
            Self::Signal => "signal".to_owned(),
            Self::Regex => "regex".to_owned(),
            Self::Status => "status".to_owned(),
            Self::Command => "command".to_owned(),
            Self::Closure => "closure".to_owned(),
            Self::Map | Self::Options(_) => "map".to_owned(),
            Self::Array => "array".to_owned(),
            Self::Object(name) => name.to_owned(),
            Self::Jobs => "jobs".to_owned(),
            Self::OneOf(words) => {
                words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" | ")
            }
            Self::List(of) => format!("array of {}", of.name()),
            Self::OneOrMore(of) => format!("{0} | array of {0}", of.name()),
            Self::MapOf(of) => format!("map of {}", of.name()),
            Self::Either(types) => types.iter().map(|one| one.name()).collect::<Vec<_>>().join(" | "),
            Self::Secret(of) => of.name(),
        }
    }

    /// What stands behind "is not" when a value is none.
    pub fn noun(self) -> String {
        let words =
            |words: &[&str]| -> Vec<String> { words.iter().map(|word| format!("{word:?}")).collect() };
        let or = |parts: Vec<String>| match parts.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
            None => String::new(),
        };
        match self {
            Self::Unit => "()".to_owned(),
            Self::Any => "a value".to_owned(),
            Self::Bool => "true or false".to_owned(),
            Self::Int(i64::MIN, i64::MAX) => "a whole number".to_owned(),
            Self::Int(least, i64::MAX) => format!("a whole number of at least {least}"),
            Self::Int(least, most) => format!("a whole number from {least} to {most}"),
            Self::Number => "a number".to_owned(),
            Self::Text => "a string".to_owned(),
            Self::Word => "a string, number or boolean".to_owned(),
            Self::Host => "the name or address of a host".to_owned(),
            Self::Url => "a URL".to_owned(),
            Self::Duration => "a duration".to_owned(),
            Self::Size => "a size".to_owned(),
            Self::Port => "a port (1 to 65535)".to_owned(),
            Self::Signal => "a signal".to_owned(),
            Self::Regex => "a regular expression (a string)".to_owned(),
            Self::Status => "a status: 200, [200, 204], \"2xx\" or \"any\"".to_owned(),
            Self::Command => "a command".to_owned(),
            Self::Closure => "a closure".to_owned(),
            Self::Map | Self::MapOf(_) => "a map `#{…}`".to_owned(),
            Self::Options(options) => format!("an option map #{{{}: …}}", options.names().join(", ")),
            Self::Array | Self::List(_) => "an array `[…]`".to_owned(),
            Self::Object(name) => format!("a {name}"),
            Self::Jobs => "a job or an array of jobs".to_owned(),
            Self::OneOf(these) => or(words(these)),
            Self::OneOrMore(of) => format!("{}, or an array of them", of.noun()),
            Self::Either(types) => {
                let parts = types.iter().flat_map(|one| match one {
                    Self::Bool => vec!["true".to_owned(), "false".to_owned()],
                    Self::OneOf(these) => words(these),
                    one => vec![one.noun()],
                });
                or(parts.collect())
            }
            Self::Secret(of) => of.noun(),
        }
    }

    /// The option map that it may be.
    pub fn options(self) -> Option<&'static Options> {
        self.find(&|one| match one {
            Self::Options(options) => Some(options),
            _ => None,
        })
    }

    /// What the values of a map with any keys are.
    pub fn values(self) -> Option<&'static Type> {
        self.find(&|one| match one {
            Self::MapOf(of) => Some(of),
            _ => None,
        })
    }

    /// What the items of an array are.
    pub fn items(self) -> Option<&'static Type> {
        self.find(&|one| match one {
            Self::List(of) | Self::OneOrMore(of) => Some(of),
            _ => None,
        })
    }

    fn find<T>(self, of: &impl Fn(Self) -> Option<T>) -> Option<T> {
        of(self).or_else(|| match self {
            Self::Either(types) => types.iter().find_map(|one| one.find(of)),
            Self::OneOrMore(one) | Self::Secret(one) => one.find(of),
            _ => None,
        })
    }
}

/// The text of a documentation, without the space behind `///`.
pub fn text_of(doc: &[&str]) -> String {
    let lines = doc.iter().map(|line| line.strip_prefix(' ').unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// All that is described, each with the title of its namespace.
#[derive(Debug, Default)]
pub struct Language {
    pub functions: Vec<(&'static str, &'static Function)>,
    pub properties: Vec<(&'static str, &'static Property)>,
}

/// The registry, which is above all who ask, puts it here.
static LANGUAGE: OnceLock<Language> = OnceLock::new();

pub fn install(language: impl FnOnce() -> Language) {
    LANGUAGE.get_or_init(language);
}

/// With the title of the namespace.
pub fn functions() -> &'static [(&'static str, &'static Function)] {
    LANGUAGE.get().map_or(&[], |language| language.functions.as_slice())
}

/// With the title of the namespace.
pub fn properties() -> &'static [(&'static str, &'static Property)] {
    LANGUAGE.get().map_or(&[], |language| language.properties.as_slice())
}

/// All of a name: methods of several types may have the same.
pub fn named(name: &str) -> impl Iterator<Item = &'static Function> {
    functions().iter().map(|(_, function)| *function).filter(move |function| function.name == name)
}
