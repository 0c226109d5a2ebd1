//! Words and symbols of other languages, and what is written here instead.

use super::advice::{Advice, Here};
use super::scan::is_word;

/// Words and symbols of other languages.
pub(super) fn habit(word: &str, here: &Here) -> Option<Advice> {
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
        "#" => Advice::new("`#` does not start a comment").hint("`// …` for a comment, `#{…}` for a map"),
        "$" => {
            let name: String = here.after("$").chars().take_while(|c| is_word(*c)).collect();
            if name.is_empty() {
                Advice::new("`$` has no meaning here")
                    .hint("`${name}` in backticks puts a value into a string")
            } else {
                Advice::new(format!("`${name}` is a shell variable"))
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
            Advice::new(format!("there is no `{word}`: blocks need braces")).hint("`if condition { … }`")
        }
        "del" | "delete" => Advice::new(format!("there is no `{word}`")).hint("`map.remove(\"key\")`"),
        "self" => is_written("this"),
        "print" | "debug" | "eval" | "type_of" if here.after(word).trim_start().starts_with(':') => {
            Advice::new(format!("`{word}` is a function: as a key it stands in quotes"))
                .hint(format!("`\"{word}\": …`"))
        }
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
