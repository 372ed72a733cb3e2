//! Every phrase in these tables is what InfluxDB 1.6.7 answers.

use std::borrow::Cow;

use proptest::prelude::*;

use super::*;
use crate::{error::Kind, types::Precision};

fn only(body: &[u8]) -> Result<Line<'_>, LineError<'_>> {
    let mut lines = parse_lines(body, Precision::Nanosecond);
    let first = lines.next().expect("a line");
    assert!(lines.next().is_none(), "one line only");
    first
}

fn reason(body: &[u8]) -> String {
    only(body).expect_err("a mistake").reason().to_string()
}

#[test]
fn mistakes_have_the_phrases_of_1x() {
    let out_of_range = "time outside range -9223372036854775806 - 9223372036854775806";
    for (line, phrase) in [
        ("m", "missing fields"),
        ("m\\", "missing fields"),
        ("\\ f=1", "missing fields"),
        ("m\tf=1", "missing fields"),
        (",a=b f=1", "missing measurement"),
        ("m,", "missing tag key"),
        ("m, f=1", "missing tag key"),
        ("m,=b f=1", "missing tag key"),
        ("m,,a=b f=1", "missing tag key"),
        ("m,a=b, f=1", "missing tag key"),
        ("m,a=b,,c=d f=1", "missing tag key"),
        ("m,a f=1", "missing tag value"),
        ("m,a= f=1", "missing tag value"),
        ("m,a=b,c f=1", "missing tag value"),
        ("m,a=b", "missing fields"),
        ("m,a=b=c f=1", "invalid tag format"),
        ("m,a=b\\ f=1", "invalid tag format"),
        ("m,a=b\\\\ f=1", "invalid tag format"),
        ("m,a=b\\\\,c=d f=1", "invalid tag format"),
        ("m,a=\\ f=1", "invalid tag format"),
        ("m,a=1,a=2 f=1", "duplicate tags"),
        ("m,b=1,a=2,b=3 f=1", "duplicate tags"),
        ("m,a=1,b=2,a=3 f=1", "duplicate tags"),
        ("m,a=b ", "invalid field format"),
        ("m ", "invalid field format"),
        ("m f", "invalid field format"),
        ("m f=1,", "invalid field format"),
        ("m f=1i,", "invalid field format"),
        ("m f=1,g", "invalid field format"),
        ("m f,g=1", "invalid field format"),
        ("m f=1, g=2", "invalid field format"),
        ("m f=\"a\", 5", "invalid field format"),
        ("m f=\"a\"=1", "invalid field format"),
        ("m =1", "missing field key"),
        ("m f=1,=2", "missing field key"),
        ("m f=", "missing field value"),
        ("m f= 1", "missing field value"),
        ("m f=\"a", "unbalanced quotes"),
        ("m f=\"a\\", "unbalanced quotes"),
        ("m f=\"a\\\"", "unbalanced quotes"),
        ("m f==1", "invalid boolean"),
        ("m f=a=b", "invalid boolean"),
        ("m f=1=2", "invalid number"),
        ("m f=-1u", "invalid number"),
        ("m f=1.5i", "invalid number"),
        ("m f=1e5i", "invalid number"),
        ("m f=1i2", "invalid number"),
        ("m f=-i", "invalid number"),
        ("m f=-", "invalid number"),
        ("m f=.", "invalid number"),
        ("m f=1.2.3", "invalid number"),
        ("m f=NaN", "invalid number"),
        ("m f=nan", "invalid number"),
        ("m f=-Inf", "invalid number"),
        ("m f=0x10", "invalid number"),
        ("m f=1x", "invalid number"),
        ("m f=1\t", "invalid number"),
        ("m f=1\0", "invalid number"),
        ("m f=1\\\nm g=1", "invalid number"),
        ("m f=1e", "invalid float"),
        ("m f=1e400", "invalid float"),
        ("m f=-1e400", "invalid float"),
        ("m f=1e5e5", "invalid float"),
        ("m f=i", "invalid boolean"),
        ("m f=Inf", "invalid boolean"),
        ("m f=+Inf", "invalid boolean"),
        ("m f=inf", "invalid boolean"),
        ("m f=+1", "invalid boolean"),
        ("m f=tRUE", "invalid boolean"),
        ("m f=tr,g=1", "invalid boolean"),
        ("m f=yes", "invalid boolean"),
        ("m f='a'", "invalid boolean"),
        (
            "m f=9223372036854775808i",
            "unable to parse integer 9223372036854775808: strconv.ParseInt: parsing \"9223372036854775808\": value out of range",
        ),
        (
            "m f=-9223372036854775809i",
            "unable to parse integer -9223372036854775809: strconv.ParseInt: parsing \"-9223372036854775809\": value out of range",
        ),
        ("m f=1 x", "bad timestamp"),
        ("m f=1 1x", "bad timestamp"),
        ("m f=1 --1", "bad timestamp"),
        ("m f=1 1.5", "bad timestamp"),
        ("m f=1 1e3", "bad timestamp"),
        ("m f=1 5\t", "bad timestamp"),
        ("m f=1 g=2", "bad timestamp"),
        ("m f=\"a\" x", "bad timestamp"),
        ("m f=1 1 x", "point is invalid"),
        ("m f=1 5 6", "point is invalid"),
        ("m f=1 -", "strconv.ParseInt: parsing \"-\": invalid syntax"),
        ("m f=1 9223372036854775808", "strconv.ParseInt: parsing \"9223372036854775808\": value out of range"),
        ("m f=1 9223372036854775807", out_of_range),
        ("m f=1 -9223372036854775807", out_of_range),
        ("m time=1", "invalid field name: input field \"time\" on measurement \"m\" is invalid"),
        ("m,time=1 f=2", "invalid tag key: input tag \"time\" on measurement \"m\" is invalid"),
        (
            "m f=1,f=\"a\"",
            "field type conflict: input field \"f\" on measurement \"m\" is type string, already exists as type float",
        ),
    ] {
        assert_eq!(reason(line.as_bytes()), phrase, "{line}");
    }
}

