//! Lets `?` turn other libraries' errors into the errors of these crates.

/// Any error of other code, as the variant `Other` of each crate's error holds it.
pub type OtherError = Box<dyn std::error::Error + Send + Sync>;

/// An error of JSON, under a name that [`from_other_errors`](crate::from_other_errors) can reach from every crate.
pub type JsonError = serde_json::Error;

/// Implements `From` for the errors that custom code meets most, by the error's own `fn other(OtherError) -> Self`.
///
/// `impl<E: std::error::Error> From<E>` would include the error itself, which Rust already converts; hence a list.
#[doc(hidden)]
#[macro_export]
macro_rules! from_other_errors {
    ($error:ty) => {
        $crate::from_other_errors! {
            $error:
            $crate::common::OtherError, std::io::Error, std::fmt::Error, std::num::ParseIntError,
            std::num::ParseFloatError, std::num::TryFromIntError, std::str::ParseBoolError, std::str::Utf8Error,
            std::string::FromUtf8Error, std::time::SystemTimeError, $crate::common::JsonError, String, &str
        }
    };
    ($error:ty: $($other:ty),*) => {
        $(
            impl From<$other> for $error {
                fn from(error: $other) -> Self {
                    Self::other(error)
                }
            }
        )*
    };
}
