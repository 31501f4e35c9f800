//! How long operations take, by the card's clock.

use std::time::Duration;

use super::{Cuda, graphs};
use crate::Error;
use crate::device::Event;
use crate::ops::{Device, List, Op, Planned};

impl Cuda {
    /// How long an operation takes on the card: the mean of `repeats` runs, one behind the other, after one that is not
    /// counted.
    ///
    /// # Errors
    /// Those of the operation, and the driver's when its clock does not run.
    pub fn time(&mut self, repeats: usize, op: &Op) -> Result<Duration, Error> {
        let (start, end) = (Event::timed(&self.context)?, Event::timed(&self.context)?);
        self.run(op)?;
        self.stream.record(&start)?;
        for _ in 0..repeats {
            self.run(op)?;
        }
        self.stream.record(&end)?;
        end.synchronize()?;
        Ok(end.elapsed_since(&start)? / repeats.max(1) as u32)
    }

    /// How long lists of operations take on the card, one behind the other, with the step that has begun: the mean of
    /// `repeats` runs. Two runs before them are not counted, in which graphs are recorded where there are none yet.
    ///
    /// # Errors
    /// Those of the operations, and the driver's when its clock does not run.
    pub fn time_lists(&mut self, repeats: usize, lists: &[(List, Vec<&Planned>)]) -> Result<Duration, Error> {
        let (start, end) = (Event::timed(&self.context)?, Event::timed(&self.context)?);
        let all = |cuda: &mut Cuda| {
            lists
                .iter()
                .try_for_each(|(list, operations)| graphs::run_list(cuda, *list, &mut operations.iter().copied()))
        };
        (0..2).try_for_each(|_| all(self))?;
        self.stream.record(&start)?;
        (0..repeats).try_for_each(|_| all(self))?;
        self.stream.record(&end)?;
        end.synchronize()?;
        Ok(end.elapsed_since(&start)? / repeats.max(1) as u32)
    }
}
