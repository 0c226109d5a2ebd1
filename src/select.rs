//! Which tests of scripts are asked for, and what is said when none of them is there.

use crate::event::Failure;
use crate::exit;
use crate::words::{nearest, quote};
use regex::Regex;
use std::collections::BTreeSet;

/// All that is asked of a test; nothing, where all are to run.
#[derive(Clone, Debug, Default)]
pub struct Select {
    /// What its name matches: `path › group › test`.
    pub test: Option<Regex>,
    /// One of these it has.
    pub tags: Vec<String>,
}

/// A test that there is.
#[derive(Clone, Debug)]
pub struct Known {
    pub script: String,
    /// With its groups.
    pub test: String,
    pub tags: Vec<String>,
}

impl Known {
    fn name(&self) -> String {
        format!("{} › {}", self.script, self.test)
    }
}

impl Select {
    /// Whether nothing is asked.
    pub fn is_all(&self) -> bool {
        self.test.is_none() && self.tags.is_empty()
    }

    pub fn takes(&self, test: &Known) -> bool {
        let name = test.name();
        // What is typed as it stands is meant so, whatever its dots and brackets would match.
        let is_named = |regex: &Regex| regex.is_match(&name) || name.contains(regex.as_str());
        self.test.as_ref().is_none_or(is_named)
            && (self.tags.is_empty() || self.tags.iter().any(|tag| test.tags.contains(tag)))
    }

    /// What is wrong where none of these is asked for.
    pub fn nothing(&self, known: &[Known]) -> Failure {
        const MOST: usize = 5;
        let listed = |names: Vec<String>| {
            let mut shown: Vec<String> = names.iter().take(MOST).cloned().collect();
            shown.extend((names.len() > MOST).then(|| "…".to_owned()));
            shown.join(", ")
        };
        let asked = self.test.iter().map(|regex| format!("matches --select `{regex}`"));
        let tags: Vec<String> = self.tags.iter().map(|tag| format!("`{tag}`")).collect();
        let tagged = (!tags.is_empty()).then(|| format!("has --tag {}", tags.join(" or ")));
        let asked: Vec<String> = asked.chain(tagged).collect();
        let mut failure = Failure {
            code: exit::USAGE,
            message: format!("no test {}", asked.join(" and ")),
            ..Failure::default()
        };
        let note = match known.len() {
            0 => "there is no test at all".to_owned(),
            1 => format!("1 test is there: {}", known[0].name()),
            count => format!("{count} tests are there: {}", listed(known.iter().map(Known::name).collect())),
        };
        failure.notes.push(note);
        if let Some(regex) = &self.test {
            // A group or a test of it is as near as the whole name.
            let parts = known.iter().flat_map(|one| one.test.split(" › ").chain([one.test.as_str()]));
            let near = nearest(regex.as_str(), parts);
            failure.hint = near.map(|near| format!("--select {}", quote(&regex::escape(near))));
        }
        let there: BTreeSet<&str> =
            known.iter().flat_map(|one| one.tags.iter().map(String::as_str)).collect();
        if let Some(tag) = self.tags.first() {
            let near = nearest(tag, there.iter().copied()).map(|near| format!("--tag {}", quote(near)));
            failure.hint = failure.hint.or(near);
            failure.notes.push(match there.is_empty() {
                true => "no test has a tag".to_owned(),
                false => format!("tags are: {}", listed(there.into_iter().map(str::to_owned).collect())),
            });
        }
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(test: &str, tags: &[&str]) -> Known {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        Known { script: "e2e/cart.rhai".to_owned(), test: test.to_owned(), tags }
    }

    fn select(test: Option<&str>, tags: &[&str]) -> Select {
        let test = test.map(|text| Regex::new(text).expect("a pattern"));
        Select { test, tags: tags.iter().map(|tag| (*tag).to_owned()).collect() }
    }

    #[test]
    fn a_test_is_asked_for_by_any_part_of_its_name_and_by_its_tags() {
        let one = known("cart › adds (twice)", &["quick", "db"]);
        for text in ["adds", "^e2e/", "cart › a", "twice.$", "adds (twice)"] {
            assert!(select(Some(text), &[]).takes(&one), "{text}");
        }
        assert!(!select(Some("removes"), &[]).takes(&one));
        assert!(select(None, &["slow", "db"]).takes(&one) && !select(None, &["slow"]).takes(&one));
        assert!(!select(Some("adds"), &["slow"]).takes(&one));
        assert!(select(None, &[]).takes(&one) && select(None, &[]).is_all());
    }

    #[test]
    fn the_nearest_names_are_told() {
        let all = [known("cart › adds", &["quick"]), known("login", &["slow"])];
        let wrong = select(Some("adss"), &[]).nothing(&all);
        assert_eq!(wrong.message, "no test matches --select `adss`");
        assert_eq!(wrong.notes, ["2 tests are there: e2e/cart.rhai › cart › adds, e2e/cart.rhai › login"]);
        assert_eq!(wrong.hint.as_deref(), Some("--select adds"));
        let wrong = select(None, &["slwo", "x"]).nothing(&all);
        assert_eq!(wrong.message, "no test has --tag `slwo` or `x`");
        assert_eq!(
            (wrong.notes[1].as_str(), wrong.hint.as_deref()),
            ("tags are: quick, slow", Some("--tag slow"))
        );
        let wrong = select(Some("x"), &["y"]).nothing(&[]);
        assert_eq!(wrong.message, "no test matches --select `x` and has --tag `y`");
        assert_eq!(wrong.notes, ["there is no test at all", "no test has a tag"]);
    }
}
