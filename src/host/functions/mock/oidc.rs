//! `mock_oidc()`: a stand-in for an OpenID provider, and tokens as it signs them.

use super::routes::{Routes, routes};
use super::started;
use crate::host::value::describe::{function, options, words};
use crate::host::value::error::{Fallible, ScriptError};
use crate::host::value::handle::Job;
use crate::host::value::json::to_json;
use crate::host::value::kinds::{MapOf, Word};
use crate::lock::lock;
use crate::mock::{Algorithm, Oidc, Service, User};
use rhai::{Dynamic, Map, NativeCallContext};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

options! {
    /// What a provider can be told.
    struct Told {
        /// Who can log in: by name their claims, and a `password` where it is to be checked; others cannot.
        users: Option<MapOf<Map>>, default "everybody, with any password", also accounts;
        /// Who is logged in when the client does not say so by `login_hint`.
        user: Option<String>, default "the first of `users`", also login default_user username;
        /// The clients, by their id the secrets, which are empty for a client without one; others are refused.
        clients: Option<MapOf<Word>>, default "any, with any secret", also client;
        /// Claims of every token; they win over its own.
        claims: Option<Map>, also token;
        /// Whom access tokens are for: `aud`.
        audience: Option<String>, default "the client's id", also aud;
        /// How long tokens hold.
        expires_in: Duration = "1h", also ttl lifetime exp;
        /// How tokens are signed.
        alg: Option<Alg>, default "\"RS256\"", also algorithm;
        /// Answers that are given first, as those of `mock`.
        routes: Option<Routes>;
    }
}

options! {
    /// What a token can be told.
    struct Minted {
        /// How long it holds.
        expires_in: Option<Duration>, default "as the provider was told", also ttl lifetime exp;
        /// Whether its time is over.
        expired: bool = false;
        /// Whether its signature does not hold.
        forged: bool = false, also invalid tampered;
    }
}

words! {
    /// The algorithms that clients know.
    enum Alg { Rs256 = "RS256", Es256 = "ES256" }
}

function! {
    /// Starts a stand-in for an OAuth 2.0 and OpenID Connect provider as a job and returns it when it listens: `.url` is the issuer, from
    /// which clients discover the rest (`/.well-known/openid-configuration`). `/authorize` sends back at once
    /// with a code, without a page; `/token` knows authorization_code (with PKCE), client_credentials,
    /// refresh_token and password; there are `/jwks`, `/userinfo`, `/introspect`, `/revoke` and `/logout`. ID and access
    /// tokens are signed JWTs with the claims of the user. `requests` and `assert_called` work as for `mock`.
    /// ```rhai
    /// let login = mock_oidc(#{users: #{ada: #{password: "x", email: "ada@a.test", roles: ["admin"]}}});
    /// let form = #{grant_type: "password", client_id: "shop", username: "ada", password: "x", scope: "openid"};
    /// let got = http_post(`${login.url}/token`, (), #{form: form}).json;
    /// let ada = http_get(`${login.url}/userinfo`, #{headers: #{authorization: "Bearer " + got.access_token}}).json;
    /// assert_eq([ada.sub, ada.roles], ["ada", ["admin"]]);
    /// login.assert_called("POST /token", 1, #{form: #{grant_type: "password"}});
    /// ```
    pub MOCK_OIDC = "mock_oidc" -> Job {
        (; Told) => mock_oidc;
        /// The same with a name for the job.
        /// ```rhai
        /// let login = mock_oidc("login");
        /// assert_eq(login.name, "login");
        /// ```
        (name: String; Told) => mock_oidc_named;
    }
}

function! {
    /// A token that a `mock_oidc` has signed, for requests to what is tested, without a login.
    /// ```rhai
    /// let login = mock_oidc();
    /// let bearer = #{headers: #{authorization: "Bearer " + login.token()}};
    /// assert_eq(http_get(`${login.url}/userinfo`, bearer).json.sub, "user");
    /// ```
    pub TOKEN = "token" -> String {
        (job: Job) => token;
        /// With these claims; of the user whose name is `sub`.
        /// ```rhai
        /// let login = mock_oidc();
        /// let old = login.token(#{sub: "ada", scope: "orders:read"}, #{expired: true});
        /// assert_status(http_get(`${login.url}/userinfo`, #{headers: #{authorization: "Bearer " + old}}), 401);
        /// ```
        (job: Job, claims: Map; Minted) => token_with;
    }
}

/// What the providers of this run were told, by the ids of their jobs: tokens are signed here as well.
static PROVIDERS: Mutex<BTreeMap<usize, Arc<Oidc>>> = Mutex::new(BTreeMap::new());

fn mock_oidc(ctx: &NativeCallContext, told: Told) -> Fallible<Job> {
    start(ctx, None, told)
}

