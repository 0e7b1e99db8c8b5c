//! Between the state's Q24 and 8-bit pixels.

/// `round_half_up((x + 1) * 127.5)`, clamped to 0..=255.
pub fn q24_to_pixel(x_q24: i32) -> u8 {
    let x = i64::from(x_q24.clamp(-(1 << 24), 1 << 24)) + (1 << 24);
    ((x * 255 + (1 << 24)) >> 25) as u8
}

/// `p / 127.5 - 1` in Q24, rounded half up.
pub fn pixel_to_q24(pixel: u8) -> i32 {
    let scaled = (i64::from(pixel) << 26) + 255;
    (scaled / 510) as i32 - (1 << 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_survive_the_round_trip() {
        for pixel in 0..=255 {
            assert_eq!(q24_to_pixel(pixel_to_q24(pixel)), pixel);
        }
        assert_eq!(pixel_to_q24(0), -(1 << 24));
        assert_eq!(pixel_to_q24(255), 1 << 24);
        assert_eq!(q24_to_pixel(i32::MIN), 0);
        assert_eq!(q24_to_pixel(i32::MAX), 255);
        assert_eq!(q24_to_pixel(0), 128);
    }
}
