//! The management API of a v2 server: `/api/v2/buckets` and `/api/v2/dbrps`.

mod change;
mod list;

pub(super) use change::carry_out;
pub(super) use list::list;

const BUCKETS: &str = "/api/v2/buckets";
const DBRPS: &str = "/api/v2/dbrps";
