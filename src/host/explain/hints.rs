//! Advice for habits from other languages, and the words that rhai reserves without using them.
//!
//! Rhai reports the first thing that it could not parse. [`explain`] looks at the source around that place and
//! says what was probably meant; where nothing is known it passes on rhai's own words.

use super::signature;
use crate::host::source::import;
use crate::words::nearest;
use rhai::{Engine, LexError, ParseErrorType, Position, Token};

/// Reserved by rhai, used by nobody: ordinary names here, so that `spawn(…)`, `#{default: 1}` and `x.match`
/// parse.
const GIVEN_BACK: &[&str] = &[
    "spawn",
    "default",
    "with",
    "match",
    "is",
    "sync",
    "thread",
    "shared",
    "static",
    "public",
    "package",
    "module",
    "use",
    "case",
    "go",
    "goto",
    "protected",
    "super",
    "void",
    "var",
    "exit",
];

#[expect(deprecated, reason = "rhai marks what it considers volatile as deprecated; there is no other way")]
pub fn install(engine: &mut Engine) {
    engine.on_parse_token(|token, _, _| match token {
        Token::Reserved(word) if GIVEN_BACK.contains(&word.as_str()) => Token::Identifier(word),
        // Rhai would end the expression before it and then complain about what came before.
        Token::Reserved(word) if matches!(word.as_str(), "===" | "!==") => {
            Token::LexError(LexError::ImproperSymbol(word.to_string(), String::new()).into())
        }
        other => other,
    });
}

/// What is wrong, and the next edit where one is clear.
#[derive(Debug, Default)]
pub struct Advice {
    pub message: String,
    pub hint: Option<String>,
    pub note: Option<String>,
    /// Where it is, when that is not where rhai noticed it.
    pub at: Option<Position>,
}

impl Advice {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    fn at(mut self, position: Position) -> Self {
        self.at = Some(position);
        self
    }
}

/// A parser error in the words of somebody who knows where people come from.
pub fn explain(error: &ParseErrorType, source: &str, position: Position) -> Advice {
    let here = Here::new(source, position);
    // Whatever is missing then is missing because of that.
    if let Some(at) = open_comment(source).filter(|at| *at <= line_and_column(position)) {
        let at = place_of(at);
        let no_end = || {
            let hint = "close it with `*/`; `//` is a comment to the end of its line";
            Advice::new("this comment has no end").hint(hint)
        };
        return empty_comment(&Here::new(source, at)).unwrap_or_else(no_end).at(at);
    }
    let advice = match error {
        ParseErrorType::VariableUndefined(name) => undefined(name, &here),
        ParseErrorType::Reserved(word) => habit(word, &here),
        ParseErrorType::UnknownOperator(symbol) => habit(symbol, &here),
        ParseErrorType::BadInput(error) => lexical(error, &here),
        ParseErrorType::MissingToken(token, purpose) => missing(token, purpose, &here),
        ParseErrorType::VariableExpected => no_variable(&here),
        ParseErrorType::FnMissingBody(name) if here.rest.starts_with("->") => Some(
            Advice::new("functions declare no result type")
                .hint(format!("`fn {name}(…) {{ … }}`   (leave out `-> …`)")),
        ),
        ParseErrorType::FnMissingBody(_) if here.rest.starts_with(':') => {
            Some(Advice::new("a function body stands in braces").hint("`fn name(a, b) { … }`"))
        }
        ParseErrorType::FnMissingName if !here.word().is_empty() => Some(Advice::new(format!(
            "`{0}` is a reserved word: no function can be called `{0}`",
            here.word()
        ))),
        ParseErrorType::FnMissingName => Some(
            Advice::new("a function needs a name").hint("`fn name(a, b) { … }`, or a closure: `|a, b| …`"),
        ),
        ParseErrorType::WrongFnDefinition => Some(
            Advice::new("a function can only be defined at the top level of the script")
                .hint("`let name = |a, b| { … };`, called as `name.call(1, 2)`"),
        ),
        ParseErrorType::PropertyExpected => no_property(&here),
        ParseErrorType::AssignmentToConstant(name) => {
            Some(Advice::new(format!("`{name}` is a constant and cannot change")).hint(
                match here.declared(name) {
                    Some(line) => format!("`let {name} = …;` in line {line}"),
                    None => format!("`let {name} = …;` where it is declared"),
                },
            ))
        }
        ParseErrorType::AssignmentToInvalidLHS(_) => {
            Some(Advice::new("nothing can be assigned to this").hint("`==` compares, `=` assigns"))
        }
        ParseErrorType::MismatchedType(wanted, given) if wanted.starts_with("a boolean") => {
            Some(condition(given, &here))
        }
        ParseErrorType::ModuleUndefined(name) => {
            Some(Advice::new(format!("there is no module `{name}` here")).hint(format!(
                "`import \"{}\" as {name};` at the top of the script",
                import::meant(name).unwrap_or("path/to/file")
            )))
        }
        ParseErrorType::UnexpectedEOF => Some(Advice::new("the script ends in the middle of something")),
        ParseErrorType::LoopBreak => Some(
            Advice::new("`break` and `continue` only work in a loop")
                .note("the body of a closure is not part of the loop around it; `return` ends the closure"),
        ),
        ParseErrorType::WrongDocComment => {
            let misplaced = || Advice::new("a `///` comment must stand right before a function").hint("`//`");
            Some(empty_comment(&here).unwrap_or_else(misplaced))
        }
        ParseErrorType::ExprTooDeep => Some(
            Advice::new("this expression is nested more than 512 levels deep").hint("split it with `let`"),
        ),
        _ => None,
    };
    advice
        .unwrap_or_else(|| Advice::new(format!("syntax error: {}", lower_first(&plain(&error.to_string())))))
}

