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

    /// Its name in messages.
    fn who(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }
}

/// Lets pass who may do this to `bucket`.
///
/// # Errors
/// 403 in 1.x's words.
pub fn require(identity: &Identity, bucket: &str, permission: Permission) -> Result<(), Error> {
    if identity.access.allows(bucket, permission) {
        return Ok(());
    }
    let who = identity.who();
    Err(Error::new(
        Kind::Forbidden,
        match permission {
            Permission::Read => {
                format!("error authorizing query: {who:?} user is not authorized to read from database {bucket:?}")
            }
            Permission::Write => format!("{who:?} user is not authorized to write to database {bucket:?}"),
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
