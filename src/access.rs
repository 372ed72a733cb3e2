//! Who a request comes from and what it may do. Pure data: [`auth`](crate::auth) makes it, whoever knows a bucket asks it.

use std::sync::Arc;

use crate::types::Secret;

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