fn mock_oidc_named(ctx: &NativeCallContext, name: String, told: Told) -> Fallible<Job> {
    start(ctx, Some(&name), told)
}

fn start(ctx: &NativeCallContext, name: Option<&str>, told: Told) -> Fallible<Job> {
    let routes = routes("mock_oidc", &told.routes.as_ref().map_or_else(Map::new, |routes| routes.0.clone()))?;
    let mut oidc = read(told)?;
    let mut kept = None;
    let job = started::start(ctx, "mock_oidc", name.or(Some("oidc")), |port| {
        oidc.issuer = format!("http://127.0.0.1:{port}");
        kept = Some(Arc::new(oidc.clone()));
        Ok(Service::Oidc(oidc, routes))
    })?;
    lock(&PROVIDERS).extend(kept.map(|oidc| (job.0.id, oidc)));
    Ok(job)
}

fn read(told: Told) -> Fallible<Oidc> {
    let usage = |message: String| ScriptError::usage(format!("mock_oidc: {message}"));
    let mut users = BTreeMap::new();
    for (name, mut claims) in told.users.map_or_else(Vec::new, |users| users.0) {
        let what = format!("mock_oidc: option `users`: `{name}`");
        let password = match claims.remove("password") {
            Some(password) => Some(crate::host::value::word(&password, &format!("{what}: `password`"))?),
            None => None,
        };
        users.insert(name, User { password, claims: json(&what, claims)? });
    }
    let known: Vec<String> = users.keys().cloned().collect();
    if let Some(user) = told.user.as_ref().filter(|user| !known.is_empty() && !known.contains(user)) {
        let error = usage(format!("option `user`: there is no user {user:?} in `users`"));
        return Err(error.note(format!("there are: {}", known.join(", "))).into());
    }
    let algorithm = match told.alg {
        Some(Alg::Es256) => Algorithm::Es256,
        Some(Alg::Rs256) | None => Algorithm::Rs256,
    };
    let clients = told.clients.map_or_else(Vec::new, |clients| clients.0);
    Ok(Oidc {
        issuer: String::new(),
        algorithm,
        key: algorithm.key().map_err(|_| usage("the machine has no random numbers".to_owned()))?,
        user: told.user.or(known.into_iter().next()).unwrap_or_else(|| "user".to_owned()),
        users,
        clients: clients.into_iter().map(|(name, Word(secret))| (name, secret)).collect(),
        claims: json("mock_oidc: option `claims`", told.claims.unwrap_or_default())?,
        audience: told.audience,
        lifetime: told.expires_in,
    })
}

fn json(what: &str, claims: Map) -> Fallible<serde_json::Map<String, Value>> {
    match to_json(&claims.into()) {
        Ok(Value::Object(claims)) => Ok(claims),
        Ok(_) => Ok(serde_json::Map::new()),
        Err(e) => Err(ScriptError::usage(format!("{what}: cannot become JSON: {e}")).into()),
    }
}

fn token(_: &NativeCallContext, job: Job) -> Fallible<String> {
    mint(&job, Map::new(), None, false)
}

fn token_with(_: &NativeCallContext, job: Job, mut claims: Map, told: Minted) -> Fallible<String> {
    refuse_options(&mut claims)?;
    let lifetime = match told.expires_in {
        // An hour ago: some clients forgive minutes.
        _ if told.expired => Some(-3600),
        Some(time) => Some(i64::try_from(time.as_secs()).unwrap_or(i64::MAX)),
        None => None,
    };
    mint(&job, claims, lifetime, told.forged)
}

/// What is an option of a token would be a claim that nobody reads, and the token would hold.
fn refuse_options(claims: &mut Map) -> Fallible<()> {
    let Some(name) = ["expired", "forged", "expires_in"].into_iter().find(|name| claims.contains_key(*name))
    else {
        return Ok(());
    };
    let given = claims.remove(name).unwrap_or_default();
    let rest =
        if claims.is_empty() { "#{}".to_owned() } else { format!("{:?}", Dynamic::from(claims.clone())) };
    let error = ScriptError::usage(format!(
        "token: `{name}` is an option and not a claim: it belongs into a second map"
    ));
    Err(error.hint(format!("token({rest}, #{{{name}: {given:?}}})")).into())
}

fn mint(Job(job): &Job, claims: Map, lifetime: Option<i64>, forged: bool) -> Fallible<String> {
    let Some(oidc) = lock(&PROVIDERS).get(&job.id).cloned() else {
        let message = format!("token: job `{}` is not an OpenID provider", job.spec.name);
        return Err(ScriptError::usage(message).hint("mock_oidc()").into());
    };
    let claims = json("token: the claims", claims)?;
    oidc.mint(claims, lifetime, forged).map_err(|e| ScriptError::io(format!("token: {e}")).into())
}
