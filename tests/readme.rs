//! The README's session with curl, run as it stands against the real program: it prints what the README says.

use std::process::Command;

use crate::support::TestServer;

const README: &str = include_str!("../README.md");

/// Printed between two blocks, so that each answer is compared with its own promise.
const CUT: &str = "--- 8< ---";

/// Shell blocks, each with the text block behind it (empty, when there is none).
fn session() -> Vec<(String, String)> {
    let (_, session) = README.split_once("<!-- session -->").expect("a beginning");
    let (session, _) = session.split_once("<!-- /session -->").expect("an end");
    let mut steps: Vec<(String, String)> = Vec::new();
    for block in session.split("```").skip(1).step_by(2) {
        let (kind, text) = block.split_once('\n').expect("a block");
        match kind {
            "sh" => steps.push((text.to_owned(), String::new())),
            "text" => text.clone_into(&mut steps.last_mut().expect("a command before").1),
            other => panic!("what is {other:?}?"),
        }
    }
    steps
}

#[test]
fn the_session_prints_what_it_says() {
    let server = TestServer::start();
    let steps = session();
    assert!(steps.len() > 5, "{steps:?}");
    let script: String = steps.iter().map(|(commands, _)| format!("{commands}\necho '{CUT}'\n")).collect();
    // The address is all that is not the README's: the usual one may be taken.
    let script = script.replace("127.0.0.1:8086", &format!("127.0.0.1:{}", server.port()));
    let output = Command::new("sh").arg("-c").arg(script).current_dir(server.dir()).output().expect("a shell");
    let printed = String::from_utf8(output.stdout).expect("text");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let answers: Vec<_> = printed.split(&format!("{CUT}\n")).collect();
    for ((commands, promised), answer) in steps.iter().zip(answers) {
        assert_eq!(answer.trim_end(), promised.trim_end(), "{commands}");
    }
}

#[test]
fn its_configurations_are_valid() {
    use v1shim::config::{Surroundings, parse};

    let around = Surroundings { env: &|_| None, file: &|_| Ok("-----BEGIN SOMETHING-----".to_owned()) };
    let mut count = 0;
    for block in README.split("```toml\n").skip(1) {
        let (text, _) = block.split_once("```").expect("an end");
        parse(text, around).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        count += 1;
    }
    assert_eq!(count, 2);
}
