//! What completes the words of a command line: what clap knows of it, as text for a shell, and what clap cannot know,
//! the names of what is built in, and of the runs that go on and their jobs.

use crate::builtin;
use clap::builder::PossibleValuesParser;
use clap::{Command, ValueHint};
use clap_complete::Shell;

/// The text that a shell reads.
pub fn text(shell: Shell, cli: &Command) -> String {
    let mut shown = shown(cli);
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut shown, "bgjobs", &mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    let filled = |template: &str| {
        template
            .replace("@scripts@", &words(builtin::scripts()))
            .replace("@commands@", &words(shown.get_subcommands().map(Command::get_name)))
            .replace("@modules@", &words(topics()))
            .replace("@verbs@", &verbs(&shown).join(" "))
            .replace("@bash_verbs@", &verbs(&shown).join(" | "))
            .replace("@valued@", &valued(&shown).join(" | "))
            .replace("@fish_valued@", &valued(&shown).join(" "))
    };
    match shell {
        Shell::Bash => text + filled(BASH).as_str(),
        // Behind its first line, `#compdef`.
        Shell::Zsh => {
            let ours = [(MARK, "_bgjobs_script"), (JOB_MARK, "_bgjobs_jobs"), (RUN_MARK, "_bgjobs_runs")];
            let text = ours.iter().fold(text, |text, (mark, function)| text.replace(mark, function));
            text.replacen('\n', &filled(ZSH), 1)
        }
        Shell::Fish => text.replace(FISH_RUN_MARK, "(bgjobs names --runs)") + filled(FISH).as_str(),
        _ => text,
    }
}

/// What `bgjobs api` explains besides the functions.
fn topics() -> impl Iterator<Item = &'static str> {
    ["errors", "rhai"].into_iter().chain(builtin::modules())
}

fn words<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(" ")
}

/// The commands without those that are in no help, which clap would offer as well.
fn shown(cli: &Command) -> Command {
    let commands = || cli.get_subcommands().filter(|command| !command.is_hide_set());
    Command::new("bgjobs")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommands(commands().cloned())
        .mut_subcommand("script", |it| it.mut_arg("rest", |arg| arg.value_hint(ValueHint::Url)))
        .mut_subcommand("scripts", |it| {
            it.mut_arg("name", |arg| arg.value_parser(PossibleValuesParser::new(builtin::scripts())))
        })
        .mut_subcommand("man", |it| {
            // Clap takes only what lasts; this process prints, and ends.
            let names: Vec<&'static str> =
                commands().map(|command| &*command.get_name().to_owned().leak()).collect();
            it.mut_arg("command", |arg| arg.value_parser(PossibleValuesParser::new(names)))
        })
        .mut_subcommand("ctl", |it| {
            let named = |command: Command| match takes_a_job(&command) {
                true => command.mut_arg("name", |arg| arg.value_hint(ValueHint::EmailAddress)),
                false => command,
            };
            it.mut_arg("run", |arg| arg.value_hint(ValueHint::Hostname)).mut_subcommands(named)
        })
        .mut_subcommand("api", |it| {
            it.mut_arg("names", |arg| arg.value_parser(PossibleValuesParser::new(topics())))
        })
}

fn takes_a_job(command: &Command) -> bool {
    command.get_arguments().any(|arg| arg.get_id() == "name")
}

/// What `bgjobs ctl` does with one job.
fn verbs(cli: &Command) -> Vec<&str> {
    let all = cli.find_subcommand("ctl").into_iter().flat_map(Command::get_subcommands);
    all.filter(|command| takes_a_job(command)).map(Command::get_name).collect()
}

/// The options of `bgjobs script` that take a value as a word of its own.
fn valued(cli: &Command) -> Vec<String> {
    let options = cli.find_subcommand("script").into_iter().flat_map(Command::get_opts);
    let options = options.filter(|option| !option.is_require_equals_set());
    let names = options.flat_map(|option| {
        let short = option.get_short().map(|short| format!("-{short}"));
        let long = option.get_long().map(|long| format!("--{long}"));
        short.into_iter().chain(long)
    });
    names.collect()
}

/// What clap writes for zsh where a URL is hinted at. Only the script and its arguments have that hint, and nobody can
/// tell clap of a function of ours.
const MARK: &str = "_urls";
/// The same where an address of mail is hinted at, which only the jobs of `bgjobs ctl` have, and a host: only the runs.
const JOB_MARK: &str = "_email_addresses";
const RUN_MARK: &str = "_hosts";
/// What it writes for fish there.
const FISH_RUN_MARK: &str = "(__fish_print_hostnames)";

