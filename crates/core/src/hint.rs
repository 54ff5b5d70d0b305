//! What a misspelled word may mean.

/// A longer word is not taken for a misspelling.
const WORD_BYTES_MAX: usize = 64;

/// A question that helps.
pub fn did_you_mean(word: &str) -> String {
    format!("did you mean `{word}`?")
}

/// The candidate that may be meant by `word`, or that may mean it: at most a third of its letters differ, or one.
/// Capitals, spaces and hyphens do not count.
pub fn nearest<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    let word = plain(word);
    let distances = candidates.filter(|candidate| candidate.len() <= WORD_BYTES_MAX).map(|candidate| {
        let plain = plain(candidate);
        let letters = plain.chars().count().min(word.chars().count());
        (strsim::osa_distance(&word, &plain), letters, candidate)
    });
    let close = distances.filter(|&(distance, letters, _)| distance < letters && distance <= (letters / 3).max(1));
    close.min_by_key(|&(distance, ..)| distance).map(|(_, _, candidate)| candidate)
}

fn plain(word: &str) -> String {
    word.trim().to_lowercase().replace(['-', ' '], "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_through_typing_errors_and_other_spellings() {
        let words = ["kill_leader", "kill_non_leader", "part_easy", "part_end", "mix"];
        let near = |word| nearest(word, words.into_iter());
        for (word, expected) in [
            ("kil_leader", Some("kill_leader")),
            ("kill-leader", Some("kill_leader")),
            ("KillLeader", Some("kill_leader")),
            ("Kill Non Leader", Some("kill_non_leader")),
            ("part_edn", Some("part_end")),
            ("mxi", Some("mix")),
            ("fox", None),
            ("m", None),
            ("", None),
            ("comment", None),
        ] {
            assert_eq!(near(word), expected, "{word}");
        }
        assert_eq!(near(&"kill_leader".repeat(1_000)), None);
    }
}
