//! The management API of a v3 server: `/api/v3/configure/database`.

mod change;
mod list;

pub(super) use change::carry_out;
pub(super) use list::list;
