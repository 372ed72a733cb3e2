//! What InfluxDB 1.6.7 accepts and refuses, and in which words, as recorded by `tests/cases/influxql/ask.py`.

mod hostile;
mod roundtrip;
mod tree;

use std::path::Path;

use v1shim::influxql::{Error, Limits, Params, Statement, parse, validate};

/// One case: a query, and what becomes of it.
#[derive(Debug, Default)]
struct Case {
    line: usize,
    query: String,
    params: Option<String>,
    expected: String,
}

/// Cases are separated by empty lines. `> ` starts a line of the query, `$ ` its bind parameters; `= ` is the canonical text of what is
/// accepted, `! ` the message of what is refused with 400, `~ ` the one of what 1.x refuses when it runs it. `# ` is a comment.
fn cases(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut open = false;
    for (number, line) in text.lines().enumerate() {
        if line.is_empty() {
            open = false;
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        if !open {
            cases.push(Case { line: number + 1, ..Case::default() });
            open = true;
        }
        let case = cases.last_mut().unwrap();
        let (mark, rest) = line.split_at(2.min(line.len()));
        match mark.trim() {
            ">" if case.query.is_empty() => case.query.push_str(rest),
            ">" => {
                case.query.push('\n');
                case.query.push_str(rest);
            }
            "$" => case.params = Some(rest.to_owned()),
            "=" | "!" | "~" => case.expected = line.to_owned(),
            _ => panic!("line {}: {line:?}", number + 1),
        }
    }
    cases
}

fn params(case: &Case) -> Params {
    match &case.params {
        Some(json) => Params::from_json(&serde_json::from_str(json).unwrap()).unwrap(),
        None => Params::default(),
    }
}

fn outcome(query: &str, params: &Params) -> String {
    let checked = |statements: Vec<Statement>| -> Result<Vec<Statement>, Error> {
        statements.iter().try_for_each(validate)?;
        Ok(statements)
    };
    match parse(query, params, Limits::default()).and_then(checked) {
        Ok(statements) => {
            let texts: Vec<String> = statements.iter().map(ToString::to_string).collect();
            format!("= {}", texts.join("; "))
        }
        Err(error) if error.is_semantic() => format!("~ {}", error.message()),
        Err(error) => format!("! {}", error.message()),
    }
}

#[test]
fn every_recorded_query_is_accepted_or_refused_as_by_1x_and_prints_to_what_parses_the_same() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/influxql");
    let mut failures = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "case") {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for case in cases(&std::fs::read_to_string(&path).unwrap()) {
            count += 1;
            let actual = outcome(&case.query, &params(&case));
            if actual != case.expected {
                failures.push(format!("{name}:{}: {}\n  expected {}\n  got      {actual}", case.line, case.query, case.expected));
            }
            let Some(canonical) = actual.strip_prefix("= ") else { continue };
            if canonical.contains("[REDACTED]") {
                continue;
            }
            let again = outcome(canonical, &Params::default());
            if again != actual {
                failures.push(format!("{name}:{}: {canonical}\n  parses and prints to {again}", case.line));
            }
        }
    }
    assert!(count > 0, "no cases");
    assert!(failures.is_empty(), "{} of {count}:\n{}", failures.len(), failures.join("\n"));
}

/// Queries with line ends, spaces and ends of text in all places, each with the message that 1.6.7 gives, or `ok`.
#[test]
fn messages_name_the_places_that_1x_names() {
    let recorded = include_str!("cases/influxql/places.jsonl");
    let mut failures = Vec::new();
    for line in recorded.lines() {
        let [query, expected]: [String; 2] = serde_json::from_str(line).unwrap();
        let actual = match parse(&query, &Params::default(), Limits::default()) {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.message().to_owned(),
        };
        if actual != expected {
            failures.push(format!("{query:?}\n  expected {expected}\n  got      {actual}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
