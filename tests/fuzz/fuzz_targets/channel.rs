//! A channel.

#![no_main]

use anyscope_tests::machine::channel::Program;
use anyscope_tests::machine::show;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let program = Program::read(bytes);
    show(&program);
    program.run();
});
