use super::*;
use crate::access::Permission;

fn check(text: &str) -> Result<Loaded, Vec<String>> {
    let env = |name: &str| (name == "TOKEN").then(|| "from-env".to_owned());
    let file = |path: &Path| match path.to_str() {
        Some("token.txt") => Ok("from-file\n".to_owned()),
        Some("cert.pem" | "key.pem") => Ok("-----BEGIN SOMETHING-----\n".to_owned()),
        Some("empty.txt") => Ok("\n".to_owned()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    parse(text, Surroundings { env: &env, file: &file }).map_err(|problems| problems.0.iter().map(Problem::to_string).collect())
}

fn config(text: &str) -> Config {
    check(text).unwrap_or_else(|problems| panic!("{text}\n{problems:#?}")).config
}

/// Each of `expected` is the beginning of one problem, in order, and there are no others.
#[track_caller]
fn refused(text: &str, expected: &[&str]) {
    let problems = check(text).expect_err(text);
    let matches =
        problems.len() == expected.len() && problems.iter().zip(expected).all(|(found, start)| found.starts_with(start));
    assert!(matches, "{text}\nfound {problems:#?}\nexpected {expected:#?}");
}

const TOKEN: &str = "[[auth.token]]\nname = \"a\"\ntoken = \"t\"\naccess = \"all\"\n";

#[test]
fn nothing_is_the_default() {
    assert_eq!(format!("{:?}", config("")), format!("{:?}", Config::default()));
}

#[test]
fn tokens_are_kept_as_hashes_only() {
    let text = r#"
        [auth]
        mode = "local"
        [[auth.token]]
        name = "inline"
        token = "secret-1"
        access = "all"
        [[auth.token]]
        name = "hash"
        sha256 = "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08"
        access = [{ bucket = "telegraf/autogen", read = true }, { bucket = "b", write = true }]
        [[auth.token]]
        name = "file"
        file = "token.txt"
        access = "all"
        [[auth.token]]
        name = "env"
        env = "TOKEN"
        access = "all"
    "#;
    let loaded = check(text).unwrap();
    let tokens = &loaded.config.auth.tokens;
    for (token, secret) in tokens.iter().zip(["secret-1", "test", "from-file", "from-env"]) {
        assert_eq!(token.sha256[..], Sha256::digest(secret)[..], "{}", token.name);
    }
    let access = &tokens[1].access;
    assert!(access.allows("telegraf/autogen", Permission::Read) && !access.allows("telegraf/autogen", Permission::Write));
    assert!(access.allows("b", Permission::Write) && !access.allows("c", Permission::Read));
    assert_eq!(loaded.files, [PathBuf::from("token.txt")]);
    assert!(!format!("{loaded:?}").contains("secret-1"));
}

#[test]
fn a_spool_needs_what_makes_it_safe() {
    let upstream = "[backend]\nkind = \"upstream\"\n";
    let local = "[auth]\nmode = \"local\"\n";
    let spool = "[spool]\ndir = \"s\"\n";
    let token = "[upstream]\ntoken = \"t2\"\n";
    let forward = TOKEN.replace("access", "forward = \"f\"\naccess");
    for (text, expected) in [
        (format!("{spool}{TOKEN}"), "spool.dir: a spool stands before an upstream"),
        (format!("{upstream}{local}{TOKEN}{spool}"), "spool.dir: a spool delivers with the upstream's own token: set"),
        (format!("{upstream}{token}{spool}"), "spool.dir: a spool acknowledges what the upstream hasn't seen"),
        (format!("{upstream}{token}{local}{forward}{spool}"), "spool.dir: a spool delivers with the upstream's own token, and"),
    ] {
        let problems = check(&text).expect_err(&text);
        assert!(problems.len() == 1 && problems[0].contains(expected), "{text}\n{problems:?}");
    }
    assert!(config(&format!("{upstream}{token}{local}{TOKEN}{spool}")).spool.dir.is_some());
}

#[test]
fn where_mappings_come_from() {
    let upstream = "[backend]\nkind = \"upstream\"\n";
    let source = "[dbrp_defaults]\nsource = \"config\"\n";
    let dbrp = config(&format!("{upstream}{source}refresh = \"1m\"\n[guard]\ndelete = \"forward\"")).dbrp;
    assert_eq!((dbrp.source, dbrp.refresh), (Source::Config, std::time::Duration::from_secs(60)));
    let provision = "[guard]\ncreate = \"provision\"\nalter = \"provision\"\ndrop = \"provision\"\n";
    let guard = config(&format!("{upstream}{provision}")).guard;
    assert_eq!([guard.create, guard.alter, guard.drop], [Some(Policy::Provision); 3]);
    for (text, expected) in [
        (format!("{source}{TOKEN}"), "dbrp_defaults.source: the embedded store keeps its own mappings"),
        (
            format!("{upstream}{source}{provision}"),
            "dbrp_defaults.source: \"config\" asks the upstream for nothing, and guard says",
        ),
        (
            format!("{upstream}[guard]\ndelete = \"provision\""),
            "guard.delete: unknown value \"provision\", expected one of \"reject\", \"ack\", \"forward\"",
        ),
    ] {
        let problems = check(&text).expect_err(&text);
        assert!(problems.len() == 1 && problems[0].contains(expected), "{text}\n{problems:?}");
    }
}

#[test]
fn an_upstream_has_one_address_or_several() {
    let addresses = |keys: &str| {
        let config = config(&format!("[backend]\nkind = \"upstream\"\n[upstream]\n{keys}\n"));
        let Backend::Upstream(upstream) = config.backend else { panic!("an upstream") };
        std::iter::once(&upstream.url).chain(&upstream.urls).map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(addresses(""), ["http://127.0.0.1:8181/"]);
    assert_eq!(addresses("url = \"http://a\""), ["http://a/"]);
    assert_eq!(addresses("urls = [\"http://a\", \"http://b\"]"), ["http://a/", "http://b/"]);
    assert_eq!(addresses("url = \"http://a\"\nurls = \"http://b\""), ["http://a/", "http://b/"]);
    refused("[upstream]\nurls = [\"http://a\", \"http://a\"]", &["line 2: upstream.urls: \"http://a/\" stands twice"]);
    refused("[upstream]\napi = \"v2\"\nquery = \"flight\"", &["line 3: upstream.query: Arrow Flight is v3's"]);
    refused("[upstream]\nurls = [\"a\"]", &["line 2: upstream.urls: expected an address"]);
}

#[test]
fn a_token_has_one_source_and_a_use() {
    let token = |keys: &str| format!("[[auth.token]]\nname = \"a\"\n{keys}\n");
    for (keys, expected) in [
        ("access = \"all\"", "line 1: auth.token[0].token: is missing: one of"),
        ("access = \"all\"\ntoken = \"\"", "line 4: auth.token[0].token: is empty"),
        ("access = \"all\"\ntoken = \"t\"\nfile = \"token.txt\"", "line 5: auth.token[0].file: only one of"),
        ("access = \"all\"\nenv = \"TOKEN\"\nfile = \"token.txt\"", "line 4: auth.token[0].env: only one of"),
        ("access = \"all\"\ntoken = \"t\"\nsha256 = \"00\"", "line 5: auth.token[0].sha256: "),
        ("access = \"all\"\nsha256 = \"00\"", "line 4: auth.token[0].sha256: expected 64 hex digits, found \"00\""),
        ("access = \"all\"\nfile = \"none.txt\"", "line 4: auth.token[0].file: can't read \"none.txt\": "),
        ("access = \"all\"\nfile = \"empty.txt\"", "line 4: auth.token[0].file: \"empty.txt\": is empty"),
        ("access = \"all\"\nenv = \"NONE\"", "line 4: auth.token[0].env: there is no environment variable \"NONE\""),
        ("token = \"t\"", "line 1: auth.token[0].access: is missing"),
        ("token = \"t\"\naccess = \"some\"", "line 4: auth.token[0].access: expected \"all\" or"),
        ("token = \"t\"\naccess = []", "line 4: auth.token[0].access: an empty list allows nothing"),
        ("token = \"t\"\naccess = [{ read = true }]", "line 4: auth.token[0].access[0].bucket: is missing"),
        ("token = \"t\"\naccess = [{ bucket = \"b\" }]", "line 4: auth.token[0].access[0].bucket: neither"),
        (
            "token = \"t\"\naccess = [{ bucket = \"b\", reed = true, write = true }]",
            "line 4: auth.token[0].access[0].reed: unknown key, did you mean `read`?",
        ),
        ("token = \"t\"\naccess = \"all\"\nforward = \"x\"", "line 5: auth.token[0].forward: is sent to an upstream"),
    ] {
        let problems = check(&token(keys)).expect_err(keys);
        assert!(problems.iter().any(|found| found.starts_with(expected)), "{keys}\nfound {problems:#?}\nexpected {expected}");
        assert!(!problems.iter().any(|found| found.contains("\"t\"")), "a token in a message: {problems:?}");
    }
    refused(
        &format!("{TOKEN}{TOKEN}"),
        &["line 5: auth.token[1]: this is the token of \"a\" again", "line 6: auth.token[1].name: there is another"],
    );
}

#[test]
fn modes_fit_what_stands_below() {
    assert_eq!(config("[backend]\nkind = \"upstream\"\n").auth.mode, AuthMode::Passthrough);
    assert_eq!(config("").auth.mode, AuthMode::Local);
    refused("[auth]\nmode = \"passthrough\"\n", &["line 2: auth.mode: \"passthrough\" lets the upstream decide"]);
    refused("[auth]\nmode = \"local\"\n[backend]\nkind = \"upstream\"\n", &["line 1: auth.token: nobody could get in"]);
    refused(&format!("[backend]\nkind = \"upstream\"\n{TOKEN}"), &["line 3: auth.token: tokens count in mode \"local\" only"]);
    config(&format!("[backend]\nkind = \"upstream\"\n[auth]\nmode = \"local\"\n{TOKEN}forward = \"other\"\n"));
}

#[test]
fn open_doors_are_said_twice() {
    config("[auth]\nmode = \"none\"\n");
    config("[server]\nlisten = \"[::1]:8086\"\n[auth]\nmode = \"none\"\n");
    let open = "[server]\nlisten = \"0.0.0.0:8086\"\n[auth]\nmode = \"none\"\n";
    refused(open, &["line 4: auth.mode: \"none\" on 0.0.0.0:8086 gives everything"]);
    config(&format!("{open}i_know_this_is_open = true\n"));
}

#[test]
fn mappings_are_checked_and_have_one_default() {
    let row = |db: &str, rp: &str, more: &str| {
        format!("[[dbrp]]\ndatabase = \"{db}\"\nretention_policy = \"{rp}\"\nbucket = \"{db}/{rp}\"\n{more}")
    };
    let defaults = |text: &str| config(text).dbrp.mappings.iter().map(|mapping| mapping.default).collect::<Vec<_>>();
    assert_eq!(defaults(&format!("{}{}", row("a", "x", ""), row("a", "y", ""))), [true, false]);
    assert_eq!(defaults(&format!("{}{}", row("a", "x", ""), row("a", "y", "default = true\n"))), [false, true]);
    assert_eq!(defaults(&row("a", "x", "default = false\n")), [false]);
    refused(
        &format!("{}{}", row("a", "x", "default = true\n"), row("a", "y", "default = true\n")),
        &["line 10: dbrp[1].default: \"a\" has a default already"],
    );
    refused(
        &format!("{}{}", row("a", "x", ""), row("a", "x", "")),
        &["line 7: dbrp[1].retention_policy: \"a\" has a mapping for \"x\" already"],
    );
    refused("[[dbrp]]\ndatabase = \"a\"\n", &["line 1: dbrp[0].bucket: is missing"]);
    let long = "x".repeat(65);
    let text = format!("[[dbrp]]\ndatabase = \"{long}\"\nbucket = \"b\"\n");
    refused(&text, &["line 2: dbrp[0].database: a name has 1 to 64 characters"]);
    config(&format!("{text}[compat]\nprofile = \"v1\"\n"));
}

#[test]
fn templates_keep_databases_apart() {
    refused("[dbrp_defaults]\ntemplate = \"all\"\n", &["line 2: dbrp_defaults.template: \"all\" has no {db}"]);
    refused("[dbrp_defaults]\ntemplate = \"{db}/{rp}\"\n", &["line 2: dbrp_defaults.template: expected no other placeholder"]);
    config("[dbrp_defaults]\ntemplate_rp = \"{db}\"\n");
}

#[test]
fn addresses() {
    assert_eq!(
        config("[server]\nlisten = \"localhost:1234\"\n").server.listen,
        [Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 1234)))]
    );
    let several = config("[server]\nlisten = [\"127.0.0.1:1\", \"unix:/run/v1shim.sock\"]\n").server.listen;
    assert_eq!(several[1], Listen::Unix("/run/v1shim.sock".into()));
    refused("[server]\nlisten = []\n", &["line 2: server.listen: an empty list"]);
    refused("[server]\nlisten = [\"unix:/a\", \"unix:/a\"]\n", &["line 2: server.listen: \"unix:/a\" stands twice"]);
    for listen in ["8086", "example.org:80", "127.0.0.1", "127.0.0.1:99999"] {
        refused(&format!("[server]\nlisten = \"{listen}\"\n"), &["line 2: server.listen: expected an address such as"]);
    }
    refused("[server]\nlisten = \":8086\"\n", &["line 2: server.listen: \":8086\" names no address"]);
    for (url, expected) in [
        ("127.0.0.1:8181", "expected an address that begins with"),
        ("ftp://x", "expected an address that begins with"),
        ("http://user:secret@host", "credentials don't belong in the address"),
        ("http://host/?a=b", "expected an address without a query"),
        ("http://", "expected an address"),
    ] {
        refused(&format!("[upstream]\nurl = \"{url}\"\n"), &[&format!("line 2: upstream.url: {expected}")]);
        assert!(!check(&format!("[upstream]\nurl = \"{url}\"\n")).unwrap_err()[0].contains("secret"));
    }
}

