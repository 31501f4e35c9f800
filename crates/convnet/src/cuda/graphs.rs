//! Lists of operations as CUDA graphs: a list is run once as it is, recorded the second time, and replayed from then on.
//!
//! A graph holds addresses and numbers of images. What else changes from step to step is read from the card's memory
//! by the kernels, so a replay is a single call. The first run lets buffers grow that a recording may not allocate.

use std::collections::HashMap;
use std::sync::Arc;

use super::Cuda;
use crate::Error;
use crate::device::Graph;
use crate::ops::{List, Operations, Pass};

/// What is prepared for each list and number of images.
#[derive(Default)]
pub(super) struct Graphs(HashMap<(List, usize), Option<Graph>>);

impl Graphs {
    /// Forgets everything: a buffer has moved.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// See [`crate::ops::Device::run_list`].
pub(super) fn run_list(cuda: &mut Cuda, list: List, operations: &mut Operations<'_, '_>) -> Result<(), Error> {
    run_or_replay(cuda, list, operations)?;
    // The next step's pixels may come while gradients are computed: only forward passes read pixels.
    if list.pass != Pass::Backward {
        let stream = Arc::clone(&cuda.stream);
        cuda.inputs.pixels_read(&stream)?;
    }
    Ok(())
}

fn run_or_replay(cuda: &mut Cuda, list: List, operations: &mut Operations<'_, '_>) -> Result<(), Error> {
    let key = (list, cuda.step.images());
    let Some(known) = cuda.graphs.0.remove(&key) else {
        cuda.run_all(operations)?;
        cuda.graphs.0.insert(key, None);
        return Ok(());
    };
    let mut graph = match known {
        Some(graph) => {
            // A replay checks nothing itself: the step is new.
            for planned in operations {
                planned.op.check_step(&cuda.step)?;
            }
            graph
        }
        None => {
            let stream = Arc::clone(&cuda.stream);
            stream.capture(|| cuda.run_all(operations))?
        }
    };
    // SAFETY: what the kernels use are the buffers of the device; whoever moves one clears the graphs. The module lives
    // as long as the device. The kernels' contracts hold as they did when it was recorded: operations of a list are the
    // same every time, and the step was checked against them.
    unsafe { cuda.stream.launch_graph(&mut graph) }?;
    cuda.graphs.0.insert(key, Some(graph));
    Ok(())
}
