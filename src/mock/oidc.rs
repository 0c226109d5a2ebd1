//! A stand-in for an OpenID provider: it logs in whoever comes, at once and without a page, and gives out tokens that hold.
//!
//! It has OAuth 2.0 (RFC 6749: authorization code, client credentials, refresh token, password), PKCE (RFC 7636), discovery,
//! keys, `userinfo`, introspection (RFC 7662), revocation (RFC 7009) and a logout. It is strict where real providers are:
//! a code is for one use, by the client and with the redirect that it was asked for; refresh tokens are replaced when used.
//! It has no pages, no consent, no implicit flow and no registration.

use super::answer::{Answer, Content};
use super::record::{Request, fields};
use super::token::{self, Algorithm, Signer};
use crate::lock::lock;
use base64::{Engine, prelude::BASE64_STANDARD};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

/// What it is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Oidc {
    pub issuer: String,
    pub algorithm: Algorithm,
    /// The private key, as PKCS #8.
    pub key: Vec<u8>,
    /// Who can log in: the claims by name. None: everybody.
    pub users: BTreeMap<String, User>,
    /// Who is logged in when a client does not say so.
    pub user: String,
    /// The clients and their secrets; an empty one is that of a client without. None: any.
    pub clients: BTreeMap<String, String>,
    /// Of every token; they win over its own.
    pub claims: Map<String, Value>,
    /// Whom access tokens are for. None: the client.
    pub audience: Option<String>,
    pub lifetime: Duration,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// None: any.
    pub password: Option<String>,
    pub claims: Map<String, Value>,
}

/// What it has given out.
#[derive(Default)]
struct Given {
    codes: BTreeMap<String, Grant>,
    refresh: BTreeMap<String, Grant>,
    /// The `jti` of access tokens.
    revoked: BTreeSet<String>,
}

/// What a code or a refresh token is good for.
#[derive(Clone, Debug, Default)]
struct Grant {
    client: String,
    redirect: Option<String>,
    /// How it is hashed, and the hash.
    challenge: Option<(String, String)>,
    nonce: Option<Value>,
    scope: String,
    user: String,
    at: i64,
}

pub struct Provider {
    told: Oidc,
    signer: Signer,
    given: Mutex<Given>,
}

/// The routes, for what has none.
pub const ROUTES: &[&str] = &[
    "GET /.well-known/openid-configuration",
    "GET /jwks",
    "GET /authorize",
    "POST /token",
    "GET /userinfo",
    "POST /introspect",
    "POST /revoke",
    "GET /logout",
];

