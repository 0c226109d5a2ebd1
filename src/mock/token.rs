//! Signed tokens (JWT, RFC 7519; JWS, RFC 7515) of a stand-in for an OpenID provider: keys, signing, checking.
//!
//! Nothing here keeps a secret: whoever can reach the provider can have any token from it. That is why the RSA key, whose
//! making takes longer than most runs, is the same in all of them; a key on P-256 is made anew for each.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};
use ring::rsa::PublicKeyComponents;
use ring::signature::{self, EcdsaKeyPair, KeyPair, RsaKeyPair};
use ring::{digest, error::Unspecified};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// PKCS #8, for tests only.
const RSA: &[u8] = include_bytes!("rsa.der");

/// How tokens are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    Rs256,
    Es256,
}

impl Algorithm {
    /// As tokens and clients call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }

    /// A private key for it, as PKCS #8.
    ///
    /// # Errors
    /// When the machine has no random numbers.
    pub fn key(self) -> Result<Vec<u8>, Unspecified> {
        match self {
            Self::Rs256 => Ok(RSA.to_vec()),
            Self::Es256 => {
                let curve = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
                Ok(EcdsaKeyPair::generate_pkcs8(curve, &SystemRandom::new())?.as_ref().to_vec())
            }
        }
    }
}

enum Key {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
}

/// What signs tokens.
pub struct Signer {
    algorithm: Algorithm,
    key: Key,
    random: SystemRandom,
}

impl Signer {
    /// With a key as [`Algorithm::key`] makes them. None for another.
    pub fn new(algorithm: Algorithm, key: &[u8]) -> Option<Self> {
        let random = SystemRandom::new();
        let key = match algorithm {
            Algorithm::Rs256 => Key::Rsa(RsaKeyPair::from_pkcs8(key).ok()?),
            Algorithm::Es256 => {
                let curve = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
                Key::Ec(EcdsaKeyPair::from_pkcs8(curve, key, &random).ok()?)
            }
        };
        Some(Self { algorithm, key, random })
    }

    /// The public key as JSON (RFC 7517).
    pub fn jwk(&self) -> Value {
        let mut jwk = match &self.key {
            Key::Rsa(pair) => {
                let PublicKeyComponents::<Vec<u8>> { n, e } = pair.public().into();
                json!({ "kty": "RSA", "n": encoded(&n), "e": encoded(&e) })
            }
            // A byte that says that both coordinates follow, and these.
            Key::Ec(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "x": encoded(x), "y": encoded(y) })
            }
        };
        jwk["use"] = "sig".into();
        jwk["alg"] = self.algorithm.name().into();
        jwk["kid"] = self.id().into();
        jwk
    }

    /// The name of the key.
    fn id(&self) -> String {
        let public = match &self.key {
            Key::Rsa(pair) => pair.public().as_ref(),
            Key::Ec(pair) => pair.public_key().as_ref(),
        };
        encoded(&hash(public)[..12])
    }

    /// `kind`: of the token, as its header says it. `forged`: with a signature that does not hold.
    ///
    /// # Errors
    /// When the machine has no random numbers.
    pub fn sign(&self, kind: &str, claims: &Map<String, Value>, forged: bool) -> Result<String, Unspecified> {
        let header = json!({ "alg": self.algorithm.name(), "kid": self.id(), "typ": kind });
        let claims = serde_json::to_vec(claims).unwrap_or_default();
        let signed = format!("{}.{}", encoded(header.to_string().as_bytes()), encoded(&claims));
        let mut signature = match &self.key {
            Key::Rsa(pair) => {
                let mut bytes = vec![0; pair.public().modulus_len()];
                pair.sign(&signature::RSA_PKCS1_SHA256, &self.random, signed.as_bytes(), &mut bytes)?;
                bytes
            }
            Key::Ec(pair) => pair.sign(&self.random, signed.as_bytes())?.as_ref().to_vec(),
        };
        if forged {
            signature.reverse();
        }
        Ok(format!("{signed}.{}", encoded(&signature)))
    }

    /// The claims of a token that it has signed and that is not expired.
    pub fn verified(&self, token: &str) -> Option<Map<String, Value>> {
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = decoded(signature)?;
        let holds = match &self.key {
            Key::Rsa(pair) => {
                let how = &signature::RSA_PKCS1_2048_8192_SHA256;
                signature::UnparsedPublicKey::new(how, pair.public()).verify(signed.as_bytes(), &signature)
            }
            Key::Ec(pair) => {
                let how = &signature::ECDSA_P256_SHA256_FIXED;
                signature::UnparsedPublicKey::new(how, pair.public_key())
                    .verify(signed.as_bytes(), &signature)
            }
        };
        holds.ok()?;
        let claims: Map<String, Value> = serde_json::from_slice(&decoded(signed.split_once('.')?.1)?).ok()?;
        let expires = claims.get("exp").and_then(Value::as_i64);
        (expires? > now()).then_some(claims)
    }
}

/// Seconds since the epoch, as tokens have their times.
pub fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

pub fn encoded(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}

/// SHA-256.
pub fn hash(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

/// A word that nobody guesses.
///
/// # Errors
/// When the machine has no random numbers.
pub fn random() -> Result<String, Unspecified> {
    let mut bytes = [0; 18];
    SystemRandom::new().fill(&mut bytes)?;
    Ok(encoded(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(exp: i64) -> Map<String, Value> {
        Map::from_iter([("sub".to_owned(), json!("ada")), ("exp".to_owned(), json!(exp))])
    }

    #[test]
    fn a_token_holds_until_it_expires() {
        for algorithm in [Algorithm::Rs256, Algorithm::Es256] {
            let signer = Signer::new(algorithm, &algorithm.key().expect("a key")).expect("it fits");
            let sign = |exp, forged| signer.sign("JWT", &claims(exp), forged).expect("signed");
            let later = now() + 1000;
            assert_eq!(signer.verified(&sign(later, false)), Some(claims(later)), "{algorithm:?}");
            assert_eq!(signer.verified(&sign(later, true)), None, "forged");
            assert_eq!(signer.verified(&sign(now() - 1, false)), None, "expired");
            let other = sign(later + 1, false);
            let (signed, _) = other.rsplit_once('.').expect("three parts");
            let token = sign(later, false);
            let (_, signature) = token.rsplit_once('.').expect("three parts");
            assert_eq!(signer.verified(&format!("{signed}.{signature}")), None, "of another token");
            assert_eq!(signer.verified("a.b.c"), None);
            assert_eq!(signer.jwk()["alg"], algorithm.name());
        }
    }

    #[test]
    fn each_run_has_a_key_of_its_own_on_p_256() {
        let key = || Algorithm::Es256.key().expect("a key");
        assert_ne!(key(), key());
        assert!(Signer::new(Algorithm::Rs256, &key()).is_none());
    }
}
