//! Tokens, an event and a barrier.

#![no_main]

use anyscope_tests::machine::show;
use anyscope_tests::machine::signals::Program;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let program = Program::read(bytes);
    show(&program);
    program.run();
});
