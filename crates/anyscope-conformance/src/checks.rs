//! The list of all checks: the one place where a check gets its laws.

use crate::Check;

/// Calls a macro with its arguments and the list of all checks: `area { name [laws] .. } ..`.
#[doc(hidden)]
#[macro_export]
macro_rules! each_check {
    ($callback:ident, $($arguments:tt)*) => {
        $crate::$callback! {
            $($arguments)*
            lifetime {
                a_group_ends_after_its_children [1]
            }
            cancel {
            }
            time {
            }
            failure {
            }
            collect {
            }
            sync {
            }
            blocking {
            }
            runtime {
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! list_checks {
    ($($area:ident { $($name:ident [$($law:literal)*])* })*) => {
        &[$($(Check::new(stringify!($area), stringify!($name), &[$($law),*]),)*)*]
    };
}

/// Every check of the suite.
pub const CHECKS: &[Check] = crate::each_check!(list_checks,);
