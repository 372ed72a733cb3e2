//! `POST` and `DELETE /api/v3/configure/database`.

use http::Method;
use serde_json::json;

use crate::{
    error::{Error, Kind},
    native::V3_CONFIGURE_DATABASE,
    upstream::catalog::{
        call::{Caller, Purpose, pairs},
        steps::Step,
    },
};

/// Carries out steps, which are those for a v3 server.
pub(in crate::upstream::catalog) async fn carry_out(caller: &Caller<'_>, steps: &[Step], db: &str) -> Result<(), Error> {
    for step in steps {
        let (what, answer) = match step {
            Step::Bucket { name, settings } => {
                let mut body = json!({ "db": name });
                if let (Some(seconds), Some(body)) =
                    (settings.retention.map(|retention| retention.as_secs()).filter(|&seconds| seconds > 0), body.as_object_mut())
                {
                    body.insert("retention_period".into(), format!("{seconds}s").into());
                }
                (format!("make database {name:?}"), caller.send(Method::POST, V3_CONFIGURE_DATABASE, Some(&body)).await?)
            }
            Step::DropBucket { name } => {
                let path = format!("{V3_CONFIGURE_DATABASE}?{}", pairs(&[("db", name)]));
                (format!("drop database {name:?}"), caller.send(Method::DELETE, &path, None).await?)
            }
            _ => return Err(Error::new(Kind::NotImplemented, "not implemented: a v3 server keeps no mappings")),
        };
        let Err(refusal) = answer else { continue };
        let gone = matches!(step, Step::DropBucket { .. }) && refusal.status == http::StatusCode::NOT_FOUND;
        if !gone && !refusal.is_there_already() {
            let purpose = Purpose { what: &what, database: db, permission: "to manage databases (an admin token has it)" };
            return Err(refusal.into_error(caller, purpose));
        }
    }
    Ok(())
}
