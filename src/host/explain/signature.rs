//! Which functions there are, from the engine's own metadata: for the check, for messages, for the reference.

use crate::api::{self, Form, Function, Property, Type};
use crate::words;
use rhai::Engine;
use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

/// One overload.
#[derive(Clone, Debug)]
pub struct Signature {
    pub name: String,
    /// Names, where they are known, and types.
    pub params: Vec<Param>,
    /// Without comment marks.
    pub doc: String,
}

#[derive(Clone, Debug)]
pub struct Param {
    pub name: Option<String>,
    pub kind: String,
}

/// All functions of the engine by name, getters as `get$NAME`.
#[derive(Debug, Default)]
pub struct Known {
    functions: BTreeMap<String, Vec<Signature>>,
}

static ENGINE: OnceLock<fn() -> Engine> = OnceLock::new();

/// Says what makes an engine with every function.
pub fn install(engine: fn() -> Engine) {
    ENGINE.get_or_init(|| engine);
}

/// Everything about every function. Read when an error needs it: it takes longer than a short script.
pub fn known() -> &'static Known {
    static KNOWN: OnceLock<Known> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let engine = ENGINE.get().map_or_else(Engine::new, |engine| engine());
        Known::of(&engine, true)
    })
}

/// The names, and how many parameters each form takes: all that a script without mistakes needs. Collected when the first
/// is asked for of which the description does not tell.
pub struct Names<'a> {
    engine: &'a Engine,
    forms: OnceCell<HashMap<rhai::Identifier, Forms>>,
}

/// What is known of a name without a look at each form.
#[derive(Default)]
struct Forms {
    params: Vec<usize>,
    /// Some form that is not described returns a value, or may.
    gives: bool,
    /// A bit for each number of parameters that a function of Rhai's own takes.
    of_rhai: u32,
}

impl<'a> Names<'a> {
    pub fn of(engine: &'a Engine) -> Self {
        Self { engine, forms: OnceCell::new() }
    }

    fn forms(&self, name: &str) -> Option<&Forms> {
        self.forms.get_or_init(|| Self::all(self.engine)).get(name)
    }

    fn all(engine: &Engine) -> HashMap<rhai::Identifier, Forms> {
        let all = engine.collect_fn_metadata(
            None,
            |info| {
                let metadata = info.metadata;
                let nothing = matches!(&*metadata.return_type, "()" | "Fallible<() >" | "Fallible<()>");
                // What a described function returns is in its description.
                let described = metadata.params_info.is_empty() && metadata.return_type.is_empty();
                let ours = described || metadata.comments.first().is_some_and(|it| it.contains(DESCRIBED));
                Some((metadata.name.clone(), metadata.num_params, !nothing && !described, !ours))
            },
            true,
        );
        let mut names: HashMap<rhai::Identifier, Forms> = HashMap::with_capacity(all.len());
        for (name, params, gives, of_rhai) in all {
            let forms = names.entry(name).or_default();
            forms.params.push(params);
            forms.gives |= gives;
            forms.of_rhai |= u32::from(of_rhai) << params;
        }
        names
    }

    pub fn has(&self, name: &str) -> bool {
        api::named(name).next().is_some()
            || OFTEN_CALLED.iter().any(|it| it.0 == name)
            || self.forms(name).is_some()
    }

    /// Whether a form takes so many.
    pub fn takes(&self, name: &str, length: usize) -> bool {
        api::named(name).flat_map(|function| function.forms).any(|form| form.takes(length))
            || OFTEN_CALLED.iter().any(|it| (it.0, it.1) == (name, length))
            || self.forms(name).is_some_and(|forms| forms.params.contains(&length))
    }

