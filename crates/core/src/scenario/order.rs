//! The course's order of scenarios.

use std::cmp::Ordering;

/// The groups of the published suite, by the names of their scenarios up to the hyphen, in the course's order.
pub const GROUPS: [&str; 5] = ["simple", "unreliable", "crash", "partition", "advanced"];

/// Orders names of scenarios as the course does: by group, all others last, and within a group by name with numbers
/// by their value.
pub fn course_order(left: &str, right: &str) -> Ordering {
    group(left).cmp(&group(right)).then_with(|| natural_order(left, right)).then_with(|| left.cmp(right))
}

/// The place of a scenario's group among [`GROUPS`]; the number of groups if the name is in none of them.
pub fn group(name: &str) -> usize {
    let prefix = name.split('-').next().unwrap_or_default();
    GROUPS.iter().position(|&group| group == prefix).unwrap_or(GROUPS.len())
}

/// Compares strings with each run of digits as one number.
fn natural_order(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left, right);
    while !left.is_empty() && !right.is_empty() {
        let (left_digits, right_digits) = (leading_digits(left), leading_digits(right));
        let (left_part, right_part, order) = if left_digits.is_empty() || right_digits.is_empty() {
            let (l, r) = (first_char(left), first_char(right));
            (l, r, l.cmp(r))
        } else {
            // Numbers of any length: without leading zeros the longer one is larger.
            let (l, r) = (left_digits.trim_start_matches('0'), right_digits.trim_start_matches('0'));
            (left_digits, right_digits, l.len().cmp(&r.len()).then_with(|| l.cmp(r)))
        };
        if order.is_ne() {
            return order;
        }
        (left, right) = (&left[left_part.len()..], &right[right_part.len()..]);
    }
    left.len().cmp(&right.len())
}

fn leading_digits(text: &str) -> &str {
    &text[..text.bytes().take_while(u8::is_ascii_digit).count()]
}

fn first_char(text: &str) -> &str {
    &text[..text.chars().next().map_or(0, char::len_utf8)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_are_in_the_courses_order_and_others_last_with_numbers_by_value() {
        let mut names = ["zoo", "crash-10", "advanced-1", "crash-9", "b2", "simple-2", "b10", "partition-1", "simplex"];
        names.sort_by(|left, right| course_order(left, right));
        assert_eq!(
            names,
            ["simple-2", "crash-9", "crash-10", "partition-1", "advanced-1", "b2", "b10", "simplex", "zoo"]
        );
        assert_eq!(course_order("a-01", "a-1"), Ordering::Less);
        assert_eq!(natural_order("é1", "é"), Ordering::Greater);
    }
}
