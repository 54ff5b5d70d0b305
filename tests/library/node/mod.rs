//! The real replica: nodes on a LAN in memory and in virtual time, and the program `3700kvstore` over UDP.

mod hostile;
mod lan;

use hostile::Hostile;
use lan::Lan;
use seedbed::time::{Span, Time};

/// For how long the LANs in memory run. That is some hundred requests.
const UNTIL: Time = Time(20_000_000_000);

#[test]
fn nodes_elect_a_leader_and_answer() {
    for (replicas, loss) in [(2, 0.0), (3, 0.0), (5, 0.0), (5, 0.1), (21, 0.05), (101, 0.05)] {
        let mut lan = Lan::new(replicas, loss, None);
        lan.run(UNTIL);
        // The client asks at random now and then, until it meets the leader.
        let least = if replicas <= 21 { 100 } else { 50 };
        assert!(lan.client.answered >= least, "{replicas} replicas: {} answers", lan.client.answered);
        assert_eq!(lan.client.failures, 0);
        assert_eq!(lan.nodes.iter().map(|node| node.ignored().total()).sum::<u64>(), 0);
        let leaders: Vec<_> = lan.nodes.iter().map(|node| node.leader()).collect();
        assert!(leaders.iter().all(|&leader| leader == leaders[0]), "{leaders:?}");
    }
}

#[test]
fn what_cannot_be_right_changes_nothing() {
    for (replicas, loss) in [(3, 0.0), (5, 0.1)] {
        let mut quiet = Lan::new(replicas, loss, None);
        quiet.run(UNTIL);
        let mut noisy = Lan::new(replicas, loss, Some(Hostile::new(9)));
        noisy.run(UNTIL);
        for (place, (left, right)) in quiet.sent.iter().zip(&noisy.sent).enumerate() {
            assert_eq!(left, right, "datagram {place}");
        }
        assert_eq!(quiet.sent.len(), noisy.sent.len());
        let counts: Vec<_> = noisy.nodes.iter().map(|node| node.ignored()).collect();
        for counts in counts {
            let counts = [counts.malformed, counts.misdirected, counts.own, counts.strange, counts.senseless];
            assert!(counts.iter().all(|&count| count > 0), "{counts:?}");
        }
        assert!(noisy.nodes.iter().all(|node| node.ignored().nameless > 0 && node.protocol().ignored() > 0));
    }
}

#[test]
fn a_lan_with_the_same_seed_runs_the_same_way() {
    let run = || {
        let mut lan = Lan::new(5, 0.1, None);
        lan.run(Time::ZERO + Span::from_secs(5));
        lan.sent
    };
    assert_eq!(run(), run());
}