/// The quotes of rhai's own messages, as ours.
fn plain(text: &str) -> String {
    text.replace('\'', "`")
}

pub fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// The source around the place of an error.
struct Here<'a> {
    source: &'a str,
    position: Position,
    /// The line up to the place.
    before: &'a str,
    /// The line from the place on.
    rest: &'a str,
}

impl<'a> Here<'a> {
    fn new(source: &'a str, position: Position) -> Self {
        let line = position.line().and_then(|n| source.lines().nth(n - 1)).unwrap_or_default();
        let column = position.position().unwrap_or(1).saturating_sub(1);
        let split = line.char_indices().nth(column).map_or(line.len(), |(at, _)| at);
        let (before, rest) = line.split_at(split);
        Self { source, position, before, rest }
    }

    fn line(&self) -> String {
        format!("{}{}", self.before, self.rest)
    }

    /// What follows a word that stands at the place.
    fn after(&self, word: &str) -> &'a str {
        self.rest.strip_prefix(word).unwrap_or(self.rest)
    }

    /// The first word of the rest.
    fn word(&self) -> &'a str {
        let end = self.rest.find(|c: char| !is_word(c)).unwrap_or(self.rest.len());
        &self.rest[..end]
    }

    /// Whether a statement begins at the place.
    fn starts_statement(&self) -> bool {
        let before = self.before.trim_end();
        before.is_empty() || before.ends_with([';', '{', '}'])
    }

    /// The line in which a name is declared, wherever that is.
    fn declared(&self, name: &str) -> Option<usize> {
        declarations(self.source).into_iter().find(|one| one.name == name).map(|one| one.line)
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Words and symbols of other languages.
fn habit(word: &str, here: &Here) -> Option<Advice> {
    let is_written =
        |right: &str| Advice::new(format!("`{word}` is written `{right}`")).hint(format!("`{right}`"));
    let advice = match word {
        "null" | "nil" | "None" | "undefined" | "NULL" | "Null" | "none" => {
            Advice::new(format!("`{word}` is written `()`")).hint("`()`   (`x == ()` tests for it)")
        }
        "True" | "TRUE" => is_written("true"),
        "False" | "FALSE" => is_written("false"),
        "elif" | "elsif" | "elseif" => is_written("else if"),
        "and" => is_written("&&"),
        "or" => is_written("||"),
        "not" => Advice::new("`not` is written `!`").hint("`!condition`"),
        "++" | "--" => {
            let sign = &word[..1];
            let name = here.before.rsplit(|c: char| !is_word(c)).next().unwrap_or_default();
            let name = if name.is_empty() { here.after(word) } else { name };
            let end = name.find(|c: char| !is_word(c)).unwrap_or(name.len());
            let name = if end == 0 { "x" } else { &name[..end] };
            Advice::new(format!("there is no `{word}`")).hint(format!("`{name} {sign}= 1`"))
        }
        "===" => is_written("=="),
        "!==" => is_written("!="),
        ":=" => is_written("="),
        "?" => Advice::new("there is no `condition ? a : b`")
            .hint("`if condition { a } else { b }`   (it has a value)"),
        "#" => Advice::new("`#` starts no comment").hint("`// …` for a comment, `#{…}` for a map"),
        "$" => {
            let name: String = here.after("$").chars().take_while(|c| is_word(*c)).collect();
            if name.is_empty() {
                Advice::new("`$` has no meaning here").hint("`${name}` in backticks puts a value into a text")
            } else {
                Advice::new(format!("`${name}` is a variable of the shell"))
                    .hint(format!("`env(\"{name}\")` for the environment, `{name}` for a script variable"))
            }
        }
        "@" => Advice::new("`@` has no meaning here"),
        "->" => Advice::new("`->` has no meaning here").hint("leave out the type of the result"),
        "await" => Advice::new("calls already wait: there is no `await`").hint("leave out `await`"),
        "async" => Advice::new("there is no `async`: calls wait, jobs run in the background")
            .hint("`spawn(…)` starts a job, `parallel([|| a(), || b()])` does several things at once"),
        "yield" => Advice::new("there is no `yield`").hint("collect into an array: `list.push(x)`"),
        "new" if here.before.trim_end().ends_with("throw") => {
            Advice::new("there is no `new`: any value can be thrown").hint("`throw \"what went wrong\";`")
        }
        "new" => {
            Advice::new("there is no `new` and there are no classes").hint("`#{name: value}` makes an object")
        }
        "function" | "def" | "func" | "fun" | "sub" => {
            Advice::new(format!("a function is defined with `fn`, not `{word}`"))
                .hint("`fn name(a, b) { … }`")
        }
        "class" | "struct" | "interface" | "enum" => Advice::new(format!("there is no `{word}`"))
            .hint("`#{name: value}` makes an object, a file with functions makes a module"),
        "pub" | "public" => {
            Advice::new("functions are public already").hint("leave it out; `private fn` hides one")
        }
        "var" => is_written("let"),
        "match" => Advice::new("`match` is written `switch`").hint("`switch x { 1 => …, _ => … }`"),
        "lambda" => Advice::new("a closure is written with bars").hint("`|x| x + 1`"),
        "from" | "require" | "use" | "include" | "source" => {
            Advice::new(format!("there is no `{word}`: files are imported"))
                .hint("`import \"path/to/file\" as name;`")
        }
        "elapsed" => Advice::new("there is no variable `elapsed`").hint("`elapsed_ms()`"),
        "raise" => is_written("throw"),
        "except" => is_written("catch"),
        "finally" => {
            Advice::new("there is no `finally`").hint("`on_exit(|| …)` runs at the end, however it comes")
        }
        "pass" => Advice::new("there is no `pass`").hint("`{}` is an empty block"),
        "end" | "endif" | "fi" | "done" | "then" | "begin" => {
            Advice::new(format!("there is no `{word}`: blocks stand in braces")).hint("`if condition { … }`")
        }
        "del" | "delete" => Advice::new(format!("there is no `{word}`")).hint("`map.remove(\"key\")`"),
        "self" => is_written("this"),
        "print" | "debug" | "eval" | "type_of" => {
            Advice::new(format!("`{word}` is a function and needs parentheses"))
                .hint(format!("`{word}({})`", here.after(word).trim().trim_end_matches(';')))
        }
        _ => return None,
    };
    Some(advice)
}

/// Advice for calls of what is not a function in any script.
pub fn foreign_call(name: &str) -> Option<String> {
    let hint = match name {
        "require" | "include" | "source" => "`import \"path/to/file\" as name;`",
        "range" => "`0..10`",
        "wait_all" => "`wait_ready([a, b])` or `wait_exit([a, b])`",
        "Some" | "Ok" => "the value itself",
        "Err" | "Error" => "`throw \"what went wrong\";`",
        "function" | "def" => "`fn name(a, b) { … }`",
        "setTimeout" => "`sleep(\"1s\")`",
        "format" | "sprintf" => "`` `text ${value}` ``",
        _ => return None,
    };
    Some(hint.to_owned())
}

fn undefined(name: &str, here: &Here) -> Option<Advice> {
    let after = here.after(name);
    let next = after.trim_start();
    // `f"…"`, `r"…"`: a string prefix of another language.
    if after.starts_with('"') || after.starts_with('\'') {
        return match name {
            "f" | "fr" => {
                Some(Advice::new("values are put into a text in backticks").hint("`` `text ${value}` ``"))
            }
            "r" | "b" => {
                Some(Advice::new("a raw string is written with `#`").hint("`#\"text with \\ and so on\"#`"))
            }
            _ => None,
        };
    }
    if name == "console" && after.starts_with('.') {
        return Some(Advice::new("there is no `console`").hint("`print(…)`, or `log(…)` for stderr"));
    }
    if after.starts_with('.') && is_import(name, here.source) {
        let called: String = after[1..].chars().take_while(|c| is_word(*c)).collect();
        let call = if after[1 + called.len()..].starts_with('(') { "(…)" } else { "" };
        return Some(
            Advice::new(format!("`{name}` is a module: its functions stand behind `::`"))
                .hint(format!("`{name}::{called}{call}`")),
        );
    }
    if here.before.ends_with("${") {
        let shell = name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        if (shell || !after.starts_with('}')) && here.declared(name).is_none() {
            return Some(
                Advice::new(format!(
                    "`${{{name}}}` in backticks is a variable of the script, and there is none of that name"
                ))
                .hint(format!(
                    "`\\${{{name}}}` leaves it to the shell, `${{env(\"{name}\")}}` puts it in here"
                )),
            );
        }
    }
    if arrow(here) {
        return Some(Advice::new("a closure is written with bars, not with `=>`").hint("`|x| x + 1`"));
    }
    let in_braces = here.before.trim_end().ends_with(['{', ',']) || here.before.trim().is_empty();
    if in_braces && next.starts_with(':') && !next.starts_with("::") {
        return Some(map_literal());
    }
    let named = next.starts_with('=') && !next.starts_with("==");
    if let Some(advice) = habit(name, here).filter(|_| !named) {
        return Some(advice);
    }
    if here.before.trim() == "import" {
        let alias = next.strip_prefix("as ").map_or(name, |alias| alias.trim_end_matches(';').trim());
        return Some(
            Advice::new("the file of an import is a string").hint(format!("`import \"{name}\" as {alias};`")),
        );
    }
    if named && here.starts_statement() {
        let advice = not_visible(name, here).unwrap_or_else(|| {
            Advice::new(format!("`{name}` is not declared")).hint(format!("`let {name} = …;`"))
        });
        return Some(advice);
    }
    if named && in_condition(here.before) {
        return Some(Advice::new("`=` assigns, `==` compares").hint("`==`"));
    }
    if named && here.before.contains('(') {
        return Some(
            Advice::new("arguments have no names")
                .hint(format!("an option map comes last: `#{{{name}: …}}`")),
        );
    }
    // `npm install`, `echo hello`: a line of a shell script.
    let word_follows =
        after.starts_with(' ') && next.starts_with(|c: char| is_word(c) || c == '-' || c == '/');
    if word_follows && here.starts_statement() && !is_operator_word(next) {
        let line = here.rest.trim_end_matches([';', ' ', '}']);
        let shown =
            if line.contains('"') { format!("`run(`{line}`)`") } else { format!("`run(\"{line}\")`") };
        return Some(
            Advice::new(format!("`{name}` is not a variable; is this a shell command?")).hint(shown),
        );
    }
    if let Some(advice) = not_visible(name, here) {
        return Some(advice);
    }
    if signature::known().has(name) {
        return Some(
            Advice::new(format!("`{name}` is a function, not a variable"))
                .hint(format!("`{name}(…)` calls it, `|x| {name}(x)` passes it on")),
        );
    }
    let declared = declarations(here.source);
    let line = here.position.line().unwrap_or(usize::MAX);
    let names = declared.iter().filter(|one| one.line <= line).map(|one| one.name.as_str());
    let advice = Advice::new(format!("there is no variable `{name}`"));
    Some(match nearest(name, names) {
        Some(near) => advice.hint(format!("`{near}`")),
        None => advice,
    })
}

/// Whether a text imports something under this name.
fn is_import(name: &str, source: &str) -> bool {
    let end = format!(" as {name}");
    source
        .lines()
        .map(|line| line.trim().trim_end_matches(';'))
        .any(|line| line.starts_with("import ") && line.trim_end().ends_with(&end))
}

/// Whether what comes next is part of a condition: `if a`, `assert(a`.
fn in_condition(before: &str) -> bool {
    let before = before.trim_start();
    ["if ", "while ", "} else if ", "assert("].iter().any(|start| before.starts_with(start))
        && !before.contains(['{', ','])
        || before.rsplit_once("assert(").is_some_and(|(_, rest)| !rest.contains([',', ')']))
}

fn is_operator_word(text: &str) -> bool {
    let word: String = text.chars().take_while(|c| is_word(*c)).collect();
    matches!(word.as_str(), "in" | "is" | "and" | "or" | "not" | "as" | "if" | "else")
}

fn map_literal() -> Advice {
    Advice::new("a map is written `#{…}`; `{…}` is a block of statements").hint("`#{key: value}`")
}

/// Whether the place is inside of the parameters of `(a, b) => …` or `a => …`.
fn arrow(here: &Here) -> bool {
    let end = here.rest.find(|c: char| !(is_word(c) || c == ',' || c == ' ')).unwrap_or(here.rest.len());
    let rest = here.rest[end..].trim_start_matches(')').trim_start();
    // A line that begins with it is a case of `switch`.
    rest.starts_with("=>") && !here.before.trim().is_empty()
}

/// Whether what follows a name gives it a value: `= 1`, `+= 1`.
fn is_assigned(after: &str) -> bool {
    let after = after.trim_start();
    let after = after.strip_prefix(['+', '-', '*', '/', '%', '|', '&', '^']).unwrap_or(after);
    after.starts_with('=') && !after.starts_with("==")
}

/// Declared, but not where it is used.
fn not_visible(name: &str, here: &Here) -> Option<Advice> {
    let line = here.position.line()?;
    let all = declarations(here.source);
    let declared = all.iter().find(|one| one.name == name)?;
    // A function does not see it wherever it is declared: to move it up would only lead to the next error.
    if declared.depth == 0
        && let Some(function) = function_around(here.source, here.position)
    {
        let advice = Advice::new(format!("`{name}` is not visible inside of `fn {function}`"))
            .note("a function sees its parameters, functions and imports, no variables of the script");
        return Some(if declared.constant {
            advice.hint(format!("`global::{name}`, or pass it as a parameter"))
        } else if is_assigned(here.after(name)) {
            advice.hint(format!(
                "`{name} = {function}(…);`: let the function return the value, or use a closure"
            ))
        } else {
            advice.hint(format!("`fn {function}(…, {name})`: pass it as a parameter, or use a closure"))
        });
    }
    if declared.line > line {
        return Some(
            Advice::new(format!("`{name}` is only declared further down, in line {}", declared.line))
                .hint("move the declaration up"),
        );
    }
    Some(
        Advice::new(format!("`{name}` of line {} is not visible here", declared.line))
            .note("a variable lives until the end of its block `{…}`")
            .hint(format!("`let {name} = ();` before the block, `{name} = …;` in it")),
    )
}

fn lexical(error: &LexError, here: &Here) -> Option<Advice> {
    Some(match error {
        LexError::MalformedChar(text) => {
            Advice::new("a string stands in double quotes; single quotes hold one character")
                .hint(if text.contains('"') { format!("`` `{text}` ``") } else { format!("`\"{text}\"`") })
        }
        LexError::MalformedEscapeSequence(sequence) => {
            Advice::new(format!("`{sequence}` is not an escape sequence in a string"))
                .hint(format!("`\\{sequence}`, or a raw string without escapes: `#\"…{sequence}…\"#`"))
        }
        LexError::UnterminatedString if here.rest.starts_with('`') => {
            Advice::new("this text in backticks has no end").hint("close it with a backtick")
        }
        LexError::UnterminatedString => Advice::new("this string has no end in its line")
            .hint("close it with `\"`; a text of several lines stands in backticks"),
        LexError::MalformedNumber(number) => {
            let unit = number.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '_');
            if matches!(unit, "ms" | "s" | "m" | "h") {
                Advice::new("a duration is a string").hint(format!("`\"{number}\"`"))
            } else {
                Advice::new(format!("`{number}` is not a number"))
            }
        }
        LexError::MalformedIdentifier(name) => Advice::new(format!("`{name}` is not a name")),
        LexError::ImproperSymbol(symbol, _) if symbol == "=" => {
            Advice::new("`=` assigns, `==` compares").hint("`==`")
        }
        LexError::ImproperSymbol(symbol, text) => {
            return habit(symbol, here)
                .or_else(|| (!text.is_empty()).then(|| Advice::new(lower_first(&plain(text)))));
        }
        LexError::UnexpectedInput(token) => return unexpected(token, here),
        _ => return None,
    })
}

