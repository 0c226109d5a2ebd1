//! Speed as ratios in one run, next to what people would use instead: one Markdown table, with the budget of each.
//!
//! `cargo bench` takes two minutes and shows what has changed; `cargo bench -- --long` takes twenty, and its figures are
//! those of `docs/performance.md`. `--only WORD` measures the parts in whose name that is. It judges nothing by its exit
//! code, since machines differ: what is over its budget is marked. Ours and each peer take turns, so that both meet the
//! same load, and what is compared is the median of the ratios of such pairs.
//!
//! ```text
//! measure    rounds, medians, scripts, the table
//! startup    what a run costs that does little
//! jobs       starting and stopping, one after the other and many
//! ready      how soon a wait notices that a server listens
//! output     how fast what is printed gets through
//! idle       what waiting costs
//! peers      tools for the same task
//! build      the time of a release build (`--build`), and the size of the binary
//! ```

#![allow(clippy::disallowed_methods, reason = "no reaper runs in the benchmark's own process")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its figures")]

mod build;
mod idle;
mod jobs;
mod measure;
mod output;
mod peers;
mod ready;
mod startup;

use measure::Table;

type Part = fn(&mut Table);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let has = |option: &str| args.iter().any(|arg| arg == option);
    let only = args.iter().position(|arg| arg == "--only").and_then(|at| args.get(at + 1));
    let mut table = Table::new(has("--long"));
    let parts: [(&str, Part); 7] = [
        ("startup", startup::measure),
        ("jobs", jobs::measure),
        ("ready", ready::measure),
        ("output", output::measure),
        ("idle", idle::measure),
        ("peers", peers::measure),
        ("build", if has("--build") { build::measure } else { build::weigh }),
    ];
    for (name, measure) in parts {
        if only.is_none_or(|only| name.contains(only.as_str())) {
            eprintln!("{name} …");
            measure(&mut table);
        }
    }
    table.print();
}
