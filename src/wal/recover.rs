//! Reading the log at the start.

use super::{
    LogDir, Position,
    frame::{self, Frame, FrameError},
    segment_name, segment_number,
};
use crate::error::{Error, Kind};

/// Reads all frames from segment `first` on, in order, each with where it begins, and returns the number of the segment to write next. Segments before `first` are
/// in files already: they are removed.
pub(crate) fn recover(
    dir: &dyn LogDir,
    first: u64,
    mut visit: impl FnMut(Position, Frame<'_>) -> Result<(), String>,
) -> Result<u64, Error> {
    remove_before(dir, first)?;
    let mut numbers = segments(dir)?;
    numbers.retain(|number| *number >= first);
    let last = numbers.last().copied();
    for (expected, number) in (first..).zip(numbers) {
        if number != expected {
            return Err(start(format!(
                "log segment \"{}\" is missing, but later ones are there: restore it from a backup, or move the later ones away to start \
                 without the points in them",
                dir.describe(&segment_name(expected))
            )));
        }
        read_segment(dir, number, Some(number) == last, &mut visit)?;
    }
    Ok(last.map_or(first, |last| last + 1))
}

/// Removes segments before `first`.
pub(crate) fn remove_before(dir: &dyn LogDir, first: u64) -> Result<(), Error> {
    for old in segments(dir)?.into_iter().filter(|number| *number < first) {
        let name = segment_name(old);
        dir.remove(&name).map_err(|error| failed("remove", &dir.describe(&name), error))?;
    }
    Ok(())
}

/// Numbers of all segments, in order.
pub(crate) fn segments(dir: &dyn LogDir) -> Result<Vec<u64>, Error> {
    let names = dir.list().map_err(|error| failed("list", &dir.describe(""), error))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn read_segment(
    dir: &dyn LogDir,
    number: u64,
    last: bool,
    visit: &mut impl FnMut(Position, Frame<'_>) -> Result<(), String>,
) -> Result<(), Error> {
    let name = segment_name(number);
    let bytes = dir.read(&name).map_err(|error| failed("read", &dir.describe(&name), error))?;
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        match frame::decode(rest) {
            Ok(frame) => {
                visit(Position { segment: number, offset: at as u64 }, frame)
                    .map_err(|reason| corrupt(dir, &name, at, &reason))?;
                at += frame.len;
            }
            Err(error) if last && torn(rest, error) => {
                tracing::warn!(
                    segment = dir.describe(&name),
                    offset = at,
                    bytes = rest.len(),
                    reason = %error,
                    "cutting off the torn end of the log: a crash interrupted this write before it was acknowledged"
                );
                dir.truncate(&name, at as u64).map_err(|error| failed("truncate", &dir.describe(&name), error))?;
                return Ok(());
            }
            Err(error) => return Err(corrupt(dir, &name, at, &error.to_string())),
        }
    }
    Ok(())
}

/// Whether `rest`, which doesn't begin with a frame that can be read, is what a crash leaves behind: nothing after it was ever complete.
fn torn(rest: &[u8], error: FrameError) -> bool {
    // A version that isn't known comes from another program, not from a crash.
    !matches!(error, FrameError::Version(_)) && !frame::any_valid(rest.get(1..).unwrap_or_default())
}

fn corrupt(dir: &dyn LogDir, name: &str, at: usize, reason: &str) -> Error {
    let path = dir.describe(name);
    start(format!(
        "log segment \"{path}\" is corrupt at byte {at}: {reason}; restore the file from a backup, or, to give up what it holds from there \
         on, run `truncate -s {at} '{path}'`, and start again"
    ))
}

fn failed(what: &str, path: &str, error: std::io::Error) -> Error {
    start(format!("can't {what} \"{path}\": {error}")).with_source(error)
}

fn start(message: String) -> Error {
    Error::new(Kind::Internal, message)
}
