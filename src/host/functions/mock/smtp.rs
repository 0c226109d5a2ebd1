//! `mock_smtp()`: a mail server that delivers nothing, and what it got.

use super::started;
use crate::host::value::describe::{function, options};
use crate::host::value::error::{Fallible, ScriptError};
use crate::host::value::handle::Job;
use crate::host::value::json::from_json;
use crate::host::value::kinds::OneOrMore;
use crate::mock::{self, Mail, Service, Smtp};
use rhai::{Array, Dynamic, NativeCallContext};

options! {
    /// What a mail server can be told.
    struct Told {
        /// The recipients that it refuses, with 550; in an address, `*` stands for anything.
        refuse: Option<OneOrMore<String>>, also reject;
        /// Whether a client must log in, with any name and password, before it can send.
        auth: bool = false, also login;
    }
}

function! {
    /// Starts a mail server as a job and returns it when it listens: it takes every mail and delivers none. A
    /// client may log in (AUTH PLAIN or LOGIN) with any password; there is no TLS. `.url` is
    /// `smtp://127.0.0.1:PORT`.
    /// ```rhai
    /// let post = mock_smtp(#{refuse: "*@blocked.test"});
    /// write_file("mail.txt", "Subject: Hello\n\nDear Ada\n");
    /// run(["curl", "-s", post.url, "--mail-from", "me@here.test", "--mail-rcpt", "ada@there.test", "-T", "mail.txt"]);
    /// let mail = post.mails()[0];
    /// assert_eq([mail.subject, mail.to], ["Hello", ["ada@there.test"]]);
    /// ```
    pub MOCK_SMTP = "mock_smtp" -> Job {
        (; Told) => mock_smtp;
        /// The same with a name for the job.
        /// ```rhai
        /// let post = mock_smtp("post");
        /// assert_eq(post.name, "post");
        /// ```
        (name: String; Told) => mock_smtp_named;
    }
}

function! {
    /// The mails that a `mock_smtp` got so far, in order, as an array of maps. A map has `from` and `to` (an array) of the
    /// envelope, `subject`, `text`, `html` (`()` when there is none), `headers` (a map, names in small letters),
    /// `attachments` (of each `name`, `type` and `size`), `user` (who has logged in, or `()`), `at_ms` (when it
    /// came, in milliseconds since the server listens) and `raw` (as it came). An error for another job.
    /// ```rhai
    /// let post = mock_smtp();
    /// spawn(`printf 'Subject: Welcome\n\nHi' | curl -s ${post.url} --mail-from a@b.test --mail-rcpt c@d.test -T -`);
    /// let mail = wait_until(|| post.mails().find(|mail| mail.subject == "Welcome"), "20s");
    /// assert_contains(mail.text, "Hi");
    /// ```
    pub MAILS = "mails" -> Array {
        (job: Job) => mails;
    }
}

fn mock_smtp(ctx: &NativeCallContext, told: Told) -> Fallible<Job> {
    start(ctx, None, told)
}

fn mock_smtp_named(ctx: &NativeCallContext, name: String, told: Told) -> Fallible<Job> {
    start(ctx, Some(&name), told)
}

fn start(ctx: &NativeCallContext, name: Option<&str>, told: Told) -> Fallible<Job> {
    let smtp = Smtp { refuse: told.refuse.map_or_else(Vec::new, |refuse| refuse.0), auth: told.auth };
    started::start(ctx, "mock_smtp", name.or(Some("smtp")), |_| Ok(Service::Smtp(smtp)))
}

fn mails(_: &NativeCallContext, Job(job): Job) -> Fallible<Array> {
    let log = started::record("mails", &job)?;
    if !log.starts_with("listening on smtp:") {
        let message = format!("mails: job `{}` is not a mail server", job.spec.name);
        return Err(ScriptError::usage(message).hint("mock_smtp()").into());
    }
    let map = |mail: &Mail| serde_json::to_value(mail).map_or(Dynamic::UNIT, |value| from_json(&value));
    Ok(mock::mails(&log).iter().map(map).collect())
}
