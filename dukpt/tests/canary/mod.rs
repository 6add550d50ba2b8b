//! An allocator that looks into every block as it is given back, for a secret that should have been wiped by then.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    hint::black_box,
};

#[global_allocator]
static ALLOCATOR: Canary = Canary;

/// The system's allocator, watched. All state is the thread's own: tests do not disturb each other.
struct Canary;

const LONGEST: usize = 64;
const BLOCKS: usize = 512;

thread_local! {
    // Constants without destructors: reading them from inside the allocator allocates nothing.
    static SECRET: Cell<([u8; LONGEST], usize)> = const { Cell::new(([0; LONGEST], 0)) };
    static LEAKS: Cell<usize> = const { Cell::new(0) };
    static LIVE: [Cell<(usize, usize)>; BLOCKS] = const { [const { Cell::new((0, 0)) }; BLOCKS] };
}

/// What was seen of a secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    /// The secret stood on the heap while the value lived. Without this, an absence of leaks proves nothing.
    pub(crate) held: bool,
    /// Blocks that were given back, or moved, with the secret in them.
    pub(crate) leaks: usize,
}

/// Makes a value, moves it to the heap, looks for the secret there, drops it, and counts what was left unwiped on the
/// way. Nothing else made by `make` may hold the secret: keep the inputs outside.
pub(crate) fn watch<T>(secret: &[u8], make: impl FnOnce() -> T) -> Seen {
    assert!((4..=LONGEST).contains(&secret.len()), "a secret that chance does not write");
    let mut pattern = [0; LONGEST];
    pattern[..secret.len()].copy_from_slice(secret);
    LEAKS.set(0);
    LIVE.with(|live| live.iter().for_each(|slot| slot.set((0, 0))));
    SECRET.set((pattern, secret.len()));
    // Without the black box the compiler may leave the heap out.
    let value = black_box(Box::new(make()));
    let held = present();
    drop(value);
    SECRET.set(([0; LONGEST], 0));
    Seen { held, leaks: LEAKS.get() }
}

/// Whether the watched secret stands in any block that this thread has allocated since the watch began.
pub(crate) fn present() -> bool {
    LIVE.with(|live| live.iter().any(|slot| holds(slot.get().0 as *const u8, slot.get().1)))
}

fn holds(block: *const u8, size: usize) -> bool {
    let (secret, length) = SECRET.get();
    if length == 0 || size < length {
        return false;
    }
    (0..=size - length).any(|at| {
        // SAFETY: `block` is a live allocation of `size` bytes, and `at + i` is below `size`; every byte
        // of it was written, if only by this allocator. Volatile, because the owner has given up these bytes.
        (0..length).all(|i| unsafe { block.add(at + i).read_volatile() } == secret[i])
    })
}

fn take(block: *const u8, size: usize) {
    if SECRET.get().1 != 0 && !block.is_null() {
        let free =
            LIVE.with(|live| live.iter().find(|slot| slot.get().0 == 0).map(|slot| slot.set((block as usize, size))));
        // A full table would make `held` lie. Panicking inside an allocator is not allowed.
        if free.is_none() {
            std::process::abort();
        }
    }
}

fn give_back(block: *const u8, size: usize) {
    if SECRET.get().1 != 0 {
        if holds(block, size) {
            LEAKS.set(LEAKS.get() + 1);
        }
        LIVE.with(|live| live.iter().filter(|slot| slot.get().0 == block as usize).for_each(|slot| slot.set((0, 0))));
    }
}

// SAFETY: every block comes from `System` and goes back to it with its own layout; while it is in use it is only read.
unsafe impl GlobalAlloc for Canary {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as promised by the caller. Zeroed, because what an earlier owner left there is not ours to judge.
        let block = unsafe { System.alloc_zeroed(layout) };
        take(block, layout.size());
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        give_back(block, layout.size());
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(block, layout) }
    }

    /// A block that grows may move, and what it held stays behind: as bad as giving it back.
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        give_back(block, layout.size());
        // SAFETY: as promised by the caller.
        let block = unsafe { System.realloc(block, layout, size) };
        if !block.is_null() && size > layout.size() {
            // SAFETY: the block has `size` bytes now.
            unsafe { block.add(layout.size()).write_bytes(0, size - layout.size()) };
        }
        take(block, size);
        block
    }
}