#[test]
fn where_we_differ_from_1x_we_refuse_what_it_would_spoil() {
    // 1.x finds another word for this one.
    assert_eq!(reason(b"m a\\\\,=1"), "missing field key");
    // 1.x stores a field without a name.
    assert_eq!(reason(b"m \t=1"), "missing field key");
    // 1.x stores `a"` for this one, and any bytes for the others.
    assert_eq!(reason(b"m f=\"a\"x"), "invalid field format");
    assert_eq!(reason(b"m f=\"a\"\"b\""), "invalid field format");
    assert_eq!(reason(b"m f=\"\xff\""), "invalid UTF-8");
    assert_eq!(reason(b"m f=18446744073709551616u"), {
        let digits = "18446744073709551616";
        format!("unable to parse unsigned {digits}: strconv.ParseUint: parsing \"{digits}\": value out of range")
    });
}

#[test]
fn messages_name_the_line_and_cut_long_ones() {
    let error = only(b"\t cpu,a f=1").unwrap_err();
    assert_eq!(error.to_string(), "unable to parse 'cpu,a f=1': missing tag value");
    assert!(!error.is_dropped_point());
    let error = only(b"m time=1").unwrap_err();
    assert!(error.is_dropped_point());
    assert_eq!(error.to_string(), "invalid field name: input field \"time\" on measurement \"m\" is invalid");
    let long = [b"m f=".as_slice(), &[b'x'; 100_000]].concat();
    let message = only(&long).unwrap_err().to_string();
    assert!(message.starts_with("unable to parse 'm f=xxx") && message.ends_with("x…': invalid boolean"));
    assert!(message.len() < 1200);
}

#[test]
fn keys_have_a_limit() {
    for (measurement, tag, field, length) in
        [(65_535, 0, 1, 65_540), (65_536, 0, 1, 65_536), (65_531, 0, 1, 65_536), (1, 0, 65_531, 65_536), (1, 65_532, 1, 65_536)]
    {
        let tags = if tag == 0 { String::new() } else { format!(",a={}", "b".repeat(tag)) };
        let line = format!("{}{tags} {}=1", "m".repeat(measurement), "f".repeat(field));
        assert_eq!(reason(line.as_bytes()), format!("max key length exceeded: {length} > 65535"));
    }
    assert!(only(format!("{} f=1", "m".repeat(65_530)).as_bytes()).is_ok());
    assert!(only(format!("m {}=1", "f".repeat(65_530)).as_bytes()).is_ok());
}

