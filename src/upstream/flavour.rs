//! Which server is it? Told from `/ping` and `/health`, and held against what the configuration expects of it.
//!
//! Nothing depends on it but a line in the log: a server behind a gateway may hide what it is, and guessing must not change what is done.

use std::{fmt, time::Duration};

use http::HeaderMap;
use serde::Deserialize;

use super::Upstream;
use crate::{error::Error, native::Api};

/// As much of an answer as is read.
const ENOUGH: usize = 16 << 10;
/// Until somebody who does not answer is asked again.
const AGAIN: Duration = Duration::from_secs(30);

/// Servers that speak a native API.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Flavour {
    /// InfluxDB 1.x, or somebody who says so.
    V1,
    /// InfluxDB 2.x.
    V2,
    /// InfluxDB 3 Core.
    Core,
    /// InfluxDB 3 Enterprise.
    Enterprise,
    /// Cloud Serverless, Dedicated, Clustered.
    Cloud,
    /// VictoriaMetrics.
    VictoriaMetrics,
    /// Somebody else.
    Unknown,
}

/// What a server can do of what is asked of it here.
struct Capabilities {
    name: &'static str,
    /// Line protocol at v2's path.
    v2_write: bool,
    /// InfluxQL at v2's path, `/query`.
    v2_query: bool,
    v3: bool,
}

impl Flavour {
    const fn capabilities(self) -> Capabilities {
        let (name, v2_write, v2_query, v3) = match self {
            Self::V1 => ("InfluxDB 1.x", true, true, false),
            Self::V2 => ("InfluxDB 2.x", true, true, false),
            Self::Core => ("InfluxDB 3 Core", true, true, true),
            Self::Enterprise => ("InfluxDB 3 Enterprise", true, true, true),
            Self::Cloud => ("InfluxDB Cloud, Dedicated or Clustered", true, true, true),
            Self::VictoriaMetrics => ("VictoriaMetrics", true, false, false),
            Self::Unknown => ("a server of no kind that is known", true, true, true),
        };
        Capabilities { name, v2_write, v2_query, v3 }
    }
}

/// An answer of a server, as far as it tells what it is.
#[derive(Debug, Default)]
struct Told {
    version: String,
    build: String,
    body: String,
    /// It tells its host's name, as VictoriaMetrics does.
    host: bool,
}

impl Told {
    fn new(headers: &HeaderMap, body: &[u8]) -> Self {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let body = String::from_utf8_lossy(body).into_owned();
        Self {
            version: header("x-influxdb-version"),
            build: header("x-influxdb-build"),
            body,
            host: headers.contains_key("x-server-hostname"),
        }
    }
}

#[derive(Default, Deserialize)]
struct Document {
    #[serde(default)]
    version: String,
}

/// Flavour and version by the answers to `/ping` and `/health`.
fn detect(ping: &Told, health: &Told) -> (Flavour, String) {
    let said = |told: &Told| serde_json::from_str::<Document>(&told.body).unwrap_or_default().version;
    let version =
        [ping.version.clone(), said(ping), said(health)].into_iter().find(|version| !version.is_empty()).unwrap_or_default();
    let number = version.trim_start_matches('v');
    let flavour = match (ping.build.as_str(), number.split('.').next().unwrap_or_default()) {
        ("Core", _) => Flavour::Core,
        ("Enterprise", _) => Flavour::Enterprise,
        ("cloud2", _) => Flavour::Cloud,
        (_, "2") => Flavour::V2,
        (_, "3") => Flavour::Core,
        // It says 1.8 to please clients; 1.8 itself says JSON.
        (_, "" | "1") if health.body.trim() == "OK" && (number.starts_with('1') || ping.host) => Flavour::VictoriaMetrics,
        (_, "1") => Flavour::V1,
        _ => Flavour::Unknown,
    };
    (flavour, number.to_owned())
}

/// What is wrong with expecting `api` of it, if something is. `has_v3`: whether v3's paths are there, where somebody has looked.
fn mismatch(flavour: Flavour, api: Api, has_v3: Option<bool>) -> Option<&'static str> {
    let can = flavour.capabilities();
    match api {
        Api::V3 if !can.v3 && has_v3 != Some(true) => Some("it has no v3 API: set upstream.api = \"v2\""),
        Api::V2 if !can.v2_write => Some("it has no v2 API: set upstream.api = \"v3\""),
        Api::V2 if matches!(flavour, Flavour::Core | Flavour::Enterprise) => {
            Some("its v2 API is for compatibility only (a partial write is a 500 there): set upstream.api = \"v3\"")
        }
        Api::V2 if !can.v2_query => Some("it takes writes, but no InfluxQL: queries will fail"),
        _ => None,
    }
}

