//! `proxy.toml` at the root is the documentation of the configuration: held equal to the defaults, and its examples are valid.

use std::path::Path;

use v1shim::config::{Config, Loaded, Problems, Surroundings, parse};

const FILE: &str = include_str!("../proxy.toml");

fn check(text: &str) -> Result<Loaded, Problems> {
    // What the examples name is there.
    let file = |_: &Path| Ok("-----BEGIN SOMETHING-----".to_owned());
    parse(text, Surroundings { env: &|_| Some("something".to_owned()), file: &file })
}

/// Comments that are keys or table heads, uncommented.
fn uncommented() -> String {
    let example = |line: &str| {
        let code = line.strip_prefix("# ")?;
        let key = code.split(" = ").next()?;
        let is_key =
            code.contains(" = ") && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit());
        // A sentence may begin like a key; a value doesn't go on after its end.
        let is_example = is_key && !code.ends_with('.') || code.starts_with('[') && code.ends_with(']');
        is_example.then(|| code.to_owned())
    };
    FILE.lines().map(|line| example(line).unwrap_or_else(|| line.to_owned())).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_file_is_the_default_configuration() {
    let file = check(FILE).unwrap_or_else(|problems| panic!("{problems}")).config;
    assert_eq!(format!("{file:#?}"), format!("{:#?}", Config::default()));
}

#[test]
fn its_examples_are_valid() {
    let text = uncommented();
    let config = check(&text).unwrap_or_else(|problems| {
        // The one example that belongs to another backend than the default one.
        let rest: Vec<_> = problems.0.iter().filter(|problem| problem.key != "auth.token[0].forward").collect();
        assert!(rest.is_empty(), "{rest:#?}\n{text}");
        check(&text.replace("forward_env", "# forward_env")).expect("valid without what needs an upstream")
    });
    let config = config.config;
    assert!(config.server.tls.is_some() && config.auth.tokens.len() == 1 && config.dbrp.mappings.len() == 1);
    assert!(config.guard.kill.is_some());
}

#[test]
fn what_is_deployed_is_valid() {
    let image = check(include_str!("../deploy/proxy.toml")).unwrap_or_else(|problems| panic!("{problems}")).config;
    assert!(image.server.metrics_listen.is_some());
    let sidecar = include_str!("../deploy/sidecar.yaml");
    let text: String = sidecar
        .lines()
        .skip_while(|line| !line.ends_with("proxy.toml: |"))
        .skip(1)
        .take_while(|line| line.starts_with("    ") || line.is_empty())
        .map(|line| format!("{}\n", line.trim_start_matches("    ")))
        .collect();
    let file = |path: &Path| Ok(format!("secret of {}", path.display()));
    let loaded =
        parse(&text, Surroundings { env: &|_| None, file: &file }).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    assert!(loaded.config.spool.dir.is_some() && loaded.files.len() == 2);
}
