//! Trace context, as the W3C defines it: which trace a run belongs to, and the spans of it that have ids here: that of the
//! run, and one of each try of a test. Ids are handed on, so that what services trace hangs together; spans are not
//! exported. They are drawn when the first is asked for: a run that starts nothing draws none.

use crate::sys::clock;
use std::ffi::OsString;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

/// The variables, as OpenTelemetry names them; in small letters they are headers.
pub const PARENT: &str = "TRACEPARENT";
pub const STATE: &str = "TRACESTATE";
/// With `true` nothing is to be traced.
const DISABLED: &str = "OTEL_SDK_DISABLED";
/// A trace that begins here is recorded by whoever asks whether it is to be.
const SAMPLED: u8 = 1;

/// The id of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(u64);

impl Span {
    pub fn draw() -> Self {
        Self(random())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What a header or a variable `traceparent` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Context {
    trace: u128,
    span: Span,
    flags: u8,
}

impl Context {
    /// None of what is to be ignored. A later version may have more at the end.
    fn parse(text: &str) -> Option<Self> {
        let (version, rest) = (text.get(..2)?, text.get(2..55)?);
        let more = &text[55..];
        let is_hex = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let parts: Vec<&str> = rest.split('-').collect();
        let ["", trace, span, flags] = parts[..] else { return None };
        let lengths = [version.len(), trace.len(), span.len(), flags.len()];
        if lengths != [2, 32, 16, 2] || ![version, trace, span, flags].into_iter().all(is_hex) {
            return None;
        }
        if version == "ff" || !(more.is_empty() || version != "00" && more.starts_with('-')) {
            return None;
        }
        let context = Self {
            trace: u128::from_str_radix(trace, 16).ok()?,
            span: Span(u64::from_str_radix(span, 16).ok()?),
            flags: u8::from_str_radix(flags, 16).ok()?,
        };
        (context.trace != 0 && context.span.0 != 0).then_some(context)
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "00-{:032x}-{}-{:02x}", self.trace, self.span, self.flags & SAMPLED)
    }
}

/// The trace of a run.
#[derive(Debug)]
pub struct Trace {
    /// What surrounds the run, such as another run.
    outer: Option<Context>,
    /// As it was inherited; empty where that is of no use.
    inherited: String,
    /// The run itself.
    own: OnceLock<Context>,
}

impl Trace {
    /// The trace that the environment names, or a new one; none where there is to be none.
    pub fn of_environment() -> Option<Self> {
        let is_true = |value: String| value.trim().eq_ignore_ascii_case("true");
        if std::env::var(DISABLED).is_ok_and(is_true) {
            return None;
        }
        let inherited = std::env::var(PARENT).unwrap_or_default();
        Some(Self::of(inherited))
    }

    fn of(inherited: String) -> Self {
        let outer = Context::parse(&inherited);
        let inherited = if outer.is_some() { inherited } else { String::new() };
        Self { outer, inherited, own: OnceLock::new() }
    }

    /// What stands in the environment of the script until it says otherwise: a mark that the trace is this one.
    pub fn mark(&self) -> OsString {
        self.inherited.clone().into()
    }

    /// Whether it is one that others have begun, whose state is handed on.
    pub fn continues(&self) -> bool {
        self.outer.is_some()
    }

    /// The trace, the span of the run, and the one around it.
    pub fn ids(&self) -> (String, Span, Option<Span>) {
        let own = self.own();
        (format!("{:032x}", own.trace), own.span, self.outer.map(|outer| outer.span))
    }

    /// What a process is handed that is started in this span, or else in that of the run.
    pub fn parent(&self, span: Option<Span>) -> String {
        let own = self.own();
        Context { span: span.unwrap_or(own.span), ..*own }.to_string()
    }

    fn own(&self) -> &Context {
        self.own.get_or_init(|| {
            let new = || u128::from(random()) << 64 | u128::from(random());
            let (trace, flags) = self.outer.map_or_else(|| (new(), SAMPLED), |it| (it.trace, it.flags));
            Context { trace, span: Span::draw(), flags }
        })
    }
}

/// Never 0, which would be no id. The kernel's random numbers, once a thread; with the process and the time, since a fork
/// goes on with the same ones.
fn random() -> u64 {
    RandomState::new().hash_one((std::process::id(), clock::raw())).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_not_a_trace_context_is_ignored() {
        for right in [
            VALID.to_owned(),
            VALID.replace("-01", "-ff"),
            VALID.replacen("00", "cc", 1),
            format!("{}-what-comes-later", VALID.replacen("00", "01", 1)),
        ] {
            assert!(Context::parse(&right).is_some(), "{right}");
        }
        for wrong in [
            String::new(),
            "off".to_owned(),
            VALID.to_uppercase(),
            VALID.replacen("00", "ff", 1),
            VALID.replace('-', "_"),
            VALID[..54].to_owned(),
            format!("{VALID}-more"),
            format!("{}more", VALID.replacen("00", "01", 1)),
            VALID.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            VALID.replace("00f067aa0ba902b7", &"0".repeat(16)),
            format!("{}é", &VALID[..54]),
            "é".repeat(30),
        ] {
            assert_eq!(Context::parse(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_inherited_trace_goes_on_with_its_flag_and_other_spans() {
        for (flags, kept) in [("00", "00"), ("01", "01"), ("ff", "01")] {
            let trace = Trace::of(VALID.replace("-01", &format!("-{flags}")));
            let (id, span, outer) = trace.ids();
            assert_eq!(id, "4bf92f3577b34da6a3ce929d0e0e4736");
            assert_eq!(outer.map(|span| span.to_string()).as_deref(), Some("00f067aa0ba902b7"));
            assert_eq!(trace.parent(None), format!("00-{id}-{span}-{kept}"));
            let other = Span::draw();
            assert!(other != span && Some(other) != outer);
            assert_eq!(trace.parent(Some(other)), format!("00-{id}-{other}-{kept}"));
        }
    }

    #[test]
    fn a_new_trace_is_random_and_sampled() {
        let (one, other) = (Trace::of("nonsense".to_owned()), Trace::of(String::new()));
        assert_ne!(one.ids().0, other.ids().0);
        assert!(one.parent(None).ends_with("-01") && Context::parse(&one.parent(None)).is_some());
        assert!(one.mark().is_empty() && !one.continues());
    }
}