fn unexpected(token: &str, here: &Here) -> Option<Advice> {
    Some(match token {
        "try" => Advice::new("`try` is a statement without a value")
            .hint("`let result = attempt(|| …);`, then `result.ok`, `result.value`, `result.error`"),
        "fn" => Advice::new("a function in an expression is a closure").hint("`|a, b| { … }`"),
        "}" | ")" | "]" => {
            let before = here.before.trim_end();
            if before.is_empty() || before.ends_with([';', '}']) {
                Advice::new(format!("`{token}` closes nothing that is open"))
            } else {
                Advice::new(format!("a value is missing before `{token}`"))
            }
        }
        ";" | "," => Advice::new(format!("a value is missing before `{token}`")),
        "let" | "const" | "while" | "for" | "loop" | "return" | "throw" => {
            Advice::new(format!("`{token}` starts a statement and has no value"))
                .hint("put it into a block: `{ … }`")
        }
        "else" => Advice::new("this `else` belongs to no `if`")
            .hint("`if a { … } else { … }`, without `;` in between"),
        "catch" => Advice::new("this `catch` belongs to no `try`").hint("`try { … } catch (e) { … }`"),
        ">" if here.before.ends_with('<') => Advice::new("`<>` is written `!=`").hint("`!=`"),
        _ => {
            let token = if token.is_empty() { here.word() } else { token };
            Advice::new(format!("`{token}` is not expected here"))
        }
    })
}

