//! Carries out a `SELECT`, measurement by measurement.

use super::{calls, context::Budget, ir::Select, output::Output, raw};
use crate::error::Error;

/// Runs it; the caller flushes the output.
pub(super) fn run(select: &Select, budget: &Budget<'_>, output: &mut Output<'_>) -> Result<(), Error> {
    let mut sources: Vec<_> = select.sources.iter().collect();
    if !select.ascending {
        sources.reverse();
    }
    let mut ends = vec![calls::End::default(); select.calls.len()];
    for source in sources {
        if select.calls.is_empty() {
            raw::run(select, source, budget, output)?;
        } else {
            calls::run(select, source, &mut ends, budget, output)?;
        }
    }
    Ok(())
}
