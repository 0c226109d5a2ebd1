//! Command lines in which a shell would find nothing to do but to execute them: one simple command of plain words and
//! simple variables. What that command is, and what a shell that starts in a directory calls it.
//!
//! Executes nothing. In doubt a line is not plain, which only costs a shell.

use crate::jobs::env::Env;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Words that only a shell can carry out: `exec` cannot replace the shell by them.
const SHELL_WORDS: &[&str] = &[
    "!", ".", ":", "[", "alias", "bg", "echo", "false", "kill", "let", "printf", "pwd", "true", "break",
    "case", "cd", "command", "continue", "do", "done", "elif", "else", "esac", "eval", "exec", "exit",
    "export", "fg", "fi", "for", "function", "getopts", "hash", "if", "jobs", "local", "read", "readonly",
    "return", "set", "shift", "source", "test", "then", "time", "times", "trap", "type", "ulimit", "umask",
    "unalias", "unset", "until", "wait", "while", "{",
];

/// Variables to which some shell gives a value of its own, whatever it has inherited; and those whose names begin so.
const SET_BY_SHELLS: &[&str] = &[
    "_",
    "ARGC",
    "COLUMNS",
    "DIRSTACK",
    "EGID",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "ERRNO",
    "EUID",
    "FUNCNAME",
    "GID",
    "GROUPS",
    "HISTCMD",
    "HOST",
    "HOSTNAME",
    "HOSTTYPE",
    "IFS",
    "LINENO",
    "LINES",
    "MACHTYPE",
    "OLDPWD",
    "OPTARG",
    "OPTERR",
    "OPTIND",
    "OSTYPE",
    "PIPESTATUS",
    "PPID",
    "PWD",
    "RANDOM",
    "SECONDS",
    "SHELLOPTS",
    "SHLVL",
    "SRANDOM",
    "TTY",
    "UID",
    "USERNAME",
    "VENDOR",
];
const BEGIN_SO: [&str; 5] = ["BASH", "COMP_", "KSH", "PS", "ZSH"];

pub fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
}

/// The first word of a shell text that is one simple command: no list, pipeline, group or background, and a
/// plain word that is not the shell's own. In doubt none, which only costs a shell process.
pub fn simple_command(text: &str) -> Option<&str> {
    let first = text.split_ascii_whitespace().next()?;
    let plain = |c: char| is_name_char(c) || matches!(c, '/' | '+' | '@' | ',' | '%');
    if !first.chars().all(plain) || SHELL_WORDS.contains(&first) {
        return None;
    }
    let mut chars = text.trim().chars().peekable();
    let mut quote = None;
    let mut previous = ' ';
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('\''), _) => {}
            (_, '\\') => drop(chars.next()),
            (None, '\'' | '"') => quote = Some(c),
            // `2>&1` and `>& file` are redirections of a simple command; `&>` and a lone `&` are not portable.
            (None, '&') if previous == '>' => {}
            (None, ';' | '&' | '|' | '\n' | '(' | ')' | '`') => return None,
            (_, '$') if chars.peek() == Some(&'(') => return None,
            (Some(_), '`') => return None,
            _ => {}
        }
        previous = c;
    }
    quote.is_none().then_some(first)
}

/// The words of such a line, variables replaced. Each of those is one plain word itself: what is empty or unset would be no
/// word, and what has a blank or a pattern in it would be several.
pub fn words(text: &str, env: &Env) -> Option<Vec<String>> {
    let text = text.trim_matches([' ', '\t', '\n']);
    // After `exec`, which replaces the shell, these would be something else than a program.
    simple_command(text).filter(|first| !first.starts_with(['-', '%']))?;
    text.split([' ', '\t']).filter(|word| !word.is_empty()).map(|word| expanded(word, env)).collect()
}

fn expanded(word: &str, env: &Env) -> Option<String> {
    let is_plain = |c: char| is_name_char(c) || matches!(c, '/' | '+' | '@' | ',' | '%' | ':' | '=');
    let mut found = String::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('$') {
        let (name, tail) = variable(after)?;
        found.extend([before, value(name, env)?]);
        rest = tail;
    }
    found.push_str(rest);
    found.chars().all(is_plain).then_some(found)
}

/// What follows a `$`: the name of a variable, perhaps in braces, and the rest.
fn variable(after: &str) -> Option<(&str, &str)> {
    let belongs = |c: char| c == '_' || c.is_ascii_alphanumeric();
    let (name, tail) = match after.strip_prefix('{') {
        Some(inner) => inner.split_once('}')?,
        None => after.split_at(after.find(|c: char| !belongs(c)).unwrap_or(after.len())),
    };
    let is_name = name.chars().all(belongs) && name.starts_with(|c: char| !c.is_ascii_digit());
    is_name.then_some((name, tail))
}

fn value<'a>(name: &str, env: &'a Env) -> Option<&'a str> {
    let of_shell = SET_BY_SHELLS.contains(&name) || BEGIN_SO.iter().any(|start| name.starts_with(start));
    // Where words end is another matter then.
    if of_shell || env.contains_key(OsStr::new("IFS")) {
        return None;
    }
    env.get(OsStr::new(name))?.to_str().filter(|value| !value.is_empty())
}