#[test]
fn tls_needs_both_files() {
    let tls = "[server.tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n";
    assert_eq!(check(tls).unwrap().files, [PathBuf::from("cert.pem"), PathBuf::from("key.pem")]);
    refused("[server.tls]\ncert = \"cert.pem\"\n", &["line 1: server.tls.key: is missing"]);
    refused(
        "[server.tls]\ncert = \"none.pem\"\nkey = \"token.txt\"\n",
        &["line 2: server.tls.cert: can't read", "line 3: server.tls.key: \"token.txt\" is not a PEM file"],
    );
}

#[test]
fn everything_at_once() {
    let text = r#"
[server]
listen = "nowhere"
[compat]
profile = "serverles"
[auth]
mode = "remote"
[gaurd]
create = "ack"
[guard]
create = "allow"
[limits]
body = -1
[upstream]
token = "x"
token_env = "TOKEN"
"#;
    refused(
        text,
        &[
            "line 3: server.listen: expected an address such as",
            "line 5: compat.profile: unknown value \"serverles\", expected one of \"serverless\", \"v1\", did you mean \"serverless\"?",
            "line 7: auth.mode: unknown value \"remote\"",
            "line 8: gaurd: unknown section, did you mean `guard`?",
            "line 11: guard.create: unknown value \"allow\"",
            "line 13: limits.body: expected a whole number that is not negative, found -1",
            "line 16: upstream.token_env: only one of",
        ],
    );
}