    /// Whether Rhai itself has a function of this name that takes so many.
    pub fn has_of_rhai(&self, name: &str, length: usize) -> bool {
        // Rhai's `start` is that of a range, which takes nothing else.
        let is_common = OF_RHAI_TOO.contains(&name) && (name != "start" || length <= 1);
        let is_ours = api::named(name).next().is_some() && !is_common;
        !is_ours && self.forms(name).is_some_and(|forms| forms.of_rhai & (1 << length) != 0)
    }

    /// Whether no form of it returns a value.
    pub fn returns_nothing(&self, name: &str) -> bool {
        if !api::named(name).all(|function| matches!(function.returns, Type::Unit)) {
            return false;
        }
        match OFTEN_CALLED.iter().find(|it| it.0 == name) {
            Some((.., gives)) => !gives,
            None => self.forms(name).is_some_and(|forms| !forms.gives),
        }
    }
}

/// What of Rhai's own functions most scripts call, with how many arguments, and whether they return a value: with the
/// description this is all that the check of most scripts needs. To collect what Rhai has takes several times as long as
/// all the rest of it.
const OFTEN_CALLED: &[(&str, usize, bool)] = &[
    ("len", 1, true),
    ("to_string", 1, true),
    ("push", 2, false),
    ("map", 2, true),
    ("filter", 2, true),
    ("is_empty", 1, true),
    ("starts_with", 2, true),
    ("ends_with", 2, true),
    ("split", 2, true),
    ("to_int", 1, true),
    ("parse_int", 1, true),
    ("pop", 1, true),
    ("values", 1, true),
    ("index_of", 2, true),
    ("timestamp", 0, true),
];

/// The described functions whose names Rhai has as well.
const OF_RHAI_TOO: &[&str] = &[
    "all",
    "contains",
    "exit",
    "for_each",
    "keys",
    "log",
    "make_lower",
    "make_upper",
    "max",
    "min",
    "order",
    "order_by",
    "order_desc",
    "parse_json",
    "print",
    "remove",
    "replace",
    "reverse",
    "sleep",
    "sort",
    "sort_by",
    "sort_desc",
    "start",
    "to_json",
    "trim",
];

impl Known {
    /// What an engine has, with the functions of rhai itself. What is described is taken from there.
    pub fn of(engine: &Engine, described: bool) -> Self {
        let all = engine.collect_fn_metadata(None, |info| Some(signature(info.metadata)), true);
        let mut functions: BTreeMap<String, Vec<Signature>> = BTreeMap::new();
        for signature in all {
            functions.entry(signature.name.clone()).or_default().push(signature);
        }
        if described {
            let forms = api::functions().iter().flat_map(|(_, function)| {
                function.forms.iter().flat_map(move |form| described_forms(function, form))
            });
            let forms: Vec<Signature> = forms
                .chain(api::properties().iter().map(|(_, property)| described_property(property)))
                .collect();
            for form in &forms {
                functions.entry(form.name.clone()).or_default().retain(|form| !form.is_in_description());
            }
            for form in forms {
                functions.entry(form.name.clone()).or_default().push(form);
            }
        }
        for forms in functions.values_mut() {
            forms.sort_by_key(|form| (form.params.len(), form.call()));
        }
        Self { functions }
    }

    pub fn get(&self, name: &str) -> &[Signature] {
        self.functions.get(name).map_or(&[], Vec::as_slice)
    }

    pub fn has(&self, name: &str) -> bool {
        self.functions.contains_key(name)
    }

    /// Names that can be called: no getters, setters and operators.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(String::as_str).filter(|name| rhai::is_valid_identifier(name))
    }

    /// Properties of a type.
    pub fn properties<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a str> {
        self.functions.iter().filter_map(move |(name, forms)| {
            let name = name.strip_prefix("get$")?;
            forms.iter().any(|form| form.params.first().is_some_and(|this| this.kind == kind)).then_some(name)
        })
    }

    /// All forms of every name, in the order of names.
    pub fn all(&self) -> impl Iterator<Item = (&str, &[Signature])> {
        self.functions.iter().map(|(name, forms)| (name.as_str(), forms.as_slice()))
    }
}

