//! What somebody meant whose command line is none: the whole line as it should be, or what does here what another tool
//! does under that name.

use crate::builtin;
use crate::words::{command_line, nearest};
use clap::{Arg, ArgAction, Command};
use std::io::Read;
use std::path::Path;

/// What is wrong, and what to type instead.
pub struct Advice {
    pub message: String,
    pub note: Option<String>,
    pub hint: String,
}

/// Longer code than this, or several lines of it, is not said again.
const LONGEST_CODE: usize = 200;

/// `bgjobs WORDS…` where the first word is neither a command nor an option of bgjobs.
pub fn instead(words: &[String], cli: &Command) -> Option<Advice> {
    let first = words.first()?;
    let script = cli.find_subcommand("script")?;
    let advice = |message: String, hint: String| Advice { message, note: None, hint };
    if first.len() > 1 && first.starts_with('-') {
        let (own, rest) = leading(words, script);
        let message = format!("`{first}` is an option of `bgjobs script`");
        return Some(match rest.first() {
            _ if own.is_empty() => return None,
            Some(command) if command == "script" => {
                let line = without_repeats(&[own, &rest[1..]].concat(), script);
                advice(message, script_line(&[], &line))
            }
            Some(command) if cli.find_subcommand(command).is_some() => return None,
            None if !own.iter().any(|word| word.starts_with("-e")) => {
                advice(message, script_line(own, &["FILE".to_owned()]))
            }
            _ => advice(message, script_line(&[], words)),
        });
    }
    // Then it is an argument that is wrong.
    if cli.find_subcommand(first).is_some() {
        return None;
    }
    let message = format!("there is no command `{first}`");
    let rest = &words[1..];
    if is_script(first) {
        return Some(advice(message, script_line(&[], words)));
    }
    if let Some(file) = with_extension(first)
        && rest.is_empty()
    {
        return Some(advice(message, script_line(&[], &[file])));
    }
    if let Some(habit) = HABITS.iter().find(|habit| habit.words.contains(&first.to_lowercase().as_str())) {
        let note = (!habit.note.is_empty()).then(|| habit.note.to_owned());
        let hint = match (habit.does, leading(rest, script)) {
            (_, (own, [file, args @ ..])) if habit.starts() && (is_script(file) || file == "script") => {
                let file = if file == "script" { None } else { Some(file.clone()) };
                return Some(advice(
                    message,
                    script_line(own, &file.into_iter().chain(args.iter().cloned()).collect::<Vec<_>>()),
                ));
            }
            (Does::Run, (own, [])) => script_line(own, &["FILE".to_owned()]),
            (Does::Run, _) => code_line(&format!("run({:?})", rest.join(" "))),
            (Does::Start, (_, [])) => {
                code_line("start(\"COMMAND\", #{ready: \"/\", port: \"free\"}); run(\"TESTS\")")
            }
            (Does::Start, _) => {
                format!(
                    "bgjobs script serve-and-test --cmd {} --test \"TESTS\"",
                    command_line([rest.join(" ")])
                )
            }
            (Does::Say(hint), _) => hint.to_owned(),
        };
        return Some(Advice { message, note, hint });
    }
    if let Some(program) = program(first) {
        let line = std::iter::once(program).chain(rest.iter().cloned()).collect::<Vec<_>>().join(" ");
        return Some(advice(message, code_line(&format!("run({line:?})"))));
    }
    let shown_commands = || cli.get_subcommands().filter(|it| !it.is_hide_set()).map(Command::get_name);
    let known: Vec<&str> = shown_commands().chain(builtin::scripts().map(|name| name as &str)).collect();
    if let Some(near) = nearest(first, known) {
        let line = std::iter::once(near.to_owned()).chain(rest.iter().cloned()).collect::<Vec<_>>();
        let hint = match builtin::script(near) {
            Some(_) => script_line(&[], &line),
            None => format!("bgjobs {}", command_line(shown(&line))),
        };
        return Some(advice(message, hint));
    }
    let note = format!("commands are: {}", shown_commands().collect::<Vec<_>>().join(", "));
    Some(Advice { message, note: Some(note), hint: "bgjobs --help".to_owned() })
}

