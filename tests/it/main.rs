//! One integration binary: every test drives the built `bgjobs` as a user would.

#![allow(clippy::disallowed_methods, reason = "no reaper runs in the tests' own process")]
#![allow(clippy::print_stdout, reason = "what was measured, with --nocapture")]

mod alone;
mod api;
mod cgroup;
mod check;
mod cli;
mod clock;
mod ctl;
mod doctor;
mod error;
mod events;
mod flow;
mod fuzz;
mod html;
mod http;
mod isolate;
mod job_logs;
mod junit;
mod kill;
mod live;
mod logs;
mod many;
mod output;
mod packages;
mod ports;
mod readme;
mod ready;
mod release;
mod remains;
mod reports;
mod restart;
mod script;
mod scripts;
mod secrets;
mod shards;
mod starter;
mod startup;
mod stop;
mod support;
mod surroundings;
mod sweep;
mod test_runner;
mod tidy;
mod torture;
mod traces;
mod trust;
mod up;
