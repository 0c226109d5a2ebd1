//! The certificates of a run: signed by `issuer`, written where their owner alone can read the keys. What is made of them
//! is up to `std/tls`.

use crate::host::run::files::{dir_of, fresh_dir, reason, shared_dir};
use crate::host::run::runtime::rt;
use crate::host::value::Opts;
use crate::host::value::describe::{function, options};
use crate::host::value::described::{Entry, FromOpts};
use crate::host::value::error::{Fallible, ScriptError};
use crate::host::value::kinds::OneOrMore;
use crate::issuer::{self, Authority, Pair, Wanted};
use crate::jobs::spec;
use crate::lock::lock;
use rhai::{Dynamic, Map};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub const FUNCTIONS: &[Entry] = &[MAKE_CA, MAKE_CERTIFICATE];

options! {
    /// What an authority can be told.
    struct MakeCa {
        /// A name for another one than that of the run.
        name: Option<String>, also subject common_name;
    }
}

options! {
    /// What a certificate can be told.
    struct MakeCertificate {
        /// The names and addresses of the server.
        names: Option<OneOrMore<String>>, default "`[\"localhost\", \"127.0.0.1\", \"::1\"]`", also hosts san domains;
        /// The name of a client: it is one for clients alone.
        client: Option<String>, also common_name subject;
        /// Who may read the key.
        user: Option<String>, default "who runs bgjobs", also owner account;
        /// Who signs it: what `tls::ca` returned, or the path of its certificate.
        ca: Option<Dynamic>, default "that of the run", also issuer;
        /// It was valid until yesterday.
        expired: bool = false;
    }
}

function! {
    /// The certificate authority of the run, which is made when it is first needed, or another one: what `tls::ca` of
    /// `std/tls` is made of. Returns a map of paths: `cert`, and `key`, which only we can read. `what` is the name of the
    /// function in errors.
    ///
    /// ```rhai
    /// assert_eq(make_ca(#{}, "ca").cert, make_ca((), "ca").cert);
    /// assert_ne(make_ca(#{name: "another"}, "ca").cert, make_ca(#{}, "ca").cert);
    /// ```
    MAKE_CA = "make_ca" -> Map {
        (given: Dynamic, what: String) => |_| ca(&given, &what);
    }
}

function! {
    /// A new certificate that an authority of the run has signed, and its key: what `tls::certificate` of `std/tls` is
    /// made of. Returns a map of paths: `cert`, `key`, and `ca`. `what` is the name of the function in errors.
    ///
    /// ```rhai
    /// let made = make_certificate(#{names: ["api.test"]}, "certificate");
    /// assert_contains(read_file(made.cert), "BEGIN CERTIFICATE");
    /// ```
    MAKE_CERTIFICATE = "make_certificate" -> Map {
        (given: Dynamic, what: String) => |_| certificate(&given, &what);
    }
}

fn ca(given: &Dynamic, what: &str) -> Fallible<Map> {
    rt().checkpoint()?;
    let opts = MakeCa::read(&Opts::described(what, given, MakeCa::OPTIONS)?)?;
    let mut cert = own(what)?.0;
    // Behind that of the run, which alone is trusted.
    if let Some(name) = opts.name {
        let other = new_authority(what, &name)?;
        cert = other.0.clone();
        lock(&rt().authorities).push(other);
    }
    Ok(paths(&[("cert", &cert), ("key", &cert.with_extension("key"))]))
}

/// The authority of the run, made when it is first asked for.
fn own(what: &str) -> Fallible<(PathBuf, Arc<Authority>)> {
    let mut known = lock(&rt().authorities);
    if let Some(own) = known.first() {
        return Ok(own.clone());
    }
    let made = new_authority(what, "bgjobs CA of this run")?;
    known.push(made.clone());
    Ok(made)
}

fn new_authority(what: &str, name: &str) -> Fallible<(PathBuf, Arc<Authority>)> {
    let authority = Authority::new(name).map_err(|e| refused(what, &e))?;
    // Servers read it that run as others.
    let run = rt().jobs.run_dir();
    let base = if nix::unistd::geteuid().is_root() { shared_dir(run) } else { Ok(run.to_owned()) };
    let failed = |e: std::io::Error| cannot_write(what, run, &e);
    let dir = base.and_then(|base| fresh_dir(&base)).map_err(failed)?;
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).map_err(failed)?;
    write(what, &dir, "ca", &authority.pair, None)?;
    Ok((dir.join("ca.crt"), Arc::new(authority)))
}