/// `bgjobs man NAME` of no command.
pub fn no_page(name: &str, cli: &Command) -> Advice {
    let names: Vec<&str> =
        cli.get_subcommands().filter(|it| !it.is_hide_set()).map(Command::get_name).collect();
    let hint = match nearest(name, names.iter().copied()) {
        Some(near) => format!("bgjobs man {near}"),
        None => "bgjobs man".to_owned(),
    };
    let note = Some(format!("commands are: {}", names.join(", ")));
    Advice { message: format!("there is no command `{name}`"), note, hint }
}

/// What scripts ask for so often that it is not a mistyped option of bgjobs, however near to one it is.
const OF_SCRIPTS: [&str; 2] = ["--port", "--ports"];

/// `bgjobs script WORDS…` whose first word is not an option of `bgjobs script`: one that is mistyped, or one of the script,
/// which stands behind it.
pub fn before_the_script(words: &[String], script: &Command) -> Option<Advice> {
    let (own, rest) = leading(words, script);
    let unknown = rest.first().filter(|word| word.starts_with('-') && word.len() > 1)?;
    let message = format!("unexpected argument `{unknown}` before the script");
    let name = unknown.split('=').next().unwrap_or(unknown);
    // `-f=api`
    if let Some((short, value)) = unknown.strip_prefix('-').and_then(|word| word.split_once('='))
        && let Some(long) = script
            .get_arguments()
            .find(|arg| {
                arg.is_require_equals_set() && arg.get_short().map(String::from).as_deref() == Some(short)
            })
            .and_then(Arg::get_long)
    {
        let right = format!("--{long}={value}");
        let line: Vec<String> = own.iter().cloned().chain([right]).chain(rest[1..].iter().cloned()).collect();
        return Some(Advice { message, note: None, hint: script_line(&[], &line) });
    }
    let known: Vec<String> =
        script.get_arguments().filter_map(|arg| arg.get_long().map(|long| format!("--{long}"))).collect();
    if unknown.starts_with("--")
        && !OF_SCRIPTS.contains(&name)
        && let Some(near) = nearest(name, known.iter().map(String::as_str))
    {
        let right = unknown.replacen(name, near, 1);
        let line: Vec<String> = own.iter().cloned().chain([right]).chain(rest[1..].iter().cloned()).collect();
        return Some(Advice { message, note: None, hint: script_line(&[], &line) });
    }
    let at = rest.iter().position(|word| is_script(word));
    let hint = match at {
        Some(at) => {
            let file = rest[at].clone();
            let args = rest[..at].iter().chain(&rest[at + 1..]).cloned();
            script_line(own, &std::iter::once(file).chain(args).collect::<Vec<_>>())
        }
        None => "bgjobs script --help".to_owned(),
    };
    let note = at.map(|_| "what is meant for the script comes after it".to_owned());
    Some(Advice { message, note, hint })
}

/// Those of a script's arguments that are options of `bgjobs script`, with their values, and the others. `is_param`: the
/// script asks for an argument of that name itself.
pub fn misplaced(
    args: &[String],
    script: &Command,
    is_param: impl Fn(&str) -> bool,
) -> (Vec<String>, Vec<String>) {
    let (mut own, mut others) = (Vec::new(), Vec::new());
    let mut rest = args;
    while let Some(word) = rest.first() {
        let name = word.trim_start_matches("--").split('=').next().unwrap_or_default();
        let length = if is_param(name) {
            0
        } else {
            own_length(rest, script).filter(|_| !word.starts_with("-e")).unwrap_or(0)
        };
        if word == "--" {
            break;
        }
        let (taken, next) = rest.split_at(length.max(1));
        if length > 0 {
            own.extend_from_slice(taken)
        } else {
            others.extend_from_slice(taken)
        }
        rest = next;
    }
    others.extend_from_slice(rest);
    (own, others)
}