fn missing(token: &str, purpose: &str, here: &Here) -> Option<Advice> {
    let word = here.word();
    if matches!(word, "and" | "or") {
        return habit(word, here);
    }
    let before = here.before.trim_end();
    if token == "in" {
        return Some(Advice::new("a loop is written with `in`").hint("`for item in list { … }`"));
    }
    if token == "catch" {
        return Some(Advice::new("`try` needs a `catch`").hint("`try { … } catch (e) { … }`"));
    }
    if purpose.contains("parameters of function") {
        let function = purpose.rsplit('\'').nth(1).unwrap_or("name");
        return match here.rest.chars().next() {
            Some('=') => Some(Advice::new("parameters have no default values").hint(format!(
                "a second function with fewer parameters: `fn {function}() {{ {function}(1) }}`"
            ))),
            Some(':') => Some(Advice::new("parameters have no types").hint("leave out `: type`")),
            _ => None,
        };
    }
    if token == "{" {
        if before.ends_with("catch") {
            return Some(
                Advice::new("the variable of `catch` stands in parentheses")
                    .hint(format!("`catch ({word})`")),
            );
        }
        if here.rest.starts_with(':') || word == "then" || word == "do" {
            return Some(Advice::new("blocks stand in braces").hint("`if condition { … }`"));
        }
        if word == "not" || word == "is" {
            return habit("not", here);
        }
        return Some(
            Advice::new("the body of `if`, `for` and `while` stands in braces").hint("`if condition { … }`"),
        );
    }
    if here.rest.starts_with("=>") {
        return Some(Advice::new("a closure is written with bars, not with `=>`").hint("`|x| x + 1`"));
    }
    if here.rest.starts_with('=') && !here.rest.starts_with("==") && in_condition(before) {
        return Some(Advice::new("`=` assigns, `==` compares").hint("`==`"));
    }
    let number = before.rsplit(|c: char| !(c.is_ascii_digit() || c == '.')).next().unwrap_or_default();
    if !number.is_empty() && matches!(word, "ms" | "s" | "m" | "h") {
        return Some(Advice::new("a duration is a string").hint(format!("`\"{number}{word}\"`")));
    }
    if token == ";" {
        return Some(semicolon(here, before, word));
    }
    if here.rest.starts_with(':') && before.ends_with('"') {
        return Some(map_literal());
    }
    if here.rest.is_empty() && here.position.line().is_some_and(|line| line >= here.source.lines().count()) {
        let what = match token {
            "}" => "a `{`",
            ")" => "a `(`",
            "]" => "a `[`",
            _ => return None,
        };
        let advice = Advice::new(format!("the script ends, but {what} is still open"));
        return Some(match unclosed(here.source, token) {
            Some((line, column)) => advice.at(Position::new(line, column)),
            None => advice,
        });
    }
    if matches!(token, ")" | "," | "]" | "}") {
        let closes = if purpose.contains("array") { "]" } else { ")" };
        let token = if token == "," && here.rest.starts_with(';') { closes } else { token };
        let shown = match here.rest.chars().next() {
            _ if !word.is_empty() => format!("`{word}`"),
            Some(c) => format!("`{c}`"),
            None => "the end of the line".to_owned(),
        };
        return Some(Advice::new(format!("`{token}` is missing before {shown}")));
    }
    None
}

