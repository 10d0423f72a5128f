//! Sums and hashes, the same on every machine and in every version.

use rhai::{Dynamic, INT, Module, NativeCallContext, plugin::*};
use sha2::{Digest, Sha256};

use super::{Outcome, encoding::hex_of, with_bytes};

pub(super) fn module() -> Module {
    exported_module!(hash_functions)
}

/// FNV-1a, 64 bits (draft-eastlake-fnv).
pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

#[export_module]
#[expect(unreachable_pub, reason = "the macro registers what is public")]
mod hash_functions {
    /// SHA-256 of a text or blob, in hexadecimal.
    #[rhai_fn(return_raw)]
    pub fn sha256(ctx: NativeCallContext, data: Dynamic) -> Outcome<String> {
        with_bytes(&ctx, &data, |bytes| hex_of(&Sha256::digest(bytes)))
    }

    /// CRC-32 (that of Ethernet and zip) of a text or blob.
    #[rhai_fn(return_raw)]
    pub fn crc32(ctx: NativeCallContext, data: Dynamic) -> Outcome<INT> {
        with_bytes(&ctx, &data, |bytes| INT::from(crc32fast::hash(bytes)))
    }

    /// A hash of 64 bits (FNV-1a) of a text or blob, to spread or to sample by. Who wants two to be the same can make
    /// them.
    #[rhai_fn(return_raw)]
    pub fn hash64(ctx: NativeCallContext, data: Dynamic) -> Outcome<INT> {
        with_bytes(&ctx, &data, |bytes| INT::from_ne_bytes(fnv(bytes).to_ne_bytes()))
    }
}
