//! Bytes that InfluxDB 1.6.7 wrote, for the same rows; and replies that break off.

use std::num::NonZeroUsize;

use futures_util::FutureExt;
use http_body_util::StreamBody;

use super::*;
use crate::{
    body::Body,
    call::{Format, Output},
    native::ReplyFormat,
    types::{BoxError, Precision},
};

/// What a statement is answered with.
struct Case {
    lines: &'static str,
    tags: &'static [&'static str],
    columns: &'static [&'static str],
}

/// `SELECT usage, note FROM cpu GROUP BY host`
const BY_HOST: Case = Case {
    lines: r#"{"iox::measurement":"cpu","time":"2023-11-14T22:13:20","host":"a","usage":1.5,"note":"fi<r>s&t \"q\" \\ é \n tab\tx"}
{"iox::measurement":"cpu","time":"2023-11-14T22:14:20.123456789","host":"a","usage":1e-7}
{"iox::measurement":"cpu","time":"1969-12-31T23:59:59.999999999","host":"b","usage":0.000001}
{"iox::measurement":"cpu","time":"2023-11-14T22:13:21","host":"b","usage":1e21}
{"iox::measurement":"cpu","time":"2023-11-14T22:14:21.1","host":"b","usage":100000000000000000000.0,"note":"a,b"}
{"iox::measurement":"cpu","time":"2023-11-14T22:14:22","host":"b","usage":123456789.125}
"#,
    tags: &["host"],
    columns: &["time", "usage", "note"],
};

/// `SELECT used FROM mem`
const MEM: Case = Case {
    lines: "{\"iox::measurement\":\"mem\",\"time\":\"2023-11-14T22:13:20\",\"used\":10}\n{\"iox::measurement\":\"mem\",\"time\":\"2023-11-14T22:14:20\",\"used\":20}\n",
    tags: &[],
    columns: &["time", "used"],
};

/// `SHOW DATABASES`
const DATABASES: Case = Case { lines: "{\"iox::measurement\":\"databases\",\"name\":\"g\"}\n", tags: &[], columns: &["name"] };

/// `SELECT x FROM nosuch`
const NOTHING: Case = Case { lines: "", tags: &[], columns: &["time", "x"] };

impl Case {
    fn columns(&self) -> Columns {
        let boxed = |names: &[&str]| names.iter().map(|&name| name.into()).collect();
        Columns { tags: boxed(self.tags), columns: boxed(self.columns), has_time: self.columns.first() == Some(&"time") }
    }

    fn reply(&self) -> Reply {
        Reply::new(ReplyFormat::Jsonl, Body::from(self.lines), Some(self.columns()), true, 1 << 30).unwrap()
    }
}

/// Writes one result.
fn pump(writer: &mut Writer, reply: &mut Reply, out: &mut Vec<u8>) {
    loop {
        match reply.next().now_or_never().expect("nothing to wait for") {
            Ok(Some(event)) => {
                let Some(batch) = writer.describe(event) else { continue };
                let mut row = 0;
                while row < batch.len {
                    row = writer.rows(&batch, row);
                    if let Some(failure) = writer.failure() {
                        return writer.end(Some(&failure));
                    }
                    while let Some(bytes) = writer.take(false) {
                        out.extend_from_slice(&bytes);
                    }
                }
            }
            Ok(None) => return writer.end(None),
            Err(error) => return writer.end(Some(error.message())),
        }
    }
}

fn encode(output: Output, cases: &[Result<&Case, &str>]) -> Vec<u8> {
    let mut writer = Writer::new(output, 1 << 20);
    let mut out = Vec::new();
    for (id, case) in cases.iter().enumerate() {
        writer.begin(id, Answer::default());
        match case {
            Ok(case) => pump(&mut writer, &mut case.reply(), &mut out),
            Err(error) => writer.end(Some(error)),
        }
    }
    writer.finish();
    while let Some(bytes) = writer.take(true) {
        out.extend_from_slice(&bytes);
    }
    out
}

