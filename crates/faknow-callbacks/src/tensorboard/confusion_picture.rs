//! A confusion matrix as a picture.

use faknow_metrics::ConfusionMatrix;
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

const FONT: (FontWeight, RasterHeight) = (FontWeight::Regular, RasterHeight::Size16);
const CELL: (usize, usize) = (96, 56);
const MARGIN: usize = 12;
const LINE: usize = 20;
/// Letters of a class that there is room for.
const MOST_LETTERS: usize = 10;
const INK: [u8; 3] = [30, 30, 30];
const PAPER: [u8; 3] = [255, 255, 255];
const FULL: [u8; 3] = [31, 95, 191];

/// A picture of RGB values.
pub(crate) struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// `[height, width, 3]`.
    values: Vec<u8>,
}

/// Draws the counts, each in a cell as dark as its share of the true class.
pub(crate) fn draw(matrix: &ConfusionMatrix, classes: &[String]) -> Picture {
    let n = matrix.n_classes();
    let name = |class: usize| {
        let name = classes.get(class).filter(|name| name.is_ascii() && !name.is_empty());
        name.map_or_else(|| class.to_string(), |name| name.chars().take(MOST_LETTERS).collect())
    };
    let left = MARGIN + MOST_LETTERS * get_raster_width(FONT.0, FONT.1) + MARGIN;
    let top = MARGIN + 2 * LINE;
    let mut picture = Picture::new(left + n * CELL.0 + MARGIN, top + n * CELL.1 + MARGIN);
    picture.write(left, MARGIN, "predicted", INK);
    for (label, row) in matrix.rows().enumerate() {
        picture.write(left + label * CELL.0 + 6, MARGIN + LINE, &name(label), INK);
        picture.write(MARGIN, top + label * CELL.1 + (CELL.1 - LINE) / 2, &name(label), INK);
        let sum = row.iter().sum::<u64>().max(1);
        for (predicted, &count) in row.iter().enumerate() {
            let share = count as f64 / sum as f64;
            let (x, y) = (left + predicted * CELL.0, top + label * CELL.1);
            picture.fill((x + 1, y + 1), (CELL.0 - 2, CELL.1 - 2), mixed(PAPER, FULL, 0.05 + 0.95 * share));
            let ink = if share > 0.5 { PAPER } else { INK };
            picture.write(x + 6, y + (CELL.1 - LINE) / 2, &count.to_string(), ink);
        }
    }
    picture
}

impl Picture {
    fn new(width: usize, height: usize) -> Self {
        Self { width, height, values: PAPER.repeat(width * height) }
    }

    /// The picture as PNG.
    pub(crate) fn to_png(&self) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header().map_err(|e| e.to_string())?;
        writer.write_image_data(&self.values).map_err(|e| e.to_string())?;
        writer.finish().map_err(|e| e.to_string())?;
        Ok(bytes)
    }

    fn fill(&mut self, (x, y): (usize, usize), (width, height): (usize, usize), color: [u8; 3]) {
        for row in y..y + height {
            for column in x..x + width {
                self.mix(column, row, color, 1.0);
            }
        }
    }

    fn write(&mut self, mut x: usize, y: usize, text: &str, color: [u8; 3]) {
        for letter in text.chars().filter_map(|letter| get_raster(letter, FONT.0, FONT.1)) {
            for (row, line) in letter.raster().iter().enumerate() {
                for (column, &strength) in line.iter().enumerate() {
                    self.mix(x + column, y + row, color, f64::from(strength) / 255.0);
                }
            }
            x += letter.width();
        }
    }

    /// What lies outside is left out.
    fn mix(&mut self, x: usize, y: usize, color: [u8; 3], strength: f64) {
        if x >= self.width || y >= self.height {
            return;
        }
        let at = 3 * (y * self.width + x);
        let before = [self.values[at], self.values[at + 1], self.values[at + 2]];
        self.values[at..at + 3].copy_from_slice(&mixed(before, color, strength));
    }
}

fn mixed(from: [u8; 3], to: [u8; 3], share: f64) -> [u8; 3] {
    let mix =
        |(from, to): (u8, u8)| (f64::from(from) + share * (f64::from(to) - f64::from(from))).round() as u8;
    [mix((from[0], to[0])), mix((from[1], to[1])), mix((from[2], to[2]))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_as_dark_as_their_share() {
        let matrix = ConfusionMatrix::new(2, &[0, 0, 1, 1], &[0, 0, 1, 0]).unwrap();
        let picture = draw(&matrix, &["real".into(), "谣言".into()]);
        let left = MARGIN + MOST_LETTERS * get_raster_width(FONT.0, FONT.1) + MARGIN;
        let corner = |row: usize, column: usize| {
            let (x, y) = (left + column * CELL.0 + 3, MARGIN + 2 * LINE + row * CELL.1 + 3);
            let at = 3 * (y * picture.width + x);
            picture.values[at]
        };
        assert_eq!((corner(0, 0), corner(1, 0), corner(1, 1)), (31, 137, 137));
        assert!(corner(0, 1) > 240);
        let png = picture.to_png().unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut values = vec![0; picture.values.len()];
        reader.next_frame(&mut values).unwrap();
        assert!(values == picture.values);
        assert!(picture.values.chunks(3).any(|pixel| pixel == INK), "something is written");
    }
}