fn certificate(given: &Dynamic, what: &str) -> Fallible<Map> {
    rt().checkpoint()?;
    let opts = MakeCertificate::read(&Opts::described(what, given, MakeCertificate::OPTIONS)?)?;
    let server = opts.client.is_none();
    let names = opts.names.map(|names| names.0).unwrap_or_else(|| match server {
        true => ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec(),
        false => Vec::new(),
    });
    for name in &names {
        if let Some(why) = issuer::wrong_name(name) {
            let text = format!("{what}: option `names`: {name:?} is neither a name of a host nor an address");
            return Err(ScriptError::usage(text).note(why).into());
        }
    }
    let subject = match &opts.client {
        Some(client) => client.clone(),
        None => names.first().cloned().ok_or_else(|| {
            ScriptError::usage(format!("{what}: option `names` is empty: a server needs at least one"))
        })?,
    };
    let (ca, authority) = match &opts.ca {
        Some(given) => known(what, given)?,
        None => own(what)?,
    };
    let wanted = Wanted { subject, names, server, expired: opts.expired };
    let pair = authority.issue(&wanted).map_err(|e| refused(what, &e))?;
    let dir = match &opts.user {
        Some(user) => dir_of(what, user)?,
        None => {
            let run = rt().jobs.run_dir();
            fresh_dir(run).map_err(|e| cannot_write(what, run, &e))?
        }
    };
    let name = if server { "server" } else { "client" };
    write(what, &dir, name, &pair, opts.user.as_deref())?;
    let of = |end: &str| dir.join(format!("{name}.{end}"));
    Ok(paths(&[("cert", &of("crt")), ("key", &of("key")), ("ca", &ca)]))
}

/// The authority that is meant by what `tls::ca` returned, or by a path.
fn known(what: &str, given: &Dynamic) -> Fallible<(PathBuf, Arc<Authority>)> {
    let path = match given.read_lock::<Map>() {
        Some(map) => map.get("cert").cloned().unwrap_or_default(),
        None => given.clone(),
    };
    let found = path.into_string().ok().and_then(|path| {
        let path = rt().path(&path);
        lock(&rt().authorities).iter().find(|(cert, _)| *cert == path).cloned()
    });
    found.ok_or_else(|| {
        ScriptError::usage(format!("{what}: option `ca`: it is not an authority of this run"))
            .hint("ca: tls::ca(#{name: \"another\"})")
            .into()
    })
}

/// Writes a pair; the key can be read by its owner alone.
fn write(what: &str, dir: &Path, name: &str, pair: &Pair, user: Option<&str>) -> Fallible<()> {
    let owner = user.and_then(|user| spec::account(user).ok()).map(|account| account.credentials);
    for (end, mode, text) in [("crt", 0o644, &pair.cert), ("key", 0o600, &pair.key)] {
        let path = dir.join(format!("{name}.{end}"));
        let file = fs::File::options().write(true).create_new(true).mode(mode).open(&path);
        let written = file.and_then(|mut file| {
            // Whatever the umask is.
            file.set_permissions(fs::Permissions::from_mode(mode))?;
            file.write_all(text.as_bytes())?;
            owner.as_ref().map_or(Ok(()), |owner| chown(&path, Some(owner.uid), Some(owner.gid)))
        });
        written.map_err(|e| cannot_write(what, &path, &e))?;
    }
    Ok(())
}

fn cannot_write(what: &str, path: &Path, error: &std::io::Error) -> ScriptError {
    ScriptError::io(format!("{what}: cannot write `{}`: {}", path.display(), reason(error)))
        .fact("path", path.display().to_string())
}

fn refused(what: &str, error: &impl std::fmt::Display) -> ScriptError {
    ScriptError::usage(format!("{what}: there can be no such certificate: {error}"))
}

fn paths(all: &[(&str, &Path)]) -> Map {
    all.iter().map(|(key, path)| ((*key).into(), path.display().to_string().into())).collect()
}
