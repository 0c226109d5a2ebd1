//! The environment of what is started. Nearly all of it is what the run's is, which is kept once, in the form in which a program
//! gets it: to copy and to spell forty variables took a fifth of the time in which a script starts a command.
//!
//! What the variables mean is nothing to it.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, OnceLock};

/// Variables with their values; cheap to copy.
#[derive(Clone, Debug, Default)]
pub struct Env {
    common: Arc<Common>,
    /// What differs; none: that variable is not there.
    own: BTreeMap<OsString, Option<OsString>>,
}

#[derive(Debug, Default)]
struct Common {
    variables: BTreeMap<OsString, OsString>,
    /// Each as `NAME=value`, in the same order, once somebody has asked.
    entries: OnceLock<Result<Vec<Arc<CStr>>, OsString>>,
}

impl Env {
    pub fn get(&self, name: &OsStr) -> Option<&OsString> {
        match self.own.get(name) {
            Some(own) => own.as_ref(),
            None => self.common.variables.get(name),
        }
    }

    pub fn contains_key(&self, name: &OsStr) -> bool {
        self.get(name).is_some()
    }

    pub fn insert(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        self.own.insert(name.into(), Some(value.into()));
    }

    /// Sets it unless it is there.
    pub fn insert_default(&mut self, name: &str, value: impl Into<OsString>) {
        if !self.contains_key(OsStr::new(name)) {
            self.insert(name, value);
        }
    }

    pub fn remove(&mut self, name: &OsStr) {
        if self.common.variables.contains_key(name) {
            self.own.insert(name.to_owned(), None);
        } else {
            self.own.remove(name);
        }
    }

    /// All that are there; first those in common.
    pub fn iter(&self) -> impl Iterator<Item = (&OsString, &OsString)> {
        let common = self.common.variables.iter().filter(|(name, _)| !self.own.contains_key(*name));
        common.chain(self.own.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))))
    }

    /// From now on what differs is in common to it and to all its copies.
    pub fn settle(&mut self) {
        if !self.own.is_empty() {
            *self = self.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        }
    }

    /// Each as `NAME=value`.
    ///
    /// # Errors
    /// The name of a variable that cannot be handed on, since it contains a NUL byte.
    pub fn entries(&self) -> Result<Vec<Arc<CStr>>, OsString> {
        let spell = || self.common.variables.iter().map(|(name, value)| entry(name, value)).collect();
        let common = self.common.entries.get_or_init(spell).as_ref().map_err(Clone::clone)?;
        let names = self.common.variables.keys();
        let common = names.zip(common).filter(|(name, _)| !self.own.contains_key(*name));
        let common = common.map(|(_, entry)| Ok(Arc::clone(entry)));
        let own = self.own.iter().filter_map(|(name, value)| Some(entry(name, value.as_ref()?)));
        common.chain(own).collect()
    }
}

fn entry(name: &OsStr, value: &OsStr) -> Result<Arc<CStr>, OsString> {
    let mut entry = Vec::with_capacity(name.len() + value.len() + 2);
    entry.extend_from_slice(name.as_bytes());
    entry.push(b'=');
    entry.extend_from_slice(value.as_bytes());
    CString::new(entry).map(Arc::from).map_err(|_| name.to_owned())
}

impl FromIterator<(OsString, OsString)> for Env {
    fn from_iter<T: IntoIterator<Item = (OsString, OsString)>>(variables: T) -> Self {
        let common = Common { variables: variables.into_iter().collect(), entries: OnceLock::new() };
        Self { common: Arc::new(common), own: BTreeMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Env {
        variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    fn shown(env: &Env) -> Vec<String> {
        let entries = env.entries().expect("no NUL byte");
        let shown: Vec<String> = entries.iter().map(|it| it.to_string_lossy().into_owned()).collect();
        let all = env.iter().map(|(name, value)| format!("{}={}", name.display(), value.display()));
        assert_eq!(shown, all.collect::<Vec<_>>());
        shown
    }

    #[test]
    fn a_copy_differs_without_its_original() {
        let original = of(&[("A", "1"), ("B", "2"), ("C", "3")]);
        let mut copy = original.clone();
        copy.insert("B", "4");
        copy.remove(OsStr::new("A"));
        copy.insert("D", "5");
        copy.insert_default("C", "6");
        copy.insert_default("A", "7");
        assert_eq!(shown(&original), ["A=1", "B=2", "C=3"]);
        assert_eq!(shown(&copy), ["C=3", "A=7", "B=4", "D=5"]);
        copy.remove(OsStr::new("D"));
        copy.remove(OsStr::new("A"));
        assert!(!copy.contains_key(OsStr::new("A")) && !copy.contains_key(OsStr::new("D")));
        assert_eq!(copy.get(OsStr::new("B")), Some(&"4".into()));
        copy.settle();
        assert_eq!(shown(&copy), ["B=4", "C=3"]);
        assert_eq!(shown(&Env::default()), [""; 0]);
    }

    #[test]
    fn a_variable_that_cannot_be_handed_on_is_named() {
        assert_eq!(of(&[("A", "1"), ("B", "a\0b")]).entries(), Err("B".into()));
        let mut env = of(&[("A", "1")]);
        env.insert("C", "\0");
        assert_eq!(env.entries(), Err("C".into()));
        env.remove(OsStr::new("C"));
        assert_eq!(shown(&env), ["A=1"]);
    }
}
