//! The first token: a store that nobody was given a token for makes one itself.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use crate::{
    access::Access,
    config::{AuthMode, Backend, Config, Token},
};

/// The file's name in the data directory.
pub(super) const FILE: &str = "admin.token";

/// Whether this configuration lives on the admin token, and where that stands.
pub(super) fn wanted(config: &Config) -> Option<PathBuf> {
    match &config.backend {
        Backend::Embedded(embedded) if config.auth.mode == AuthMode::Local && config.auth.tokens.is_empty() => {
            Some(embedded.data_dir.join(FILE))
        }
        _ => None,
    }
}

/// Gives the configuration the token in this file, and makes the file if it isn't there. True when it was made.
pub(super) fn provide(config: &mut Config, path: &Path) -> io::Result<bool> {
    let (token, made) = match fs::read_to_string(path) {
        Ok(text) => (text.trim_end().to_owned(), false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (make(path)?, true),
        Err(error) => return Err(error),
    };
    if token.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is empty: delete it, and the next start makes a new one"));
    }
    let sha256 = Sha256::digest(token.as_bytes()).into();
    config.auth.tokens = vec![Token { name: Arc::from("admin"), sha256, access: Arc::new(Access::All), forward: None }];
    Ok(made)
}

/// 256 random bits, in a file that only its owner reads. It is under its name only when it is complete and on disk.
fn make(path: &Path) -> io::Result<String> {
    let mut bits = [0; 32];
    getrandom::fill(&mut bits).map_err(|error| io::Error::other(error.to_string()))?;
    let token = URL_SAFE_NO_PAD.encode(bits);
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let draft = path.with_extension("token.new");
    // Left by a start that didn't get far.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    writeln!(file, "{token}")?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    if let Some(dir) = path.parent() {
        File::open(dir)?.sync_all()?;
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Embedded;

    fn config(dir: &Path) -> Config {
        Config { backend: Backend::Embedded(Embedded { data_dir: dir.to_owned(), ..Embedded::default() }), ..Config::default() }
    }

    #[test]
    fn made_once_then_read() {
        let dir = tempfile::tempdir().unwrap();
        let (mut first, mut second) = (config(dir.path()), config(dir.path()));
        let path = wanted(&first).unwrap();
        assert!(provide(&mut first, &path).unwrap());
        assert!(!provide(&mut second, &path).unwrap());
        assert_eq!(first.auth.tokens[0].sha256, second.auth.tokens[0].sha256);
        assert_eq!(wanted(&first), None, "there is a token now");
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.len(), 44);
        assert_eq!(first.auth.tokens[0].sha256[..], Sha256::digest(text.trim_end())[..]);
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions()) & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn two_stores_have_two_tokens_and_an_empty_file_is_none() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (mut a, mut b) = (config(one.path()), config(two.path()));
        provide(&mut a, &one.path().join(FILE)).unwrap();
        provide(&mut b, &two.path().join(FILE)).unwrap();
        assert_ne!(a.auth.tokens[0].sha256, b.auth.tokens[0].sha256);
        fs::write(one.path().join(FILE), "\n").unwrap();
        assert_eq!(provide(&mut config(one.path()), &one.path().join(FILE)).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
