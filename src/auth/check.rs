//! What a credential is worth.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::extract::{NO_CREDENTIAL, UNKNOWN};
use crate::{
    access::Identity,
    config::{AuthMode, Backend, Config, Token},
    error::{Error, Kind},
    types::Secret,
};

/// Who somebody with this credential is. `open` paths need none, and there it isn't even looked at.
///
/// # Errors
/// 401 without a credential, or with one that nobody knows.
pub(super) fn identify(config: &Config, credential: Option<Secret>, open: bool) -> Result<Identity, Error> {
    match (config.auth.mode, credential) {
        (AuthMode::None, _) => Ok(Identity::unrestricted(own_token(config).cloned())),
        (AuthMode::Passthrough, forward) if open => Ok(Identity { forward, ..Identity::anonymous() }),
        (_, _) if open => Ok(Identity::anonymous()),
        // Never the backend's own token here: that would let in everybody who sends none.
        (AuthMode::Passthrough, Some(credential)) => Ok(Identity::unrestricted(Some(credential))),
        (AuthMode::Local, Some(credential)) => {
            let token = find(&config.auth.tokens, &credential).ok_or_else(|| Error::new(Kind::Unauthorized, UNKNOWN))?;
            Ok(Identity {
                name: Some(Arc::clone(&token.name)),
                access: Arc::clone(&token.access),
                forward: token.forward.as_ref().or_else(|| own_token(config)).cloned(),
            })
        }
        (_, None) => Err(Error::new(Kind::Unauthorized, NO_CREDENTIAL)),
    }
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
            let identity = identify(&config(mode, upstream), credential.map(Secret::new), open);
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
        let identity = identify(&config, Some(Secret::new(secret)), false).unwrap();
        assert!(!format!("{identity:?}").contains(secret));
        config.auth.mode = AuthMode::Local;
        let error = identify(&config, Some(Secret::new(secret)), false).unwrap_err();
        assert!(!format!("{error:?} {error}").contains(secret));
        assert!(!format!("{config:?}").contains("own\""));
    }
}
