//! Compiles proto/ where the gRPC cluster is wanted. Where it is not, there is nothing to do.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "grpc")]
    grpc::compile();
}

#[cfg(feature = "grpc")]
mod grpc {
    use std::fs;
    use std::path::PathBuf;

    use prost::Message;

    const FILES: [&str; 4] = ["admin.proto", "chaosmonkey.proto", "kvstore.proto", "raft.proto"];

    #[expect(clippy::disallowed_methods, reason = "cargo tells build scripts by the environment where to write")]
    pub fn compile() {
        println!("cargo::rerun-if-changed=proto");
        let descriptors = protox::compile(FILES, ["proto"]).unwrap_or_else(|error| panic!("{error:?}"));
        let folder = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo says where to write"));
        // For the reflection service.
        fs::write(folder.join("descriptors.bin"), descriptors.encode_to_vec()).expect("cargo's folder can be written");
        tonic_prost_build::configure().compile_fds(descriptors).expect("what protox has compiled is sound");
    }
}
