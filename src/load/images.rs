//! Memory for decoded images, and decoders: kept from one module to the next.
//!
//! A load may stay in the kernel long after it has copied the image: while the module's init runs, and until all asynchronous
//! work of the system has ended. What such a load was given is given to the next one. That the kernel has its copy
//! it shows itself: the module stands in /sys/module.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::kmod::compress::Decoder;
use crate::kmod::name::ModuleName;

/// A buffer that has grown beyond this is not kept.
const KEPT: usize = 8 << 20;

/// What decoding takes besides the image.
#[derive(Debug, Default)]
pub(super) struct Bench {
    pub(super) decoder: Decoder,
    /// The file as it is.
    pub(super) file: Vec<u8>,
}

/// An image that is being loaded.
#[derive(Debug)]
struct Lent {
    load: usize,
    module: ModuleName,
    image: Vec<u8>,
}

#[derive(Debug, Default)]
struct Shelf {
    benches: Vec<Bench>,
    free: Vec<Vec<u8>>,
    lent: Vec<Lent>,
    loads: usize,
    /// How many may decode besides those that do.
    places: usize,
}

/// The memory of one loading process.
#[derive(Debug)]
pub(super) struct Images {
    shelf: Mutex<Shelf>,
    /// Told when a decoder is back.
    returned: Condvar,
}

impl Images {
    /// For so many processors: decoding needs nothing but them, and more at once would only take more memory.
    pub(super) fn new(processors: usize) -> Self {
        let shelf = Shelf { places: processors.max(1), ..Shelf::default() };
        Self { shelf: Mutex::new(shelf), returned: Condvar::new() }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A decoder, once a processor is free for it.
    pub(super) fn bench(&self) -> Bench {
        let full = |shelf: &mut Shelf| shelf.places == 0;
        let shelf = self.returned.wait_while(self.shelf(), full);
        let mut shelf = shelf.unwrap_or_else(PoisonError::into_inner);
        shelf.places -= 1;
        shelf.benches.pop().unwrap_or_default()
    }

    /// Takes a decoder back.
    pub(super) fn put_bench(&self, bench: Bench) {
        let mut shelf = self.shelf();
        shelf.places += 1;
        shelf.benches.push(bench);
        self.returned.notify_one();
    }

    /// Memory for an image: what is free, or what was lent for a module that `is_copied` by now, or new.
    pub(super) fn buffer(&self, is_copied: impl Fn(&ModuleName) -> bool) -> Vec<u8> {
        let mut shelf = self.shelf();
        if shelf.free.is_empty() {
            let (copied, open) =
                std::mem::take(&mut shelf.lent).into_iter().partition(|l| is_copied(&l.module));
            shelf.lent = open;
            shelf.free = copied.into_iter().map(|lent: Lent| lent.image).collect();
        }
        // The largest need not grow, and the small ones stay small.
        let largest = (0..shelf.free.len()).max_by_key(|at| shelf.free[*at].capacity());
        largest.map(|at| shelf.free.swap_remove(at)).unwrap_or_default()
    }

    /// Takes memory back that was not lent.
    pub(super) fn put(&self, image: Vec<u8>) {
        if image.capacity() <= KEPT {
            self.shelf().free.push(image);
        }
    }

    /// Lends `image` to the load of `module` and gives the number of that, and where the image is.
    pub(super) fn lend(&self, module: &ModuleName, image: Vec<u8>) -> (usize, *const [u8]) {
        let mut shelf = self.shelf();
        shelf.loads += 1;
        let (load, place) = (shelf.loads, std::ptr::from_ref(image.as_slice()));
        shelf.lent.push(Lent { load, module: module.clone(), image });
        (load, place)
    }

    /// Whether a load still has its image.
    pub(super) fn has(&self, load: usize) -> bool {
        self.shelf().lent.iter().any(|lent| lent.load == load)
    }

    /// The load has come back. Gives whether it had its image to the end.
    pub(super) fn end(&self, load: usize) -> bool {
        let mut shelf = self.shelf();
        let Some(at) = shelf.lent.iter().position(|lent| lent.load == load) else { return false };
        let image = shelf.lent.swap_remove(at).image;
        drop(shelf);
        self.put(image);
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
    fn what_the_kernel_has_copied_is_used_again() {
        let images = Images::new(1);
        let (first, place) = images.lend(&"a".into(), image(100));
        let (second, _) = images.lend(&"b".into(), image(1000));
        assert_eq!(place.len(), 100);
        assert_eq!(images.buffer(|_| false).capacity(), 0, "nothing is free");
        assert_eq!(images.buffer(|module| module.as_str() == "a").capacity(), 100);
        // Its own load ends later, and has nothing to give back.
        assert!(!images.has(first) && images.has(second));
        assert!(!images.end(first));
        assert!(images.end(second));
        images.put(image(10));
        assert_eq!(images.buffer(|_| false).capacity(), 1000, "the largest first");
        assert_eq!(images.buffer(|_| false).capacity(), 10);
    }

    #[test]
    fn a_decoder_is_for_one_at_a_time() {
        let images = Images::new(1);
        let mut bench = images.bench();
        bench.file = image(5);
        std::thread::scope(|scope| {
            let second = scope.spawn(|| images.bench().file.len());
            images.put_bench(bench);
            assert_eq!(second.join().unwrap(), 5);
        });
    }

    #[test]
    fn what_is_too_large_is_not_kept() {
        let images = Images::new(1);
        let (load, _) = images.lend(&"a".into(), Vec::with_capacity(KEPT + 1));
        assert!(images.end(load));
        assert_eq!(images.buffer(|_| true).capacity(), 0);
    }
}