const BASH: &str = r#"
# In the place of FILE: the scripts that are built in, and files. Behind it, what the script asks for, and files.
_bgjobs_script() {
    _bgjobs "$@"
    [[ "${COMP_WORDS[1]}" != ctl ]] || _bgjobs_ctl "$1"
    [[ "${COMP_WORDS[1]}" == script && "${COMP_CWORD}" -ge 2 ]] || return 0
    local i cur="${COMP_WORDS[COMP_CWORD]}"
    for (( i = 2; i < COMP_CWORD; i++ )); do
        case "${COMP_WORDS[i]}" in
            @valued@)
                # Its value may stand behind a `=`, which is a word of its own.
                (( ++i < COMP_CWORD )) || return 0
                [[ "${COMP_WORDS[i]}" != "=" ]] || (( ++i < COMP_CWORD )) || return 0
                ;;
            -*) ;;
            *)
                COMPREPLY=()
                [[ "${cur}" == -* ]] || return 0
                COMPREPLY=( $(compgen -W "$("$1" params "${COMP_WORDS[i]}" 2>/dev/null | cut -f 1)" -- "${cur}") )
                return 0
                ;;
        esac
    done
    [[ "${cur}" != -* ]] || return 0
    COMPREPLY=( $(compgen -W "@scripts@" -- "${cur}") )
    local IFS=$'\n'
    COMPREPLY+=( $(compgen -f -- "${cur}") )
    compopt -o filenames 2>/dev/null
    return 0
}

# Behind what is done with a job: the jobs of the run. Behind --run: the runs.
_bgjobs_ctl() {
    local i verb= run=() cur="${COMP_WORDS[COMP_CWORD]}"
    for (( i = 2; i < COMP_CWORD; i++ )); do
        case "${COMP_WORDS[i]}" in
            --run | --timeout | -n | --lines)
                local option="${COMP_WORDS[i]}"
                # Its value may stand behind a `=`, which is a word of its own.
                [[ "${COMP_WORDS[i + 1]}" != "=" ]] || (( ++i ))
                if (( ++i >= COMP_CWORD )); then
                    [[ "${cur}" != "=" ]] || cur=
                    [[ "${option}" != --run ]] || COMPREPLY=( $(compgen -W "$("$1" names --runs 2>/dev/null)" -- "${cur}") )
                    return
                fi
                [[ "${option}" != --run ]] || run=(--run "${COMP_WORDS[i]}")
                ;;
            -*) ;;
            *) [[ -z "${verb}" ]] || return; verb="${COMP_WORDS[i]}" ;;
        esac
    done
    [[ "${cur}" != -* ]] || return
    case "${verb}" in
        @bash_verbs@)
            COMPREPLY=( $(compgen -W "$("$1" names "${run[@]}" 2>/dev/null)" -- "${cur}") )
            ;;
    esac
}
complete -F _bgjobs_script -o bashdefault -o default bgjobs
"#;

const ZSH: &str = r#"
# In the place of FILE: the scripts that are built in, and files. Behind it, what the script asks for, and files.
_bgjobs_script() {
    if (( CURRENT == 1 )); then
        _alternative 'scripts:script that is built in:(@scripts@)' 'files:file:_files'
    elif [[ "$PREFIX" == -* ]]; then
        local -a params
        params=("${(@f)$(_call_program params bgjobs params ${(q)words[1]})}")
        params=("${params[@]/$'\t'/:}")
        _describe -o 'parameter' params
    else
        _files
    fi
}

# The runs that go on, and the jobs of the one that is meant: that of --run, wherever it stands.
_bgjobs_runs() {
    local -a runs
    runs=("${(@f)$(_call_program runs bgjobs names --runs)}")
    _wanted runs expl 'run' compadd -a runs
}
_bgjobs_jobs() {
    local -a all jobs run
    local i
    all=("${(@z)BUFFER}")
    for (( i = 1; i < ${#all}; i++ )); do
        [[ "$all[i]" != --run ]] || run=(--run "$all[i + 1]")
        [[ "$all[i]" != --run=* ]] || run=("$all[i]")
    done
    jobs=("${(@f)$(_call_program jobs bgjobs names $run)}")
    _wanted jobs expl 'job' compadd -a jobs
}

"#;

const FISH: &str = r#"
# What the script asks for, once there is one.
function __bgjobs_params
    set -l words (commandline -opc)
    set -l next 3
    while test $next -le (count $words)
        switch $words[$next]
            case @fish_valued@
                set next (math $next + 2)
            case '-*'
                set next (math $next + 1)
            case '*'
                bgjobs params $words[$next] 2>/dev/null
                return
        end
    end
end
# The run that is meant, where one is.
function __bgjobs_jobs
    set -l words (commandline -opc)
    set -l run
    for i in (seq (count $words))
        string match -q -- '--run=*' $words[$i]; and set run $words[$i]
        test $words[$i] = --run; and test $i -lt (count $words); and set run --run $words[(math $i + 1)]
    end
    bgjobs names $run 2>/dev/null
end
complete -c bgjobs -n "__fish_bgjobs_using_subcommand ctl; and __fish_seen_subcommand_from @verbs@" -f -a "(__bgjobs_jobs)"
complete -c bgjobs -n "__fish_bgjobs_using_subcommand script; and string match -q -- '-*' (commandline -ct)" -a "(__bgjobs_params)"
complete -c bgjobs -n "__fish_bgjobs_using_subcommand script; and not __fish_seen_subcommand_from @scripts@" -a "@scripts@"
complete -c bgjobs -n "__fish_bgjobs_using_subcommand scripts" -f -a "@scripts@"
complete -c bgjobs -n "__fish_bgjobs_using_subcommand api" -f -a "@modules@"
complete -c bgjobs -n "__fish_bgjobs_using_subcommand man" -f -a "@commands@"
"#;