fn text(output: Output, cases: &[Result<&Case, &str>]) -> String {
    String::from_utf8(encode(output, cases)).unwrap()
}

#[track_caller]
fn assert_same(got: &str, want: &str) {
    assert!(got == want, "\n got {got}\nwant {want}");
}

fn chunked(rows: usize) -> Option<NonZeroUsize> {
    NonZeroUsize::new(rows)
}

#[test]
fn json() {
    assert_same(
        &text(Output::default(), &[Ok(&BY_HOST), Ok(&NOTHING), Ok(&DATABASES)]),
        concat!(
            r#"{"results":[{"statement_id":0,"series":[{"name":"cpu","tags":{"host":"a"},"columns":["time","usage","note"],"values":[["2023-11-14T22:13:20Z",1.5,"fi\u003cr\u003es\u0026t \"q\" \\ é \n tab\tx"],["2023-11-14T22:14:20.123456789Z",1e-7,null]]},"#,
            r#"{"name":"cpu","tags":{"host":"b"},"columns":["time","usage","note"],"values":[["1969-12-31T23:59:59.999999999Z",0.000001,null],["2023-11-14T22:13:21Z",1e+21,null],["2023-11-14T22:14:21.1Z",100000000000000000000,"a,b"],["2023-11-14T22:14:22Z",123456789.125,null]]}]},"#,
            r#"{"statement_id":1},{"statement_id":2,"series":[{"name":"databases","columns":["name"],"values":[["g"]]}]}]}"#,
            "\n"
        ),
    );
}

#[test]
fn pretty_json() {
    let pretty = Output { pretty: true, ..Output::default() };
    assert_same(&text(pretty, &[Ok(&BY_HOST), Ok(&NOTHING), Ok(&DATABASES)]), include_str!("testdata/pretty.json"));
}

#[test]
fn epochs() {
    let epoch = |unit| Output { epoch: Some(unit), ..Output::default() };
    for (unit, times) in [
        (Precision::Nanosecond, ["1700000000000000000", "1700000060000000000"]),
        (Precision::Microsecond, ["1700000000000000", "1700000060000000"]),
        (Precision::Millisecond, ["1700000000000", "1700000060000"]),
        (Precision::Second, ["1700000000", "1700000060"]),
        (Precision::Minute, ["28333333", "28333334"]),
        (Precision::Hour, ["472222", "472222"]),
    ] {
        assert_same(
            &text(epoch(unit), &[Ok(&MEM)]),
            &format!(
                "{{\"results\":[{{\"statement_id\":0,\"series\":[{{\"name\":\"mem\",\"columns\":[\"time\",\"used\"],\"values\":[[{},10],[{},20]]}}]}}]}}\n",
                times[0], times[1]
            ),
        );
    }
}

#[test]
fn csv() {
    let csv = Output { format: Format::Csv, ..Output::default() };
    assert_same(
        &text(csv, &[Ok(&BY_HOST), Ok(&MEM), Ok(&NOTHING), Ok(&DATABASES)]),
        concat!(
            "name,tags,time,usage,note\n",
            "cpu,host=a,1700000000000000000,1.5,\"fi<r>s&t \"\"q\"\" \\ é \n tab\tx\"\n",
            "cpu,host=a,1700000060123456789,0.0000001,\n",
            "cpu,host=b,-1,0.000001,\n",
            "cpu,host=b,1700000001000000000,1000000000000000000000,\n",
            "cpu,host=b,1700000061100000000,100000000000000000000,\"a,b\"\n",
            "cpu,host=b,1700000062000000000,123456789.125,\n",
            "\nname,tags,time,used\nmem,,1700000000000000000,10\nmem,,1700000060000000000,20\n",
            "\nname,tags,name\ndatabases,,g\n",
        ),
    );
    // Ours: 1.x says nothing at all.
    assert_same(
        &text(csv, &[Ok(&DATABASES), Err("no, \"really\"")]),
        "name,tags,name\ndatabases,,g\n\nerror\n\"no, \"\"really\"\"\"\n",
    );
}

