//! What the help of each command ends with: examples, exit codes, where its output goes. Texts alone.

pub const SCRIPT: &str = "\
Exit codes:
  0         the script ended and every test passed
  1         an assertion or a test failed, or the script threw
  N         an uncaught run() failure: that command's own code; exit(N)
  2         usage, script not found, syntax error
  124       a wait or the whole run passed its deadline
  125       a job died, a port was taken, bgjobs itself failed, something leaked
  126, 127  a command could not be executed, was not found
  128+n     ended by signal n

Example:
  bgjobs script -e '
    start(\"python3 -m http.server 8000\", #{ready: 8000});
    run(\"curl -sf localhost:8000\")'

What the script prints goes to stdout, what bgjobs says to stderr. INT, TERM and HUP stop the run
gracefully; a second one half a second later, or QUIT, kills at once.";

pub const TEST_TIMEOUT: &str = "Stop each script after this time: it has failed, with 124, e.g. 90s or 5m";
pub const TEST_QUIET: &str = "Say nothing but failures and the verdict";
pub const TEST_VERBOSE: &str = "Also show what scripts say that pass, with a line for each test";

pub const TEST: &str = "\
Each script is a run of its own, as with `bgjobs script`: its own logs, temporary directories and
ports, and nothing of it runs on when it ends. A line says how each has ended; what those have said
that failed stands at the end, whole, before the verdict. All of it is on stderr; when stdout is a
pipe, the verdict of a failure is there, too.

Exit codes:
  0      all have passed, a few perhaps when they were tried again
  N      the highest exit code of those that have failed: see bgjobs script --help
  2      wrong arguments, no script found; or a script that has a mistake
  124    --timeout-all is over, or a script or a wait has passed its deadline
  128+n  ended by signal n, after the runs have stopped

Examples:
  bgjobs test                               # tests/**/*.rhai
  bgjobs test e2e --jobs 4 --retries 1
  bgjobs test 'e2e/**/*api*.rhai' --fail-fast
  bgjobs test --filter 'login|cart' --repeat 50
  bgjobs test -E 'cart › adds' -v           # one test, by its name; --tag quick: by a tag
  bgjobs test --report junit=report.xml --report html=report.html
  bgjobs test --events all.jsonl            # then: bgjobs test --rerun-failed all.jsonl
  bgjobs test --watch                       # again with each change; keys: a all, f failed, q quit
  bgjobs test -q --json | jq .failures[0]   # the first cause, for programs
  bgjobs test --shard 2/5 --events 2.jsonl  # then: bgjobs report merge DIR

A file _setup.rhai starts what all scripts beside it and below it share, and hands it on to them.
A file bgjobs.toml, here or above, has defaults, as in `[test]`, `paths = [\"e2e\"]`, `jobs = 4`: the
keys are named as the options, and the command line wins.

INT, TERM and HUP stop all runs gracefully; a second one half a second later, or QUIT, kills at
once.";

pub const REPORT: &str = "\
Each line of such a file is one JSON object: what happened (`event`), when (`ms` since the start
of the run, `time`), and what belongs to it; in a file of `bgjobs test` also the `script` and the
`try`. A run that is killed leaves all lines up to then. Secrets are masked. All reports are made
of such a file, then or later.

Exit codes of merge: the worst of the shards; 2 when one is missing, twice, or of another list.

Examples:
  bgjobs test --events run.jsonl
  bgjobs report junit run.jsonl -o junit.xml
  bgjobs report trace run.jsonl -o trace.json     # for ui.perfetto.dev
  bgjobs report merge shards/ --report html=report.html -o all.jsonl
  bgjobs script --events run.jsonl ci.rhai
  jq -c 'select(.event == \"test\")' run.jsonl
  bgjobs report schema";

pub const UP: &str = "\
What services print is shown as it comes, each line behind the name of its service: on stdout, with --exec on stderr;
with -q not at all, with --follow=NAME only that of these. Its lines about the run are on stderr. Whatever ends it,
nothing that it started is still running.
At a terminal the command of --exec has what is typed, Ctrl-C included, and the size of the window.

A Compose file needs an engine, and package.json is none of services: the error shows what to run instead.

Exit codes:
  0     every service has ended as it was expected to, or the command of --exec has ended with 0
  N     the command of --exec has ended with N
  2     wrong arguments, no file, a mistake in the file
  124   --timeout is over, or a service was not ready in time
  125   a service died, a port was taken, bgjobs itself failed, something leaked
  128+n ended by signal n, as Ctrl-C ends it (130): a shell sees that it was interrupted

Examples:
  bgjobs up                                 # services.yaml, process-compose.yaml, Procfile.dev, Procfile ...
  bgjobs up process-compose.yaml api        # api, and what it depends on
  bgjobs up Procfile --follow=api,worker    # shows only what these two print
  bgjobs up Procfile --exec 'npm test'
  bgjobs up -q --exec 'psql $DB_URL'        # or a shell
  bgjobs up --env-file .services &          # then, elsewhere: set -a; . ./.services; set +a
  bgjobs up stack.rhai -- --port 8080       # the script starts what is to run

INT, TERM and HUP stop the services gracefully; a second one half a second later, or QUIT, kills at once.";

pub const API: &str = "\
Examples:
  bgjobs api                      # an overview, on one screen
  bgjobs api spawn wait_http      # functions: forms, options, errors, an example
  bgjobs api Job .wait_log        # an object; the methods of a name
  bgjobs api spawn.fail_on        # one option
  bgjobs api std/postgres         # a module: its functions, options and results
  bgjobs api errors rhai          # kinds of errors; the built-in functions of Rhai
  bgjobs api --brief              # the whole language, for an agent to read

On a terminal a long text is shown by $PAGER, or less.";

pub const NEW: &str = "\
Examples:
  bgjobs new                             # test.rhai: a web server and its tests
  bgjobs new e2e --kind services
  bgjobs new e2e --from Procfile         # starts what the Procfile lists";

pub const SKILL: &str = "\
Examples:
  bgjobs skill --install claude          # .claude/skills/bgjobs
  bgjobs skill --install agents          # .agents/skills/bgjobs
  bgjobs skill --install ~/.claude/skills";

pub const SCRIPTS: &str = "\
Each is run by its name, unless there is a file of that name: bgjobs script NAME [--param VALUE]...
What its parameters are: bgjobs script NAME --help

Examples:
  bgjobs scripts serve-and-test > ci.rhai     # a copy to change
  bgjobs script ci.rhai --help";

pub const PS: &str = "\
Shows your own runs; as root those of all users. Nothing running is not an error: the exit code is 0.
A run is suspended after Ctrl-Z, until `fg` or SIGCONT.
A run is found by its directory in $TMPDIR, or /tmp: one that was started with another TMPDIR is not seen.";

pub const LOGS: &str = "\
What is shown is what the jobs have written by now. While a run is live, its secrets are in it: only what is kept is masked.
So nobody sees the logs of other users. Lines carry no times. The lines of several jobs stand behind the names of these.
A log goes on where its job is started again; with -f that is said when it happens.
A run is found by its directory in $TMPDIR, or /tmp: one that was started with another TMPDIR is only found by its path.

Exit codes:
  0    shown
  2    no such run or job, no run at all, or several of which one must be named

Examples:
  bgjobs logs                   # all jobs of the only run that is live, or of the last that has failed
  bgjobs logs -f api            # one job, and what it prints from now on
  bgjobs logs bgjobs-x7Kq2P -n 20
  bgjobs logs 4711 -f -n 0      # the run of this guard: only what comes";

pub const SWEEP: &str = "\
However a run ends, bgjobs leaves nothing; but when both of its processes are killed at the same instant,
nobody is left to clean up. A process is shown when such a run has recorded it as a job, when it is in the
cgroup of the run, when it writes to a file in the directory of the run and has no terminal, when it has
BGJOBS_RUN of the run in its environment, or when it descends from such a process.

Never touched: live runs and what they have started, this command's own ancestors, and what belongs to other
users. (As root: only what your own runs have left, even where it was started as another user.)
A run is found by its directory in $TMPDIR, or /tmp: one that was started with another TMPDIR is not seen.

Exit codes:
  0    there is nothing to sweep, or --yes has ended it all
  1    something is left; nothing was done about it without --yes
  125  something could not be ended; it is named

Examples:
  bgjobs sweep          # look
  bgjobs sweep --yes    # stop what was shown
  bgjobs sweep --yes --under .    # only of runs that were started here";

pub const COMPLETIONS: &str = "\
Examples:
  bgjobs completions bash > ~/.local/share/bash-completion/completions/bgjobs
  bgjobs completions zsh > \"${fpath[1]}/_bgjobs\"
  bgjobs completions fish > ~/.config/fish/completions/bgjobs.fish";

pub const MAN: &str = "\
Examples:
  bgjobs man | man -l -
  bgjobs man script | man -l -
  bgjobs man script > ~/.local/share/man/man1/bgjobs-script.1";

pub const DOCTOR: &str = "\
Every line is found by doing it, in processes that are thrown away; nothing is changed. Run it as the user, in the
container, under the service manager that your runs have: the answers differ.

Exit codes:
  0    the basic promise holds here
  1    it does not: one of the first six lines says no";

pub const CTL: &str = "\
What a run starts finds its socket in BGJOBS_CTL, so that tests that a script runs need no --run. From another
terminal the only run of yours that goes on is meant; where there are several, --run says which: `bgjobs ps` names
them. It does what the script could do, and no more. The ends of jobs that it brings about are expected.
`restart` is that of a script: same port, same log; it returns when the job is ready again.

Exit codes:
  0     it was done
  2     wrong arguments; there is no such run or job, or it has no port
  124   the job was not ready in time
  125   the job has died, the run has ended or is being stopped

Examples:
  bgjobs ctl restart db          # in a test: what happens when the database goes away?
  bgjobs ctl stop cache; bgjobs ctl restart cache
  bgjobs ctl wait api --timeout 10s
  psql \"$(bgjobs ctl url db)\"
  eval \"$(bgjobs ctl env)\"      # DB_URL, DB_PORT, DB_HOST ...
  bgjobs ctl logs api -n 50
  bgjobs ctl jobs --json";