/// How the comment of a plugin function begins whose description is elsewhere.
const DESCRIBED: &str = "Described by";

fn signature(metadata: &rhai::FuncMetadata) -> Signature {
    let mut params: Vec<Param> = metadata
        .params_info
        .iter()
        .map(|info| match info.split_once(':') {
            Some((name, kind)) => {
                let name = name.trim().trim_start_matches('_');
                Param { name: (!name.is_empty()).then(|| name.to_owned()), kind: kind_name(kind) }
            }
            None => Param { name: None, kind: kind_name(info) },
        })
        .collect();
    params.resize(metadata.num_params, Param { name: None, kind: "any".to_owned() });
    let doc: Vec<String> = metadata.comments.iter().map(|comment| uncommented(comment)).collect();
    Signature { name: metadata.name.to_string(), params, doc: doc.join("\n").trim().to_owned() }
}

/// Without and with options.
fn described_forms(function: &'static Function, form: &'static Form) -> Vec<Signature> {
    let mut params: Vec<Param> = form
        .params
        .iter()
        .map(|param| Param { name: Some(param.name.to_owned()), kind: param.kind.name() })
        .collect();
    let doc = api::text_of(if form.doc.is_empty() { function.doc } else { form.doc });
    let plain = Signature { name: function.name.to_owned(), params: params.clone(), doc };
    let mut forms = vec![plain.clone()];
    if let Some(options) = form.options {
        let kind = match options.bare.and_then(|key| options.get(key)) {
            Some(bare) => format!("{} | map", bare.kind.name()),
            None => "map".to_owned(),
        };
        params.push(Param { name: Some("opts".to_owned()), kind });
        forms.push(Signature { params, ..plain });
    }
    forms
}

fn described_property(property: &'static Property) -> Signature {
    let param = |name: &str, kind: &str| Param { name: Some(name.to_owned()), kind: kind.to_owned() };
    let (name, key) = match property.name {
        "[]" => ("index$get$".to_owned(), Some(param("name", "string"))),
        name => (format!("get${name}"), None),
    };
    let params = std::iter::once(param("this", property.of)).chain(key).collect();
    Signature { name, params, doc: api::text_of(property.doc) }
}

impl Signature {
    /// Whether a description of its name is about it: it is one of our own. Rhai names the parameters of its functions.
    fn is_in_description(&self) -> bool {
        let unnamed = |param: &Param| param.name.is_none() && param.kind == "any";
        self.doc.starts_with(DESCRIBED) || self.params.iter().all(unnamed)
    }

    /// `wait_port(port: integer)`.
    pub fn call(&self) -> String {
        format!("{}({})", self.name, listed(&self.params))
    }
}

