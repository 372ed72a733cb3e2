//! Which of several endpoints gets a request: the less busy one of two that are picked at random, among the best there are.
//!
//! Two random choices come close to always taking the least busy one, without everybody storming it at once (Mitzenmacher, "The power of
//! two choices in randomized load balancing", 2001).

use smallvec::SmallVec;

/// What is known of an endpoint.
#[derive(Clone, Copy, Debug)]
pub(in crate::upstream) struct Candidate {
    /// Requests that it is answering.
    pub(in crate::upstream) load: usize,
    /// Its breaker lets requests through.
    pub(in crate::upstream) admitted: bool,
    /// Its last health check was fine.
    pub(in crate::upstream) healthy: bool,
    /// This very request has failed there.
    pub(in crate::upstream) tried: bool,
}

impl Candidate {
    /// The lower, the better.
    fn rank(&self) -> u8 {
        match (self.tried, self.healthy) {
            (false, true) => 0,
            (false, false) => 1,
            (true, true) => 2,
            (true, false) => 3,
        }
    }
}

/// The number of the one to ask; none when all breakers are open.
pub(in crate::upstream) fn choose(candidates: &[Candidate], random: u64) -> Option<usize> {
    let admitted = || candidates.iter().enumerate().filter(|(_, candidate)| candidate.admitted);
    let best = admitted().map(|(_, candidate)| candidate.rank()).min()?;
    let among: SmallVec<[(usize, usize); 8]> =
        admitted().filter(|(_, candidate)| candidate.rank() == best).map(|(n, candidate)| (n, candidate.load)).collect();
    let count = among.len() as u64;
    let first = random % count;
    // Any but the first one.
    let second = (first + 1 + (random >> 32) % (count - 1).max(1)) % count;
    let pick = |n: u64| usize::try_from(n).ok().and_then(|n| among.get(n)).copied();
    let (one, other) = (pick(first)?, pick(second)?);
    Some(if other.1 < one.1 { other.0 } else { one.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: Candidate = Candidate { load: 0, admitted: true, healthy: true, tried: false };

    #[test]
    fn the_best_are_chosen() {
        let open = Candidate { admitted: false, ..FINE };
        let sick = Candidate { healthy: false, ..FINE };
        let tried = Candidate { tried: true, ..FINE };
        let table: [(&[Candidate], Option<usize>); 8] = [
            (&[], None),
            (&[open, open], None),
            (&[FINE], Some(0)),
            (&[open, FINE], Some(1)),
            (&[sick, FINE, tried], Some(1)),
            (&[tried, sick], Some(1)),
            (&[tried, open], Some(0)),
            (&[Candidate { tried: true, ..sick }, tried], Some(1)),
        ];
        for (candidates, expected) in table {
            for random in 0..50_u64 {
                let random = random.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                assert_eq!(choose(candidates, random), expected, "{candidates:?}");
            }
        }
    }

    #[test]
    fn the_busiest_gets_nothing_and_equals_share() {
        let loads = |loads: &[usize]| loads.iter().map(|&load| Candidate { load, ..FINE }).collect::<Vec<_>>();
        let spread = |candidates: &[Candidate]| {
            let mut counts = vec![0; candidates.len()];
            for _ in 0..6000 {
                counts[choose(candidates, super::super::random()).unwrap()] += 1;
            }
            counts
        };
        let counts = spread(&loads(&[3, 9, 1]));
        assert_eq!(counts[1], 0, "of any two, another one is less busy: {counts:?}");
        assert!(counts[2] > counts[0], "{counts:?}");
        for count in spread(&loads(&[2, 2, 2])) {
            assert!((1700..2300).contains(&count), "{count}");
        }
    }
}
