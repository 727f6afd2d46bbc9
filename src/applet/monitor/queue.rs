//! Queue of jobs for devices. Jobs of different devices run in parallel, those of the same device
//! in order.

use std::collections::VecDeque;

/// Queued and running jobs.
#[derive(Debug)]
pub(super) struct Queue<T> {
    queued: VecDeque<(Vec<u8>, T)>,
    running: Vec<Vec<u8>>,
    max_running: usize,
}

impl<T> Queue<T> {
    /// Returns a queue of which up to `max_running` jobs run in parallel.
    pub(super) fn new(max_running: usize) -> Self {
        Self { queued: VecDeque::new(), running: Vec::new(), max_running }
    }

    /// Adds a job for `device`.
    pub(super) fn push(&mut self, device: &[u8], job: T) {
        self.queued.push_back((device.to_vec(), job));
    }

    /// Removes and returns the next job that may run, with its device. It counts as running.
    pub(super) fn pop(&mut self) -> Option<(Vec<u8>, T)> {
        if self.running.len() >= self.max_running {
            return None;
        }
        let at = self.queued.iter().position(|(device, _)| !self.running.contains(device))?;
        let (device, job) = self.queued.remove(at)?;
        self.running.push(device.clone());
        Some((device, job))
    }

    /// Marks the running job of `device` as ended.
    pub(super) fn finish(&mut self, device: &[u8]) {
        self.running.retain(|running| running != device);
    }

    /// Returns the number of queued jobs.
    pub(super) fn len(&self) -> usize {
        self.queued.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_run_in_parallel_and_each_in_order() {
        let mut queue = Queue::new(2);
        for (device, job) in [("a", 1), ("a", 2), ("b", 3), ("c", 4), ("b", 5)] {
            queue.push(device.as_bytes(), job);
        }
        let pop = |queue: &mut Queue<i32>| queue.pop().map(|(_, job)| job);
        assert_eq!([pop(&mut queue), pop(&mut queue), pop(&mut queue)], [Some(1), Some(3), None]);
        queue.finish(b"b");
        assert_eq!([pop(&mut queue), pop(&mut queue)], [Some(4), None]);
        queue.finish(b"a");
        assert_eq!(pop(&mut queue), Some(2));
        queue.finish(b"c");
        assert_eq!([pop(&mut queue), pop(&mut queue)], [Some(5), None]);
        assert_eq!(queue.len(), 0);
    }
}