fn semicolon(here: &Here, before: &str, word: &str) -> Advice {
    if here.rest.starts_with(':') && !here.rest.starts_with("::") {
        if before.ends_with('"') {
            return map_literal();
        }
        if before.starts_with("let ") || before.trim_start().starts_with("let ") {
            return Advice::new("variables have no types").hint("leave out `: type`");
        }
        return Advice::new("blocks stand in braces").hint("`if condition { … }`");
    }
    if here.rest.starts_with("==") && before.trim_start().starts_with("let ") {
        return Advice::new("`==` compares, `=` assigns").hint("`=`");
    }
    if word == "if" && !before.is_empty() {
        return Advice::new("`a if condition else b` is written the other way round")
            .hint("`if condition { a } else { b }`   (it has a value)");
    }
    if word == "is" {
        return Advice::new("`is` is written `==`").hint("`==`");
    }
    // The parser notices at the next token, which is often in the next line.
    if here.before.trim().is_empty()
        && let Some(end) = end_before(here.source, here.position)
    {
        return Advice::new("`;` is missing at the end of the statement").at(end);
    }
    Advice::new("`;` is missing before this").note("every statement but the last of a block ends with `;`")
}

/// Behind the last character of code before a place.
fn end_before(source: &str, position: Position) -> Option<Position> {
    let line = position.line()?;
    let lines: Vec<&str> = source.lines().take(line - 1).collect();
    for (index, text) in lines.iter().enumerate().rev() {
        let code = text.split("//").next().unwrap_or_default();
        // `//` in a string is not a comment.
        let code = if code.matches('"').count() % 2 == 1 { text } else { code };
        let code = code.trim_end();
        if !code.trim().is_empty() {
            let column = code.chars().count() + 1;
            return Some(Position::new(u16::try_from(index + 1).ok()?, u16::try_from(column).ok()?));
        }
    }
    None
}