/// An error of OAuth, with its status.
struct Refused(u16, &'static str, String);

fn refused<T>(error: &'static str, why: impl Into<String>) -> Result<T, Refused> {
    Err(Refused(400, error, why.into()))
}

impl From<ring::error::Unspecified> for Refused {
    fn from(_: ring::error::Unspecified) -> Self {
        Self(500, "server_error", "the machine has no random numbers".to_owned())
    }
}

/// A field of a query or a form. Empty ones are none.
fn field<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

impl Oidc {
    pub fn signer(&self) -> Option<Signer> {
        Signer::new(self.algorithm, &self.key)
    }

    /// What is known of somebody: by name, or by the `sub` that the claims have.
    fn user(&self, name: &str) -> Map<String, Value> {
        let of_sub = |user: &&User| user.claims.get("sub").is_some_and(|sub| sub == name);
        let known = self.users.get(name).or_else(|| self.users.values().find(of_sub));
        let mut claims = Map::from_iter([("sub".to_owned(), name.into())]);
        claims.extend(known.map(|user| user.claims.clone()).unwrap_or_default());
        claims
    }

    /// The claims that every token has, for somebody: what is known of them, and what the script wants.
    fn claims(&self, about: Map<String, Value>, lifetime: i64) -> Map<String, Value> {
        let now = token::now();
        let mut claims = about;
        claims.insert("iss".to_owned(), self.issuer.clone().into());
        claims.insert("iat".to_owned(), now.into());
        claims.insert("exp".to_owned(), now.saturating_add(lifetime).into());
        claims
    }

    fn seconds(&self) -> i64 {
        i64::try_from(self.lifetime.as_secs()).unwrap_or(i64::MAX)
    }

    /// A token as a script wants it: of the user whose `sub` the claims have, with these claims. `lifetime`: in seconds; a
    /// negative one has passed.
    ///
    /// # Errors
    /// What is wrong with the machine or the key.
    pub fn mint(
        &self,
        wanted: Map<String, Value>,
        lifetime: Option<i64>,
        forged: bool,
    ) -> Result<String, String> {
        let signer = self.signer().ok_or("its key is not one")?;
        let sub = wanted.get("sub").and_then(Value::as_str).unwrap_or(&self.user).to_owned();
        let mut claims = self.claims(self.user(&sub), lifetime.unwrap_or_else(|| self.seconds()));
        // Who is told of a token that has expired wants one that was given before.
        if let Some(passed) = lifetime.filter(|lifetime| *lifetime < 0) {
            claims.insert("iat".to_owned(), (token::now() + 2 * passed).into());
        }
        let failed = |_| "the machine has no random numbers".to_owned();
        claims.insert("jti".to_owned(), token::random().map_err(failed)?.into());
        let audience = self.audience.clone().or_else(|| self.clients.keys().next().cloned());
        claims.insert("aud".to_owned(), audience.unwrap_or_else(|| "bgjobs".to_owned()).into());
        claims.extend(self.claims.clone());
        claims.extend(wanted);
        signer.sign("JWT", &claims, forged).map_err(failed)
    }
}

impl Provider {
    /// None when its key is not one.
    pub fn new(told: Oidc) -> Option<Self> {
        let signer = told.signer()?;
        Some(Self { told, signer, given: Mutex::default() })
    }

    /// The answer to a request, and the route that it has. None when it has none.
    pub fn answer(&self, request: &Request) -> Option<(&'static str, Answer)> {
        // A browser asks before it sends a form or a token from a page.
        if request.method == "OPTIONS" {
            return ROUTES.iter().find(|route| route.ends_with(&format!(" {}", request.path))).map(|route| {
                (
                    *route,
                    with(
                        with(open(Answer::new(204)), "access-control-allow-headers", "*, authorization"),
                        "access-control-allow-methods",
                        "GET, POST",
                    ),
                )
            });
        }
        let is_get = matches!(request.method.as_str(), "GET" | "HEAD");
        let is_post = request.method == "POST";
        let form = if is_post { fields(&request.body) } else { request.query.clone() };
        Some(match request.path.as_str() {
            "/.well-known/openid-configuration" | "/.well-known/oauth-authorization-server" if is_get => {
                (ROUTES[0], json_answer(200, self.discovery()))
            }
            "/jwks" if is_get => (ROUTES[1], json_answer(200, json!({ "keys": [self.signer.jwk()] }))),
            "/authorize" if is_get || is_post => (ROUTES[2], self.authorize(&form)),
            "/token" if is_post => (ROUTES[3], told(self.token(request, &form))),
            "/userinfo" if is_get || is_post => (ROUTES[4], self.userinfo(request)),
            "/introspect" if is_post => (ROUTES[5], told(self.introspect(request, &form))),
            "/revoke" if is_post => (ROUTES[6], told(self.revoke(request, &form))),
            "/logout" if is_get || is_post => (ROUTES[7], logout(&form)),
            _ => return None,
        })
    }

    fn discovery(&self) -> Value {
        let issuer = &self.told.issuer;
        let at = |path: &str| format!("{issuer}{path}");
        json!({
            "issuer": issuer,
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "userinfo_endpoint": at("/userinfo"),
            "jwks_uri": at("/jwks"),
            "introspection_endpoint": at("/introspect"),
            "revocation_endpoint": at("/revoke"),
            "end_session_endpoint": at("/logout"),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query", "fragment"],
            "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token", "password"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [self.told.algorithm.name()],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
            "code_challenge_methods_supported": ["S256", "plain"],
            "claims_supported": ["sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "name", "email"],
            "authorization_response_iss_parameter_supported": true,
        })
    }

    /// Sends the browser back at once. What is wrong with the client or with where it leads back is told here, as no
    /// redirect can be trusted with it (section 4.1.2.1).
    fn authorize(&self, form: &Map<String, Value>) -> Answer {
        let Some(client) = field(form, "client_id") else {
            return json_answer(400, error("invalid_request", "there is no `client_id`"));
        };
        if !self.told.clients.is_empty() && !self.told.clients.contains_key(client) {
            return json_answer(400, error("unauthorized_client", &self.unknown_client(client)));
        }
        let Some(redirect) = field(form, "redirect_uri") else {
            return json_answer(400, error("invalid_request", "there is no `redirect_uri`"));
        };
        let Ok(mut url) = url::Url::parse(redirect) else {
            return json_answer(400, error("invalid_request", "the `redirect_uri` is not a URL"));
        };
        let mut back: Vec<(&str, String)> = match self.code(client, redirect, form) {
            Ok(code) => vec![("code", code)],
            Err(Refused(_, error, why)) => vec![("error", error.to_owned()), ("error_description", why)],
        };
        if let Some(state) = field(form, "state") {
            back.push(("state", state.to_owned()));
        }
        back.push(("iss", self.told.issuer.clone()));
        if field(form, "response_mode") == Some("fragment") {
            let fragment = form_urlencoded::Serializer::new(String::new()).extend_pairs(back).finish();
            url.set_fragment(Some(&fragment));
        } else {
            url.query_pairs_mut().extend_pairs(back);
        }
        with(with(Answer::new(302), "location", url.as_str()), "cache-control", "no-store")
    }

    fn code(&self, client: &str, redirect: &str, form: &Map<String, Value>) -> Result<String, Refused> {
        match field(form, "response_type") {
            Some("code") => {}
            other => {
                let other = other.unwrap_or("none");
                return refused(
                    "unsupported_response_type",
                    format!("the `response_type` is {other}, not code"),
                );
            }
        }
        let challenge = field(form, "code_challenge").map(|challenge| {
            (field(form, "code_challenge_method").unwrap_or("plain").to_owned(), challenge.to_owned())
        });
        if let Some((method, _)) =
            challenge.as_ref().filter(|(method, _)| !matches!(method.as_str(), "S256" | "plain"))
        {
            return refused(
                "invalid_request",
                format!("the `code_challenge_method` is {method}, not S256 or plain"),
            );
        }
        let grant = Grant {
            client: client.to_owned(),
            redirect: Some(redirect.to_owned()),
            challenge,
            nonce: form.get("nonce").cloned(),
            scope: field(form, "scope").unwrap_or("openid").to_owned(),
            user: self.hinted(field(form, "login_hint"))?,
            at: token::now(),
        };
        let code = token::random()?;
        lock(&self.given).codes.insert(code.clone(), grant);
        Ok(code)
    }

    /// Who logs in: by name or by mail address.
    fn hinted(&self, hint: Option<&str>) -> Result<String, Refused> {
        let Some(hint) = hint else { return Ok(self.told.user.clone()) };
        let users = &self.told.users;
        let has_address =
            |(_, user): &(&String, &User)| user.claims.get("email").is_some_and(|email| email == hint);
        match users.iter().find(has_address) {
            Some((name, _)) => Ok(name.clone()),
            None if users.is_empty() || users.contains_key(hint) => Ok(hint.to_owned()),
            None => refused("access_denied", self.unknown_user(hint)),
        }
    }

    fn unknown_user(&self, name: &str) -> String {
        let known: Vec<&str> = self.told.users.keys().map(String::as_str).collect();
        format!("there is no user {name}; there are {}", known.join(", "))
    }

    fn unknown_client(&self, name: &str) -> String {
        let known: Vec<&str> = self.told.clients.keys().map(String::as_str).collect();
        format!("there is no client {name}; there are {}", known.join(", "))
    }

    /// The client of a request behind the browser's back: by its header or its form.
    fn client(&self, request: &Request, form: &Map<String, Value>) -> Result<String, Refused> {
        let basic = || {
            let header = request.headers.get("authorization")?.as_str()?;
            let (kind, both) = header.split_once(' ')?;
            let both =
                BASE64_STANDARD.decode(both.trim()).ok().filter(|_| kind.eq_ignore_ascii_case("basic"))?;
            let both = String::from_utf8(both).ok()?;
            let (name, secret) = both.split_once(':')?;
            // Both are encoded like a form before they are joined (section 2.3.1).
            let plain =
                |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
            Some((plain(name), Some(plain(secret))))
        };
        let posted = || {
            let secret = field(form, "client_secret").map(str::to_owned);
            field(form, "client_id").map(|name| (name.to_owned(), secret))
        };
        let wrong = |why: String| Err(Refused(401, "invalid_client", why));
        match basic().or_else(posted) {
            Some((name, _)) if self.told.clients.is_empty() => Ok(name),
            Some((name, secret)) => match self.told.clients.get(&name) {
                None => wrong(self.unknown_client(&name)),
                Some(own) if own.is_empty() || secret.as_ref() == Some(own) => Ok(name),
                Some(_) => wrong(format!("the secret of the client {name} is another")),
            },
            None => wrong("there is neither a `client_id` nor an `authorization` header".to_owned()),
        }
    }

    fn token(&self, request: &Request, form: &Map<String, Value>) -> Result<Value, Refused> {
        let Some(kind) = field(form, "grant_type") else {
            return refused("invalid_request", "there is no `grant_type` in the form");
        };
        let client = self.client(request, form)?;
        let scope = field(form, "scope").map(str::to_owned);
        let audience = field(form, "audience").or(field(form, "resource"));
        match kind {
            "client_credentials" => {
                let grant = Grant {
                    user: client.clone(),
                    scope: scope.unwrap_or_default(),
                    client,
                    ..Grant::default()
                };
                self.give(&grant, audience, false)
            }
            "password" => {
                let Some(name) = field(form, "username") else {
                    return refused("invalid_request", "there is no `username`");
                };
                let user = self
                    .hinted(Some(name))
                    .map_err(|Refused(status, _, why)| Refused(status, "invalid_grant", why))?;
                let wanted = self.told.users.get(&user).and_then(|user| user.password.as_deref());
                if wanted.is_some_and(|wanted| field(form, "password") != Some(wanted)) {
                    return refused("invalid_grant", format!("the password of {name} is another"));
                }
                let (scope, at) = (scope.unwrap_or_else(|| "openid".to_owned()), token::now());
                self.give(&Grant { client, scope, user, at, ..Grant::default() }, audience, true)
            }
            "authorization_code" => {
                let code = field(form, "code").unwrap_or_default();
                // It is used up, whatever comes of it.
                let Some(grant) = lock(&self.given).codes.remove(code) else {
                    return refused("invalid_grant", "the code is unknown or used up");
                };
                grant.fits(&client, form)?;
                self.give(&grant, audience, true)
            }
            "refresh_token" => {
                let given = field(form, "refresh_token").unwrap_or_default();
                let mut all = lock(&self.given);
                let Some(grant) = all.refresh.get(given).filter(|grant| grant.client == client).cloned()
                else {
                    return refused(
                        "invalid_grant",
                        "the refresh token is unknown, used up, or of another client",
                    );
                };
                all.refresh.remove(given);
                drop(all);
                let grant = Grant { scope: scope.unwrap_or(grant.scope.clone()), nonce: None, ..grant };
                self.give(&grant, audience, true)
            }
            other => refused("unsupported_grant_type", format!("the `grant_type` is {other}")),
        }
    }

    /// Gives out tokens. `is_person`: somebody has logged in.
    fn give(&self, grant: &Grant, audience: Option<&str>, is_person: bool) -> Result<Value, Refused> {
        let told = &self.told;
        let about = || {
            if is_person {
                told.user(&grant.user)
            } else {
                Map::from_iter([("sub".to_owned(), grant.user.clone().into())])
            }
        };
        let mut access = told.claims(about(), told.seconds());
        let audience = audience.or(told.audience.as_deref()).unwrap_or(&grant.client);
        access.insert("aud".to_owned(), audience.into());
        access.insert("client_id".to_owned(), grant.client.clone().into());
        access.insert("scope".to_owned(), grant.scope.clone().into());
        access.insert("jti".to_owned(), token::random()?.into());
        access.extend(told.claims.clone());
        let access = self.signer.sign("at+jwt", &access, false)?;
        let mut answer = json!({
            "access_token": access, "token_type": "Bearer", "expires_in": told.seconds(), "scope": grant.scope,
        });
        if !is_person {
            return Ok(answer);
        }
        if grant.scope.split(' ').any(|scope| scope == "openid") {
            let mut id = told.claims(about(), told.seconds());
            id.insert("aud".to_owned(), grant.client.clone().into());
            id.insert("auth_time".to_owned(), grant.at.into());
            // The left half of the hash binds the two tokens together (OpenID Connect Core, 3.1.3.6).
            id.insert("at_hash".to_owned(), token::encoded(&token::hash(access.as_bytes())[..16]).into());
            id.extend(grant.nonce.clone().map(|nonce| ("nonce".to_owned(), nonce)));
            id.extend(told.claims.clone());
            answer["id_token"] = self.signer.sign("JWT", &id, false)?.into();
        }
        let refresh = token::random()?;
        lock(&self.given).refresh.insert(refresh.clone(), grant.clone());
        answer["refresh_token"] = refresh.into();
        Ok(answer)
    }

    /// The claims of a token that holds and was not revoked.
    fn active(&self, token: &str) -> Option<Map<String, Value>> {
        let claims = self.signer.verified(token)?;
        let revoked = field(&claims, "jti").is_some_and(|id| lock(&self.given).revoked.contains(id));
        (!revoked).then_some(claims)
    }

    fn userinfo(&self, request: &Request) -> Answer {
        let header = request.headers.get("authorization").and_then(Value::as_str).unwrap_or_default();
        let bearer = header.split_once(' ').filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"));
        let Some(claims) = bearer.and_then(|(_, token)| self.active(token.trim())) else {
            let answer =
                json_answer(401, error("invalid_token", "there is no token that holds in `authorization`"));
            return with(answer, "www-authenticate", "Bearer error=\"invalid_token\"");
        };
        json_answer(200, self.told.user(field(&claims, "sub").unwrap_or_default()).into())
    }

    fn introspect(&self, request: &Request, form: &Map<String, Value>) -> Result<Value, Refused> {
        self.client(request, form)?;
        let Some(mut claims) = self.active(field(form, "token").unwrap_or_default()) else {
            return Ok(json!({ "active": false }));
        };
        claims.insert("active".to_owned(), true.into());
        claims.insert("token_type".to_owned(), "Bearer".into());
        Ok(claims.into())
    }

    /// What is not a token is revoked as well (RFC 7009, section 2.2).
    fn revoke(&self, request: &Request, form: &Map<String, Value>) -> Result<Value, Refused> {
        self.client(request, form)?;
        let token = field(form, "token").unwrap_or_default();
        let id = self.signer.verified(token).and_then(|claims| field(&claims, "jti").map(str::to_owned));
        let mut given = lock(&self.given);
        given.refresh.remove(token);
        given.revoked.extend(id);
        Ok(json!({}))
    }
}

impl Grant {
    /// Whether a code is redeemed by whom and for what it was asked for.
    fn fits(&self, client: &str, form: &Map<String, Value>) -> Result<(), Refused> {
        if self.client != client {
            return refused("invalid_grant", "the code was given to another client");
        }
        if self.redirect.as_deref() != field(form, "redirect_uri") {
            return refused("invalid_grant", "the `redirect_uri` is not the one of /authorize");
        }
        match (&self.challenge, field(form, "code_verifier")) {
            (None, None) => Ok(()),
            (None, Some(_)) => {
                refused("invalid_grant", "a `code_verifier`, but /authorize had no `code_challenge`")
            }
            (Some(_), None) => {
                refused("invalid_grant", "there is no `code_verifier`, but /authorize had a `code_challenge`")
            }
            (Some((method, challenge)), Some(verifier)) => {
                let hashed = match method.as_str() {
                    "S256" => token::encoded(&token::hash(verifier.as_bytes())),
                    _ => verifier.to_owned(),
                };
                if hashed == *challenge {
                    return Ok(());
                }
                refused("invalid_grant", "the `code_verifier` is not the one of the `code_challenge`")
            }
        }
    }
}

fn logout(form: &Map<String, Value>) -> Answer {
    let Some(mut url) = field(form, "post_logout_redirect_uri").and_then(|url| url::Url::parse(url).ok())
    else {
        return Answer {
            content: Content::Text("logged out\n".to_owned()),
            template: false,
            ..Answer::new(200)
        };
    };
    if let Some(state) = field(form, "state") {
        url.query_pairs_mut().append_pair("state", state);
    }
    with(Answer::new(302), "location", url.as_str())
}

fn error(error: &str, why: &str) -> Value {
    json!({ "error": error, "error_description": why })
}

fn told(result: Result<Value, Refused>) -> Answer {
    match result {
        Ok(value) => json_answer(200, value),
        Err(Refused(401, name, why)) => {
            with(json_answer(401, error(name, &why)), "www-authenticate", "Basic realm=\"mock\"")
        }
        Err(Refused(status, name, why)) => json_answer(status, error(name, &why)),
    }
}

fn json_answer(status: u16, value: Value) -> Answer {
    let answer = Answer { content: Content::Json(value), template: false, ..Answer::new(status) };
    open(with(with(answer, "content-type", "application/json"), "cache-control", "no-store"))
}

/// Pages of any origin may read it.
fn open(answer: Answer) -> Answer {
    with(answer, "access-control-allow-origin", "*")
}

fn with(mut answer: Answer, name: &str, value: &str) -> Answer {
    answer.template = false;
    answer.headers.push((name.to_owned(), value.to_owned()));
    answer
}