#[test]
fn values() {
    use FieldValue::{Boolean, Float, Integer, Unsigned};
    let string = |text: &'static str| FieldValue::String(Cow::Borrowed(text));
    for (text, value) in [
        ("1", Float(1.0)),
        ("1.", Float(1.0)),
        (".5", Float(0.5)),
        ("-.5", Float(-0.5)),
        ("1e5", Float(1e5)),
        ("1E+5", Float(1e5)),
        ("1e-5", Float(1e-5)),
        ("1.5e3", Float(1500.0)),
        ("123456789012345678901234567890", Float(123_456_789_012_345_678_901_234_567_890.0)),
        ("1i", Integer(1)),
        ("-0i", Integer(0)),
        ("007i", Integer(7)),
        ("9223372036854775807i", Integer(i64::MAX)),
        ("-9223372036854775808i", Integer(i64::MIN)),
        ("1u", Unsigned(1)),
        ("18446744073709551615u", Unsigned(u64::MAX)),
        ("t", Boolean(true)),
        ("T", Boolean(true)),
        ("true", Boolean(true)),
        ("True", Boolean(true)),
        ("TRUE", Boolean(true)),
        ("f", Boolean(false)),
        ("F", Boolean(false)),
        ("false", Boolean(false)),
        ("False", Boolean(false)),
        ("FALSE", Boolean(false)),
        ("\"\"", string("")),
        ("\"a,b=c d\"", string("a,b=c d")),
        ("\"a\nb\"", string("a\nb")),
        ("\"a\\\"b\"", string("a\"b")),
        ("\"a\\\\b\"", string("a\\b")),
        ("\"a\\\\\"", string("a\\")),
        ("\"a\\xb\"", string("a\\xb")),
        ("\"#é\"", string("#é")),
    ] {
        let body = format!("m f={text},g=1i 5");
        let line = only(body.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(line.fields.as_slice(), [("f".into(), value), ("g".into(), Integer(1))], "{text}");
        assert_eq!(line.timestamp, Some(5));
    }
}

#[test]
fn names_and_their_escapes() {
    for (text, measurement, tags, field) in [
        ("m f=1", "m", vec![], "f"),
        ("m,b=1,a=2 f=1", "m", vec![("a", "2"), ("b", "1")], "f"),
        ("m,a==b f=1", "m", vec![("a", "=b")], "f"),
        ("m,a\\=b=c f=1", "m", vec![("a=b", "c")], "f"),
        ("m\\ x,a\\ b=c\\,d\\ e f\\ g=1", "m x", vec![("a b", "c,d e")], "f g"),
        ("m\\,x f=1", "m,x", vec![], "f"),
        ("m\\=x\\\" f=1", "m=x\"", vec![], "f"),
        ("m=x f=1", "m=x", vec![], "f"),
        ("m\\x,a\\x=b\\x f\\x=1", "m\\x", vec![("a\\x", "b\\x")], "f\\x"),
        ("m a\"b=1", "m", vec![], "a\"b"),
        ("m a\\\"b=1", "m", vec![], "a\"b"),
        ("m a\\=b=1", "m", vec![], "a=b"),
        ("m a\\,b=1", "m", vec![], "a,b"),
        ("m \"a\"=1", "m", vec![], "\"a\""),
        ("\"m\",\"a\"=\"b\" f=1", "\"m\"", vec![("\"a\"", "\"b\"")], "f"),
        ("m\0,a=bé é=1", "m\0", vec![("a", "bé")], "é"),
        ("_measurement,_field=x _tagKey=1", "_measurement", vec![("_field", "x")], "_tagKey"),
        ("m time=1,f=2", "m", vec![], "f"),
    ] {
        let line = only(text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(line.measurement, measurement, "{text}");
        assert_eq!(line.tags.iter().map(|(key, value)| (&**key, &**value)).collect::<Vec<_>>(), tags, "{text}");
        assert_eq!(line.fields.iter().map(|(key, _)| &**key).collect::<Vec<_>>(), [field], "{text}");
    }
}

#[test]
fn the_last_of_equal_fields_counts() {
    let line = only(b"m f=1,g=2,f=3").unwrap();
    assert_eq!(line.fields.as_slice(), [("f".into(), FieldValue::Float(3.0)), ("g".into(), FieldValue::Float(2.0))]);
    let many: String = (0..40).map(|n| format!("f{}={n}i,", n % 20)).collect();
    let body = format!("m {}", many.trim_end_matches(','));
    let line = only(body.as_bytes()).unwrap();
    assert_eq!(line.fields.len(), 20);
    assert_eq!(line.fields[3], ("f3".into(), FieldValue::Integer(23)));
}

#[test]
fn white_space_comments_and_line_ends() {
    let body = b"# a= \"b\n\n  \t\nm f=1 5\r\n # x\n\0 m f=\"x\ny\"  6  \nm f=\nm  f=t\r\nm f=\"z\"\r\nm f=7";
    let lines: Vec<_> = parse_lines(body, Precision::Nanosecond).collect();
    let numbers: Vec<_> = lines.iter().map(|line| line.as_ref().map_or_else(LineError::number, |line| line.number)).collect();
    assert_eq!(numbers, [4, 6, 8, 9, 10, 11]);
    assert_eq!(lines[0].as_ref().unwrap().timestamp, Some(5));
    assert_eq!(lines[1].as_ref().unwrap().timestamp, Some(6));
    assert!(lines[2].is_err());
    assert_eq!(lines[3].as_ref().unwrap().fields[0].1, FieldValue::Boolean(true));
    assert_eq!(lines[4].as_ref().unwrap().fields[0].1, FieldValue::String("z".into()));
    assert_eq!(lines[5].as_ref().unwrap().timestamp, None);
    assert!(parse_lines(b"", Precision::Nanosecond).next().is_none());
}

#[test]
fn timestamps_have_units() {
    use Precision::{Hour, Microsecond, Millisecond, Minute, Second};
    for (unit, written, nanos) in [
        (Second, "9223372036", Some(9_223_372_036_000_000_000)),
        (Second, "9223372037", None),
        (Hour, "2562047", Some(9_223_369_200_000_000_000)),
        (Hour, "2562048", None),
        (Minute, "-153722867", Some(-9_223_372_020_000_000_000)),
        (Minute, "-153722868", None),
        (Millisecond, "9223372036855", None),
        (Microsecond, "9223372036854776", None),
        (Microsecond, "-1", Some(-1_000)),
    ] {
        let body = format!("m f=1 {written}");
        let line = parse_lines(body.as_bytes(), unit).next().unwrap();
        assert_eq!(line.ok().map(|line| line.timestamp), nanos.map(Some), "{written} {unit:?}");
    }
    for (written, nanos) in [
        ("1700000000", 1_700_000_000_000_000_000),
        ("1700000000000", 1_700_000_000_000_000_000),
        ("1700000000000000", 1_700_000_000_000_000_000),
        ("1700000000000000001", 1_700_000_000_000_000_001),
        ("-1", -1_000_000_000),
    ] {
        let body = format!("m f=1 {written}");
        assert_eq!(parse_lines(body.as_bytes(), Unit::Auto).next().unwrap().unwrap().timestamp, Some(nanos));
    }
}

#[test]
fn rescaling_touches_timestamps_only() {
    let body = b"m f=1 2\r\n# c 5\n\nm f=\n\tm,a=b f=\"x 5\n6\" -1\nm f=1\nm f=1 x\nm time=1 3\nm f=\"a\"x 4\nlast f=1i 0";
    let seconds =
        b"m f=1 120\r\n# c 5\n\nm f=\nm,a=b f=\"x 5\n6\" -60\nm f=1\nm f=1 x\nm time=1 180\nm f=\"a\"x 240\nlast f=1i 0";
    assert_eq!(String::from_utf8_lossy(&rescale(body, Precision::Minute).unwrap()), String::from_utf8_lossy(seconds));
    let error = rescale(b"ok f=1 1\nm f=1 2562048", Precision::Hour).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.to_string().starts_with("unable to parse 'm f=1 2562048': time outside range"));
    assert!(rescale(b"m f=1 1", Precision::Millisecond).is_err());
}

#[test]
fn gzip_has_a_limit() {
    use std::io::Write as _;
    let pack = |text: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    let two_members = [pack(b"m f=1\n"), pack(b"m f=2\n")].concat();
    assert_eq!(gunzip(&two_members, 12).unwrap(), b"m f=1\nm f=2\n");
    assert_eq!(gunzip(&two_members, 11).unwrap_err().kind(), Kind::TooLarge);
    assert_eq!(gunzip(&pack(&[0; 10_000_000]), 1000).unwrap_err().kind(), Kind::TooLarge);
    assert_eq!(gunzip(&two_members[..10], 100).unwrap_err().kind(), Kind::Invalid);
    assert_eq!(gunzip(b"m f=1", 100).unwrap_err().kind(), Kind::Invalid);
    assert_eq!(gunzip(b"", 100).ok(), None);
}

/// Writes a line the way clients do.
fn write(measurement: &str, tags: &[(String, String)], fields: &[(String, FieldValue<'_>)], time: Option<i64>) -> String {
    let escape = |text: &str, special: &[char]| {
        text.chars().flat_map(|c| special.contains(&c).then_some('\\').into_iter().chain([c])).collect::<String>()
    };
    let mut line = escape(measurement, &[',', ' ']);
    for (key, value) in tags {
        line += &format!(",{}={}", escape(key, &[',', '=', ' ']), escape(value, &[',', '=', ' ']));
    }
    for (at, (key, value)) in fields.iter().enumerate() {
        let value = match value {
            FieldValue::Float(value) => format!("{value:?}"),
            FieldValue::Integer(value) => format!("{value}i"),
            FieldValue::Unsigned(value) => format!("{value}u"),
            FieldValue::String(value) => format!("\"{}\"", escape(value, &['"', '\\'])),
            FieldValue::Boolean(value) => value.to_string(),
        };
        line += &format!("{}{}={value}", if at == 0 { ' ' } else { ',' }, escape(key, &[',', '=', ' ', '"']));
    }
    time.into_iter().for_each(|time| line += &format!(" {time}"));
    line
}

fn field_value() -> impl Strategy<Value = FieldValue<'static>> {
    prop_oneof![
        any::<f64>().prop_filter("finite", |value| value.is_finite()).prop_map(FieldValue::Float),
        any::<i64>().prop_map(FieldValue::Integer),
        any::<u64>().prop_map(FieldValue::Unsigned),
        any::<bool>().prop_map(FieldValue::Boolean),
        "[ -~é\n]{0,12}".prop_map(|text| FieldValue::String(Cow::Owned(text))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(
        // A backslash at the end of a name would protect what follows it: line protocol can't say that.
        measurement in "[a-z=\"é][a-z ,=\"é]{0,6}",
        tags in proptest::collection::btree_map("[a-z][a-z ,=\"é]{0,5}", "[a-z =,\"é]{1,6}", 0..10),
        fields in proptest::collection::btree_map("x[a-z ,=\"é]{0,5}", field_value(), 1..20),
        time in proptest::option::of(MIN_TIME..=MAX_TIME),
    ) {
        let mut tags: Vec<_> = tags.into_iter().filter(|(key, _)| key != "time").collect();
        let fields: Vec<_> = fields.into_iter().collect();
        tags.reverse();
        let text = write(&measurement, &tags, &fields, time);
        tags.reverse();
        let body = format!("# before\n{text}\nnext f=1");
        let mut lines = parse_lines(body.as_bytes(), Precision::Nanosecond);
        let line = lines.next().unwrap().map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(&*line.measurement, &*measurement);
        prop_assert_eq!(line.tags.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect::<Vec<_>>(), tags);
        prop_assert_eq!(line.fields.iter().map(|(k, v)| (k.to_string(), v.clone())).collect::<Vec<_>>(), fields);
        prop_assert_eq!(line.timestamp, time);
        prop_assert!(lines.next().unwrap().is_ok());
    }

    #[test]
    fn no_body_makes_it_panic_or_lose_its_place(body in "([mf,= \\\\\"\n\r#\t0-9iuet.é+-]|time){0,60}", hours in any::<bool>()) {
        let lines = parse_lines(body.as_bytes(), Unit::Auto).count();
        prop_assert!(lines <= body.lines().count());
        // A rescaled body has as many lines as before, accepted or not.
        let precision = if hours { Precision::Hour } else { Precision::Minute };
        if let Ok(scaled) = rescale(body.as_bytes(), precision) {
            let before: Vec<_> = parse_lines(body.as_bytes(), precision).map(|line| line.map(|line| line.timestamp).ok()).collect();
            let after: Vec<_> = parse_lines(&scaled, Precision::Second).map(|line| line.map(|line| line.timestamp).ok()).collect();
            prop_assert_eq!(before, after);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..80)) {
        for line in parse_lines(&body, Precision::Hour).flatten() {
            prop_assert!(!line.fields.is_empty());
        }
        let _ = gunzip(&body, 1000);
    }
}
