//! The segments before the scan.

use super::huffman::Table;
use super::idct::Quantiser;

/// Where each coefficient of the file's order lies in a block: row times 8 plus column.
#[rustfmt::skip]
pub(super) const ZIGZAG: [u8; 64] = [
     0,  1,  8, 16,  9,  2,  3, 10, 17, 24, 32, 25, 18, 11,  4,  5,
    12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13,  6,  7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// What the segments say.
pub(super) struct Header<'a> {
    pub(super) width: usize,
    pub(super) height: usize,
    /// Grey, or Y, Cb and Cr.
    pub(super) components: Vec<Component>,
    pub(super) quantisers: [Quantiser; 4],
    pub(super) dc: [Table; 4],
    pub(super) ac: [Table; 4],
    /// Units between restart markers; 0 if there are none.
    pub(super) restart: usize,
    pub(super) exif: Option<&'a [u8]>,
    /// Where the scan's data starts.
    pub(super) scan: usize,
}

/// A component of the picture.
pub(super) struct Component {
    id: u8,
    /// Blocks in a unit.
    pub(super) horizontal: usize,
    pub(super) vertical: usize,
    /// Which quantiser and tables it uses.
    pub(super) quantiser: usize,
    pub(super) dc: usize,
    pub(super) ac: usize,
}

impl<'a> Header<'a> {
    /// Reads the segments up to the scan; nothing if they are not of the usual kind.
    pub(super) fn parse(bytes: &'a [u8], max_pixels: u64) -> Option<Header<'a>> {
        let mut header = Header {
            width: 0,
            height: 0,
            components: Vec::new(),
            quantisers: [Quantiser::new([0.0; 64]); 4],
            dc: [(); 4].map(|()| Table::default()),
            ac: [(); 4].map(|()| Table::default()),
            restart: 0,
            exif: None,
            scan: 0,
        };
        let mut is_ycc = None;
        let mut at = 2;
        bytes.strip_prefix(&[0xFF, 0xD8])?;
        loop {
            let &[0xFF, marker, high, low] = bytes.get(at..)?.first_chunk()? else { return None };
            let length = usize::from(u16::from_be_bytes([high, low]));
            let segment = bytes.get(at + 4..at + 2 + length)?;
            at += 2 + length;
            match marker {
                0xC0 | 0xC1 => header.frame(segment, max_pixels)?,
                0xC4 => header.tables(segment)?,
                0xDB => header.quantisers(segment)?,
                0xDD => header.restart = usize::from(u16::from_be_bytes(*segment.first_chunk()?)),
                0xDA => {
                    header.scan = at;
                    header.begin_scan(segment)?;
                    let ids: Vec<u8> = header.components.iter().map(|it| it.id).collect();
                    let is_usual = header.components.len() == 1 || is_ycc.unwrap_or(ids == [1, 2, 3]);
                    return is_usual.then_some(header);
                }
                0xE0 if segment.starts_with(b"JFIF\0") => is_ycc = is_ycc.or(Some(true)),
                0xE1 if segment.starts_with(b"Exif\0\0") && header.exif.is_none() => {
                    header.exif = Some(&segment[6..]);
                }
                0xEE if segment.starts_with(b"Adobe") => is_ycc = Some(*segment.get(11)? == 1),
                0xE0..=0xEF | 0xFE => {}
                _ => return None,
            }
        }
    }

    fn frame(&mut self, segment: &[u8], max_pixels: u64) -> Option<()> {
        let (&[8, height_high, height_low, width_high, width_low, count], components) = segment.split_first_chunk()?
        else {
            return None;
        };
        self.height = usize::from(u16::from_be_bytes([height_high, height_low]));
        self.width = usize::from(u16::from_be_bytes([width_high, width_low]));
        let pixels = self.width as u64 * self.height as u64;
        let components = components.as_chunks::<3>().0;
        if !self.components.is_empty() || pixels == 0 || pixels > max_pixels || components.len() != usize::from(count) {
            return None;
        }
        for &[id, sampling, quantiser] in components {
            let (horizontal, vertical) = (usize::from(sampling >> 4), usize::from(sampling & 15));
            let quantiser = usize::from(quantiser);
            self.components.push(Component { id, horizontal, vertical, quantiser, dc: 0, ac: 0 });
        }
        let sampling: Vec<(usize, usize)> = self.components.iter().map(|it| (it.horizontal, it.vertical)).collect();
        match sampling[..] {
            // One component has one block in a unit, whatever it says.
            [_] => (self.components[0].horizontal, self.components[0].vertical) = (1, 1),
            [(1, 1) | (2, 1) | (2, 2), (1, 1), (1, 1)] => {}
            _ => return None,
        }
        self.components.iter().all(|it| it.quantiser < 4).then_some(())
    }

    fn tables(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&place, rest)) = segment.split_first() {
            let (lengths, rest) = rest.split_first_chunk::<16>()?;
            let n_symbols = lengths.iter().map(|&n| usize::from(n)).sum();
            let (symbols, rest) = rest.split_at_checked(n_symbols)?;
            let is_ac = place >> 4 == 1;
            let tables = if is_ac { &mut self.ac } else { &mut self.dc };
            *tables.get_mut(usize::from(place & 15))? = Table::new(lengths, symbols, is_ac)?;
            segment = rest;
        }
        Some(())
    }

    fn quantisers(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&place, rest)) = segment.split_first() {
            // The upper half says 16 bits, which are not for pictures of 8.
            let (values, rest) = rest.split_first_chunk::<64>()?;
            let mut factors = [0.0; 64];
            for (&at, &value) in ZIGZAG.iter().zip(values) {
                factors[usize::from(at)] = f32::from(value);
            }
            *self.quantisers.get_mut(usize::from(place))? = Quantiser::new(factors);
            segment = rest;
        }
        Some(())
    }

    fn begin_scan(&mut self, segment: &[u8]) -> Option<()> {
        let (&count, rest) = segment.split_first()?;
        let (tables, rest) = rest.as_chunks::<2>();
        let n_components = self.components.len();
        // Two bytes of the spectrum's range fill one chunk more, then a byte.
        if n_components == 0 || usize::from(count) != n_components || tables.len() != n_components + 1 {
            return None;
        }
        if tables[n_components] != [0, 63] || rest != [0] {
            return None;
        }
        for (component, &[id, places]) in self.components.iter_mut().zip(tables) {
            (component.dc, component.ac) = (usize::from(places >> 4), usize::from(places & 15));
            if component.id != id || component.dc > 3 || component.ac > 3 {
                return None;
            }
        }
        let has_tables = |it: &Component| self.dc[it.dc].is_there() && self.ac[it.ac].is_there();
        self.components.iter().all(has_tables).then_some(())
    }

    /// The largest numbers of blocks that a component has in a unit: those of the first.
    pub(super) fn most(&self) -> (usize, usize) {
        (self.components[0].horizontal, self.components[0].vertical)
    }

    /// Units in a row.
    pub(super) fn units_across(&self) -> usize {
        self.width.div_ceil(8 * self.most().0)
    }

    /// Rows of units.
    pub(super) fn units_down(&self) -> usize {
        self.height.div_ceil(8 * self.most().1)
    }
}
