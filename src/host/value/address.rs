//! `$API_URL`, `$API_PORT`, `$API_HOST`, `$API_PEER_PORT`: the addresses of the services that a service needs, in what is
//! said of it; and `$PORT`, `$PORT_PEER`: its own.
//!
//! Only names of this form are touched, and what is so like one of them that it must be a slip: `$HOME` stays for whoever
//! reads it. A text for a shell is judged, but never changed: the shell finds the addresses in its environment.

use super::error::ScriptError;
use crate::words;
use std::collections::BTreeMap;
use std::path::Path;
use strsim::damerau_levenshtein;

/// What a service has an address of: `<NAME>_URL` and so on.
const PARTS: [&str; 3] = ["URL", "PORT", "HOST"];

/// The variable that numbers the copies of a service, from 1.
pub const INDEX: &str = "INDEX";
/// So many copies of a service can be started.
pub const MOST_COPIES: usize = 100;

/// What variables of programs are called after, whatever services there are: no slip for the name of another service.
const OWN_WORDS: [&str; 4] = ["API", "APP", "DEV", "WEB"];

const SHELLS: &[&str] = &["sh", "bash", "dash", "ash", "ksh", "zsh"];

/// `API_2` for a service `api.2`.
pub fn stem(service: &str) -> String {
    service.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// Whose addresses can be named: a service, or a job that runs already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub name: String,
    /// What those of its ports are called that have a name; none where that is not known.
    pub ports: Option<Vec<String>>,
    /// How many of it there are, if it is one of several.
    pub copies: Option<usize>,
}

impl Place {
    /// What stands before each of its addresses.
    fn stems(&self) -> Vec<String> {
        let stem = stem(&self.name);
        match self.copies {
            None => vec![stem],
            Some(copies) => (1..=copies).map(|number| format!("{stem}_{number}")).collect(),
        }
    }

    /// What stands behind.
    fn parts(&self) -> Vec<String> {
        let named = self.ports.iter().flatten().flat_map(|port| {
            let port = stem(port);
            [format!("{port}_PORT"), format!("{port}_URL")]
        });
        PARTS.map(str::to_owned).into_iter().chain(named).collect()
    }

    /// The names of its addresses.
    pub fn names(&self) -> Vec<String> {
        let parts = self.parts();
        let all = |stem: String| parts.iter().map(move |part| format!("{stem}_{part}")).collect::<Vec<_>>();
        self.stems().into_iter().flat_map(all).collect()
    }

    /// Whether a name would be one of its addresses, were it alone.
    fn would_have(&self, name: &str) -> bool {
        self.copies.is_some() && Self { copies: None, ..self.clone() }.names().iter().any(|it| it == name)
    }

    /// Whether a name may be that of a port of it that is not known here.
    fn may_have(&self, name: &str) -> bool {
        let behind = || self.stems().into_iter().filter_map(|stem| name.strip_prefix(&format!("{stem}_")));
        self.ports.is_none() && behind().any(|part| part.ends_with("_PORT") || part.ends_with("_URL"))
    }
}

/// The names of a service's own ports.
pub fn own_names(ports: &[String]) -> Vec<String> {
    let named = ports.iter().map(|port| format!("PORT_{}", stem(port)));
    std::iter::once("PORT".to_owned()).chain(named).collect()
}

/// A part of a text.
enum Token<'a> {
    Text(&'a str),
    /// `$$`.
    Dollar,
    /// `$NAME`, `${NAME}`, `${NAME…}`: the whole, the name, and whether more stands behind it.
    Name(&'a str, &'a str, bool),
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric()
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        tokens.push(Token::Text(&rest[..at]));
        let behind = &rest[at + 1..];
        let inside = behind.strip_prefix('{').unwrap_or(behind);
        let name = &inside[..inside.find(|c| !is_word(c)).unwrap_or(inside.len())];
        let is_name = name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic());
        let end = if inside.len() == behind.len() {
            Some(name.len())
        } else {
            inside[name.len()..].find('}').map(|end| 1 + name.len() + end + 1)
        };
        let length = match end {
            _ if behind.starts_with('$') => {
                tokens.push(Token::Dollar);
                2
            }
            Some(end) if is_name => {
                let whole = &rest[at..at + 1 + end];
                let bare = whole.trim_start_matches(['$', '{']).trim_end_matches('}') == name;
                tokens.push(Token::Name(whole, name, !bare));
                whole.len()
            }
            _ => {
                tokens.push(Token::Text("$"));
                1
            }
        };
        rest = &rest[at + length..];
    }
    tokens.push(Token::Text(rest));
    tokens
}

