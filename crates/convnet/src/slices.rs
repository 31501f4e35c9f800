//! Exchanges in slices of images: a slice is copied while the next one is computed, and read while the next one is copied.
//!
//! Activations are NHWC, so a slice of a batch is a piece of each span, and an operation on it is the same operation on
//! fewer images; no sum over channels or windows knows the batch. What is cut is an exchange of a convolution's inputs
//! or of their gradients, with what computes them and with the convolution that reads them. A fully connected layer
//! would read all its weights for each slice, and what it exchanges is small.

use std::ops::Range;

use crate::ops::{Exchange, Op, Planned, Region, Span};

/// Floats at a multiple of which every span of a slice begins, as whole spans do: kernels copy so many at once.
const ALIGN: usize = 16;

/// A list with its sections cut into up to `slices` slices of `images` images.
pub(crate) fn cut(list: &[&Planned], images: usize, slices: usize) -> Vec<Planned> {
    let whole = |range: Range<usize>| list[range].iter().map(|&planned| planned.clone());
    let sections = if slices > 1 { Section::all(list.iter().copied()) } else { Vec::new() };
    let mut all = Vec::new();
    let mut done = 0;
    for section in sections {
        let range = section.range();
        all.extend(whole(done..range.start));
        all.extend(section.cut(&list[range.clone()], images, slices));
        done = range.end;
    }
    all.extend(whole(done..list.len()));
    all
}

/// Operations of a list that are cut together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    /// What computes what is exchanged; the exchange stands behind it.
    produce: Range<usize>,
    /// The convolutions that read it; none behind an exchange of gradients.
    consume: Range<usize>,
}

impl Section {
    /// Every section of a list, in order.
    pub(crate) fn all<'a>(list: impl Iterator<Item = &'a Planned>) -> Vec<Section> {
        let list: Vec<&Planned> = list.collect();
        let mut sections: Vec<Section> = Vec::new();
        for at in (0..list.len()).filter(|&at| matches!(list[at].op, Op::Exchange(_))) {
            let free = sections.last().map_or(0, |before| before.range().end);
            sections.extend(Section::around(&list, at, free));
        }
        sections
    }

    /// From the last layer with weights before an exchange to the layer that reads it, without what is before `free`.
    fn around(list: &[&Planned], exchange: usize, free: usize) -> Option<Section> {
        let layer = |at: usize| &list[at].layer;
        let readers = (exchange + 1..list.len()).take_while(|&at| matches!(list[at].op, Op::ConvForward(_)));
        let readers = readers.take_while(|&at| layer(at) == layer(exchange)).count();
        let of_gradients = |at: usize| matches!(list[at].op, Op::ConvInputGrad(_)) && layer(at) == layer(exchange);
        if readers == 0 && !(free..exchange).next_back().is_some_and(of_gradients) {
            return None;
        }
        let mut start = exchange;
        for at in (free..exchange).rev() {
            match &list[at].op {
                Op::ConvForward(_) | Op::ConvInputGrad(_) => {}
                Op::LrnForward(_) | Op::MapNormForward(_) | Op::PoolForward(_) | Op::ActivationForward(_) => {}
                _ => break,
            }
            // One layer with weights hides a copy, and is last.
            let has_weights = |at: usize| matches!(list[at].op, Op::ConvForward(_) | Op::ConvInputGrad(_));
            if start < exchange && has_weights(start) && layer(at) != layer(start) {
                break;
            }
            start = at;
        }
        Some(Section { produce: start..exchange, consume: exchange + 1..exchange + 1 + readers })
    }

    /// The places of its operations, the exchange included.
    pub(crate) fn range(&self) -> Range<usize> {
        self.produce.start..self.consume.end
    }

    /// Its operations on up to `slices` slices of `images` images: first what computes and copies each slice, then what
    /// reads each. `list` is the section's part of the list.
    fn cut(&self, list: &[&Planned], images: usize, slices: usize) -> Vec<Planned> {
        let exchange = self.produce.len();
        let Op::Exchange(op) = &list[exchange].op else { return list.iter().map(|&planned| planned.clone()).collect() };
        let bounds = bounds(list, capacity(op), images, slices);
        let part = |planned: &Planned, slice: &Range<usize>| part(planned, capacity(op), slice);
        let mut all = Vec::new();
        for (planned, slice) in [&list[..=exchange], &list[exchange + 1..]].map(|half| (half, &bounds)) {
            all.extend(slice.iter().flat_map(|slice| planned.iter().map(move |planned| part(planned, slice))));
        }
        all
    }
}

/// Images that there is room for.
fn capacity(exchange: &Exchange) -> usize {
    exchange.transfers.first().map_or(0, |transfer| transfer.from.len / exchange.len)
}

/// Whether a span holds images.
fn holds_images(span: &Span) -> bool {
    span.region == Region::Work
}

/// About equal slices of the images, none empty.
fn bounds(list: &[&Planned], capacity: usize, images: usize, slices: usize) -> Vec<Range<usize>> {
    let spans = list.iter().flat_map(|planned| planned.op.operands()).map(|(_, span)| span);
    let lens = spans.filter(holds_images).map(|span| span.len / capacity);
    // Both are powers of two, so the larger suits all.
    let step = lens.map(|len| ALIGN >> len.trailing_zeros().min(ALIGN.trailing_zeros())).max().unwrap_or(1);
    let each = images.div_ceil(slices.max(1)).next_multiple_of(step);
    (0..images).step_by(each).map(|start| start..images.min(start + each)).collect()
}

/// An operation on some of the images.
fn part(planned: &Planned, capacity: usize, slice: &Range<usize>) -> Planned {
    let mut part = Planned { images: Some(slice.len()), ..planned.clone() };
    part.op.visit(&mut |_, span| {
        if holds_images(span) {
            let len = span.len / capacity;
            *span = Span { start: span.start + slice.start * len, len: slice.len() * len, ..*span };
        }
    });
    part
}
