//! The state as 8-bit pixels.

/// `(x + 1) * 127.5` in whole numbers, a half up, 0 to 255.
pub fn q24_to_pixel(x_q24: i32) -> u8 {
    let one = 1i64 << 24;
    let x = i64::from(x_q24).clamp(-one, one);
    // ((x + one) / one) * 127.5 + 0.5 = ((x + one) * 255 + one) / (2 one), floored.
    (((x + one) * 255 + one) / (2 * one)) as u8
}