/// Whether a name has the form of an address.
pub fn is_address(name: &str) -> bool {
    let is_stem =
        |stem: &str| !stem.is_empty() && stem.chars().all(|c| is_word(c) && !c.is_ascii_lowercase());
    name.rsplit_once('_').is_some_and(|(stem, part)| PARTS.contains(&part) && is_stem(stem))
}

/// The addresses that a text names, of those in `known`.
pub fn named<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let tokens = tokens(text);
    let is_named =
        |known: &&str| tokens.iter().any(|one| matches!(one, Token::Name(_, name, _) if name == known));
    known.filter(is_named).collect()
}

/// The text with the addresses in place of their names. `$$` is a dollar sign in a text that names one, or would name
/// one but for that; any other text stays as it is.
pub fn replaced(text: &str, values: &BTreeMap<String, String>) -> String {
    let tokens = tokens(text);
    let mut escaped = false;
    let is_touched = tokens.iter().any(|token| {
        let touched = match token {
            Token::Name(_, name, _) => values.contains_key(*name),
            // `$$API_URL`
            Token::Text(text) => {
                let end = text.trim_start_matches('{');
                let name = &end[..end.find(|c| !is_word(c)).unwrap_or(end.len())];
                escaped && (is_address(name) || values.contains_key(name))
            }
            Token::Dollar => false,
        };
        escaped = matches!(token, Token::Dollar);
        touched
    });
    if !is_touched {
        return text.to_owned();
    }
    let part = |token: &Token<'_>| match token {
        Token::Text(text) => (*text).to_owned(),
        Token::Dollar => "$".to_owned(),
        Token::Name(whole, name, _) => values.get(*name).map_or_else(|| (*whole).to_owned(), Clone::clone),
    };
    tokens.iter().map(part).collect()
}

/// What a service may name.
pub struct Scope<'a> {
    pub service: &'a str,
    pub needs: &'a [Place],
    /// All of the list.
    pub services: &'a [Place],
    /// Its own ports and what else is its own.
    pub own: &'a [String],
}