#[test]
fn csv_quotes_and_escapes() {
    let odd = Case {
        lines: "{\"iox::measurement\":\"odd name\",\"time\":\"2023-11-14T22:13:20\",\"tag key\":\"va,lue\",\"a\":\" x\",\"b\":\"\\\\.\",\"c\":\"f\\rg\"}\n",
        tags: &["tag key"],
        columns: &["time", "a", "b", "c"],
    };
    let csv = Output { format: Format::Csv, epoch: Some(Precision::Second), ..Output::default() };
    assert_same(
        &text(csv, &[Ok(&odd)]),
        "name,tags,time,a,b,c\nodd name,\"tag\\ key=va\\,lue\",1700000000,\" x\",\"\\.\",\"f\rg\"\n",
    );
}

#[test]
fn chunks() {
    let output = Output { chunk: chunked(2), epoch: Some(Precision::Second), ..Output::default() };
    assert_same(
        &text(output, &[Ok(&BY_HOST), Ok(&MEM), Ok(&NOTHING), Err("undefined function foo()"), Err("not executed")]),
        concat!(
            r#"{"results":[{"statement_id":0,"series":[{"name":"cpu","tags":{"host":"a"},"columns":["time","usage","note"],"values":[[1700000000,1.5,"fi\u003cr\u003es\u0026t \"q\" \\ é \n tab\tx"],[1700000060,1e-7,null]]}],"partial":true}]}"#,
            "\n",
            r#"{"results":[{"statement_id":0,"series":[{"name":"cpu","tags":{"host":"b"},"columns":["time","usage","note"],"values":[[0,0.000001,null],[1700000001,1e+21,null]],"partial":true}],"partial":true}]}"#,
            "\n",
            r#"{"results":[{"statement_id":0,"series":[{"name":"cpu","tags":{"host":"b"},"columns":["time","usage","note"],"values":[[1700000061,100000000000000000000,"a,b"],[1700000062,123456789.125,null]]}]}]}"#,
            "\n",
            r#"{"results":[{"statement_id":1,"series":[{"name":"mem","columns":["time","used"],"values":[[1700000000,10],[1700000060,20]]}]}]}"#,
            "\n",
            r#"{"results":[{"statement_id":2}]}"#,
            "\n",
            r#"{"results":[{"statement_id":3,"error":"undefined function foo()"}]}"#,
            "\n",
            r#"{"results":[{"statement_id":4,"error":"not executed"}]}"#,
            "\n",
        ),
    );
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn message_pack() {
    let pack = Output { format: Format::MsgPack, ..Output::default() };
    // SELECT used FROM cpu, mem GROUP BY host; …; a statement without rows; one that failed
    let grouped = Case {
        lines: "{\"iox::measurement\":\"cpu\",\"time\":\"2023-11-14T22:13:20\",\"host\":\"c\",\"used\":5}\n{\"iox::measurement\":\"mem\",\"time\":\"2023-11-14T22:13:20\",\"host\":\"a\",\"used\":10}\n{\"iox::measurement\":\"mem\",\"time\":\"2023-11-14T22:14:20\",\"host\":\"a\",\"used\":20}\n",
        tags: &["host"],
        columns: &["time", "used"],
    };
    let typed = Case {
        lines: r#"{"iox::measurement":"cpu","time":"1969-12-31T23:59:59.999999999","usage":0.000001,"host":"b"}
{"iox::measurement":"cpu","time":"2023-11-14T22:13:20","usage":1.5,"count":2,"up":true,"host":"a","note":"fi<r>s&t \"q\" \\ é \n tab\tx"}
"#,
        tags: &[],
        columns: &["time", "usage", "count", "up", "host", "note"],
    };
    assert_eq!(
        encode(pack, &[Ok(&grouped), Ok(&typed), Ok(&NOTHING), Err("undefined function foo()")]),
        hex("81a7 7265 7375 6c74 7394 82ac 7374 6174 656d 656e 745f 6964 00a6 7365 7269 6573 9284 a46e 616d 65a3 6370 75a4 7461 6773
             81a4 686f 7374 a163 a763 6f6c 756d 6e73 92a4 7469 6d65 a475 7365 64a6 7661 6c75 6573 9192 c70c 0500 0000 0065 53f1 0000
             0000 0005 84a4 6e61 6d65 a36d 656d a474 6167 7381 a468 6f73 74a1 61a7 636f 6c75 6d6e 7392 a474 696d 65a4 7573 6564 a676
             616c 7565 7392 92c7 0c05 0000 0000 6553 f100 0000 0000 0a92 c70c 0500 0000 0065 53f1 3c00 0000 0014 82ac 7374 6174 656d
             656e 745f 6964 01a6 7365 7269 6573 9183 a46e 616d 65a3 6370 75a7 636f 6c75 6d6e 7396 a474 696d 65a5 7573 6167 65a5 636f
             756e 74a2 7570 a468 6f73 74a4 6e6f 7465 a676 616c 7565 7392 96c7 0c05 ffff ffff ffff ffff 3b9a c9ff cb3e b0c6 f7a0 b5ed
             8dc0 c0a1 62c0 96c7 0c05 0000 0000 6553 f100 0000 0000 cb3f f800 0000 0000 0002 c3a1 61b9 6669 3c72 3e73 2674 2022 7122
             205c 20c3 a920 0a20 7461 6209 7882 ac73 7461 7465 6d65 6e74 5f69 6402 a673 6572 6965 7390 81a5 6572 726f 72b8 756e 6465
             6669 6e65 6420 6675 6e63 7469 6f6e 2066 6f6f 2829")
    );
}

#[test]
fn message_pack_in_chunks() {
    let output = Output { format: Format::MsgPack, chunk: chunked(1), ..Output::default() };
    let usage = Case {
        lines: "{\"iox::measurement\":\"cpu\",\"time\":\"1969-12-31T23:59:59.999999999\",\"usage\":0.000001}\n{\"iox::measurement\":\"cpu\",\"time\":\"2023-11-14T22:13:20\",\"usage\":1.5}\n",
        tags: &[],
        columns: &["time", "usage"],
    };
    assert_eq!(
        encode(output, &[Ok(&usage)]),
        hex("81a7 7265 7375 6c74 7391 83ac 7374 6174 656d 656e 745f 6964 00a6 7365 7269 6573 9184 a46e 616d 65a3 6370 75a7 636f 6c75
             6d6e 7392 a474 696d 65a5 7573 6167 65a6 7661 6c75 6573 9192 c70c 05ff ffff ffff ffff ff3b 9ac9 ffcb 3eb0 c6f7 a0b5 ed8d
             a770 6172 7469 616c c3a7 7061 7274 6961 6cc3 81a7 7265 7375 6c74 7391 82ac 7374 6174 656d 656e 745f 6964 00a6 7365 7269
             6573 9183 a46e 616d 65a3 6370 75a7 636f 6c75 6d6e 7392 a474 696d 65a5 7573 6167 65a6 7661 6c75 6573 9192 c70c 0500 0000
             0065 53f1 0000 0000 00cb 3ff8 0000 0000 0000")
    );
}

#[test]
fn message_pack_integers() {
    let integers = Case {
        lines: "{\"iox::measurement\":\"ints\",\"time\":\"1970-01-01T00:00:00\",\"a\":300,\"b\":70000,\"c\":-33,\"d\":-200,\"e\":-40000,\"f\":10000000000,\"g\":-10000000000,\"h\":127,\"i\":128,\"j\":-32,\"k\":-128,\"l\":32767,\"m\":32768,\"n\":2147483648}\n",
        tags: &[],
        columns: &["time", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n"],
    };
    let got = encode(Output { format: Format::MsgPack, ..Output::default() }, &[Ok(&integers)]);
    let want = hex(
        "9fc7 0c05 0000 0000 0000 0000 0000 0000 d101 2cd2 0001 1170 d0df d1ff 38d2 ffff 63c0 d300 0000 0254 0be4 00d3 ffff fffd
                    abf4 1c00 7fd1 0080 e0d0 80d1 7fff d200 0080 00d3 0000 0000 8000 0000",
    );
    assert!(got.ends_with(&want), "{got:x?}");
}

#[test]
fn message_pack_that_grows_too_large_says_so() {
    let mut writer = Writer::new(Output { format: Format::MsgPack, ..Output::default() }, 100_000);
    writer.begin(0, Answer::default());
    let lines = MEM.lines.repeat(20_000);
    let mut reply = Reply::new(ReplyFormat::Jsonl, Body::from(lines), Some(MEM.columns()), true, 1 << 30).unwrap();
    let mut out = Vec::new();
    pump(&mut writer, &mut reply, &mut out);
    writer.finish();
    while let Some(bytes) = writer.take(true) {
        out.extend_from_slice(&bytes);
    }
    let tail = String::from_utf8_lossy(&out[out.len() - 120..]).into_owned();
    assert!(tail.contains("chunked=true"), "{tail}");
    // Still a map of three, with what was read.
    assert_eq!(out[..11], *b"\x81\xa7results\x91\x83");
}

#[test]
fn integers_keep_all_their_digits() {
    let case = Case {
        lines: "{\"iox::measurement\":\"m\",\"time\":\"2023-11-14T22:13:20\",\"u\":18446744073709551615,\"i\":-9223372036854775808,\"f\":9007199254740993.0}\n",
        tags: &[],
        columns: &["time", "u", "i", "f"],
    };
    let got = text(Output::default(), &[Ok(&case)]);
    assert!(got.contains("18446744073709551615,-9223372036854775808,9007199254740992]"), "{got}");
}

#[test]
fn infinity_ends_a_result_and_not_the_document() {
    let case = Case {
        lines: "{\"iox::measurement\":\"m\",\"time\":\"2023-11-14T22:13:20\",\"f\":1.0}\n{\"iox::measurement\":\"m\",\"time\":\"2023-11-14T22:13:21\",\"f\":1e999}\n",
        tags: &[],
        columns: &["time", "f"],
    };
    let got = text(Output { epoch: Some(Precision::Second), ..Output::default() }, &[Ok(&case)]);
    assert_same(
        &got,
        "{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"m\",\"columns\":[\"time\",\"f\"],\"values\":[[1700000000,1]]}],\"error\":\"json: unsupported value: +Inf\"}]}\n",
    );
}

/// A reply that breaks off after so many bytes.
fn broken(bytes: &'static [u8]) -> Body {
    let frames = [Ok(http_body::Frame::data(bytes::Bytes::from_static(bytes))), Err(BoxError::from("reset"))];
    Body::new(StreamBody::new(futures_util::stream::iter(frames)))
}

#[test]
fn wherever_a_reply_breaks_off_the_document_is_valid_and_says_so() {
    let mut told = 0;
    for cut in 0..BY_HOST.lines.len() {
        for pretty in [false, true] {
            let mut writer = Writer::new(Output { pretty, ..Output::default() }, 1 << 20);
            writer.begin(0, Answer::default());
            let body = broken(&BY_HOST.lines.as_bytes()[..cut]);
            let mut reply = Reply::new(ReplyFormat::Jsonl, body, Some(BY_HOST.columns()), true, 1 << 30).unwrap();
            let mut out = Vec::new();
            pump(&mut writer, &mut reply, &mut out);
            writer.finish();
            while let Some(bytes) = writer.take(true) {
                out.extend_from_slice(&bytes);
            }
            let document: serde_json::Value = serde_json::from_slice(&out).unwrap();
            assert!(document["results"][0]["error"].is_string(), "{document}");
            told += usize::from(document["results"][0]["series"].is_array());
        }
    }
    assert!(told > 0, "rows that were there are kept");
}

#[test]
fn rows_that_make_no_sense_are_an_error() {
    for line in ["{\"time\":1", "[]", "{\"iox::measurement\":\"m\",\"time\":\"yesterday\"}", "{} {}"] {
        let mut reply = Reply::new(ReplyFormat::Jsonl, Body::from(line), Some(MEM.columns()), true, 1 << 30).unwrap();
        assert!(reply.next().now_or_never().unwrap().is_ok(), "the header");
        assert!(reply.next().now_or_never().unwrap().is_err(), "{line}");
    }
}

#[test]
fn v1_json_is_read_and_written_again() {
    // As v2 answers in chunks, with `epoch=ns`.
    let documents = concat!(
        r#"{"results":[{"statement_id":0,"series":[{"name":"cpu","tags":{"host":"a"},"columns":["time","u"],"values":[[1700000000000000000,1.5],[1700000001000000000,null]],"partial":true}],"partial":true}]}"#,
        "\n",
        r#"{"results":[{"statement_id":0,"series":[{"name":"cpu","tags":{"host":"a"},"columns":["time","u"],"values":[[1700000002000000000,3]]}],"error":"timeout"}]}"#,
        "\n"
    );
    let mut writer = Writer::new(Output { format: Format::Csv, ..Output::default() }, 1 << 20);
    writer.begin(0, Answer::default());
    let mut reply = Reply::new(ReplyFormat::V1Json, Body::from(documents), None, true, 1 << 30).unwrap();
    let mut out = Vec::new();
    pump(&mut writer, &mut reply, &mut out);
    writer.finish();
    while let Some(bytes) = writer.take(true) {
        out.extend_from_slice(&bytes);
    }
    assert_same(
        std::str::from_utf8(&out).unwrap(),
        "name,tags,time,u\ncpu,host=a,1700000000000000000,1.5\ncpu,host=a,1700000001000000000,\ncpu,host=a,1700000002000000000,3\n\nerror\ntimeout\n",
    );
}

#[test]
fn slimit_and_soffset_count_series_of_each_measurement() {
    let lines = ["m,a", "m,b", "m,c", "n,a", "n,b"].map(|series| {
        let (name, host) = series.split_once(',').unwrap();
        format!("{{\"iox::measurement\":\"{name}\",\"time\":\"1970-01-01T00:00:00\",\"host\":\"{host}\",\"f\":1.0}}\n").repeat(3)
    });
    for (soffset, slimit, want) in
        [(0, 0, "ma mb mc na nb"), (1, 0, "mb mc nb"), (0, 1, "ma na"), (1, 1, "mb nb"), (2, 5, "mc"), (9, 1, "")]
    {
        for chunk in [None, chunked(2)] {
            let mut writer = Writer::new(Output { chunk, ..Output::default() }, 1 << 20);
            writer.begin(0, Answer { soffset, slimit, ..Answer::default() });
            let columns = Columns { tags: vec!["host".into()], columns: vec!["time".into(), "f".into()], has_time: true };
            let mut reply = Reply::new(ReplyFormat::Jsonl, Body::from(lines.concat()), Some(columns), true, 1 << 30).unwrap();
            let mut out = Vec::new();
            pump(&mut writer, &mut reply, &mut out);
            writer.finish();
            while let Some(bytes) = writer.take(true) {
                out.extend_from_slice(&bytes);
            }
            let mut found = Vec::new();
            for document in serde_json::Deserializer::from_slice(&out).into_iter::<serde_json::Value>() {
                let document = document.unwrap();
                for series in document["results"][0]["series"].as_array().into_iter().flatten() {
                    let name = format!("{}{}", series["name"].as_str().unwrap(), series["tags"]["host"].as_str().unwrap());
                    if found.last() != Some(&name) {
                        found.push(name);
                    }
                }
            }
            assert_eq!(found.join(" "), want, "{soffset} {slimit} {chunk:?}");
        }
    }
}