impl Upstream {
    /// Finds out which server it is, asking until somebody answers, and logs it, with a warning when that isn't what was configured.
    pub async fn introduce(self) {
        let mut first = true;
        loop {
            match self.look().await {
                Ok((flavour, version)) => {
                    let name = flavour.capabilities().name;
                    // Those who say to be 1.x may be more than that: a shim on its store does.
                    let has_v3 = match (flavour, self.api()) {
                        (Flavour::V1, Api::V3) => self
                            .ask(crate::native::V3_CONFIGURE_DATABASE, ENOUGH)
                            .await
                            .ok()
                            .map(|(head, _)| head.status != http::StatusCode::NOT_FOUND),
                        _ => None,
                    };
                    match mismatch(flavour, self.api(), has_v3) {
                        Some(problem) => tracing::warn!(%version, "the upstream is {name}: {problem}"),
                        None => tracing::info!(%version, "the upstream is {name}"),
                    }
                    return;
                }
                // Said once: whoever writes meanwhile is told each time.
                Err(error) if first => tracing::warn!(%error, "the upstream can't be asked what it is"),
                Err(_) => {}
            }
            first = false;
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn look(&self) -> Result<(Flavour, String), Error> {
        let (head, body) = self.ask("/ping", ENOUGH).await?;
        let ping = Told::new(&head.headers, &body);
        let health = match self.ask("/health", ENOUGH).await {
            Ok((head, body)) => Told::new(&head.headers, &body),
            Err(_) => Told::default(),
        };
        Ok(detect(&ping, &health))
    }
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.capabilities().name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(version: &str, build: &str, body: &str) -> Told {
        Told { version: version.into(), build: build.into(), body: body.into(), host: false }
    }

    #[test]
    fn servers_are_told_apart() {
        let none = || told("", "", "");
        let core = r#"{"product_name":"InfluxDB 3 Core","version":"3.10.0-nightly","revision":"d783411","process_id":"0a"}"#;
        for (ping, health, flavour, version) in [
            // As recorded.
            (told("3.10.0-nightly", "Core", core), told("", "", "OK"), Flavour::Core, "3.10.0-nightly"),
            (told("3.2.1", "Enterprise", ""), none(), Flavour::Enterprise, "3.2.1"),
            // Behind a gateway that lets no header through.
            (told("", "", core), told("", "", "OK"), Flavour::Core, "3.10.0-nightly"),
            (told("v2.7.6", "OSS", ""), told("v2.7.6", "OSS", r#"{"name":"influxdb","version":"v2.7.6"}"#), Flavour::V2, "2.7.6"),
            (none(), told("", "", r#"{"name":"influxdb","status":"pass","version":"2.6.1"}"#), Flavour::V2, "2.6.1"),
            (told("", "cloud2", ""), none(), Flavour::Cloud, ""),
            (told("1.6.7~rc0", "OSS", ""), none(), Flavour::V1, "1.6.7~rc0"),
            (told("1.8.10", "OSS", ""), told("", "", r#"{"name":"influxdb","version":"1.8.10"}"#), Flavour::V1, "1.8.10"),
            (told("1.8.0", "", ""), told("", "", "OK"), Flavour::VictoriaMetrics, "1.8.0"),
            (Told { host: true, ..none() }, told("", "", "OK"), Flavour::VictoriaMetrics, ""),
            (told("", "", "<html>"), told("", "", "[1]"), Flavour::Unknown, ""),
        ] {
            assert_eq!(detect(&ping, &health), (flavour, version.to_owned()), "{ping:?} {health:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_said() {
        use Flavour::{Cloud, Core, Enterprise, Unknown, V1, V2, VictoriaMetrics};
        for (flavour, api, has_v3, problem) in [
            (Core, Api::V3, None, false),
            (Enterprise, Api::V3, None, false),
            (Cloud, Api::V3, None, false),
            (Cloud, Api::V2, None, false),
            (V2, Api::V2, None, false),
            (V1, Api::V2, None, false),
            (Unknown, Api::V2, None, false),
            (Unknown, Api::V3, None, false),
            (V2, Api::V3, None, true),
            (VictoriaMetrics, Api::V3, None, true),
            (VictoriaMetrics, Api::V2, None, true),
            (Core, Api::V2, None, true),
            (V1, Api::V3, Some(false), true),
            // A shim on its store.
            (V1, Api::V3, Some(true), false),
        ] {
            assert_eq!(mismatch(flavour, api, has_v3).is_some(), problem, "{flavour} {api:?}");
        }
    }
}
