//! Images and their neighbours: the right half of the paper's figure 4.

use std::path::Path;

use image::RgbImage;

use super::drawing::Drawing;
use super::{Error, GREY};

/// The side of an image on the picture: seven of them, with gaps and margins, are about 1600 pixels.
const SIDE: u32 = 204;
const GAP: u32 = 12;
const MARGIN: u32 = 36;
/// The space between an image and its neighbours, with a line in it.
const RULE_GAP: u32 = 36;

/// Draws a row for each of `rows`: an image `[side, side, 3]`, a line, and the images after it.
///
/// # Errors
/// No rows, an image with the wrong number of values, more rows than [`super::MAX_PIXELS`] holds, or a file that cannot
/// be written.
pub fn neighbours(rows: &[Vec<Vec<u8>>], side: usize, path: &Path) -> Result<(), Error> {
    let most = rows.iter().map(Vec::len).max().unwrap_or(0) as u64;
    if most == 0 {
        return Err(Error::Empty { path: path.to_owned(), what: "images" });
    }
    let step = u64::from(SIDE + GAP);
    let width = u64::from(2 * MARGIN + RULE_GAP) + most * step - u64::from(2 * GAP);
    let height = u64::from(2 * MARGIN) + rows.len() as u64 * step - u64::from(GAP);
    let mut canvas = Drawing::new(width, height, path)?;
    // Small pictures keep their pixels visible.
    let sharp = side < SIDE as usize / 2;
    for (row, images) in rows.iter().enumerate() {
        let y = i64::from(MARGIN) + row as i64 * step as i64;
        for (column, rgb) in images.iter().enumerate() {
            let expected = side * side * 3;
            let (index, got) = (row * most as usize + column, rgb.len());
            let image = RgbImage::from_raw(side as u32, side as u32, rgb.clone()).filter(|_| got == expected);
            let image = image.ok_or(Error::Length { path: path.to_owned(), what: "image", index, expected, got })?;
            let rule = if column > 0 { i64::from(RULE_GAP - GAP) } else { 0 };
            let x = i64::from(MARGIN) + column as i64 * step as i64 + rule;
            canvas.image(image, (x, y), (SIDE, SIDE), sharp);
        }
        canvas.rect((i64::from(MARGIN + SIDE + RULE_GAP / 2), y), (2, SIDE), GREY);
    }
    canvas.save(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_stand_beside_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("n.png");
        let image = |level: u8| vec![level; 12];
        neighbours(&[vec![image(10), image(200)], vec![image(30), image(90)]], 2, &path).unwrap();
        let drawn = image::open(&path).unwrap().to_rgb8();
        assert_eq!(drawn.dimensions(), (2 * 36 + 2 * 204 + 36, 2 * 36 + 2 * 204 + 12));
        let level = |x, y| drawn.get_pixel(x, y).0[0];
        let second = 36 + 204 + 12;
        assert_eq!((level(36, 36), level(276, 36), level(479, second), level(479, 36)), (10, 200, 90, 200));
        assert_eq!((level(258, 100), level(250, 100)), (GREY.0[0], 255));
        assert!(neighbours(&[vec![image(1)]], 3, &path).unwrap_err().to_string().contains("holds 12 values"));
        assert!(matches!(neighbours(&[], 3, &path), Err(Error::Empty { .. })));
    }
}
