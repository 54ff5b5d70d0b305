//! Which part of a sweep this process does.

use std::fmt;
use std::str::FromStr;

use super::super::error::CliError;
use crate::report::rows::{Shard, ShardError};

/// A part, or how to find out which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ShardChoice {
    This(Shard),
    /// What the machines' scheduler says; with the number of parts if it does not say that.
    Auto(Option<u64>),
}

impl FromStr for ShardChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<ShardChoice, String> {
        let count = |count: &str| count.parse().ok().filter(|count| Shard::new(0, *count).is_ok());
        match text.strip_prefix("auto") {
            Some("") => Ok(ShardChoice::Auto(None)),
            Some(rest) => {
                rest.strip_prefix('/').and_then(count).map(|count| ShardChoice::Auto(Some(count))).ok_or(ShardError)
            }
            None => text.parse().map(ShardChoice::This),
        }
        .map_err(|error| format!("{error}; or auto, or auto/N"))
    }
}

/// As it was given.
impl fmt::Display for ShardChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShardChoice::This(shard) => shard.fmt(f),
            ShardChoice::Auto(None) => f.write_str("auto"),
            ShardChoice::Auto(Some(count)) => write!(f, "auto/{count}"),
        }
    }
}

impl ShardChoice {
    /// The part, given what the environment says.
    pub fn resolve(self, environment: impl Fn(&str) -> Option<String>) -> Result<Shard, CliError> {
        let given = match self {
            ShardChoice::This(shard) => return Ok(shard),
            ShardChoice::Auto(given) => given,
        };
        let number = |name: &'static str| -> Result<Option<u64>, CliError> {
            let Some(text) = environment(name) else { return Ok(None) };
            let number = text.trim().parse().map(Some);
            number.map_err(|_| CliError::ShardAuto(format!("{name} is {text:?}; allowed is a whole number")))
        };
        let part = |index: Option<u64>, count: u64| {
            let shard = index.and_then(|index| Shard::new(index, count).ok());
            shard.ok_or_else(|| {
                CliError::ShardAuto(format!("there is no such part of {count}; is each task of the array a part?"))
            })
        };
        if let Some(task) = number("SLURM_ARRAY_TASK_ID")? {
            if let Some(count) = given {
                // Also if only some tasks of the array are handed in once more.
                return part(task.checked_sub(1), count);
            }
            let (first, count) = (number("SLURM_ARRAY_TASK_MIN")?.unwrap_or(0), number("SLURM_ARRAY_TASK_COUNT")?);
            let Some(count) = count else {
                return Err(CliError::ShardAuto(
                    "SLURM_ARRAY_TASK_COUNT is not set; say how many parts there are with auto/N".to_owned(),
                ));
            };
            return part(task.checked_sub(first), count);
        }
        if let Some(index) = number("JOB_COMPLETION_INDEX")? {
            let Some(count) = given else {
                return Err(CliError::ShardAuto(
                    "JOB_COMPLETION_INDEX does not say of how many; say so with auto/N".to_owned(),
                ));
            };
            return part(Some(index), count);
        }
        Err(CliError::ShardAuto(
            "neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX is set, so this is no task of Slurm or Kubernetes"
                .to_owned(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(choice: &str, variables: &[(&str, &str)]) -> Result<String, String> {
        let choice: ShardChoice = choice.parse()?;
        let environment =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        choice.resolve(environment).map(|shard| shard.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_part_is_named_or_found_in_what_the_scheduler_says() {
        let slurm = [("SLURM_ARRAY_TASK_ID", "3"), ("SLURM_ARRAY_TASK_COUNT", "8"), ("SLURM_ARRAY_TASK_MIN", "1")];
        for (choice, variables, expected) in [
            ("3/8", &[][..], "3/8"),
            ("auto", &slurm[..], "3/8"),
            ("auto", &slurm[..2], "4/8"),
            ("auto/4", &slurm, "3/4"),
            ("auto/8", &[("SLURM_ARRAY_TASK_ID", "5"), ("SLURM_ARRAY_TASK_MIN", "3")], "5/8"),
            ("auto/8", &[("JOB_COMPLETION_INDEX", "7")], "8/8"),
        ] {
            assert_eq!(resolve(choice, variables).as_deref(), Ok(expected), "{choice} {variables:?}");
        }
    }

    #[test]
    fn what_does_not_say_which_part_is_refused_with_the_reason() {
        for (choice, variables, part) in [
            ("0/8", &[][..], "allowed is K/N with K from 1 to N, and N up to 100000; or auto, or auto/N"),
            ("auto/0", &[], "or auto/N"),
            ("auto8", &[], "or auto/N"),
            ("auto", &[], "this is no task of Slurm or Kubernetes"),
            ("auto", &[("SLURM_ARRAY_TASK_ID", "3")], "SLURM_ARRAY_TASK_COUNT is not set"),
            ("auto", &[("JOB_COMPLETION_INDEX", "3")], "say so with auto/N"),
            ("auto/8", &[("JOB_COMPLETION_INDEX", "8")], "there is no such part of 8"),
            ("auto/8", &[("SLURM_ARRAY_TASK_ID", "0")], "there is no such part of 8"),
            ("auto/8", &[("JOB_COMPLETION_INDEX", "x")], "JOB_COMPLETION_INDEX is \"x\"; allowed is a whole number"),
        ] {
            let error = resolve(choice, variables).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