impl Scope<'_> {
    /// The address that is meant by a name so like it that it must be a slip, in the name of the service or behind it;
    /// and whose it is. A service that it does not need is not meant by what could as well be another's variable.
    fn near(&self, name: &str) -> Option<(&Place, String)> {
        let is_stranger = |place: &&Place| place.name != self.service && !self.needs.contains(place);
        let (needed, others) = (self.needs.iter(), self.services.iter().filter(is_stranger));
        Self::nearest(needed, name, false).or_else(|| Self::nearest(others, name, true))
    }

    fn nearest<'p>(
        places: impl Iterator<Item = &'p Place>,
        name: &str,
        is_strict: bool,
    ) -> Option<(&'p Place, String)> {
        let is_slip = |given: &str, meant: &str| {
            let most = if meant.len() > 5 { 2 } else { 1 };
            let distance = damerau_levenshtein(&given.to_uppercase(), meant);
            distance == 0 || meant.len() > 2 && distance <= most
        };
        let sorted = |text: &str| {
            let mut letters: Vec<char> = text.chars().collect();
            letters.sort_unstable();
            letters
        };
        // `$APP_PORT` is what many programs read, `$APY_PORT` nobody but by mistake; `$API_PROT` has its letters mixed up.
        let is_fit = |given: &str, stem: &str, behind: &str, part: &str| {
            !is_strict
                || name == name.to_uppercase()
                    && (behind == part && !OWN_WORDS.contains(&given)
                        || given == stem && sorted(behind) == sorted(part))
        };
        let of = |place: &'p Place| {
            let (stems, parts) = (place.stems(), place.parts());
            let pairs = parts.into_iter().filter_map(|part| {
                // As many words stand behind the name as in what is meant.
                let words = part.matches('_').count();
                let at = name.rmatch_indices('_').nth(words)?.0;
                let (given, behind) = (&name[..at], &name[at + 1..]);
                let stem = stems.iter().filter(|stem| is_slip(given, stem));
                let stem = stem.min_by_key(|stem| damerau_levenshtein(given, stem))?;
                let distance = damerau_levenshtein(&behind.to_uppercase(), &part);
                (distance <= 1 && is_fit(given, stem, behind, &part))
                    .then(|| (damerau_levenshtein(given, stem) + distance, place, format!("{stem}_{part}")))
            });
            pairs.collect::<Vec<_>>()
        };
        let nearest = places.flat_map(of).min_by_key(|(distance, ..)| *distance)?;
        Some((nearest.1, nearest.2))
    }

    /// A name that is meant for one of its own ports, and is none.
    fn judge_own(&self, what: &str, name: &str, is_shell: bool) -> Option<ScriptError> {
        let ports: Vec<&str> = self
            .own
            .iter()
            .map(String::as_str)
            .filter(|own| *own == "PORT" || own.starts_with("PORT_"))
            .collect();
        if ports.len() < 2 || !name.starts_with("PORT_") {
            return None;
        }
        let near = words::nearest(name, ports.iter().copied());
        if is_shell && near.is_none() {
            return None;
        }
        let near = near.map_or_else(String::new, |near| format!("; did you mean `${near}`?"));
        let list: Vec<String> = ports.iter().map(|name| format!("${name}")).collect();
        Some(
            ScriptError::usage(format!("{what}: there is no port with the name `${name}`{near}"))
                .note(format!("there are: {}", list.join(", "))),
        )
    }

    /// What is wrong with the first name in a text that is meant for a port of its own, but is none.
    pub fn judge_ports(
        &self,
        what: &str,
        text: &str,
        is_shell: bool,
        is_set: &dyn Fn(&str) -> bool,
    ) -> Option<ScriptError> {
        tokens(text).into_iter().find_map(|token| match token {
            Token::Name(_, name, more) if !(is_shell && more || is_set(name)) => {
                self.own.iter().all(|own| own != name).then(|| self.judge_own(what, name, is_shell)).flatten()
            }
            _ => None,
        })
    }

    /// What is wrong with the first name in a text that is meant for an address, but is none. `is_set`: whether something
    /// else than the needs gives a variable its value.
    pub fn judge(
        &self,
        what: &str,
        text: &str,
        is_shell: bool,
        is_set: &dyn Fn(&str) -> bool,
    ) -> Option<ScriptError> {
        let known: Vec<String> = self.needs.iter().flat_map(Place::names).collect();
        // What stands between single quotes no shell replaces, or only one that is far away; nor what is escaped.
        let quoted = |whole: &str| {
            let before = &text[..whole.as_ptr() as usize - text.as_ptr() as usize];
            before.ends_with('\\') || before.matches('\'').count() % 2 == 1
        };
        tokens(text).into_iter().find_map(|token| {
            let Token::Name(whole, name, more) = token else { return None };
            if known.iter().chain(self.own).any(|known| known == name) || is_set(name) {
                return None;
            }
            if self.needs.iter().any(|need| need.may_have(name)) || is_shell && (more || quoted(whole)) {
                return None;
            }
            let own = self.judge_own(what, name, is_shell);
            if own.is_some() {
                return own;
            }
            if let Some(several) = self.needs.iter().find(|need| need.would_have(name)) {
                let (copies, one) = (several.copies.unwrap_or_default(), several.stems().swap_remove(0));
                let part = name.strip_prefix(&format!("{}_", stem(&several.name))).unwrap_or(name);
                let wrong = format!("{what}: `${name}`: there are {copies} of `{}` (`count`)", several.name);
                return Some(ScriptError::usage(wrong).hint(format!("${one}_{part}")));
            }
            let has = |one: &&Place| one.would_have(name) || one.names().iter().any(|it| it == name);
            let near = self.near(name);
            let listed = self.services.iter().find(has);
            // Where a shell reads it, it may be set by what nobody sees here.
            if if is_shell { listed.is_none() && near.is_none() } else { !is_address(name) && near.is_none() }
            {
                return None;
            }
            if listed.is_some_and(|one| one.name == self.service) {
                let wrong = format!("{what}: `${name}` is an address of `{}` itself", self.service);
                return Some(ScriptError::usage(wrong).note("a service finds its own port in `PORT`"));
            }
            if let Some(other) = listed {
                let wrong = format!("{what}: `${name}`: `{}` does not need `{}`", self.service, other.name);
                let needs = self.needs.iter().chain([other]).filter(|need| need.name != self.service);
                let needs: Vec<String> = needs.map(|need| format!("\"{}\"", need.name)).collect();
                return Some(ScriptError::usage(wrong).hint(format!("needs: [{}]", needs.join(", "))));
            }
            let (meant, near) = near.unzip();
            let near = near.map_or_else(String::new, |near| format!("; did you mean `${near}`?"));
            let error =
                ScriptError::usage(format!("{what}: there is no service with the address `${name}`{near}"));
            const MOST: usize = 12;
            // Of one that it does not need, nothing else has told.
            let stranger = meant.filter(|place| !self.needs.contains(place));
            let known = stranger.map_or_else(|| known.clone(), Place::names);
            let mut list: Vec<String> = known.iter().take(MOST).map(|name| format!("${name}")).collect();
            list.extend((known.len() > MOST).then(|| "…".to_owned()));
            let error = match list.is_empty() {
                true => error
                    .note(format!("`{}` needs no service, of which it would find the address", self.service)),
                false => error.note(format!("there are: {}", list.join(", "))),
            };
            Some(match is_shell {
                true => error,
                false => error.hint(format!("`$${name}` for the text `${name}`")),
            })
        })
    }
}

