//! Labelled images: decoding, statistics and a prefetching reader.
