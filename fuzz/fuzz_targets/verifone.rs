#![no_main]
#![doc = "See `p2pe_fuzz::TARGETS`."]
libfuzzer_sys::fuzz_target!(|data: &[u8]| p2pe_fuzz::run("verifone", data));
