//! Jobs for devices: some at once, those of one device one after the other and in their order.

use std::collections::VecDeque;

/// What waits and what runs.
#[derive(Debug)]
pub(super) struct Queue<T> {
    waiting: VecDeque<(Vec<u8>, T)>,
    running: Vec<Vec<u8>>,
    places: usize,
}

impl<T> Queue<T> {
    /// A queue of which `places` jobs run at once.
    pub(super) fn new(places: usize) -> Self {
        Self { waiting: VecDeque::new(), running: Vec::new(), places }
    }

    /// Adds a job for `device`.
    pub(super) fn push(&mut self, device: &[u8], job: T) {
        self.waiting.push_back((device.to_vec(), job));
    }

    /// The next job that may run, with its device. It runs from now on.
    pub(super) fn take(&mut self) -> Option<(Vec<u8>, T)> {
        if self.running.len() >= self.places {
            return None;
        }
        let at = self.waiting.iter().position(|(device, _)| !self.running.contains(device))?;
        let (device, job) = self.waiting.remove(at)?;
        self.running.push(device.clone());
        Some((device, job))
    }

    /// The job of `device` that ran has ended.
    pub(super) fn end(&mut self, device: &[u8]) {
        self.running.retain(|running| running != device);
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_run_side_by_side_and_each_in_order() {
        let mut queue = Queue::new(2);
        for (device, job) in [("a", 1), ("a", 2), ("b", 3), ("c", 4), ("b", 5)] {
            queue.push(device.as_bytes(), job);
        }
        let took = |queue: &mut Queue<i32>| queue.take().map(|(_, job)| job);
        assert_eq!(
            [took(&mut queue), took(&mut queue), took(&mut queue)],
            [Some(1), Some(3), None]
        );
        queue.end(b"b");
        assert_eq!([took(&mut queue), took(&mut queue)], [Some(4), None]);
        queue.end(b"a");
        assert_eq!(took(&mut queue), Some(2));
        queue.end(b"c");
        assert_eq!([took(&mut queue), took(&mut queue)], [Some(5), None]);
        assert_eq!(queue.waiting(), 0);
    }
}
