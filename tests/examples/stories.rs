//! The examples that tell a story print what their first lines say.

// Each is a program of its own, with its own copy of what they have in common.
#![allow(clippy::duplicate_mod)]

#[allow(dead_code)]
#[path = "../../examples/edge.rs"]
mod edge;
#[cfg(feature = "embedded")]
#[allow(dead_code)]
#[path = "../../examples/embedded.rs"]
mod embedded;
#[allow(dead_code)]
#[path = "../../examples/sidecar.rs"]
mod sidecar;

/// The `text` block of a file's first comment.
fn promised(source: &str) -> String {
    let lines = source.lines().map_while(|line| line.strip_prefix("//!")).map(|line| line.strip_prefix(' ').unwrap_or(line));
    let block: Vec<&str> = lines.skip_while(|line| *line != "```text").skip(1).take_while(|line| *line != "```").collect();
    assert!(!block.is_empty());
    block.join("\n") + "\n"
}

#[tokio::test]
async fn sidecar() {
    assert_eq!(sidecar::run().await.unwrap(), promised(include_str!("../../examples/sidecar.rs")));
}

#[tokio::test]
async fn edge() {
    assert_eq!(edge::run().await.unwrap(), promised(include_str!("../../examples/edge.rs")));
}

#[cfg(feature = "embedded")]
#[tokio::test]
async fn embedded() {
    assert_eq!(embedded::run().await.unwrap(), promised(include_str!("../../examples/embedded.rs")));
}
