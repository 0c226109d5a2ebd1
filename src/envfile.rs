//! The file that `bgjobs up --env-file` writes for other terminals: where what runs is to be found, a variable a line.
//!
//! It is there exactly while that is true, as far as somebody is left to remove it. Nothing of the user's is
//! overwritten: a file that was not written here stays, and is an error before anything starts.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// By its first line such a file is known again.
const MARK: &str = "# Written by `bgjobs up --env-file`, which removes it at its end.";

/// What stands in the way of writing it: an error before anything starts.
pub fn obstacle(path: &Path) -> Option<String> {
    let shown = path.display();
    match std::fs::read(path) {
        Ok(bytes) if bytes.starts_with(MARK.as_bytes()) => None,
        Ok(_) => Some(format!("--env-file {shown}: it already exists, and `bgjobs up` has not written it")),
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let dir = directory(path);
            (!dir.is_dir()).then(|| format!("--env-file {shown}: there is no directory `{}`", dir.display()))
        }
        Err(e) => Some(format!("--env-file {shown}: {e}")),
    }
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The file of this run, which goes when this does.
pub struct EnvFile(PathBuf);

impl EnvFile {
    /// Writes it at once as a whole, for its owner alone.
    ///
    /// # Errors
    /// When it cannot be written, or somebody else has written one meanwhile.
    pub fn write(path: &Path, vars: &[(String, String)]) -> Result<Self, String> {
        if let Some(obstacle) = obstacle(path) {
            return Err(obstacle);
        }
        let wrong = |e: std::io::Error| format!("--env-file {}: {e}", path.display());
        let mut text = format!("{MARK}\n# set -a; . {}; set +a\n", crate::words::quote(&sourced(path)));
        // Addresses need no quotes, neither for a shell nor for others who read such files.
        vars.iter().for_each(|(name, value)| text += &format!("{name}={value}\n"));
        // Its mode is 0600.
        let mut file = tempfile::NamedTempFile::new_in(directory(path)).map_err(wrong)?;
        file.write_all(text.as_bytes()).map_err(wrong)?;
        file.persist(path).map_err(|e| wrong(e.error))?;
        let full = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Ok(Self(full))
    }
}

/// Without a slash a shell would look for it along PATH.
fn sourced(path: &Path) -> String {
    let shown = path.display().to_string();
    if shown.contains('/') { shown } else { format!("./{shown}") }
}

impl Drop for EnvFile {
    fn drop(&mut self) {
        // Somebody else may have put another one there.
        if obstacle(&self.0).is_none() {
            let _ = std::fs::remove_file(&self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_there_while_it_is_held_and_nothing_of_others_is_touched() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("out");
        let vars = [("API_URL".to_owned(), "http://127.0.0.1:81".to_owned())];
        let held = EnvFile::write(&path, &vars).expect("written");
        let text = std::fs::read_to_string(&path).expect("text");
        assert!(
            text.starts_with(MARK) && text.ends_with("; set +a\nAPI_URL=http://127.0.0.1:81\n"),
            "{text}"
        );
        assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, 0o600);
        // One that was left is written anew.
        let again = EnvFile::write(&path, &[]).expect("written");
        drop((held, again));
        assert!(!path.exists());
        std::fs::write(&path, "KEY=secret\n").expect("written");
        assert!(EnvFile::write(&path, &vars).is_err_and(|why| why.contains("it already exists")));
        assert_eq!(std::fs::read_to_string(&path).expect("text"), "KEY=secret\n");
        let why = obstacle(&dir.path().join("no/out")).expect("an obstacle");
        assert!(why.contains("there is no directory"), "{why}");
    }
}
