//! Trees of everything on the simulator: the first eight bytes are its seed, the rest is the program.

#![no_main]

use anyscope::sim::Sim;
use anyscope_tests::machine::show;
use anyscope_tests::machine::tree::Program;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((seed, program)) = bytes.split_first_chunk() else { return };
    let program = Program::read(program);
    show(&program);
    program.run(Sim::seed(u64::from_le_bytes(*seed)));
});
