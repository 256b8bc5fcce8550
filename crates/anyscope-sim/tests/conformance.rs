//! The laws, on the simulator: in the plain order, and with seeds.

#![forbid(unsafe_code)]

use anyscope_sim::Sim;

mod plain {
    use super::*;

    anyscope_conformance::suite!(Sim::new().open().lenient());
}
