//! What a parser error means, and the words that rhai reserves without using them.
//!
//! Rhai reports the first thing that it could not parse. [`explain`] looks at the source around that place and
//! says what was probably meant; where nothing is known it passes on rhai's own words.

use super::advice::{Advice, Here};
use super::habits::habit;
use super::scan::{declarations, end_before, function_around, is_word, open_comment, unclosed};
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

/// What is said of a comment without an end, and the way out.
pub const OPEN_COMMENT: (&str, &str) =
    ("this comment is never closed", "close it with `*/`; `//` is a comment to the end of its line");

pub fn has_open_comment(source: &str) -> bool {
    open_comment(source).is_some()
}

/// A parser error in the words of somebody who knows where people come from.
pub fn explain(error: &ParseErrorType, source: &str, position: Position) -> Advice {
    let here = Here::new(source, position);
    // Whatever is missing then is missing because of that.
    if let Some(at) = open_comment(source).filter(|at| *at <= line_and_column(position)) {
        let at = place_of(at);
        let no_end = || Advice::new(OPEN_COMMENT.0).hint(OPEN_COMMENT.1);
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
            Advice::new("functions do not declare a result type")
                .hint(format!("`fn {name}(…) {{ … }}`   (leave out `-> …`)")),
        ),
        ParseErrorType::FnMissingBody(_) if here.rest.starts_with(':') => {
            Some(Advice::new("a function body needs braces").hint("`fn name(a, b) { … }`"))
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
            Some(Advice::new(format!("`{name}` is a constant and cannot be changed")).hint(
                match here.declared(name) {
                    Some(line) => format!("`let {name} = …;` on line {line}"),
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

fn undefined(name: &str, here: &Here) -> Option<Advice> {
    let after = here.after(name);
    let next = after.trim_start();
    // `f"…"`, `r"…"`: a string prefix of another language.
    if after.starts_with('"') || after.starts_with('\'') {
        return match name {
            "f" | "fr" => {
                Some(Advice::new("values go into a string in backticks").hint("`` `text ${value}` ``"))
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
            Advice::new(format!("`{name}` is a module: its functions come after `::`"))
                .hint(format!("`{name}::{called}{call}`")),
        );
    }
    if here.before.ends_with("${") {
        let shell = name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        if (shell || !after.starts_with('}')) && here.declared(name).is_none() {
            return Some(
                Advice::new(format!(
                    "`${{{name}}}` in backticks is a variable of the script, and there is none by that name"
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
            Advice::new("arguments cannot be named")
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
        let advice = Advice::new(format!("`{name}` is not visible inside `fn {function}`")).note(
            "a function sees its parameters, functions and imports, but not the variables of the script",
        );
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
            Advice::new(format!("`{name}` is only declared further down, on line {}", declared.line))
                .hint("move the declaration up"),
        );
    }
    Some(
        Advice::new(format!("`{name}` from line {} is not visible here", declared.line))
            .note("a variable lives until the end of its block `{…}`")
            .hint(format!("`let {name} = ();` before the block, `{name} = …;` in it")),
    )
}

fn lexical(error: &LexError, here: &Here) -> Option<Advice> {
    Some(match error {
        LexError::MalformedChar(text) => {
            Advice::new("a string is written in double quotes; single quotes hold one character")
                .hint(if text.contains('"') { format!("`` `{text}` ``") } else { format!("`\"{text}\"`") })
        }
        // As other languages write it.
        LexError::MalformedEscapeSequence(sequence) if sequence == "\\u{" => {
            let digits: String = here.after("{").chars().take_while(char::is_ascii_hexdigit).collect();
            let whole = format!("\\u{{{digits}}}");
            let ours = match digits.len() {
                ..=4 => format!("\\u{digits:0>4}"),
                _ => format!("\\U{digits:0>8}"),
            };
            Advice::new(format!("`{whole}` is not an escape sequence in a string")).hint(format!("`{ours}`"))
        }
        LexError::MalformedEscapeSequence(sequence) => {
            Advice::new(format!("`{sequence}` is not an escape sequence in a string"))
                .hint(format!("`\\{sequence}`, or a raw string without escapes: `#\"…{sequence}…\"#`"))
        }
        LexError::UnterminatedString if here.rest.starts_with('`') => {
            Advice::new("this string in backticks is never closed").hint("close it with a backtick")
        }
        LexError::UnterminatedString => Advice::new("this string is not closed on its line")
            .hint("close it with `\"`; a string of several lines is written in backticks"),
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
                Advice::new(format!("`{token}` closes nothing"))
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
                Advice::new("the variable of `catch` goes in parentheses").hint(format!("`catch ({word})`")),
            );
        }
        if here.rest.starts_with(':') || word == "then" || word == "do" {
            return Some(Advice::new("blocks need braces").hint("`if condition { … }`"));
        }
        if word == "not" || word == "is" {
            return habit("not", here);
        }
        return Some(
            Advice::new("the body of `if`, `for` and `while` needs braces").hint("`if condition { … }`"),
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
        let advice = Advice::new(format!("the script ends while {what} is still open"));
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
        return Advice::new("blocks need braces").hint("`if condition { … }`");
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

fn no_variable(here: &Here) -> Option<Advice> {
    let before = here.before.trim_end();
    if before.ends_with("let") || before.ends_with("const") {
        return Some(match here.rest.chars().next() {
            Some('[' | '(') => Advice::new("`let` declares one name: it takes nothing apart")
                .hint("`let pair = …; let a = pair[0]; let b = pair[1];`"),
            Some('{' | '#') => Advice::new("`let` declares one name: it takes nothing apart")
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
        return Some(Advice::new("strings are joined with `+`").hint("`\"a\" + \"b\"`, or `` `${a}${b}` ``"));
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

/// Rhai takes the star of `/**` for no part of an end.
fn empty_comment(here: &Here) -> Option<Advice> {
    let is_one = here.rest.starts_with("/**/");
    is_one.then(|| Advice::new("`/**/` opens a comment but does not close it").hint("`/* */`"))
}

fn line_and_column(position: Position) -> (usize, usize) {
    (position.line().unwrap_or(usize::MAX), position.position().unwrap_or(0))
}

fn place_of((line, column): (usize, usize)) -> Position {
    let number = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
    Position::new(number(line), number(column))
}
