//! Passwords: slow to check, and so checked once.
//!
//! What people choose for a password can be guessed from its hash unless guessing is slow, so users' passwords are kept as bcrypt: it is what
//! 1.x itself keeps, whose hashes can be taken over as they are. A write every ten seconds can't cost 60 ms of a core each, so what was right
//! is remembered, as 1.x does, under a hash keyed with what only this process knows. (A password that was generated needs none of this: it is a
//! token.) One thread checks: wrong passwords wait for each other, and cost others one core at most.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::{
    config::User,
    error::{Blame, Error, Kind},
    types::Secret,
};

/// Passwords that may wait to be checked.
const WAITING: usize = 256;

/// What was checked, and the thread that checks. Clones share both.
#[derive(Clone, Debug, Default)]
pub(super) struct Passwords(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    key: [u8; 32],
    right: Mutex<Right>,
    jobs: OnceLock<Option<SyncSender<Job>>>,
}

/// By user: the hash that it was checked against, and the keyed hash of the password that was right.
type Right = HashMap<Arc<str>, (Box<str>, [u8; 32])>;

#[derive(Debug)]
struct Job {
    user: Arc<User>,
    password: Secret,
    /// Whether it is this user who wants to get in; else it is all for the time that it takes.
    exists: bool,
    slot: Arc<Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    answer: Mutex<Option<bool>>,
    waker: AtomicWaker,
}

impl Default for Shared {
    fn default() -> Self {
        // The standard library's random keys, of which no hash here is ever shown.
        let mut key = [0; 32];
        for (n, bytes) in key.chunks_exact_mut(8).enumerate() {
            bytes.copy_from_slice(&RandomState::new().hash_one(n).to_ne_bytes());
        }
        Self { key, right: Mutex::default(), jobs: OnceLock::new() }
    }
}

impl Passwords {
    /// Whether this was right before.
    pub(super) fn is_remembered(&self, user: &User, password: &Secret) -> bool {
        let Some(hash) = &user.bcrypt else { return false };
        let right = self.0.right();
        let Some((checked, digest)) = right.get(&user.name) else { return false };
        **checked == **hash && bool::from(digest.ct_eq(&self.0.digest(password)))
    }

    /// Whether it is right.
    ///
    /// # Errors
    /// 503 when too many wait.
    pub(super) fn check(&self, user: Arc<User>, password: Secret) -> Result<Checking, Error> {
        self.queue(user, password, true)
    }

    fn queue(&self, user: Arc<User>, password: Secret, exists: bool) -> Result<Checking, Error> {
        let slot = Arc::<Slot>::default();
        let job = Job { user, password, exists, slot: Arc::clone(&slot) };
        let jobs = self.0.jobs.get_or_init(|| {
            let (send, receive) = sync_channel(WAITING);
            let passwords = self.clone();
            // A weak reference would do, but the layer lives as long as its program does.
            std::thread::Builder::new().name("v1shim-passwords".into()).spawn(move || passwords.work(&receive)).ok()?;
            Some(send)
        });
        match jobs {
            Some(jobs) if jobs.try_send(job).is_ok() => Ok(Checking(slot)),
            _ => Err(Error::new(Kind::Unavailable, "too many passwords are being checked")
                .blaming(Blame::Shim)
                .retry_after(Duration::from_secs(1))),
        }
    }

    /// Takes as long as checking somebody's password, for a name that nobody has, so that it can't be told from the time which names there are.
    /// The slowest of these users' hashes counts, which are alike as long as they are made alike; nothing where nobody has one.
    ///
    /// # Errors
    /// 503 when too many wait.
    pub(super) fn check_nobody(&self, users: &[Arc<User>], password: Secret) -> Result<Option<Checking>, Error> {
        let cost = |user: &&Arc<User>| {
            let hash = user.bcrypt.as_deref().unwrap_or_default();
            hash.split('$').nth(2).and_then(|cost| cost.parse::<u32>().ok())
        };
        match users.iter().filter(|user| user.bcrypt.is_some()).max_by_key(cost) {
            Some(slowest) => self.queue(Arc::clone(slowest), password, false).map(Some),
            None => Ok(None),
        }
    }

    fn work(&self, jobs: &Receiver<Job>) {
        while let Ok(Job { user, password, exists, slot }) = jobs.recv() {
            // Many requests of one agent may have come before the first one was checked.
            let right = if exists {
                self.is_remembered(&user, &password) || self.is_right(&user, &password)
            } else {
                // It may even be this user's password: nobody gets in with it under another name.
                let hash = user.bcrypt.as_deref().unwrap_or_default();
                let _ = std::hint::black_box(bcrypt::verify(password.expose(), hash));
                false
            };
            *slot.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(right);
            slot.waker.wake();
        }
    }

    fn is_right(&self, user: &User, password: &Secret) -> bool {
        let Some(hash) = &user.bcrypt else { return false };
        let right = bcrypt::verify(password.expose(), hash).unwrap_or(false);
        if right {
            self.0.right().insert(Arc::clone(&user.name), (hash.clone(), self.0.digest(password)));
        }
        right
    }
}