/// What a shell in the program's directory would execute for a word: a path as it was written, or as PATH has it. So `$0`
/// of a script is what it would be.
pub fn programs(word: &str, path: &OsStr) -> Vec<PathBuf> {
    if word.contains('/') {
        return vec![PathBuf::from(word)];
    }
    std::env::split_paths(path).map(|dir| dir.join(word)).collect()
}

/// The directory as a shell that starts in it puts it into PWD: by the name that was inherited, if that is one of it
/// (sh(1) in POSIX), else without symbolic links.
pub fn directory(cwd: &Path, inherited: Option<&OsString>) -> PathBuf {
    let file = |path: &Path| std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    let inherited = inherited.map(Path::new).filter(|path| path.is_absolute());
    match inherited {
        Some(name) if name == cwd || file(name).is_some_and(|one| file(cwd) == Some(one)) => name.to_owned(),
        _ => std::fs::canonicalize(cwd).unwrap_or_else(|_| cwd.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(variables: &[(&str, &str)]) -> Env {
        variables.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn one_simple_command_replaces_its_shell() {
        for text in [
            "python3 app.py",
            "redis-server --port 7000 > out.log 2>&1",
            "./server --name 'a;b' \"c|d\"",
            "sleep $SECONDS",
            "cat a\\;b",
        ] {
            assert!(simple_command(text).is_some(), "{text}");
        }
    }

    #[test]
    fn what_needs_a_shell_keeps_it() {
        for text in [
            "",
            "a; b",
            "a && b",
            "a | b",
            "a &",
            "(a)",
            "cd x",
            "A=1 cmd",
            "echo $(date)",
            "echo `date`",
            "$CMD x",
            "if true; then x; fi",
            "a\nb",
            "echo 'unclosed",
            "exec sleep 1",
            "echo \"`date`\"",
            "\"my prog\" x",
        ] {
            assert_eq!(simple_command(text), None, "{text}");
        }
    }

    #[test]
    fn plain_words_need_no_shell() {
        let env = env(&[("PORT", "7000"), ("DIR", "/tmp/a_b"), ("EMPTY", ""), ("TWO", "a b"), ("STAR", "*")]);
        let words = |text: &str| words(text, &env).map(|words| words.join("|"));
        assert_eq!(words("sleep 60").as_deref(), Some("sleep|60"));
        let odd = words(" \t./a.out\t--x=1  a:b,c@d+e%f_g-h \n");
        assert_eq!(odd.as_deref(), Some("./a.out|--x=1|a:b,c@d+e%f_g-h"));
        assert_eq!(words("redis-server --port $PORT").as_deref(), Some("redis-server|--port|7000"));
        let several = words("a --dir=$DIR/$PORT ${PORT}x$PORT ${DIR}");
        assert_eq!(several.as_deref(), Some("a|--dir=/tmp/a_b/7000|7000x7000|/tmp/a_b"));
        for text in [
            "",
            " ",
            "-a x",
            "%1",
            "A=1 cmd",
            "a:b",
            "cd /",
            "echo x",
            "time x",
            "sleep 'a'",
            "a $X",
            "a $EMPTY",
            "a $TWO",
            "a $STAR",
            "a $PWD",
            "a $RANDOM",
            "a $BASH_VERSION",
            "a $",
            "a $$",
            "a $?",
            "a $1",
            "a ${PORT",
            "a ${PORT:-1}",
            "a ${#PORT}",
            "a ${}",
            "a $(b)",
            "$PORT",
            "ls ~",
            "ls *",
            "ls a?",
            "ls [a]",
            "ls {a,b}",
            "sleep 1 # x",
            "a\nb",
            "a\rb",
            "a\x0bb",
            "a > b",
            "a 2>&1",
            "! a",
            "x ü",
            "x\u{a0}y",
            "x\u{a0}",
            "x\r",
            "\x0cx",
            "a ^ b",
            "a \\b",
            "a !b",
            "a \"b\"",
            "a `b`",
            "a; b",
            "a & b",
            "a | b",
            "(a)",
            "exec a",
            "if a",
            ". a",
            "a <b",
        ] {
            assert_eq!(words(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_shell_that_separates_words_otherwise_keeps_its_variables() {
        let env = env(&[("PORT", "7000"), ("IFS", "0")]);
        assert_eq!(words("a $PORT", &env), None);
        assert!(words("a 7000", &env).is_some());
    }

    #[test]
    fn the_directory_keeps_the_name_that_it_was_entered_by() {
        let dir = tempfile::tempdir().expect("a directory");
        let real = std::fs::canonicalize(dir.path()).expect("there");
        let (sub, link) = (real.join("sub"), real.join("link"));
        std::fs::create_dir(&sub).expect("made");
        std::os::unix::fs::symlink(&sub, &link).expect("made");
        let of = |cwd: &Path, inherited: &Path| directory(cwd, Some(&inherited.as_os_str().to_owned()));
        assert_eq!(of(&sub, &link), link);
        assert_eq!(of(&link, &sub), sub);
        assert_eq!(of(&link, &link), link);
        assert_eq!(of(&link, &real), sub);
        assert_eq!(of(&sub, Path::new("link")), sub);
        assert_eq!(directory(&link, None), sub);
    }
}
