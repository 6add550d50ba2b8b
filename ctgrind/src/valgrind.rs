//! Client requests to valgrind's memcheck. They change what memcheck believes of memory, never the memory, so that each is a safe
//! function; without valgrind they do nothing.
#![expect(unsafe_code, reason = "a client request is a sequence of instructions")]

/// Numbers of `valgrind.h` and `memcheck.h`; a tool's own begin at its two letters, here MC.
const RUNNING_ON_VALGRIND: usize = 0x1001;
const COUNT_ERRORS: usize = 0x1201;
const MAKE_MEM_UNDEFINED: usize = 0x4D43_0001;
const MAKE_MEM_DEFINED: usize = 0x4D43_0002;
const GET_VBITS: usize = 0x4D43_0008;

/// The request `number` with its arguments; without valgrind, zero.
#[cfg(target_arch = "x86_64")]
fn request(number: usize, arguments: [usize; 3]) -> usize {
    let [a, b, c] = arguments;
    let words = [number, a, b, c, 0, 0];
    let mut result = 0;
    // SAFETY: rotations by 128 in all and an exchange of a register with itself change nothing but the flags. Valgrind knows
    // the sequence, reads the six words at rax and puts its answer into rdx; of the program's memory it writes at most what
    // GET_VBITS is given to write to, which `undefined` owns.
    unsafe {
        core::arch::asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") words.as_ptr(),
            inout("rdx") result,
            options(nostack),
        );
    }
    result
}

#[cfg(not(target_arch = "x86_64"))]
fn request(_: usize, _: [usize; 3]) -> usize {
    0
}

fn place<T: ?Sized>(value: &T) -> [usize; 3] {
    [core::ptr::from_ref(value).addr(), size_of_val(value), 0]
}

/// Whether this program runs under valgrind.
pub(crate) fn running() -> bool {
    request(RUNNING_ON_VALGRIND, [0; 3]) != 0
}

/// How many reports there were since the start, each time counted that one was hit.
pub(crate) fn reports() -> usize {
    request(COUNT_ERRORS, [0; 3])
}

/// From here on memcheck reports each jump and each address that depends on `value`.
pub(crate) fn secret(value: &mut [u8]) {
    core::hint::black_box(&mut *value);
    request(MAKE_MEM_UNDEFINED, place(value));
    // What the compiler knows of the bytes ends here.
    core::hint::black_box(value);
}

/// [`secret`] for what has no mutable access. The compiler may go on with what it knows of the bytes.
pub(crate) fn secret_shared(value: &[u8]) {
    request(MAKE_MEM_UNDEFINED, place(core::hint::black_box(value)));
}

/// Declassifies: `value` may be looked at again.
pub(crate) fn public<T: ?Sized>(value: &mut T) {
    request(MAKE_MEM_DEFINED, place(value));
    core::hint::black_box(value);
}

/// The bits of each byte that depend on a secret; `None` without valgrind.
pub(crate) fn undefined<T: ?Sized>(value: &T) -> Option<Vec<u8>> {
    let [from, length, _] = place(value);
    let mut bits = vec![0; length];
    let to: *mut u8 = bits.as_mut_ptr();
    let answer = request(GET_VBITS, [from, to.expose_provenance(), length]);
    (answer == 1).then(|| core::hint::black_box(bits))
}
