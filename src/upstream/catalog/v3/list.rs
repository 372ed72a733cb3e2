//! The databases of a v3 server: `GET /api/v3/configure/database?format=json`.

use serde::Deserialize;

use crate::{
    error::Error,
    native::V3_CONFIGURE_DATABASE,
    upstream::catalog::{
        call::Caller,
        names::{Bucket, Names},
    },
};

#[derive(Deserialize)]
struct Row {
    #[serde(rename = "iox::database")]
    database: Box<str>,
    /// Deleted databases are listed too, under a new name, when the server is asked for them, and by some versions when it isn't.
    #[serde(default)]
    deleted: bool,
}

pub(in crate::upstream::catalog) async fn list(caller: &Caller<'_>) -> Result<Names, Error> {
    Ok(names(caller.list(&format!("{V3_CONFIGURE_DATABASE}?format=json")).await?))
}

fn names(rows: Vec<Row>) -> Names {
    let live = rows.into_iter().filter(|row| !row.deleted);
    Names::new(Vec::new(), live.map(|row| Bucket { name: row.database, retention: None }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorded_list_is_read() {
        let text = r#"[{"iox::database":"_internal"},{"iox::database":"fx"},{"iox::database":"fx/one-week"},
            {"iox::database":"old-20260101T000000","deleted":true}]"#;
        let names = names(serde_json::from_str(text).unwrap());
        let list: Vec<_> = names.mappings().iter().map(|m| (&*m.database, &*m.retention_policy, &*m.bucket, m.default)).collect();
        assert_eq!(
            list,
            [
                ("_internal", "autogen", "_internal", true),
                ("fx", "autogen", "fx", true),
                ("fx", "one-week", "fx/one-week", false)
            ]
        );
    }
}