fn no_variable(here: &Here) -> Option<Advice> {
    let before = here.before.trim_end();
    if before.ends_with("let") || before.ends_with("const") {
        return Some(match here.rest.chars().next() {
            Some('[' | '(') => Advice::new("a `let` declares one name: nothing is taken apart")
                .hint("`let pair = …; let a = pair[0]; let b = pair[1];`"),
            Some('{' | '#') => Advice::new("a `let` declares one name: nothing is taken apart")
                .hint("`let m = …; let a = m.a;`"),
            _ => Advice::new(format!("`{}` is a reserved word and no name", here.word())),
        });
    }
    if here.line().contains(';') && here.line().trim_start().starts_with("for") {
        return Some(Advice::new("there is no counting `for (…; …; …)`").hint("`for i in 0..10 { … }`"));
    }
    if here.line().trim_start().starts_with("for") {
        return Some(Advice::new("a loop needs the name of a variable").hint("`for item in list { … }`"));
    }
    None
}

fn no_property(here: &Here) -> Option<Advice> {
    if here.rest.starts_with(['"', '`']) {
        return Some(Advice::new("texts are joined with `+`").hint("`\"a\" + \"b\"`, or `` `${a}${b}` ``"));
    }
    None
}

fn condition(given: &str, here: &Here) -> Advice {
    if let Some(symbol) = ["===", "!=="].into_iter().find(|symbol| here.rest.contains(symbol))
        && let Some(advice) = habit(symbol, here)
    {
        return advice;
    }
    let advice = Advice::new(format!("a condition must be true or false, not {given}"));
    let end = here.rest.find([' ', '{', ')']).unwrap_or(here.rest.len());
    let value = &here.rest[..end];
    match given {
        "a number" if value.parse::<f64>().is_ok() => advice.hint("`true`"),
        "a number" => advice.hint(format!("`{value} != 0`")),
        "a string" => advice.hint(format!("`{value} != \"\"`")),
        _ => advice,
    }
}

