//! The laws, on the toy of the adapter's page.

use anyscope_tests::toy::Toy;

anyscope_conformance::suite!(Toy::new());
