//! Which names a database and its bucket may have.

use crate::{error::Error, types::Profile};

/// Longest name in profile `serverless`, in characters.
const LONGEST: usize = 64;

/// The seed document's text for a name of any other length, the empty one included.
const WRONG_LENGTH: &str = "namespace name length must be between 1 and 64 characters";

/// Checks the name of a database, or of the bucket that stands for it.
///
/// # Errors
/// 400, in the words of the profile.
pub fn check_name(name: &str, profile: Profile) -> Result<(), Error> {
    match profile {
        // The length in bytes is enough to see that a name is short.
        Profile::Serverless if name.is_empty() || (name.len() > LONGEST && name.chars().count() > LONGEST) => {
            return Err(Error::invalid(WRONG_LENGTH));
        }
        Profile::V1 if name.is_empty() => return Err(Error::invalid("database is required")),
        Profile::Serverless | Profile::V1 => {}
    }
    if name.chars().any(char::is_control) {
        return Err(Error::invalid(format!("invalid database name {name:?}: a character can't be printed")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let (short, long) = ("ä".repeat(64), "ä".repeat(65));
        for (name, serverless, v1) in [
            ("", Some(WRONG_LENGTH), Some("database is required")),
            ("a", None, None),
            ("my db/one week.x", None, None),
            (&*short, None, None),
            (&*long, Some(WRONG_LENGTH), None),
            ("a\nb", Some(r#"invalid database name "a\nb": a character can't be printed"#), Some("")),
        ] {
            let message = |profile| check_name(name, profile).err().map(|error| error.message().to_owned());
            assert_eq!(message(Profile::Serverless).as_deref(), serverless, "{name}");
            match v1 {
                Some("") => assert!(message(Profile::V1).is_some()),
                v1 => assert_eq!(message(Profile::V1).as_deref(), v1, "{name}"),
            }
        }
    }
}
