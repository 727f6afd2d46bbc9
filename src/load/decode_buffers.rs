//! Memory for decoded images, and decoders: kept from one module to the next.
//!
//! A load may stay in the kernel long after the kernel has copied the image: while the module's
//! init runs, and until all asynchronous work of the system has ended. The image of such a load is
//! used for the next one. A module that is listed in /sys/module shows that the kernel has its
//! copy.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::lock;
use crate::kmod::compress::{Decoder, IMAGE_LIMIT};
use crate::kmod::name::ModuleName;

/// Share of the machine's memory that one image may fill. The kernel's two copies need as much
/// each.
const MEMORY_SHARE: u64 = 4;
/// Maximum size of a buffer that is kept.
const MAX_KEPT: usize = 8 << 20;

/// What decoding needs besides the image.
#[derive(Debug, Default)]
pub(super) struct DecodeContext {
    pub(super) decoder: Decoder,
    /// The file as it is.
    pub(super) file: Vec<u8>,
}

/// An image that a load uses.
#[derive(Debug)]
struct PinnedImage {
    load: usize,
    module: ModuleName,
    image: Vec<u8>,
}

#[derive(Debug, Default)]
struct Pool {
    contexts: Vec<DecodeContext>,
    free: Vec<Vec<u8>>,
    pinned: Vec<PinnedImage>,
    /// Number of loads so far.
    loads: usize,
    /// Number of further decoders that may work now.
    decoders_left: usize,
}

/// The memory of one worker process.
#[derive(Debug)]
pub(super) struct DecodeBuffers {
    pool: Mutex<Pool>,
    /// Notified when a decoder is returned.
    returned: Condvar,
    /// Maximum size of an image, in bytes.
    image_limit: usize,
}

impl DecodeBuffers {
    /// Creates buffers for a machine with this many processors and bytes of memory. Decoding needs
    /// nothing but a processor: more decoders at the same time would only take more memory.
    pub(super) fn new(processors: usize, memory: u64) -> Self {
        let share = usize::try_from(memory / MEMORY_SHARE).unwrap_or(usize::MAX);
        let pool = Pool { decoders_left: processors.max(1), ..Pool::default() };
        Self {
            pool: Mutex::new(pool),
            returned: Condvar::new(),
            image_limit: share.min(IMAGE_LIMIT),
        }
    }

    /// Returns the maximum size of an image. One that does not fit would end the worker process,
    /// and all of its loads with it.
    pub(super) fn image_limit(&self) -> usize {
        self.image_limit
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        lock(&self.pool)
    }

    /// Waits until a processor is free for decoding, and returns a decoder.
    pub(super) fn acquire_context(&self) -> DecodeContext {
        let none_left = |pool: &mut Pool| pool.decoders_left == 0;
        let pool = self.returned.wait_while(self.pool(), none_left);
        let mut pool = pool.unwrap_or_else(PoisonError::into_inner);
        pool.decoders_left -= 1;
        pool.contexts.pop().unwrap_or_default()
    }

    /// Takes a decoder back.
    pub(super) fn return_context(&self, context: DecodeContext) {
        let mut pool = self.pool();
        pool.decoders_left += 1;
        pool.contexts.push(context);
        self.returned.notify_one();
    }

    /// Returns memory for an image: a free buffer, or the image of a module that `is_copied` by
    /// now, or a new buffer.
    pub(super) fn image_buffer(&self, is_copied: impl Fn(&ModuleName) -> bool) -> Vec<u8> {
        let mut pool = self.pool();
        if pool.free.is_empty() {
            let (copied, in_use) =
                std::mem::take(&mut pool.pinned).into_iter().partition(|p| is_copied(&p.module));
            pool.pinned = in_use;
            pool.free = copied.into_iter().map(|pinned: PinnedImage| pinned.image).collect();
        }
        // The largest need not grow, and the small ones stay small.
        let largest = (0..pool.free.len()).max_by_key(|at| pool.free[*at].capacity());
        largest.map(|at| pool.free.swap_remove(at)).unwrap_or_default()
    }

    /// Takes an image back that is not pinned.
    pub(super) fn return_image(&self, image: Vec<u8>) {
        if image.capacity() <= MAX_KEPT {
            self.pool().free.push(image);
        }
    }

    /// Keeps `image` in place for the load of `module`. Returns the number of that load and the
    /// memory of the image.
    pub(super) fn pin(&self, module: &ModuleName, image: Vec<u8>) -> (usize, *const [u8]) {
        let mut pool = self.pool();
        pool.loads += 1;
        let (load, memory) = (pool.loads, std::ptr::from_ref(image.as_slice()));
        pool.pinned.push(PinnedImage { load, module: module.clone(), image });
        (load, memory)
    }

    /// Returns whether a load still has its image.
    pub(super) fn is_pinned(&self, load: usize) -> bool {
        self.pool().pinned.iter().any(|pinned| pinned.load == load)
    }

    /// Takes the image of a load back that has returned. Returns whether the load had it to the
    /// end.
    pub(super) fn unpin(&self, load: usize) -> bool {
        let mut pool = self.pool();
        let Some(at) = pool.pinned.iter().position(|pinned| pinned.load == load) else {
            return false;
        };
        let image = pool.pinned.swap_remove(at).image;
        drop(pool);
        self.return_image(image);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(size: usize) -> Vec<u8> {
        vec![7; size]
    }

    #[test]
    fn copied_images_are_reused() {
        let buffers = DecodeBuffers::new(1, 1 << 30);
        let (first, memory) = buffers.pin(&"a".into(), image(100));
        let (second, _) = buffers.pin(&"b".into(), image(1000));
        assert_eq!(memory.len(), 100);
        assert_eq!(buffers.image_buffer(|_| false).capacity(), 0, "nothing is free");
        assert_eq!(buffers.image_buffer(|module| module.text() == "a").capacity(), 100);
        // The load of `a` returns later, and has no image to return.
        assert!(!buffers.is_pinned(first) && buffers.is_pinned(second));
        assert!(!buffers.unpin(first));
        assert!(buffers.unpin(second));
        buffers.return_image(image(10));
        assert_eq!(buffers.image_buffer(|_| false).capacity(), 1000, "the largest first");
        assert_eq!(buffers.image_buffer(|_| false).capacity(), 10);
    }

    #[test]
    fn a_decoder_has_one_user_at_a_time() {
        let buffers = DecodeBuffers::new(1, 1 << 30);
        let mut context = buffers.acquire_context();
        context.file = image(5);
        std::thread::scope(|scope| {
            let second = scope.spawn(|| buffers.acquire_context().file.len());
            buffers.return_context(context);
            assert_eq!(second.join().unwrap(), 5);
        });
    }

    #[test]
    fn an_image_fills_a_part_of_memory() {
        for (memory, limit) in [(0, 0), (160 << 20, 40 << 20), (u64::MAX, IMAGE_LIMIT)] {
            assert_eq!(DecodeBuffers::new(1, memory).image_limit(), limit);
        }
    }

    #[test]
    fn large_buffers_are_not_kept() {
        let buffers = DecodeBuffers::new(1, 1 << 30);
        let (load, _) = buffers.pin(&"a".into(), Vec::with_capacity(MAX_KEPT + 1));
        assert!(buffers.unpin(load));
        assert_eq!(buffers.image_buffer(|_| true).capacity(), 0);
    }
}
