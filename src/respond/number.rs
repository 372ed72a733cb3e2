//! Numbers as Go prints them, which is how 1.x does.

use bytes::BytesMut;

/// An integer in decimal.
pub(crate) fn integer(out: &mut BytesMut, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// A finite float as Go's `encoding/json` prints it: the shortest digits that read back as the same, with an exponent below 1e-6 and from
/// 1e21 on (`1e-7`, `1e+21`).
pub(crate) fn json_float(out: &mut BytesMut, value: f64) {
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        exponent(out, value);
    } else {
        decimal(out, value);
    }
}

/// A float as 1.x's CSV has it, `strconv.FormatFloat(v, 'f', -1, 64)`: never an exponent.
pub(crate) fn csv_float(out: &mut BytesMut, value: f64) {
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    } else {
        decimal(out, value);
    }
}

fn decimal(out: &mut BytesMut, value: f64) {
    // Whole numbers are common (counters, percentages), and integers print several times faster.
    #[expect(clippy::cast_possible_truncation, clippy::float_cmp, reason = "compared after the cast, which saturates")]
    if value.abs() < 1e15 && value as i64 as f64 == value && !(value == 0.0 && value.is_sign_negative()) {
        return integer(out, value as i64);
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    if text.bytes().any(|byte| byte == b'e') {
        return print(out, format_args!("{value}"));
    }
    out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
}

fn exponent(out: &mut BytesMut, value: f64) {
    let sign = if value.abs() < 1.0 { "" } else { "+" };
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((digits, exponent)) => print(out, format_args!("{digits}e{sign}{exponent}")),
        None => out.extend_from_slice(text.as_bytes()),
    }
}

fn print(out: &mut BytesMut, text: std::fmt::Arguments<'_>) {
    // Writing to a growing buffer can't fail.
    _ = std::fmt::Write::write_fmt(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(print: fn(&mut BytesMut, f64), value: f64) -> String {
        let mut out = BytesMut::new();
        print(&mut out, value);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn floats_as_go_prints_them() {
        // Each line asked of InfluxDB 1.6.7: value, JSON, CSV.
        for (value, json, csv) in [
            (0.000_001, "0.000001", "0.000001"),
            (1e-7, "1e-7", "0.0000001"),
            (1.5, "1.5", "1.5"),
            (10.0, "10", "10"),
            (1e20, "100000000000000000000", "100000000000000000000"),
            (1e21, "1e+21", "1000000000000000000000"),
            (123_456_789.125, "123456789.125", "123456789.125"),
            (183_333_333_333_353_920_000.0, "183333333333353920000", "183333333333353920000"),
            (1.100_000_000_000_123_5e21, "1.1000000000001235e+21", "1100000000000123500000"),
            (5.166_666_666_666_667, "5.166666666666667", "5.166666666666667"),
        ] {
            assert_eq!(show(json_float, value), json);
            assert_eq!(show(csv_float, value), csv);
            assert_eq!(show(json_float, -value), format!("-{json}"));
        }
        // And from Go's documentation of both.
        assert_eq!(show(json_float, 0.0), "0");
        assert_eq!(show(json_float, -0.0), "-0");
        assert_eq!(show(json_float, 1.234e-10), "1.234e-10");
        assert_eq!(show(json_float, 5e-324), "5e-324");
        assert_eq!(show(json_float, f64::MAX), "1.7976931348623157e+308");
        assert_eq!(show(json_float, 9_007_199_254_740_993.0), "9007199254740992");
        assert_eq!(show(csv_float, f64::NAN), "NaN");
        assert_eq!(show(csv_float, f64::NEG_INFINITY), "-Inf");
    }

    proptest::proptest! {
        #[test]
        fn what_is_printed_reads_back(bits: u64) {
            let value = f64::from_bits(bits);
            if value.is_finite() {
                proptest::prop_assert_eq!(show(json_float, value).parse::<f64>().unwrap().to_bits(), bits);
                proptest::prop_assert_eq!(show(csv_float, value).parse::<f64>().unwrap().to_bits(), bits);
            }
        }
    }
}
