//! Who a request comes from and what it may do. Pure data: [`auth`](crate::auth) makes it, whoever knows a bucket asks it.

use std::sync::{Arc, LazyLock};

use crate::{
    error::{Error, Kind},
    types::Secret,
};

/// What is wanted of a bucket.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Permission {
    /// Queries.
    Read,
    /// Writes.
    Write,
}

/// A token's permission on one bucket.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Grant {
    /// The bucket's name.
    pub bucket: Box<str>,
    /// May query it.
    pub read: bool,
    /// May write to it.
    pub write: bool,
}

/// What a token may do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Access {
    /// Everything, management included.
    All,
    /// What is listed.
    Grants(Vec<Grant>),
}

impl Access {
    /// Whether `permission` on `bucket` is given.
    #[must_use]
    pub fn allows(&self, bucket: &str, permission: Permission) -> bool {
        match self {
            Self::All => true,
            Self::Grants(grants) => grants.iter().any(|grant| {
                &*grant.bucket == bucket
                    && match permission {
                        Permission::Read => grant.read,
                        Permission::Write => grant.write,
                    }
            }),
        }
    }
}

/// Who sent the request: a request extension, put there by [`auth`](crate::auth).
#[derive(Clone, Debug)]
pub struct Identity {
    /// The token's name in the configuration, for logs; `None` when the upstream decides (`passthrough`) or nobody asks (`none`).
    pub name: Option<Arc<str>>,
    /// What it may do here. In `passthrough` that is everything: the service below decides.
    pub access: Arc<Access>,
    /// What is sent on, as the native header's token: the client's own, or the one that it is exchanged for.
    pub forward: Option<Secret>,
}

impl Identity {
    /// Nobody: may do nothing but what needs no permission (`/ping`, `/health`, CORS preflight).
    #[must_use]
    pub fn anonymous() -> Self {
        static NOTHING: LazyLock<Arc<Access>> = LazyLock::new(|| Arc::new(Access::Grants(Vec::new())));
        Self { name: None, access: Arc::clone(&NOTHING), forward: None }
    }

    /// Somebody whom this program lets do everything.
    #[must_use]
    pub fn unrestricted(forward: Option<Secret>) -> Self {
        static EVERYTHING: LazyLock<Arc<Access>> = LazyLock::new(|| Arc::new(Access::All));
        Self { name: None, access: Arc::clone(&EVERYTHING), forward }
    }

    /// Its name in messages, empty for those without.
    fn who(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }
}

/// Lets pass who may do this to `bucket`; `database` is what the client calls it.
///
/// # Errors
/// 403 in 1.x's words.
pub fn require(identity: &Identity, bucket: &str, database: &str, permission: Permission) -> Result<(), Error> {
    if identity.access.allows(bucket, permission) {
        return Ok(());
    }
    let who = identity.who();
    Err(Error::new(
        Kind::Forbidden,
        match permission {
            Permission::Read => {
                format!("error authorizing query: {who:?} user is not authorized to read from database {database:?}")
            }
            Permission::Write => format!("{who:?} user is not authorized to write to database {database:?}"),
        },
    ))
}

/// Lets pass who may do everything.
///
/// # Errors
/// 403: `what` says what was wanted.
pub fn require_all(identity: &Identity, what: &str) -> Result<(), Error> {
    match *identity.access {
        Access::All => Ok(()),
        Access::Grants(_) => Err(Error::new(
            Kind::Forbidden,
            format!("{:?} user is not authorized to {what}: all-access is needed", identity.who()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions() {
        let grant = |bucket: &str, read, write| Grant { bucket: bucket.into(), read, write };
        let access = Access::Grants(vec![grant("a/autogen", true, false), grant("b", false, true), grant("b", true, false)]);
        let some = Identity { name: Some("tele".into()), access: Arc::new(access), forward: None };
        let (read, write) = (Permission::Read, Permission::Write);
        for (identity, bucket, permission, message) in [
            (&some, "a/autogen", read, ""),
            (&some, "a/autogen", write, r#""tele" user is not authorized to write to database "db""#),
            (&some, "a", read, r#"error authorizing query: "tele" user is not authorized to read from database "db""#),
            (&some, "b", read, ""),
            (&some, "b", write, ""),
            (&Identity::unrestricted(None), "any", write, ""),
            (&Identity::anonymous(), "b", write, r#""" user is not authorized to write to database "db""#),
        ] {
            let error = require(identity, bucket, "db", permission).err();
            assert_eq!(error.map_or(String::new(), |error| error.to_string()), message, "{bucket}");
        }
        assert!(require_all(&Identity::unrestricted(None), "x").is_ok());
        let error = require_all(&some, "use \"/api/v2/buckets\"").unwrap_err();
        assert_eq!(error.kind(), Kind::Forbidden);
        assert_eq!(error.message(), r#""tele" user is not authorized to use "/api/v2/buckets": all-access is needed"#);
    }
}
