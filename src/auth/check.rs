//! What a credential is worth.

use std::{sync::Arc, time::SystemTime};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{
    extract::{Credential, NO_CREDENTIAL, UNKNOWN},
    jwt,
    password::Passwords,
};
use crate::{
    access::Identity,
    config::{AuthMode, Backend, Config, Token, User},
    error::{Error, Kind},
    types::Secret,
};

/// What is known about somebody at once.
#[derive(Debug)]
pub(super) enum Who {
    /// Who it is.
    Known(Identity),
    /// Who it is if the password is right, which takes its time to find out.
    Claims(Arc<User>, Secret),
    /// Nobody has this name and a password, which has to take as long to find out.
    Nobody(Secret),
}

/// Who somebody with this credential is. `open` paths need none, and there it isn't even looked at.
///
/// # Errors
/// 401 without a credential, or with one that nobody knows.
pub(super) fn identify(config: &Config, credential: Option<Credential>, open: bool, passwords: &Passwords) -> Result<Who, Error> {
    let identity = match (config.auth.mode, credential) {
        (AuthMode::None, _) => Identity::unrestricted(own_token(config).cloned()),
        (AuthMode::Passthrough, credential) if open => {
            Identity { forward: credential.map(|credential| credential.secret), ..Identity::anonymous() }
        }
        (_, _) if open => Identity::anonymous(),
        // Never the backend's own token here: that would let in everybody who sends none.
        (AuthMode::Passthrough, Some(credential)) => Identity::unrestricted(Some(credential.secret)),
        (AuthMode::Local, Some(credential)) => return local(config, credential, passwords),
        (_, None) => return Err(Error::new(Kind::Unauthorized, NO_CREDENTIAL)),
    };
    Ok(Who::Known(identity))
}

/// Tokens first, which cost nothing to try; then users, by JSON Web Token or by name and password.
fn local(config: &Config, credential: Credential, passwords: &Passwords) -> Result<Who, Error> {
    let unknown = || Error::new(Kind::Unauthorized, UNKNOWN);
    let auth = &config.auth;
    if let Some(token) = find(&auth.tokens, &credential.secret) {
        return Ok(Who::Known(Identity {
            name: Some(Arc::clone(&token.name)),
            access: Arc::clone(&token.access),
            forward: token.forward.as_ref().or_else(|| own_token(config)).cloned(),
        }));
    }
    let named = |name: &str| auth.users.iter().find(|user| *user.name == *name).ok_or_else(unknown);
    match (&auth.jwt_secret, &credential.user) {
        (Some(secret), None) if credential.bearer && jwt::looks_like(credential.secret.expose()) => {
            let name = jwt::username(credential.secret.expose(), secret.expose().as_bytes(), now())
                .map_err(|why| unknown().with_source(format!("a JSON Web Token: {why}")))?;
            Ok(Who::Known(of_user(config, named(&name)?)))
        }
        (_, Some(name)) => {
            let Some(user) = named(name).ok().filter(|user| user.bcrypt.is_some()) else {
                return Ok(Who::Nobody(credential.secret));
            };
            if passwords.is_remembered(user, &credential.secret) {
                return Ok(Who::Known(of_user(config, user)));
            }
            Ok(Who::Claims(Arc::clone(user), credential.secret))
        }
        _ => Err(unknown()),
    }
}

/// Somebody whose password was right.
pub(super) fn of_user(config: &Config, user: &User) -> Identity {
    Identity {
        name: Some(Arc::clone(&user.name)),
        access: Arc::clone(&user.access),
        forward: user.forward.as_ref().or_else(|| own_token(config)).cloned(),
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// The token whose digest this credential has. All are compared, each in constant time, so that the time it takes says nothing about which
/// one it came close to.
fn find<'a>(tokens: &'a [Token], credential: &Secret) -> Option<&'a Token> {
    let digest: [u8; 32] = Sha256::digest(credential.expose()).into();
    let mut found = None;
    for token in tokens {
        if bool::from(token.sha256.ct_eq(&digest)) {
            found = Some(token);
        }
    }
    found
}

