//! SoftHSM tokens in a temporary directory, for tests, benches and the demo