/// Where a variable, a constant or a loop variable is declared.
#[derive(Debug)]
pub struct Declaration {
    pub name: String,
    pub line: usize,
    /// How many blocks it is in.
    pub depth: usize,
    pub constant: bool,
}

/// The declarations of a text that may not parse.
pub fn declarations(source: &str) -> Vec<Declaration> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut last = String::new();
    let _ = scan(source, |piece| match piece {
        Piece::Symbol('{', _) => depth += 1,
        Piece::Symbol('}', _) => depth = depth.saturating_sub(1),
        Piece::Symbol('(', _) => {}
        Piece::Symbol(..) => last.clear(),
        Piece::Word(word, (line, _)) => {
            if matches!(last.as_str(), "let" | "const" | "for") {
                found.push(Declaration { name: word.to_owned(), line, depth, constant: last == "const" });
            }
            word.clone_into(&mut last);
        }
    });
    found
}

/// The name of the function that a place is in.
fn function_around(source: &str, position: Position) -> Option<String> {
    let place = (position.line()?, position.position().unwrap_or(1));
    let mut blocks: Vec<Option<String>> = Vec::new();
    let mut pending = None;
    let mut last = String::new();
    let mut passed = false;
    let _ = scan(source, |piece| {
        let at = match &piece {
            Piece::Word(_, at) | Piece::Symbol(_, at) => *at,
        };
        passed = passed || at >= place;
        if passed {
            return;
        }
        match piece {
            Piece::Word(word, _) => {
                if last == "fn" {
                    pending = Some(word.to_owned());
                }
                word.clone_into(&mut last);
            }
            Piece::Symbol('{', _) => blocks.push(pending.take()),
            Piece::Symbol('}', _) => drop(blocks.pop()),
            Piece::Symbol(..) => last.clear(),
        }
    });
    blocks.into_iter().flatten().next()
}

/// Where the comment begins that swallows the rest of a text.
fn open_comment(source: &str) -> Option<(usize, usize)> {
    if source.contains("/*") { scan(source, |_| ()) } else { None }
}

/// Rhai takes the star of `/**` for no part of an end.
fn empty_comment(here: &Here) -> Option<Advice> {
    let is_one = here.rest.starts_with("/**/");
    is_one.then(|| Advice::new("`/**/` begins a comment, but does not end it").hint("`/* */`"))
}

fn line_and_column(position: Position) -> (usize, usize) {
    (position.line().unwrap_or(usize::MAX), position.position().unwrap_or(0))
}

fn place_of((line, column): (usize, usize)) -> Position {
    let number = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
    Position::new(number(line), number(column))
}

/// The innermost opening bracket that nothing closes.
fn unclosed(source: &str, closing: &str) -> Option<(u16, u16)> {
    let opening = match closing {
        "}" => '{',
        ")" => '(',
        _ => '[',
    };
    let mut open: Vec<(char, (usize, usize))> = Vec::new();
    let _ = scan(source, |piece| {
        if let Piece::Symbol(c, at) = piece {
            match c {
                '{' | '(' | '[' => open.push((c, at)),
                '}' | ')' | ']' => drop(open.pop()),
                _ => {}
            }
        }
    });
    let (line, column) = open.iter().rev().find(|(c, _)| *c == opening)?.1;
    Some((u16::try_from(line).ok()?, u16::try_from(column).ok()?))
}

enum Piece<'a> {
    Word(&'a str, (usize, usize)),
    Symbol(char, (usize, usize)),
}

/// Goes through the words and symbols of a text, past strings and comments. Rhai's own tokens are of no use
/// here: they end at the first error. Returns where a comment begins that has no end.
fn scan<'a>(source: &'a str, on: impl FnMut(Piece<'a>)) -> Option<(usize, usize)> {
    let mut scan = Scan { source, chars: source.char_indices().peekable(), line: 1, column: 0, on };
    // The braces that are open in each `${…}` around, the innermost last.
    let mut inside: Vec<usize> = Vec::new();
    while let Some((at, c, place)) = scan.step() {
        match c {
            '"' => scan.string('"', 0),
            '\'' => scan.string('\'', 0),
            '#' if scan.raw_string() => {}
            '`' => inside.extend(scan.text().then_some(0)),
            '/' if scan.next_is('/') => while scan.step().is_some_and(|(_, inner, _)| inner != '\n') {},
            '/' if scan.next_is('*') => {
                if !scan.comment() {
                    return Some(place);
                }
            }
            // The end of a `${…}`: the text around goes on.
            '}' if inside.last() == Some(&0) => {
                inside.pop();
                inside.extend(scan.text().then_some(0));
            }
            c if is_word(c) => scan.word(at, c, place),
            c if c.is_whitespace() => {}
            c => {
                if let (Some(open), '{' | '}') = (inside.last_mut(), c) {
                    *open = if c == '{' { *open + 1 } else { *open - 1 };
                }
                (scan.on)(Piece::Symbol(c, place));
            }
        }
    }
    None
}