/// Whether something else than its environment gives a variable of a shell text its value.
pub fn is_set_in(name: &str, text: &str) -> bool {
    let sets = [format!("{name}="), format!("{name}:="), format!("for {name} ")];
    // `read -r first second`
    let reads = text.split([';', '&', '|', '\n', '(', '{']).any(|one| {
        let mut words = one.split_whitespace().skip_while(|word| *word != "read").skip(1);
        words.any(|word| word == name)
    });
    // What a file sets that it sources nobody sees.
    let sources =
        text.starts_with(". ") || ["source ", "; . ", "&& . ", "eval "].iter().any(|it| text.contains(it));
    sources || reads || sets.iter().any(|setting| text.contains(setting.as_str()))
}

/// The word of a list of words that a shell reads as its text: behind `-c`.
pub fn shell_word(words: &[Option<&str>]) -> Option<usize> {
    let program = Path::new(words.first().copied().flatten()?).file_name()?.to_str()?;
    let is_flag = |word: &Option<&str>| {
        word.is_some_and(|word| word.starts_with('-') && !word.starts_with("--") && word.ends_with('c'))
    };
    SHELLS.contains(&program).then(|| words.iter().position(is_flag).map(|at| at + 1)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> BTreeMap<String, String> {
        let pairs = [("API_URL", "http://127.0.0.1:81"), ("API_PORT", "81"), ("API_HOST", "127.0.0.1")];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn names_of_addresses_are_replaced_and_nothing_else() {
        for (text, wanted) in [
            ("$API_URL/v1", "http://127.0.0.1:81/v1"),
            ("${API_HOST}:${API_PORT}", "127.0.0.1:81"),
            ("${API_PORT:-5}", "81"),
            ("$HOME/$API_PORT", "$HOME/81"),
            ("$API_PORTS $API_PORT", "$API_PORTS 81"),
            ("$$API_PORT is $API_PORT", "$API_PORT is 81"),
            ("$$API_PORT", "$API_PORT"),
            ("$${OTHER_URL}", "${OTHER_URL}"),
            ("pa$$word", "pa$$word"),
            ("$", "$"),
            ("é$é${", "é$é${"),
            ("^ok$", "^ok$"),
            ("${API_PORT", "${API_PORT"),
        ] {
            assert_eq!(replaced(text, &values()), wanted, "{text}");
        }
    }

    #[test]
    fn a_slip_is_told_from_what_is_meant_for_others() {
        let place = |name: &str| Place { name: name.to_owned(), ports: Some(Vec::new()), copies: None };
        let (needs, services) = ([place("api")], ["api", "web", "db-1"].map(place));
        let scope = Scope { service: "web", needs: &needs, services: &services, own: &[] };
        let judge = |text: &str, is_shell| {
            scope.judge("x", text, is_shell, &|name| name == "SET_URL").map(|error| error.message)
        };
        for text in [
            "$API_URL",
            "$HOME",
            "$API_KEY",
            "$API_USER",
            "${SET_URL}",
            "$$AIP_URL",
            "$API_TOKEN",
            "$DB",
            "_URL",
            "$_URL",
        ] {
            assert_eq!(judge(text, false), None, "{text}");
            assert_eq!(judge(text, true), None, "{text}");
        }
        for text in ["$DATABASE_URL", "${DB_1_PORT:-5}", "echo '$AIP_URL'"] {
            assert_eq!(judge(text, true), None, "{text}");
            assert!(judge(text, false).is_some(), "{text}");
        }
        let typo = "x: there is no service with the address `$AIP_URL`; did you mean `$API_URL`?";
        assert_eq!(judge("$AIP_URL", true).as_deref(), Some(typo));
        assert_eq!(judge("$AIP_URL", false).as_deref(), Some(typo));
        assert_eq!(
            judge("$API_URI", false).as_deref(),
            Some("x: there is no service with the address `$API_URI`; did you mean `$API_URL`?")
        );
        assert_eq!(judge("$DB_1_URL", true).as_deref(), Some("x: `$DB_1_URL`: `web` does not need `db-1`"));
        assert_eq!(judge(r"echo \$AIP_URL", true), None);
        assert_eq!(judge("echo '$AIP_URL' $AIP_URL", true).as_deref(), Some(typo));
        assert_eq!(judge("$WEB_PORT", true).as_deref(), Some("x: `$WEB_PORT` is an address of `web` itself"));
    }

    #[test]
    fn a_slip_for_one_that_is_not_needed_is_told_from_variables_of_programs() {
        let place = |name: &str| Place { name: name.to_owned(), ports: Some(Vec::new()), copies: None };
        let services = ["api", "web", "storage", "db"].map(place);
        let scope = Scope { service: "web", needs: &[], services: &services, own: &[] };
        let judge = |text: &str| {
            let error = scope.judge("x", text, true, &|name| is_set_in(name, text))?;
            Some((error.message, error.notes.join("\n")))
        };
        for (text, meant) in [
            ("serve --to $APY_PORT", "API_PORT"),
            ("serve --to ${AIP_URL}", "API_URL"),
            ("serve --to $API_PROT", "API_PORT"),
            ("serve --to $STROAG_HOST", "STORAGE_HOST"),
        ] {
            let name = text.split(['$', '{', '}']).find(|word| word.contains('_')).unwrap_or_default();
            let wrong =
                format!("x: there is no service with the address `${name}`; did you mean `${meant}`?");
            let (stem, _) = meant.split_once('_').unwrap_or_default();
            let note = format!("there are: ${stem}_URL, ${stem}_PORT, ${stem}_HOST");
            assert_eq!(judge(text), Some((wrong, note)), "{text}");
        }
        for text in [
            "$APP_PORT",
            "$APP_URL",
            "$DBX_HOST",
            "$API_POST",
            "$API_PORTS",
            "$API_KEY",
            "$api_host",
            "$apy_port",
            "$QUEUE_URL",
            "$APY",
            "$_PORT",
            "${APY_PORT:-80}",
            "echo '$APY_PORT'",
            "echo \\$APY_PORT",
            "APY_PORT=5; echo $APY_PORT",
            ": ${APY_PORT:=5}; echo $APY_PORT",
            "cat x | while read -r NAME APY_PORT; do echo $APY_PORT; done",
            ". ./ports; echo $APY_PORT",
            "$WBE_PORT",
        ] {
            assert_eq!(judge(text), None, "{text}");
        }
    }

    #[test]
    fn several_ports_and_copies_have_names_of_their_own() {
        let ports = Some(vec!["http".to_owned(), "peer-2".to_owned()]);
        let store = Place { name: "store".to_owned(), ports, copies: Some(2) };
        let names = store.names();
        assert_eq!(names.len(), 14);
        for name in ["STORE_1_URL", "STORE_2_HOST", "STORE_1_HTTP_PORT", "STORE_2_PEER_2_URL"] {
            assert!(names.contains(&name.to_owned()), "{name}");
        }
        let outside = Place { name: "cache".to_owned(), ports: None, copies: None };
        let own = own_names(&["http".to_owned(), "metrics".to_owned()]);
        let (needs, services) = ([store.clone(), outside], [store]);
        let scope = Scope { service: "web", needs: &needs, services: &services, own: &own };
        let judge = |text: &str| {
            scope
                .judge("x", text, false, &|_| false)
                .map(|error| (error.message, error.hint.unwrap_or_default()))
        };
        for text in ["$PORT $PORT_HTTP", "$STORE_2_PEER_2_PORT", "$CACHE_PEER_PORT", "$PORTAL", "$PORT_HTTP"]
        {
            assert_eq!(judge(text), None, "{text}");
        }
        let advice = |message: &str, hint: &str| Some((message.to_owned(), hint.to_owned()));
        assert_eq!(
            judge("$PORT_METRIC"),
            advice("x: there is no port with the name `$PORT_METRIC`; did you mean `$PORT_METRICS`?", "")
        );
        assert_eq!(
            judge("$STORE_HTTP_PORT"),
            advice("x: `$STORE_HTTP_PORT`: there are 2 of `store` (`count`)", "$STORE_1_HTTP_PORT")
        );
        let near = "x: there is no service with the address `$STORE_3_PEER_2_PORT`; did you mean `$STORE_1_PEER_2_PORT`?";
        assert_eq!(judge("$STORE_3_PEER_2_PORT").map(|(message, _)| message).as_deref(), Some(near));
    }

    #[test]
    fn the_text_of_a_shell_stands_behind_its_flag() {
        let word = |words: &[&str]| shell_word(&words.iter().map(|word| Some(*word)).collect::<Vec<_>>());
        assert_eq!(word(&["sh", "-c", "x"]), Some(2));
        assert_eq!(word(&["/bin/bash", "-eu", "-lc", "x"]), Some(3));
        assert_eq!(word(&["python3", "-c", "x"]), None);
    }
}
