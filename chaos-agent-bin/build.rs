//! Has the linker pack the relocations of a static executable, which are a thirtieth of it otherwise: DT_RELR, which musl applies at
//! the start from 1.2.4 on. A linker that does not know that yet says so, and leaves them as they are.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_ENV").as_deref() == Ok("musl") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
