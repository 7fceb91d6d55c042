//! Conversion of errors of other libraries with `?`.

/// Any error of other code, as stored in the variant `Other` of each crate's error.
pub type OtherError = Box<dyn std::error::Error + Send + Sync>;

/// The JSON error, re-exported for [`from_other_errors`](crate::from_other_errors), which other crates expand.
pub type JsonError = serde_json::Error;

/// Implements `From` for common error types with the error type's `fn other(OtherError) -> Self`.
///
/// A blanket `impl<E: std::error::Error> From<E>` would conflict with `impl From<T> for T`; hence a list.
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