struct Scan<'a, F> {
    source: &'a str,
    chars: std::iter::Peekable<std::str::CharIndices<'a>>,
    line: usize,
    column: usize,
    on: F,
}

impl<'a, F: FnMut(Piece<'a>)> Scan<'a, F> {
    fn step(&mut self) -> Option<(usize, char, (usize, usize))> {
        let (at, c) = self.chars.next()?;
        if c == '\n' {
            self.line += 1;
            self.column = 0;
        } else {
            self.column += 1;
        }
        Some((at, c, (self.line, self.column)))
    }

    fn next_is(&mut self, wanted: char) -> bool {
        self.chars.peek().is_some_and(|(_, next)| *next == wanted)
    }

    fn word(&mut self, start: usize, first: char, place: (usize, usize)) {
        let mut end = start + first.len_utf8();
        while let Some((next, inner)) = self.chars.peek().copied().filter(|(_, inner)| is_word(*inner)) {
            end = next + inner.len_utf8();
            self.step();
        }
        (self.on)(Piece::Word(&self.source[start..end], place));
    }

    /// The rest of a string that ends with a quote and so many `#`; without any it ends with its line, too.
    fn string(&mut self, quote: char, hashes: usize) {
        while let Some((at, inner, _)) = self.step() {
            match inner {
                '\\' if hashes == 0 => drop(self.step()),
                '\n' if hashes == 0 => return,
                inner if inner == quote => {
                    let after = &self.source[at + 1..];
                    if after.bytes().take(hashes).filter(|byte| *byte == b'#').count() == hashes {
                        (0..hashes).for_each(|_| _ = self.step());
                        return;
                    }
                }
                _ => {}
            }
        }
    }

    /// The rest of `#"…"#` or `##"…"##`, if it is one.
    fn raw_string(&mut self) -> bool {
        let rest = self.chars.peek().map_or("", |(at, _)| &self.source[*at..]);
        let more = rest.len() - rest.trim_start_matches('#').len();
        if !rest[more..].starts_with('"') {
            return false;
        }
        (0..=more).for_each(|_| _ = self.step());
        self.string('"', more + 1);
        true
    }

    /// The rest of a text in backticks. Whether it stops at a `${`.
    fn text(&mut self) -> bool {
        while let Some((_, inner, _)) = self.step() {
            match inner {
                '`' => return false,
                '\\' => drop(self.step()),
                '$' if self.next_is('{') => return self.step().is_some(),
                _ => {}
            }
        }
        false
    }

    /// The rest of a comment and those within it. Whether it has an end.
    fn comment(&mut self) -> bool {
        let mut open = 1;
        self.step();
        // As rhai has it: `/**/` is the beginning of a documentation comment.
        if self.next_is('*') {
            self.step();
        }
        while let Some((_, inner, _)) = self.step() {
            match inner {
                '*' if self.next_is('/') => open -= 1,
                '/' if self.next_is('*') => open += 1,
                _ => continue,
            }
            self.step();
            if open == 0 {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_found_past_strings_and_comments() {
        let source = "let a = \"let b = 1\"; // let c\nfn f() { const D = `let e`; }\nfor x in a { }\n";
        let found: Vec<(String, usize, usize)> =
            declarations(source).into_iter().map(|one| (one.name, one.line, one.depth)).collect();
        assert_eq!(found, [("a".into(), 1, 0), ("D".into(), 2, 1), ("x".into(), 3, 0)]);
    }

    #[test]
    fn an_open_comment_is_found_past_strings_and_closed_ones() {
        for (source, place) in [
            ("/* a /* b */\nlet x = 1;", (1, 1)),
            ("let a = \"/*\"; // /*\n'/'; /* x */ /** y", (2, 14)),
            ("let a = `/* ${ `/*` + #\"/* \" \"# } /*`;\n  /*/", (2, 3)),
            ("let a = `${ #{a: {}} /* } `;", (1, 22)),
            ("let c = '\"'; let d = '\\''; /*", (1, 28)),
            ("/***/ /**/ let x = 1;", (1, 7)),
        ] {
            assert_eq!(open_comment(source), Some(place), "{source}");
        }
        for source in
            ["/* /* */ */", "/***/", "let a = \"/*\";", "let a = `/*`;", "#\"/*\"#", "// /*", "`\\`/*`"]
        {
            assert_eq!(open_comment(source), None, "{source}");
        }
    }

    #[test]
    fn the_function_around_a_place_is_the_outer_one() {
        let source = "fn outer(a) {\n  if a { x }\n}\nlet y = || { x };\n";
        assert_eq!(function_around(source, Position::new(2, 10)).as_deref(), Some("outer"));
        assert_eq!(function_around(source, Position::new(4, 14)), None);
    }
}
