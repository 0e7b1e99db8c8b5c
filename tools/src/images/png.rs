//! PNG files.

use super::Picture;
use png::{BitDepth, ColorType, DecodeOptions, Decoder, Encoder, Transformations};
use std::io::Cursor;

/// Largest picture that is read, pixels: a microcontroller's sample is far smaller.
const MAX_PIXELS: u64 = 1 << 24;

/// A picture that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Damaged, or no PNG file.
    #[error("not a whole PNG file: {0}")]
    Decode(#[from] png::DecodingError),
    /// It cannot be written.
    #[error("cannot be written as PNG: {0}")]
    Encode(#[from] png::EncodingError),
    /// Absurdly large.
    #[error("the image has {width} x {height} pixels, too many to read")]
    TooLarge {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
}

/// `picture` as a PNG file.
pub fn encode(picture: &Picture) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, picture.width as u32, picture.height as u32);
    encoder.set_color(if picture.channels == 3 {
        ColorType::Rgb
    } else {
        ColorType::Grayscale
    });
    encoder.set_depth(BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&picture.data)?;
    writer.finish()?;
    Ok(bytes)
}

/// The PNG file in `bytes`, as 8-bit gray or RGB; what is transparent becomes black.
pub fn decode(bytes: &[u8]) -> Result<Picture, ImageError> {
    let mut options = DecodeOptions::default();
    options.set_ignore_adler32(false);
    let mut decoder = Decoder::new_with_options(Cursor::new(bytes), options);
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let (width, height) = {
        let info = decoder.read_header_info()?;
        (info.width, info.height)
    };
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(ImageError::TooLarge { width, height });
    }
    let mut reader = decoder.read_info()?;
    let size = reader
        .output_buffer_size()
        .ok_or(ImageError::TooLarge { width, height })?;
    let mut data = vec![0; size];
    let info = reader.next_frame(&mut data)?;
    data.truncate(info.buffer_size());
    let (channels, data) = match info.color_type {
        ColorType::GrayscaleAlpha => (1, over_black(&data, 1)),
        ColorType::Rgba => (3, over_black(&data, 3)),
        ColorType::Grayscale => (1, data),
        ColorType::Rgb | ColorType::Indexed => (3, data),
    };
    Ok(Picture {
        width: info.width as usize,
        height: info.height as usize,
        channels,
        data,
    })
}

fn over_black(data: &[u8], colors: usize) -> Vec<u8> {
    let shade = |pixel: &[u8]| -> Vec<u8> {
        let alpha = u32::from(pixel[colors]);
        pixel[..colors]
            .iter()
            .map(|c| ((u32::from(*c) * alpha + 127) / 255) as u8)
            .collect()
    };
    data.chunks_exact(colors + 1).flat_map(shade).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for channels in [1, 3] {
            let data: Vec<u8> = (0..6 * channels as u8).map(|v| v * 13).collect();
            let picture = Picture {
                width: 3,
                height: 2,
                channels,
                data,
            };
            assert_eq!(decode(&encode(&picture).unwrap()).unwrap(), picture);
        }
    }

    /// The sum of the pixels themselves, under a chunk whose own checksum is right.
    #[test]
    fn a_wrong_sum_of_the_pixels_is_an_error() {
        let picture = Picture {
            width: 3,
            height: 2,
            channels: 1,
            data: vec![7; 6],
        };
        let mut file = encode(&picture).unwrap();
        let at = file.windows(4).position(|four| four == b"IDAT").unwrap();
        let length = u32::from_be_bytes(*file[at - 4..].first_chunk().unwrap()) as usize;
        file[at + 4 + length - 1] ^= 1;
        let sum = crc32fast::hash(&file[at..at + 4 + length]);
        file[at + 4 + length..at + 8 + length].copy_from_slice(&sum.to_be_bytes());
        let error = decode(&file).unwrap_err().to_string();
        assert!(error.starts_with("not a whole PNG file"), "{error}");
    }

    #[test]
    fn damaged_files_are_errors() {
        let whole = encode(&Picture {
            width: 3,
            height: 2,
            channels: 1,
            data: vec![7; 6],
        })
        .unwrap();
        for len in 0..whole.len() - 12 {
            assert!(decode(&whole[..len]).is_err(), "{len}");
        }
    }
}