/// The options of `bgjobs script` at the beginning, with their values, and the rest.
pub fn leading<'a>(words: &'a [String], script: &Command) -> (&'a [String], &'a [String]) {
    let mut length = 0;
    while let Some(more) = own_length(&words[length..], script) {
        length += more;
    }
    words.split_at(length)
}

/// The options of `bgjobs script` at the beginning without those that a later one makes void, and the rest.
pub fn without_repeats(words: &[String], script: &Command) -> Vec<String> {
    let mut options: Vec<(&Arg, &[String])> = Vec::new();
    let mut rest = words;
    while let Some((arg, length)) = own_option(rest, script) {
        let (option, next) = rest.split_at(length);
        if !matches!(arg.get_action(), ArgAction::Append | ArgAction::Count) {
            options.retain(|(other, _)| other.get_id() != arg.get_id());
        }
        options.push((arg, option));
        rest = next;
    }
    options.into_iter().flat_map(|(_, option)| option).chain(rest).cloned().collect()
}

/// How many words the option of `bgjobs script` has that stands first, if one does.
fn own_length(words: &[String], script: &Command) -> Option<usize> {
    own_option(words, script).map(|(_, length)| length)
}

/// The option of `bgjobs script` that stands first, and how many words it has.
fn own_option<'c>(words: &[String], script: &'c Command) -> Option<(&'c Arg, usize)> {
    let word = words.first()?;
    let takes_value = |arg: &Arg| arg.get_action().takes_values();
    let (arg, inline) = if let Some(long) = word.strip_prefix("--") {
        let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
        let arg = script.get_arguments().find(|arg| arg.get_long() == Some(name))?;
        (arg, value.is_some())
    } else {
        let mut letters = word.strip_prefix('-')?.chars();
        let first = letters.next()?;
        let arg = script.get_arguments().find(|arg| arg.get_short() == Some(first))?;
        let inline = letters.next().is_some();
        // One whose value stands behind a `=` has that only in its long form.
        if inline && (!takes_value(arg) || arg.is_require_equals_set()) {
            return None;
        }
        (arg, inline)
    };
    if arg.get_id() == "help" {
        return None;
    }
    let apart = takes_value(arg) && !arg.is_require_equals_set();
    Some((arg, if apart && !inline { words.len().min(2) } else { 1 }))
}

/// Whether a word names a script: standard input, one that is built in, or a file that may be one.
fn is_script(word: &str) -> bool {
    let path = Path::new(word);
    let may_be = || match path.extension() {
        Some(extension) => extension == "rhai",
        None => !is_program(path),
    };
    word == "-"
        || builtin::script(word).is_some()
        || word.ends_with(".rhai")
        || path.is_file() && may_be()
        || word.contains('/') && !path.exists() && path.extension().is_none()
}

/// A file that the system runs, by another interpreter than bgjobs.
fn is_program(path: &Path) -> bool {
    let mut start = [0u8; 128];
    let Ok(length) = std::fs::File::open(path).and_then(|mut file| file.read(&mut start)) else {
        return false;
    };
    let start = String::from_utf8_lossy(&start[..length]).into_owned();
    let line = start.lines().next().unwrap_or_default();
    start.starts_with("\u{7f}ELF") || line.starts_with("#!") && !line.contains("bgjobs")
}

/// `test` where there is a `test.rhai`.
fn with_extension(word: &str) -> Option<String> {
    let file = format!("{word}.rhai");
    Path::new(&file).is_file().then_some(file)
}

/// How a program is called that somebody wants to be run: one that is on PATH, or a file in another language.
fn program(word: &str) -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if !word.contains('/') && std::env::split_paths(&path).any(|dir| dir.join(word).is_file()) {
        return Some(word.to_owned());
    }
    let file = Path::new(word).is_file().then(|| Path::new(word))?;
    let interpreter = match file.extension().and_then(|end| end.to_str()) {
        Some("js" | "mjs" | "cjs") => "node ",
        Some("py") => "python3 ",
        Some("sh") => "sh ",
        Some("rb") => "ruby ",
        _ if word.contains('/') => "",
        _ => "./",
    };
    Some(format!("{interpreter}{word}"))
}