/// What this program itself says to an upstream.
fn own_token(config: &Config) -> Option<&Secret> {
    match &config.backend {
        Backend::Upstream(upstream) => upstream.token.as_ref(),
        Backend::Embedded(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        access::{Access, Grant},
        config::{Auth, Upstream},
    };

    fn token(name: &str, secret: &str, forward: Option<&str>) -> Token {
        let access = match name {
            "admin" => Access::All,
            _ => Access::Grants(vec![Grant { bucket: name.into(), read: true, write: false }]),
        };
        Token {
            name: name.into(),
            sha256: Sha256::digest(secret).into(),
            access: Arc::new(access),
            forward: forward.map(Secret::new),
        }
    }

    fn config(mode: AuthMode, upstream: bool) -> Config {
        let mut config = Config {
            auth: Auth {
                mode,
                tokens: vec![token("admin", "A", None), token("tele", "B", Some("up")), token("x", "C", None)],
                ..Auth::default()
            },
            ..Config::default()
        };
        if upstream {
            config.backend = Backend::Upstream(Upstream { token: Some(Secret::new("own")), ..Upstream::default() });
        }
        config
    }

    fn shown(secret: &str) -> Credential {
        Credential { user: None, secret: Secret::new(secret), bearer: false }
    }

    fn known(who: Who) -> Identity {
        match who {
            Who::Known(identity) => identity,
            Who::Claims(user, _) => panic!("{}'s password would have to be checked", user.name),
            Who::Nobody(_) => panic!("somebody else's password would have to be checked"),
        }
    }

    #[test]
    fn users() {
        use hmac::{Hmac, Mac as _};
        let sign = |claims: &str| {
            let encode = |text: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text);
            let signed = format!("{}.{}", encode(b"{\"alg\":\"HS256\"}"), encode(claims.as_bytes()));
            let mac = Hmac::<Sha256>::new_from_slice(b"shared").unwrap().chain_update(&signed);
            format!("{signed}.{}", encode(&mac.finalize().into_bytes()))
        };
        let mut config = config(AuthMode::Local, true);
        config.auth.jwt_secret = Some(Secret::new("shared"));
        config.auth.users = vec![Arc::new(User {
            name: "anna".into(),
            bcrypt: Some("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW".into()),
            access: Arc::new(Access::All),
            forward: Some(Secret::new("annas")),
        })];
        let good = sign(r#"{"username":"anna","exp":99999999999}"#);
        let late = sign(r#"{"username":"anna","exp":1}"#);
        let other = sign(r#"{"username":"otto","exp":99999999999}"#);
        let passwords = Passwords::default();
        for (user, secret, bearer, expected) in [
            // A token is a token whatever the name.
            (Some("anna"), "A", false, Ok("admin")),
            (Some("anna"), "U*U", false, Ok("anna?")),
            (Some("anna"), "wrong", false, Ok("anna?")),
            (Some("otto"), "U*U", false, Ok("nobody?")),
            (None, "U*U", false, Err(())),
            (None, &good, true, Ok("anna")),
            (None, &good, false, Err(())),
            (None, &late, true, Err(())),
            (None, &other, true, Err(())),
        ] {
            let shown = Credential { user: user.map(Into::into), secret: Secret::new(secret), bearer };
            let found = identify(&config, Some(shown), false, &passwords).map(|who| match who {
                Who::Known(identity) => identity.name.unwrap().to_string(),
                Who::Claims(user, _) => format!("{}?", user.name),
                Who::Nobody(..) => "nobody?".to_owned(),
            });
            assert_eq!(found.as_deref().map_err(|error| assert_eq!(error.message(), UNKNOWN)), expected, "{user:?} {secret}");
        }
        config.auth.jwt_secret = None;
        let shown = Credential { user: None, secret: Secret::new(good), bearer: true };
        assert!(identify(&config, Some(shown), false, &passwords).is_err(), "none are taken without a secret");
        let identity = of_user(&config, &config.auth.users[0]);
        assert_eq!(identity.forward.as_ref().map(Secret::expose), Some("annas"));
    }

    #[test]
    fn modes() {
        use AuthMode::{Local, None as Nobody, Passthrough};
        let everything = "all";
        for (mode, upstream, credential, open, expected) in [
            (Local, false, Some("A"), false, Ok((Some("admin"), everything, None))),
            (Local, true, Some("A"), false, Ok((Some("admin"), everything, Some("own")))),
            (Local, true, Some("B"), false, Ok((Some("tele"), "tele", Some("up")))),
            (Local, false, Some("C"), false, Ok((Some("x"), "x", None))),
            (Local, false, Some("D"), false, Err(UNKNOWN)),
            (Local, false, Some("a"), false, Err(UNKNOWN)),
            (Local, false, None, false, Err(NO_CREDENTIAL)),
            (Local, true, Some("D"), true, Ok((None, "", None))),
            (Local, true, None, true, Ok((None, "", None))),
            (Passthrough, true, Some("D"), false, Ok((None, everything, Some("D")))),
            (Passthrough, true, None, false, Err(NO_CREDENTIAL)),
            (Passthrough, true, None, true, Ok((None, "", None))),
            (Passthrough, true, Some("D"), true, Ok((None, "", Some("D")))),
            (Nobody, false, None, false, Ok((None, everything, None))),
            (Nobody, true, Some("D"), false, Ok((None, everything, Some("own")))),
        ] {
            let passwords = Passwords::default();
            let who = identify(&config(mode, upstream), credential.map(shown), open, &passwords);
            let identity = who.map(known);
            let found = identity.as_ref().map(|identity| {
                let access = match &*identity.access {
                    Access::All => everything,
                    Access::Grants(grants) => grants.first().map_or("", |grant| &grant.bucket),
                };
                (identity.name.as_deref(), access, identity.forward.as_ref().map(Secret::expose))
            });
            assert_eq!(found.map_err(|error| error.message()), expected, "{mode:?} {credential:?} {open}");
            if let Err(error) = &identity {
                assert_eq!(error.kind(), Kind::Unauthorized);
            }
        }
    }

    #[test]
    fn nothing_prints_a_credential() {
        let secret = "very-secret-token";
        let mut config = config(AuthMode::Passthrough, true);
        let passwords = Passwords::default();
        let identity = known(identify(&config, Some(shown(secret)), false, &passwords).unwrap());
        assert!(!format!("{identity:?}").contains(secret));
        config.auth.mode = AuthMode::Local;
        let error = identify(&config, Some(shown(secret)), false, &passwords).unwrap_err();
        assert!(!format!("{error:?} {error}").contains(secret));
        assert!(!format!("{config:?}").contains("own\""));
    }
}
