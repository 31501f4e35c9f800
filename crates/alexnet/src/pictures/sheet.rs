//! A contact sheet: pictures of one size side by side.

use std::path::Path;

use image::RgbImage;

use super::Error;
use super::drawing::Drawing;

/// Pixels between pictures.
const GAP: usize = 4;
/// The width that rows are filled up to, unless one picture is wider.
const WIDTH: usize = 1600;

/// Draws pictures `[side, side, 3]` in rows, in their order.
///
/// # Errors
/// When there are none, one has another size, or the file cannot be written.
pub fn sheet(pictures: &[Vec<u8>], side: usize, path: &Path) -> Result<(), Error> {
    if pictures.is_empty() {
        return Err(Error::Empty { path: path.to_owned(), what: "pictures" });
    }
    let columns = ((WIDTH - GAP) / (side + GAP)).clamp(1, pictures.len());
    let extent = |count: usize| (GAP + count * (side + GAP)) as u64;
    let mut canvas = Drawing::new(extent(columns), extent(pictures.len().div_ceil(columns)), path)?;
    for (index, rgb) in pictures.iter().enumerate() {
        let expected = side * side * 3;
        let picture = RgbImage::from_raw(side as u32, side as u32, rgb.clone())
            .filter(|_| rgb.len() == expected)
            .ok_or_else(|| Error::Length { path: path.to_owned(), what: "picture", index, expected, got: rgb.len() })?;
        let place = |count: usize| (GAP + count * (side + GAP)) as i64;
        let corner = (place(index % columns), place(index / columns));
        canvas.image(picture, corner, (side as u32, side as u32), true);
    }
    canvas.save(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_stand_in_rows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sheet.png");
        let pictures: Vec<Vec<u8>> = (0..5_u8).map(|i| vec![i; 500 * 500 * 3]).collect();
        sheet(&pictures, 500, &path).unwrap();
        let drawn = image::open(&path).unwrap().to_rgb8();
        assert_eq!(drawn.dimensions(), (1516, 1012));
        let at = |x, y| drawn.get_pixel(x, y).0;
        assert_eq!([at(4, 4), at(1012, 503), at(4, 508), at(508, 508)], [[0; 3], [2; 3], [3; 3], [4; 3]]);
        assert_eq!([at(3, 4), at(1012, 508)], [[255; 3]; 2]);
    }

    #[test]
    fn wrong_pictures_are_refused() {
        let path = Path::new("sheet.png");
        assert!(matches!(sheet(&[], 2, path), Err(Error::Empty { .. })));
        for length in [11, 13] {
            let pictures = [vec![0; 12], vec![0; length]];
            assert!(matches!(sheet(&pictures, 2, path), Err(Error::Length { index: 1, .. })));
        }
    }
}
