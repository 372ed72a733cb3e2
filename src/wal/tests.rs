use proptest::prelude::*;

use super::{frame, *};

/// Segments as given, in a fresh folder.
fn dir(segments: &[(u64, &[u8])]) -> (tempfile::TempDir, Disk) {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path().join("wal")).unwrap();
    for (number, bytes) in segments {
        std::fs::write(folder.path().join("wal").join(segment_name(*number)), bytes).unwrap();
    }
    (folder, disk)
}

fn frames(payloads: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for payload in payloads {
        encode(&mut out, payload);
    }
    out
}

fn encode(out: &mut Vec<u8>, payload: &[u8]) {
    frame::encode(out, |out| {
        out.extend_from_slice(payload);
        3
    })
    .unwrap();
}

fn read(disk: &Disk, first: u64) -> Result<(Vec<Vec<u8>>, u64), String> {
    let mut seen = Vec::new();
    let next = recover(disk, first, |_, frame| {
        assert_eq!(frame.kind, 3);
        seen.push(frame.payload.to_vec());
        Ok(())
    });
    next.map(|next| (seen, next)).map_err(|error| error.to_string())
}

#[test]
fn segments_are_read_in_order() {
    let (_folder, disk) = dir(&[(10, &frames(&[b"c"])), (9, &frames(&[b"a", b"b"])), (8, b"old, not read any more"), (11, b"")]);
    assert_eq!(read(&disk, 9).unwrap(), (vec![b"a".to_vec(), b"b".to_vec(), b"c".to_vec()], 12));
    assert!(!disk.list().unwrap().contains(&segment_name(8)), "its points are in files");
    let (_folder, disk) = dir(&[]);
    assert_eq!(read(&disk, 5).unwrap(), (vec![], 5));
}

#[test]
fn a_torn_tail_is_cut_off_wherever_it_was_torn() {
    let whole = frames(&[b"first", b"second"]);
    let start = frames(&[b"first"]).len();
    for end in start..whole.len() {
        let (_folder, disk) = dir(&[(1, &frames(&[b"zero"])), (2, &whole[..end])]);
        assert_eq!(read(&disk, 1).unwrap(), (vec![b"zero".to_vec(), b"first".to_vec()], 3), "cut at {end}");
        assert_eq!(disk.read(&segment_name(2)).unwrap().len(), start, "what was torn is gone");
        assert_eq!(read(&disk, 1).unwrap().1, 3, "and doesn't trouble the next start");
    }
}

#[test]
fn a_tail_of_garbage_is_cut_off_too() {
    // A file system may have made the file longer before it wrote what belongs there.
    let mut torn = frames(&[b"first", b"second"]);
    let start = frames(&[b"first"]).len();
    torn[start..].fill(0);
    let (_folder, disk) = dir(&[(1, &torn)]);
    assert_eq!(read(&disk, 1).unwrap(), (vec![b"first".to_vec()], 2));
}

#[test]
fn anything_else_corrupt_stops_the_start() {
    let whole = frames(&[b"first", b"second", b"third"]);
    let second = frames(&[b"first"]).len();
    let third = frames(&[b"first", b"second"]).len();
    for at in second..third {
        let mut corrupt = whole.clone();
        corrupt[at] ^= 0xff;
        let (folder, disk) = dir(&[(1, &corrupt)]);
        let error = read(&disk, 1).unwrap_err();
        let path = folder.path().join("wal").join(segment_name(1));
        assert!(error.contains(&format!("\"{}\" is corrupt at byte {second}", path.display())), "{at}: {error}");
        assert!(error.contains(&format!("truncate -s {second} '{}'", path.display())), "says what to do: {error}");
    }
    // Not in the last segment: what is torn there was followed by writes that were acknowledged.
    let (_folder, disk) = dir(&[(1, &whole[..whole.len() - 1]), (2, &frames(&[b"later"]))]);
    assert!(read(&disk, 1).unwrap_err().contains("the frame is cut short"));
    let (_folder, disk) = dir(&[(1, &whole), (3, &whole)]);
    assert!(read(&disk, 1).unwrap_err().contains("00000000000000000002.wal\" is missing"));
    let mut later = whole;
    later[third + 4] = 2;
    let (_folder, disk) = dir(&[(1, &later)]);
    assert!(read(&disk, 1).unwrap_err().contains("frame version 2 is not known"));
}

#[test]
fn lengths_that_make_no_sense_are_not_believed() {
    let mut bytes = frames(&[b"x"]);
    bytes[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(frame::decode(&bytes), Err(frame::FrameError::Length(u32::MAX)));
}

proptest! {
    #[test]
    fn frames_come_back(payload in prop::collection::vec(any::<u8>(), 0..300), kind in any::<u8>(), rest in prop::collection::vec(any::<u8>(), 0..20)) {
        let mut bytes = b"before".to_vec();
        frame::encode(&mut bytes, |out| { out.extend_from_slice(&payload); kind }).unwrap();
        bytes.extend_from_slice(&rest);
        let frame = frame::decode(&bytes[6..]).unwrap();
        prop_assert_eq!((frame.kind, frame.payload, frame.len), (kind, &*payload, frame::HEADER + payload.len()));
        prop_assert!(frame::any_valid(&bytes));
    }

    #[test]
    fn a_changed_frame_is_noticed(payload in prop::collection::vec(any::<u8>(), 0..60), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut bytes = frames(&[&payload]);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(frame::decode(&bytes).is_err());
    }

    #[test]
    fn noise_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = frame::decode(&bytes);
        let _ = frame::any_valid(&bytes);
    }
}