fn listed(params: &[Param]) -> String {
    let shown = params.iter().map(|param| match &param.name {
        Some(name) => format!("{name}: {}", param.kind),
        None => param.kind.clone(),
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// Rust's name of a type as scripts know it.
pub fn kind_name(rust: &str) -> String {
    let bare = rust.trim().trim_start_matches("&mut ").trim_start_matches('&').trim();
    let bare = bare.strip_prefix("mut ").unwrap_or(bare);
    let bare = bare.split(" | ").next().unwrap_or(bare);
    let last = bare.rsplit("::").next().unwrap_or(bare);
    match last {
        "str" | "String" | "ImmutableString" | "SmartString" => "string",
        "i64" | "INT" => "integer",
        "f64" | "FLOAT" => "float",
        "FnPtr" | "Fn" => "closure",
        "Array" => "array",
        "Blob" => "blob",
        "Map" => "map",
        "Dynamic" | "T" | "?" | "" => "any",
        "ScriptError" => "Error",
        "Outcome" => "Result",
        "range" | "ExclusiveRange" | "range=" | "InclusiveRange" => "range",
        other => other,
    }
    .to_owned()
}

fn uncommented(comment: &str) -> String {
    let lines = comment.lines().map(|line| {
        let line = line.trim_start_matches("///");
        line.strip_prefix(' ').unwrap_or(line)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What is called otherwise in other languages.
pub fn meant(name: &str) -> Option<&'static str> {
    SYNONYMS.iter().chain(PROPERTY_SYNONYMS).find(|(foreign, _)| *foreign == name).map(|(_, ours)| *ours)
}

/// What other languages call it, and what it is called here. Only where no function has that name.
const SYNONYMS: &[(&str, &str)] = &[
    ("length", "len"),
    ("size", "len"),
    ("count", "len"),
    ("println", "print"),
    ("printf", "print"),
    ("echo", "print"),
    ("puts", "print"),
    ("eprintln", "warn"),
    ("console_log", "log"),
    ("append", "push"),
    ("add", "push"),
    ("extend", "append"),
    ("concat", "append"),
    ("strip", "trim"),
    ("toString", "to_string"),
    ("str", "to_string"),
    ("String", "to_string"),
    ("int", "parse_int"),
    ("parseInt", "parse_int"),
    ("to_int", "parse_int"),
    ("float", "parse_float"),
    ("parseFloat", "parse_float"),
    ("toLowerCase", "to_lower"),
    ("lower", "to_lower"),
    ("lowercase", "to_lower"),
    ("to_lowercase", "to_lower"),
    ("toUpperCase", "to_upper"),
    ("upper", "to_upper"),
    ("uppercase", "to_upper"),
    ("to_uppercase", "to_upper"),
    ("includes", "contains"),
    ("has", "contains"),
    ("has_key", "contains"),
    ("contains_key", "contains"),
    ("indexOf", "index_of"),
    ("startsWith", "starts_with"),
    ("startswith", "starts_with"),
    ("endsWith", "ends_with"),
    ("endswith", "ends_with"),
    ("substring", "sub_string"),
    ("substr", "sub_string"),
    ("slice", "sub_string"),
    ("forEach", "for_each"),
    ("each", "for_each"),
    ("any", "some"),
    ("every", "all"),
    ("fold", "reduce"),
    ("splitlines", "lines"),
    ("match", "matches"),
    ("is_match", "matches"),
    ("test_regex", "matches"),
    ("replace_regex", "replace_re"),
    ("replaceAll", "replace"),
    ("replace_all", "replace_re"),
    ("typeof", "type_of"),
    ("type", "type_of"),
    ("JSON_parse", "parse_json"),
    ("from_json", "parse_json"),
    ("json_parse", "parse_json"),
    ("read_yml", "read_yaml"),
    ("load_yaml", "read_yaml"),
    ("from_yaml", "parse_yaml"),
    ("from_toml", "parse_toml"),
    ("load_json", "read_json"),
    ("load_toml", "read_toml"),
    ("dotenv", "load_env"),
    ("load_dotenv", "load_env"),
    ("read_env", "load_env"),
    ("find_files", "glob"),
    ("list_files", "glob"),
    ("read_dir", "glob"),
    ("listdir", "glob"),
    ("stringify", "to_json"),
    ("json", "to_json"),
    ("sleep_ms", "sleep"),
    ("sleep_secs", "sleep"),
    ("delay", "sleep"),
    ("pause_for", "sleep"),
    ("wait_for_port", "wait_port"),
    ("waitForPort", "wait_port"),
    ("wait_tcp", "wait_port"),
    ("wait_for_http", "wait_http"),
    ("wait_url", "wait_http"),
    ("wait_for_url", "wait_http"),
    ("wait_for_log", "wait_log"),
    ("wait_for_file", "wait_file"),
    ("wait_for_exit", "wait_exit"),
    ("wait_for_command", "wait_cmd"),
    ("wait_for", "wait_until"),
    ("wait_for_ready", "wait_ready"),
    ("exec", "run"),
    ("system", "run"),
    ("shell", "run"),
    ("sh", "run"),
    ("cmd", "run"),
    ("command", "run"),
    ("run_command", "run"),
    ("background", "spawn"),
    ("start_process", "spawn"),
    ("capture", "output"),
    ("stdout", "output"),
    ("kill_jobs", "kill_all"),
    ("stop_all", "kill_all"),
    ("terminate", "stop"),
    ("getenv", "env"),
    ("get_env", "env"),
    ("environ", "env"),
    ("setenv", "set_env"),
    ("export", "set_env"),
    ("argv", "args"),
    ("pwd", "cwd"),
    ("getcwd", "cwd"),
    ("chdir", "cd"),
    ("tmpdir", "temp_dir"),
    ("tempdir", "temp_dir"),
    ("temp_directory", "temp_dir"),
    ("mkdtemp", "temp_dir"),
    ("file_exists", "exists"),
    ("path_exists", "exists"),
    ("is_file", "exists"),
    ("read", "read_file"),
    ("open", "read_file"),
    ("cat", "read_file"),
    ("write", "write_file"),
    ("get_free_port", "free_port"),
    ("find_free_port", "free_port"),
    ("random_port", "free_port"),
    ("fetch", "http_get"),
    ("get_url", "http_get"),
    ("curl", "http_get"),
    ("assert_equal", "assert_eq"),
    ("assert_equals", "assert_eq"),
    ("assertEquals", "assert_eq"),
    ("assertEqual", "assert_eq"),
    ("expect", "assert"),
    ("assert_true", "assert"),
    ("assert_contain", "assert_contains"),
    ("assert_in", "assert_contains"),
    ("assert_match", "assert_matches"),
    ("assert_raises", "assert_throws"),
    ("assertRaises", "assert_throws"),
    ("expect_error", "assert_throws"),
    ("assert_error", "assert_throws"),
    ("assert_http_status", "assert_status"),
    ("assert_status_code", "assert_status"),
    ("assert_eventually", "eventually"),
    ("wait_for_assertion", "eventually"),
    ("average", "mean"),
    ("avg", "mean"),
    ("minimum", "min"),
    ("maximum", "max"),
    ("quantile", "percentile"),
    ("panic", "fail"),
    ("die", "fail"),
    ("abort", "fail"),
    ("error", "fail"),
    ("quit", "exit"),
    ("defer", "on_exit"),
    ("atexit", "on_exit"),
    ("at_exit", "on_exit"),
    ("shell_quote", "quote"),
    ("shlex_quote", "quote"),
    ("sh_quote", "quote"),
    ("elapsed", "elapsed_ms"),
    ("par", "parallel"),
    ("par_map", "parallel"),
    ("parallel_map", "parallel"),
    ("pmap", "parallel"),
    ("concurrently", "parallel"),
    ("all_of", "parallel"),
    ("with_timeout", "timeout"),
    ("set_timeout", "timeout"),
    ("deadline", "timeout"),
    ("test_case", "test"),
    ("run_test", "test"),
    ("subtest", "test"),
    ("skip_test", "skip"),
    ("describe", "group"),
    ("context", "group"),
    ("setup", "before_each"),
    ("teardown", "after_each"),
    ("toMatchSnapshot", "assert_snapshot"),
    ("it", "test"),
    ("mock_server", "mock"),
    ("mock_http", "mock"),
    ("http_mock", "mock"),
    ("stub", "mock"),
    ("mock_oauth", "mock_oidc"),
    ("mock_oauth2", "mock_oidc"),
    ("mock_openid", "mock_oidc"),
    ("called", "assert_called"),
    ("was_called", "assert_called"),
    ("toHaveBeenCalled", "assert_called"),
    ("toHaveBeenCalledWith", "assert_called"),
    ("assert_called_with", "assert_called"),
    ("assert_called_once", "assert_called"),
    ("assert_called_once_with", "assert_called"),
    ("assert_not_called", "assert_called"),
    ("assert_requested", "assert_called"),
    ("verify", "assert_called"),
    ("calls", "requests"),
    ("call_count", "requests"),
    ("history", "requests"),
    ("received", "requests"),
    ("received_requests", "requests"),
    ("recorded", "requests"),
    ("emails", "mails"),
    ("inbox", "mails"),
];

/// The same for properties; the first that a type has.
const PROPERTY_SYNONYMS: &[(&str, &str)] = &[
    ("exitCode", "code"),
    ("exitcode", "code"),
    ("exit_status", "code"),
    ("returncode", "code"),
    ("return_code", "code"),
    ("rc", "code"),
    ("statusCode", "status"),
    ("status_code", "status"),
    ("status", "code"),
    ("data", "body"),
    ("content", "body"),
    ("out", "stdout"),
    ("err", "stderr"),
    ("logs", "output"),
    ("log", "output"),
    ("log", "log_path"),
    ("logfile", "log_path"),
    ("alive", "running"),
    ("is_running", "running"),
    ("isRunning", "running"),
    ("address", "url"),
    ("addr", "url"),
    ("uptime", "uptime_ms"),
    ("children", "descendants"),
];

/// Functions that rhai treats as part of the language: in no list.
const KEYWORDS: &[&str] = &[
    "print",
    "debug",
    "type_of",
    "eval",
    "Fn",
    "call",
    "curry",
    "is_shared",
    "is_def_fn",
    "is_def_var",
    "this",
];

pub fn is_keyword(name: &str) -> bool {
    KEYWORDS.contains(&name)
}

impl Known {
    /// What was probably meant by a name that is not a function.
    pub fn suggest<'a>(&'a self, name: &str, also: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
        let synonym = SYNONYMS.iter().find(|(foreign, _)| *foreign == name).map(|(_, ours)| *ours);
        if let Some(ours) = synonym.filter(|ours| self.has(ours) || is_keyword(ours)) {
            return Some(ours);
        }
        let near_synonym = || {
            let foreign = SYNONYMS.iter().map(|(foreign, _)| *foreign).filter(|foreign| foreign.len() > 4);
            let foreign = words::nearest(name, foreign)?;
            let ours = SYNONYMS.iter().find(|(known, _)| *known == foreign)?.1;
            (self.has(ours) && strsim::damerau_levenshtein(name, foreign) == 1).then_some(ours)
        };
        // Names of one or two letters are near to everything.
        let names = also.into_iter().chain(self.names()).filter(|known| known.len() > 2);
        let near = words::nearest(name, names);
        // Short names are near to many others.
        near.filter(|near| name.len() > 4 || strsim::damerau_levenshtein(name, near) == 1)
            .or_else(near_synonym)
    }

    /// The ways to call a function, one a line, without what differs only in a number type.
    pub fn forms(&self, name: &str) -> Vec<String> {
        let mut forms: Vec<(usize, String)> = self
            .get(name)
            .iter()
            .filter(|form| {
                !form
                    .params
                    .iter()
                    .any(|param| param.kind == "f32" || param.kind == "blob" || param.kind.contains('<'))
            })
            .map(|form| (form.params.len(), form.call()))
            .collect();
        forms.sort();
        forms.dedup();
        forms.into_iter().map(|(_, form)| form).collect()
    }
}

/// Where a value that is not there mostly comes from.
const UNIT_FROM: &str = "a missing key of a map gives `()`";

/// What a message about a call consists of.
#[derive(Debug)]
pub struct CallAdvice {
    pub message: String,
    pub notes: Vec<String>,
    pub hint: Option<String>,
}

/// A name that no function has.
pub fn unknown(known: &Known, name: &str, method: bool, near: Option<&str>) -> CallAdvice {
    let what = if method { "method" } else { "function" };
    let message = format!("there is no {what} `{name}`");
    let hint = near.map(|near| {
        let forms = known.forms(near);
        match forms.as_slice() {
            [one] if !method => format!("`{one}`"),
            _ => format!("`{near}(…)`"),
        }
    });
    CallAdvice { message, notes: Vec::new(), hint }
}

/// A property that is called; `value` with what it is a property of, where that is known.
pub fn is_property(name: &str, of: Option<&str>) -> CallAdvice {
    let of = of.map_or_else(String::new, |of| format!(" of {of}"));
    CallAdvice {
        message: format!("`{name}` is a property{of}, not a method"),
        notes: Vec::new(),
        hint: Some(format!("`.{name}`   (without parentheses)")),
    }
}

/// Rhai's own report of a call that fits no function: `name (type, type)`.
pub fn not_found(call: &str) -> CallAdvice {
    let (name, given) = call.split_once(" (").unwrap_or((call, ""));
    let given: Vec<String> = split_types(given.strip_suffix(')').unwrap_or(given)).map(kind_name).collect();
    let plain = |message: String| CallAdvice { message, notes: Vec::new(), hint: None };
    if name.starts_with("anon$") {
        let values = if given.len() == 1 { "1 value".to_owned() } else { format!("{} values", given.len()) };
        let advice = plain(format!(
            "this closure is called with {values}, but takes a different number of parameters"
        ));
        let params = ["a", "b", "c", "d"].into_iter().take(given.len()).collect::<Vec<_>>().join(", ");
        return CallAdvice { hint: Some(format!("`|{params}| …`")), ..advice };
    }
    if !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
        return operator(name, &given);
    }
    let known = known();
    if let [one] = given.as_slice()
        && known.properties(one).any(|property| property == name)
    {
        return is_property(name, Some(one));
    }
    if !known.has(name) {
        return unknown(known, name, false, known.suggest(name, []));
    }
    let forms = known.forms(name);
    let missing = match given.iter().position(|kind| kind == "()") {
        Some(0) if given.len() == 1 => Some(format!("its value is `()`: {UNIT_FROM}")),
        Some(at) => Some(format!("value {} of the call is `()`: {UNIT_FROM}", at + 1)),
        None => None,
    };
    let given = given.join(", ");
    let mut advice = match forms.as_slice() {
        [one] => plain(format!("`{name}` takes {}, got ({given})", one.strip_prefix(name).unwrap_or(one))),
        _ => {
            CallAdvice { notes: form_notes(&forms), ..plain(format!("no form of `{name}` takes ({given})")) }
        }
    };
    advice.notes.splice(0..0, missing);
    advice
}

/// The forms as notes: what does not fit is counted.
pub fn form_notes(forms: &[String]) -> Vec<String> {
    const MOST: usize = 6;
    let mut notes: Vec<String> = forms.iter().take(MOST).cloned().collect();
    if forms.len() > MOST {
        notes.push(format!("and {} more", forms.len() - MOST));
    }
    notes
}

/// `a, b<c, d>` → `a` and `b<c, d>`.
fn split_types(text: &str) -> impl Iterator<Item = &str> {
    text.split(", ").map(str::trim).filter(|part| !part.is_empty())
}

fn operator(symbol: &str, given: &[String]) -> CallAdvice {
    let (message, hint) = match (symbol, given) {
        ("!", [one]) => (
            format!("`!` needs true or false, not {one}"),
            Some("`x == ()` tests for a missing value".to_owned()),
        ),
        ("+" | "+=", [a, b]) if a == "()" || b == "()" => (
            format!("`{symbol}` between {a} and {b}: one side has no value"),
            Some("`` `text ${value}` `` in backticks shows `()`".to_owned()),
        ),
        ("[]" | "index$get$", [a, b]) => (format!("{a} cannot be indexed with {b}"), None),
        ("[]=" | "index$set$", [a, b, ..]) => (format!("{a} cannot be indexed with {b}"), None),
        ("+" | "-" | "*" | "/" | "%", [a, b]) if a == "string" || b == "string" => (
            format!("`{symbol}` does not work between {a} and {b}"),
            Some("`parse_int(text)` turns a string into a number".to_owned()),
        ),
        (_, [a, b]) => (format!("`{symbol}` does not work between {a} and {b}"), None),
        (_, given) => (format!("`{symbol}` does not work with {}", given.join(", ")), None),
    };
    CallAdvice { message, notes: Vec::new(), hint }
}

/// A property that a type does not have.
pub fn no_property(name: &str, rust_type: &str, written: bool) -> CallAdvice {
    let kind = kind_name(rust_type);
    let mut advice =
        CallAdvice { message: format!("{kind} has no property `{name}`"), notes: Vec::new(), hint: None };
    if kind == "()" {
        advice.notes.push(format!("the value before `.{name}` is `()`: {UNIT_FROM}"));
        return advice;
    }
    if kind == "string" && matches!(name, "kind" | "message" | "code" | "output" | "stderr" | "stack") {
        advice.notes.push(
            "a thrown string is just that string: in `catch (e)`, `e` itself is the message".to_owned(),
        );
        advice.hint =
            Some("`throw #{kind: \"…\", message: \"…\"}`   (throws a value with properties)".to_owned());
        return advice;
    }
    let known = known();
    let properties: Vec<&str> = known.properties(&kind).collect();
    if written && properties.contains(&name) {
        advice.message = format!("the property `{name}` of {kind} cannot be set");
        return advice;
    }
    let methods = || {
        known.names().filter(|name| {
            known.get(name).iter().any(|form| form.params.first().is_some_and(|this| this.kind == kind))
        })
    };
    let synonym = SYNONYMS.iter().find(|(foreign, _)| *foreign == name).map(|(_, ours)| *ours);
    let property = PROPERTY_SYNONYMS.iter().filter(|(foreign, _)| *foreign == name).map(|(_, ours)| *ours);
    if let Some(ours) = property.into_iter().find(|ours| properties.contains(ours)) {
        advice.hint = Some(format!("`.{ours}`"));
    } else if let Some(ours) = synonym.filter(|ours| methods().any(|known| known == *ours)) {
        advice.hint = Some(format!("`.{ours}()`"));
    } else if let Some(near) = words::nearest(name, properties.iter().copied()) {
        advice.hint = Some(format!("`.{near}`"));
    } else if methods().any(|method| method == name) {
        advice.hint = Some(format!("`.{name}()`   (it is a method)"));
    } else if let Some(near) = words::nearest(name, methods()) {
        advice.hint = Some(format!("`.{near}()`   (a method)"));
    } else if !properties.is_empty() {
        advice.notes.push(format!("it has: {}", properties.join(", ")));
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_without_a_look_is_what_a_look_tells() {
        let engine = crate::host::engine::engine(&[]);
        let names = Names::of(&engine);
        let mut wrong = Vec::new();
        for function in api::functions().iter().map(|(_, function)| function) {
            let Some(forms) = names.forms(function.name) else {
                wrong.push(format!("{}: not there", function.name));
                continue;
            };
            for length in 0..8 {
                if function.forms.iter().any(|form| form.takes(length)) && !forms.params.contains(&length) {
                    wrong.push(format!("{} takes {length}", function.name));
                }
            }
            if (0..8).any(|length| {
                names.has_of_rhai(function.name, length) != (forms.of_rhai & (1 << length) != 0)
            }) {
                wrong.push(format!("{} is Rhai's, too", function.name));
            }
        }
        for (name, length, gives) in OFTEN_CALLED {
            if !names.forms(name).is_some_and(|forms| forms.params.contains(length) && forms.gives == *gives)
            {
                wrong.push(format!("{name} {length}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
