//! Lets tensors that are never alive together share memory.

use std::collections::HashMap;
use std::ops::Range;

use super::Plan;
use crate::ops::{Op, Region, Span};
use crate::slices::Section;

/// Floats in a cache line: spans start on one.
pub(super) const ALIGN: usize = 16;

struct Buffer {
    shard: usize,
    start: usize,
    len: usize,
    first: usize,
    last: usize,
}

/// Moves the work spans of `plan` so that they share memory, biggest first at the lowest place that is free while the
/// buffer is alive. What is cut into slices counts as one operation: slices are at different places at once.
pub(super) fn share(plan: &mut Plan) {
    let mut buffers: HashMap<(usize, usize), Buffer> = HashMap::new();
    let sections: Vec<Range<usize>> = Section::all(plan.operations()).iter().map(Section::range).collect();
    for (time, planned) in plan.operations().enumerate() {
        let time = sections.iter().find(|section| section.contains(&time)).map_or(time, |section| section.start);
        for (_, span) in planned.op.operands() {
            if span.region == Region::Work {
                let buffer = buffers.entry((span.shard, span.start)).or_insert(Buffer {
                    shard: span.shard,
                    start: span.start,
                    len: span.len,
                    first: time,
                    last: time,
                });
                buffer.last = time;
            }
        }
    }
    let mut buffers: Vec<Buffer> = buffers.into_values().collect();
    buffers.sort_by_key(|buffer| (usize::MAX - buffer.len, buffer.shard, buffer.start));

    let mut placed: Vec<(usize, &Buffer)> = Vec::new();
    let mut moved = HashMap::new();
    for buffer in &buffers {
        let mut alive: Vec<(usize, usize)> = placed
            .iter()
            .filter(|(_, other)| other.shard == buffer.shard)
            .filter(|(_, other)| other.first <= buffer.last && buffer.first <= other.last)
            .map(|&(start, other)| (start, start + other.len.next_multiple_of(ALIGN)))
            .collect();
        alive.sort_unstable();
        let mut start = 0;
        for (from, to) in alive {
            if start + buffer.len <= from {
                break;
            }
            start = start.max(to);
        }
        moved.insert((buffer.shard, buffer.start), start);
        placed.push((start, buffer));
    }

    let total = |shard: usize| {
        let own = placed.iter().filter(|(_, buffer)| buffer.shard == shard);
        own.map(|(start, buffer)| start + buffer.len.next_multiple_of(ALIGN)).max().unwrap_or(0)
    };
    let place = |span: &mut Span| {
        if span.region == Region::Work
            && let Some(&start) = moved.get(&(span.shard, span.start))
        {
            span.start = start;
        }
    };
    let move_op = |op: &mut Op| op.visit(&mut |_, span| place(span));
    for planned in plan.forward.iter_mut().chain(&mut plan.backward).chain(&mut plan.update) {
        move_op(&mut planned.op);
    }
    for tensor in &mut plan.tensors {
        place(&mut tensor.value);
        tensor.gradient.iter_mut().for_each(place);
    }
    for span in &mut plan.regions {
        if span.region == Region::Work {
            span.len = total(span.shard);
        }
    }
}