#[test]
fn a_log_filter_is_one() {
    config("[server]\nlog = \"info,v1shim=debug\"\n");
    refused("[server]\nlog = \"v1shim=loud\"\n", &["line 2: server.log: expected a filter such as"]);
}

#[test]
fn every_key_stands_in_the_documented_file() {
    const FILE: &str = include_str!("../../../proxy.toml");
    let around = Surroundings { env: &|_| None, file: &|_| Ok(String::new()) };
    let arrays = "[[auth.token]]\nname = \"a\"\ntoken = \"t\"\naccess = [{ bucket = \"b\", read = true }]\n[[dbrp]]\ndatabase = \"a\"\nbucket = \"b\"\n";
    let (_, keys) = parse_with_keys(arrays, around).unwrap();
    assert!(keys.len() > 70 && keys.contains("auth.token.access.bucket") && keys.contains("dbrp.default"), "{keys:#?}");
    for key in keys {
        let name = key.rsplit('.').next().unwrap();
        let forms = [
            format!("\n{name} = "),
            format!("\n# {name} = "),
            format!("`{name}`"),
            format!("{name} = true"),
            format!("{{ {name} = "),
            format!("[{key}]"),
        ];
        assert!(forms.iter().any(|form| FILE.contains(form.as_str())), "proxy.toml doesn't know {key}");
    }
}
