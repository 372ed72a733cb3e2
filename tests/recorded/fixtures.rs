//! The recordings in `tests/fixtures`, read.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::Value;

/// The recording.
pub(crate) static CORE: LazyLock<Arc<Recording>> = LazyLock::new(|| {
    let text = include_str!("../fixtures/influxdb3-core.json");
    Arc::new(serde_json::from_str(text).expect("a valid recording"))
});

/// The same of an InfluxDB 2.
pub(crate) static INFLUXDB2: LazyLock<Arc<Recording>> = LazyLock::new(|| {
    let text = include_str!("../fixtures/influxdb2.json");
    Arc::new(serde_json::from_str(text).expect("a valid recording"))
});

#[derive(Debug, Deserialize)]
pub(crate) struct Recording {
    pub(crate) http: Vec<Exchange>,
    #[serde(default)]
    pub(crate) flight: Vec<Flight>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Exchange {
    pub(crate) group: String,
    pub(crate) request: Asked,
    pub(crate) response: Answered,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) params: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    body: Option<String>,
    body_base64: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    body: Option<String>,
    body_base64: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Flight {
    pub(crate) ticket: Ticket,
    #[serde(default)]
    messages_base64: Vec<String>,
    /// Instead of messages: what gRPC said.
    pub(crate) status: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Ticket {
    pub(crate) database: String,
    pub(crate) sql_query: String,
    pub(crate) query_type: String,
    #[serde(default)]
    pub(crate) params: Option<Value>,
}

impl Recording {
    /// Whether it was recorded with tokens, so that they matter.
    pub(crate) fn has_tokens(&self) -> bool {
        self.http.iter().any(|exchange| exchange.request.headers.contains_key("Authorization"))
    }

    /// All exchanges of a group.
    pub(crate) fn group(&self, name: &str) -> impl Iterator<Item = &Exchange> {
        self.http.iter().filter(move |exchange| exchange.group == name)
    }

    /// 3 Core's own `/query` answer to a query.
    pub(crate) fn v1(&self, q: &str) -> Option<&Answered> {
        self.group("query v1").find(|exchange| exchange.request.params["q"] == q).map(|exchange| &exchange.response)
    }
}

impl Asked {
    pub(crate) fn body(&self) -> Vec<u8> {
        bytes(self.body.as_deref(), self.body_base64.as_deref())
    }

    /// The body of a query, as JSON.
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body()).ok()
    }
}

impl Answered {
    pub(crate) fn body(&self) -> Vec<u8> {
        bytes(self.body.as_deref(), self.body_base64.as_deref())
    }
}

impl Flight {
    /// The messages as they came.
    pub(crate) fn messages(&self) -> impl Iterator<Item = Vec<u8>> {
        self.messages_base64.iter().map(|message| BASE64_STANDARD.decode(message).expect("base64"))
    }

    /// gRPC's code and words, when it was a failure.
    pub(crate) fn failure(&self) -> Option<(u32, &str)> {
        let status = self.status.as_ref()?;
        let code = match status["code"].as_str().expect("a code") {
            "INVALID_ARGUMENT" => 3,
            "INTERNAL" => 13,
            other => panic!("{other} has no number here"),
        };
        Some((code, status["details"].as_str().expect("details")))
    }

    /// The messages as an Arrow IPC stream: each message's flatbuffer header and body with the framing that Flight leaves out
    /// (<https://arrow.apache.org/docs/format/Columnar.html#encapsulated-message-format>).
    pub(crate) fn ipc_stream(&self) -> Vec<u8> {
        let mut stream = Vec::new();
        for message in self.messages() {
            let (header, body) = flight_data(&message);
            let padded = header.len().next_multiple_of(8);
            stream.extend_from_slice(&u32::MAX.to_le_bytes());
            stream.extend_from_slice(&u32::try_from(padded).expect("short").to_le_bytes());
            stream.extend_from_slice(&header);
            stream.resize(stream.len() + padded - header.len(), 0);
            stream.extend_from_slice(&body);
            assert_eq!(body.len() % 8, 0, "bodies are padded");
        }
        stream.extend_from_slice(&u32::MAX.to_le_bytes());
        stream.extend_from_slice(&0_u32.to_le_bytes());
        stream
    }
}

/// `data_header` (2) and `data_body` (1000) of a protobuf `FlightData`.
fn flight_data(mut message: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut header, mut body) = (Vec::new(), Vec::new());
    while !message.is_empty() {
        let key = varint(&mut message);
        assert_eq!(key & 7, 2, "all fields of FlightData are length-delimited");
        let len = usize::try_from(varint(&mut message)).expect("short");
        let (value, rest) = message.split_at(len);
        message = rest;
        match key >> 3 {
            2 => header = value.to_vec(),
            1000 => body = value.to_vec(),
            1 | 3 => {}
            other => panic!("no field {other} in FlightData"),
        }
    }
    (header, body)
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (byte, rest) = bytes.split_first().expect("more bytes");
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

fn bytes(text: Option<&str>, base64: Option<&str>) -> Vec<u8> {
    match (text, base64) {
        (_, Some(base64)) => BASE64_STANDARD.decode(base64).expect("base64"),
        (Some(text), None) => text.as_bytes().to_vec(),
        (None, None) => Vec::new(),
    }
}