fn script_line(own: &[String], words: &[String]) -> String {
    let line: Vec<String> = own.iter().chain(words).cloned().collect();
    format!("bgjobs script {}", command_line(shown(&line)))
}

fn code_line(code: &str) -> String {
    format!("bgjobs script -e {}", command_line([code]))
}

/// Words as they are said again.
fn shown(words: &[String]) -> Vec<String> {
    let is_short = |word: &String| word.len() <= LONGEST_CODE && !word.contains('\n');
    words.iter().map(|word| if is_short(word) { word.clone() } else { "CODE".to_owned() }).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    /// Runs what follows: a script, or a command.
    Run,
    /// Starts what follows in the background.
    Start,
    Say(&'static str),
}

/// What other tools call it.
struct Habit {
    words: &'static [&'static str],
    does: Does,
    note: &'static str,
}

impl Habit {
    fn starts(&self) -> bool {
        matches!(self.does, Does::Run | Does::Start)
    }
}

const HABITS: &[Habit] = &[
    Habit { words: &["run", "exec", "execute"], does: Does::Run, note: "" },
    Habit {
        words: &["start", "spawn", "bg", "background", "daemon", "serve", "nohup", "add", "launch"],
        does: Does::Start,
        note: "a background process lives as long as the script that has started it",
    },
    Habit {
        words: &["eval", "repl", "code", "shell", "console"],
        does: Does::Say("bgjobs script -e CODE"),
        note: "",
    },
    Habit {
        words: &["tail", "log", "follow", "output", "attach"],
        does: Does::Say(
            "bgjobs logs -f   (in the script: job.tail(20); `bgjobs script -f` shows all as it comes)",
        ),
        note: "a run that fails keeps the logs of its jobs, and says where at its end",
    },
    Habit {
        words: &["stop", "kill", "killall", "down", "quit", "term", "signal"],
        does: Does::Say("bgjobs ctl stop NAME   (one job; in the script: job.stop())"),
        note: "jobs end with their run: kill its GUARD, which `bgjobs ps` shows; `bgjobs sweep` ends what runs have left that were killed",
    },
    Habit {
        words: &["restart", "reload", "pause", "resume", "send"],
        does: Does::Say(
            "bgjobs ctl restart NAME   (or pause, resume; in the script: job.restart(), job.send(\"text\"))",
        ),
        note: "jobs belong to the script that has started them",
    },
    Habit {
        words: &[
            "wait",
            "wait-for",
            "waitfor",
            "wait-on",
            "wait_http",
            "wait_port",
            "wait-port",
            "wait-http",
            "ready",
        ],
        does: Does::Say("bgjobs script health-check --port 5432   (or --url http://localhost:3000/)"),
        note: "",
    },
    Habit {
        words: &["list", "ls", "jobs", "status", "top", "info", "show", "runs"],
        does: Does::Say("bgjobs ps   (what runs; `bgjobs scripts`: the scripts that are built in)"),
        note: "",
    },
    Habit {
        words: &["clean", "cleanup", "prune", "gc", "rm", "reap", "purge"],
        does: Does::Say("bgjobs sweep"),
        note: "",
    },
    Habit {
        words: &["lint", "validate", "verify", "compile", "build", "fmt"],
        does: Does::Say("bgjobs check FILE"),
        note: "",
    },
    Habit {
        words: &["functions", "doc", "docs", "reference", "modules", "stdlib", "std"],
        does: Does::Say("bgjobs api"),
        note: "",
    },
    Habit {
        words: &["init", "create", "template", "example", "examples"],
        does: Does::Say("bgjobs new test.rhai"),
        note: "`bgjobs scripts` lists those that are built in, to be copied and changed",
    },
    Habit {
        words: &["install", "skills", "agent", "agents"],
        does: Does::Say("bgjobs skill --install claude"),
        note: "",
    },
    Habit { words: &["version"], does: Does::Say("bgjobs --version"), note: "" },
];
