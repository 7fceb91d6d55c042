//! A confusion matrix as an image.

use faknow_metrics::ConfusionMatrix;
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

const FONT: (FontWeight, RasterHeight) = (FontWeight::Regular, RasterHeight::Size16);
const CELL_SIZE: (usize, usize) = (96, 56);
const MARGIN: usize = 12;
const LINE_HEIGHT: usize = 20;
/// Maximum number of characters of a class name.
const MAX_NAME_LENGTH: usize = 10;
const TEXT_COLOR: [u8; 3] = [30, 30, 30];
const BACKGROUND: [u8; 3] = [255, 255, 255];
/// Color of a cell that contains its entire row.
const CELL_COLOR: [u8; 3] = [31, 95, 191];

/// An image with RGB pixels.
pub(crate) struct Image {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// `[height, width, 3]`.
    pixels: Vec<u8>,
}

/// Draws the counts; the darkness of a cell is its fraction of the true class.
pub(crate) fn draw(matrix: &ConfusionMatrix, classes: &[String]) -> Image {
    let n = matrix.n_classes();
    let name = |class: usize| {
        let name = classes.get(class).filter(|name| name.is_ascii() && !name.is_empty());
        name.map_or_else(|| class.to_string(), |name| name.chars().take(MAX_NAME_LENGTH).collect())
    };
    let left = MARGIN + MAX_NAME_LENGTH * get_raster_width(FONT.0, FONT.1) + MARGIN;
    let top = MARGIN + 2 * LINE_HEIGHT;
    let mut image = Image::new(left + n * CELL_SIZE.0 + MARGIN, top + n * CELL_SIZE.1 + MARGIN);
    image.write(left, MARGIN, "predicted", TEXT_COLOR);
    for (label, row) in matrix.rows().enumerate() {
        image.write(left + label * CELL_SIZE.0 + 6, MARGIN + LINE_HEIGHT, &name(label), TEXT_COLOR);
        image.write(
            MARGIN,
            top + label * CELL_SIZE.1 + (CELL_SIZE.1 - LINE_HEIGHT) / 2,
            &name(label),
            TEXT_COLOR,
        );
        let sum = row.iter().sum::<u64>().max(1);
        for (predicted, &count) in row.iter().enumerate() {
            let fraction = count as f64 / sum as f64;
            let (x, y) = (left + predicted * CELL_SIZE.0, top + label * CELL_SIZE.1);
            image.fill(
                (x + 1, y + 1),
                (CELL_SIZE.0 - 2, CELL_SIZE.1 - 2),
                mix_colors(BACKGROUND, CELL_COLOR, 0.05 + 0.95 * fraction),
            );
            let color = if fraction > 0.5 { BACKGROUND } else { TEXT_COLOR };
            image.write(x + 6, y + (CELL_SIZE.1 - LINE_HEIGHT) / 2, &count.to_string(), color);
        }
    }
    image
}

impl Image {
    fn new(width: usize, height: usize) -> Self {
        Self { width, height, pixels: BACKGROUND.repeat(width * height) }
    }

    /// Encodes the image as PNG.
    pub(crate) fn to_png(&self) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header().map_err(|e| e.to_string())?;
        writer.write_image_data(&self.pixels).map_err(|e| e.to_string())?;
        writer.finish().map_err(|e| e.to_string())?;
        Ok(bytes)
    }

    fn fill(&mut self, (x, y): (usize, usize), (width, height): (usize, usize), color: [u8; 3]) {
        for row in y..y + height {
            for column in x..x + width {
                self.blend(column, row, color, 1.0);
            }
        }
    }

    fn write(&mut self, mut x: usize, y: usize, text: &str, color: [u8; 3]) {
        for letter in text.chars().filter_map(|letter| get_raster(letter, FONT.0, FONT.1)) {
            for (row, line) in letter.raster().iter().enumerate() {
                for (column, &strength) in line.iter().enumerate() {
                    self.blend(x + column, y + row, color, f64::from(strength) / 255.0);
                }
            }
            x += letter.width();
        }
    }

    /// Blends a color into a pixel; pixels outside the image are ignored.
    fn blend(&mut self, x: usize, y: usize, color: [u8; 3], strength: f64) {
        if x >= self.width || y >= self.height {
            return;
        }
        let start = 3 * (y * self.width + x);
        let old = [self.pixels[start], self.pixels[start + 1], self.pixels[start + 2]];
        self.pixels[start..start + 3].copy_from_slice(&mix_colors(old, color, strength));
    }
}

fn mix_colors(from: [u8; 3], to: [u8; 3], share: f64) -> [u8; 3] {
    let mix =
        |(from, to): (u8, u8)| (f64::from(from) + share * (f64::from(to) - f64::from(from))).round() as u8;
    [mix((from[0], to[0])), mix((from[1], to[1])), mix((from[2], to[2]))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn darkness_of_cells_is_their_fraction() {
        let matrix = ConfusionMatrix::new(2, &[0, 0, 1, 1], &[0, 0, 1, 0]).unwrap();
        let image = draw(&matrix, &["real".into(), "谣言".into()]);
        let left = MARGIN + MAX_NAME_LENGTH * get_raster_width(FONT.0, FONT.1) + MARGIN;
        let corner = |row: usize, column: usize| {
            let (x, y) = (left + column * CELL_SIZE.0 + 3, MARGIN + 2 * LINE_HEIGHT + row * CELL_SIZE.1 + 3);
            image.pixels[3 * (y * image.width + x)]
        };
        assert_eq!((corner(0, 0), corner(1, 0), corner(1, 1)), (31, 137, 137));
        assert!(corner(0, 1) > 240);
        let png = image.to_png().unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut values = vec![0; image.pixels.len()];
        reader.next_frame(&mut values).unwrap();
        assert!(values == image.pixels);
        assert!(image.pixels.chunks(3).any(|pixel| pixel == TEXT_COLOR), "text is drawn");
    }
}
