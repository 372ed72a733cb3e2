use crate::influxql::{Limits, Params, parse, validate};

fn error(query: &str) -> Option<String> {
    let statements = parse(query, &Params::default(), Limits::default()).unwrap();
    statements.iter().find_map(|statement| validate(statement).err()).map(|error| {
        assert!(error.is_semantic());
        error.to_string()
    })
}

#[test]
fn functions_of_later_versions_than_the_recorded_cases_are_checked_too() {
    let cases = [
        ("SELECT exponential_moving_average(v, 2) FROM m", None),
        (
            "SELECT exponential_moving_average(v) FROM m",
            Some("invalid number of arguments for exponential_moving_average, expected at least 2 but no more than 4, got 1"),
        ),
        (
            "SELECT relative_strength_index(v, 0) FROM m",
            Some("relative_strength_index period must be greater than or equal to 1"),
        ),
        ("SELECT chande_momentum_oscillator(v, 2, -1, 'none') FROM m", None),
        (
            "SELECT triple_exponential_moving_average(v, 2, -1, 'none') FROM m",
            Some("triple_exponential_moving_average warmup type must be one of: 'exponential' 'simple'"),
        ),
        ("SELECT kaufmans_efficiency_ratio(v, 2, 1.5) FROM m", Some("kaufmans_efficiency_ratio hold period must be an integer")),
    ];
    for (query, expected) in cases {
        assert_eq!(error(query).as_deref(), expected, "{query}");
    }
}