impl Shared {
    fn right(&self) -> MutexGuard<'_, Right> {
        self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn digest(&self, password: &Secret) -> [u8; 32] {
        match Hmac::<Sha256>::new_from_slice(&self.key) {
            Ok(mac) => mac.chain_update(password.expose()).finalize().into_bytes().into(),
            // HMAC takes keys of any length.
            Err(_) => self.key,
        }
    }
}

/// Becomes whether the password is right.
#[derive(Debug)]
pub(super) struct Checking(Arc<Slot>);

impl Future for Checking {
    type Output = bool;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        self.0.waker.register(cx.waker());
        match *self.0.answer.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(right) => Poll::Ready(right),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::access::Access;

    fn user(hash: &str) -> Arc<User> {
        let bcrypt = (!hash.is_empty()).then(|| hash.into());
        Arc::new(User { name: "u".into(), bcrypt, access: Arc::new(Access::All), forward: None })
    }

    fn hash(password: &str, cost: u32) -> String {
        bcrypt::hash_with_salt(password, cost, [7; 16]).unwrap().format_for_version(bcrypt::Version::TwoA)
    }

    #[tokio::test]
    async fn right_ones_are_remembered_and_wrong_ones_are_not() {
        let passwords = Passwords::default();
        let user = user(&hash("old-password", 4));
        let check = |user: &Arc<User>, password: &str| passwords.check(Arc::clone(user), Secret::new(password)).unwrap();
        for _ in 0..2 {
            assert!(!check(&user, "new-password").await);
            assert!(!passwords.is_remembered(&user, &Secret::new("new-password")));
        }
        assert!(check(&user, "old-password").await);
        assert!(passwords.is_remembered(&user, &Secret::new("old-password")));
        assert!(!passwords.is_remembered(&user, &Secret::new("old-passwore")));
        // Another hash in the configuration, and what was right has to be shown again.
        let changed = self::user(&hash("new-password", 4));
        assert!(!passwords.is_remembered(&changed, &Secret::new("old-password")));
        assert!(!check(&changed, "old-password").await && check(&changed, "new-password").await);
        assert!(!check(&self::user(""), "").await, "no password is none that could be right");
        assert!(!check(&self::user("nonsense"), "nonsense").await);
    }

    #[tokio::test]
    async fn a_hundred_requests_at_once_cost_one_check() {
        let passwords = Passwords::default();
        let user = user(&hash("p", 9));
        let begun = Instant::now();
        assert!(passwords.check(Arc::clone(&user), Secret::new("p")).unwrap().await);
        let one = begun.elapsed();
        let fresh = Passwords::default();
        let begun = Instant::now();
        let all: Vec<_> = (0..100).map(|_| fresh.check(Arc::clone(&user), Secret::new("p")).unwrap()).collect();
        assert!(futures_util::future::join_all(all).await.into_iter().all(|right| right));
        assert!(begun.elapsed() < one * 50 + Duration::from_millis(50), "{:?} {one:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_name_that_nobody_has_is_checked_as_long_as_one_that_somebody_has_and_never_gets_in() {
        let passwords = Passwords::default();
        let users = [user(""), user(&hash("p", 4)), user(&hash("p", 9))];
        let time = async |checking: Checking| {
            let begun = Instant::now();
            assert!(!checking.await);
            begun.elapsed()
        };
        let mut known = Vec::new();
        let mut unknown = Vec::new();
        for _ in 0..3 {
            known.push(time(passwords.check(Arc::clone(&users[2]), Secret::new("wrong")).unwrap()).await);
            unknown.push(time(passwords.check_nobody(&users, Secret::new("p")).unwrap().unwrap()).await);
        }
        let (known, unknown) = (known.iter().min().unwrap(), unknown.iter().min().unwrap());
        assert!(*unknown * 3 > *known && *known * 3 > *unknown, "{known:?} {unknown:?}");
        assert!(passwords.check_nobody(&users[..1], Secret::new("p")).unwrap().is_none(), "there is no name to be found out");
    }

    #[tokio::test]
    async fn hashes_of_others_are_understood() {
        // Test vectors of crypt_blowfish, in the forms that 1.x (2a) and htpasswd (2y) write.
        for prefix in ["2a", "2b", "2y"] {
            let user = user(&format!("${prefix}$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"));
            let passwords = Passwords::default();
            assert!(passwords.check(Arc::clone(&user), Secret::new("U*U")).unwrap().await, "{prefix}");
            assert!(!passwords.check(user, Secret::new("U*V")).unwrap().await, "{prefix}");
        }
    }

    #[test]
    fn nothing_prints_a_password() {
        let passwords = Passwords::default();
        let user = user(&hash("secret-word", 4));
        assert!(passwords.is_right(&user, &Secret::new("secret-word")));
        assert!(!format!("{passwords:?}").contains("secret-word"));
    }
}
