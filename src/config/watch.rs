//! Reads the configuration again when something in it changed: its own file, or a token, certificate or key that it names.
//!
//! Contents are compared, not times: editors, `kubectl` and `git` replace files in ways that timestamps and notifications miss, and a
//! few small files are read in microseconds. A change counts when two looks in a row saw the same, so that half-written files and
//! several files that change together are one reload.

use std::{
    io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{Live, Loaded, Problems, load};

/// What the files held at one moment: the hash of each, or why it can't be read.
type Contents = Vec<(PathBuf, Result<[u8; 32], io::ErrorKind>)>;

/// The files of a configuration. Looking is cheap and blocking; how often is the caller's business.
#[derive(Debug)]
pub struct Watch {
    path: Option<PathBuf>,
    files: Vec<PathBuf>,
    /// What the last reload saw, whether it succeeded or not: a bad file is reported once, not at each look.
    tried: Contents,
    /// What the last look saw, when that is something new.
    pending: Option<Contents>,
}

/// What a reload did.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Change {
    /// Keys whose new values wait for a restart.
    pub restart: Vec<&'static str>,
}

impl Watch {
    /// Watches what `loaded` was read from.
    #[must_use]
    pub fn new(path: Option<PathBuf>, loaded: &Loaded) -> Self {
        let mut watch = Self { path, files: loaded.files.clone(), tried: Vec::new(), pending: None };
        watch.tried = watch.look();
        watch
    }

    /// Looks at the files; true when they hold something new that has settled.
    #[must_use]
    pub fn changed(&mut self) -> bool {
        let now = self.look();
        if now == self.tried {
            self.pending = None;
            return false;
        }
        let settled = self.pending.as_ref() == Some(&now);
        self.pending = Some(now);
        settled
    }

    /// Reads everything again and, if all of it is valid, swaps it in. `prepare` sees the new configuration before that and may still
    /// refuse it: it opens what the configuration names.
    ///
    /// # Errors
    /// Everything that is wrong; `live` keeps what it had.
    pub fn reload(&mut self, live: &Live, prepare: impl FnOnce(&mut Loaded) -> Result<(), Problems>) -> Result<Change, Problems> {
        // Before reading: what changes meanwhile is then seen as a change.
        self.pending = None;
        self.tried = self.look();
        let mut loaded = load(self.path.as_deref())?;
        let restart = loaded.config.keep_what_needs_a_restart(&live.load());
        prepare(&mut loaded)?;
        let Loaded { config, files } = loaded;
        self.follow(files);
        live.store(config);
        Ok(Change { restart })
    }

    /// Watches these files from now on, as they are.
    fn follow(&mut self, files: Vec<PathBuf>) {
        if self.files != files {
            self.files = files;
            self.tried = self.look();
        }
    }

    fn look(&self) -> Contents {
        let one = |path: &Path| std::fs::read(path).map(|bytes| Sha256::digest(bytes).into()).map_err(|error| error.kind());
        self.path.iter().chain(&self.files).map(|path| (path.clone(), one(path))).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        config::{AuthMode, Config},
        types::Profile,
    };

    struct Files(tempfile::TempDir);

    impl Files {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn put(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.path().join(name);
            fs::write(&path, text).unwrap();
            path
        }
    }

    fn start(path: &Path) -> (Live, Watch) {
        let loaded = load(Some(path)).unwrap();
        let watch = Watch::new(Some(path.to_owned()), &loaded);
        (Live::new(loaded.config), watch)
    }

    #[test]
    fn a_change_counts_once_it_has_settled() {
        let files = Files::new();
        let path = files.put("proxy.toml", "");
        let (live, mut watch) = start(&path);
        assert!(!watch.changed());
        files.put("proxy.toml", "[compat]\n");
        assert!(!watch.changed(), "may still be being written");
        files.put("proxy.toml", "[compat]\nprofile = \"v1\"\n");
        assert!(!watch.changed(), "has moved on");
        assert!(watch.changed());
        assert_eq!(watch.reload(&live, |_| Ok(())), Ok(Change::default()));
        assert_eq!(live.load().compat.profile, Profile::V1);
        assert!(!watch.changed());
    }

    #[test]
    fn a_bad_file_keeps_the_old_configuration_and_is_reported_once() {
        let files = Files::new();
        let path = files.put("proxy.toml", "[auth]\nmode = \"none\"\n");
        let (live, mut watch) = start(&path);
        files.put("proxy.toml", "[auth]\nmode = \"nome\"\n");
        let problems = watch.reload(&live, |_| Ok(())).unwrap_err();
        assert_eq!(problems.0[0].key, "auth.mode");
        assert_eq!(live.load().auth.mode, AuthMode::None);
        assert!(!watch.changed() && !watch.changed());
        files.put("proxy.toml", "");
        assert!(!watch.changed() && watch.changed());
        fs::remove_file(&path).unwrap();
        assert!(watch.reload(&live, |_| Ok(())).is_err());
    }

    #[test]
    fn a_token_in_a_file_is_part_of_the_configuration() {
        let files = Files::new();
        let token = files.put("token", "old\n");
        let text = format!("[[auth.token]]\nname = \"a\"\nfile = {token:?}\naccess = \"all\"\n");
        let (live, mut watch) = start(&files.put("proxy.toml", &text));
        let old = live.load().auth.tokens[0].sha256;
        files.put("token", "new\n");
        assert!(!watch.changed() && watch.changed());
        watch.reload(&live, |_| Ok(())).unwrap();
        assert_ne!(live.load().auth.tokens[0].sha256, old);
    }

    #[test]
    fn what_cannot_be_prepared_is_not_swapped_in() {
        let files = Files::new();
        let path = files.put("proxy.toml", "");
        let (live, mut watch) = start(&path);
        files.put("proxy.toml", "[compat]\npassthrough = false\n");
        let refuse = |_: &mut Loaded| Err(Problems::default());
        assert!(watch.reload(&live, refuse).is_err());
        assert!(live.load().compat.passthrough);
    }

    #[test]
    fn a_restart_is_asked_for_by_name() {
        let files = Files::new();
        let path = files.put("proxy.toml", "");
        let (live, mut watch) = start(&path);
        files.put("proxy.toml", "[server]\nlisten = \"127.0.0.1:1\"\nidle_timeout = \"1s\"\n");
        assert_eq!(watch.reload(&live, |_| Ok(())).unwrap().restart, ["server.listen"]);
        assert_eq!(live.load().server.idle_timeout.as_secs(), 1);
        assert_eq!(live.load().server.listen, Config::default().server.listen);
    }
}
