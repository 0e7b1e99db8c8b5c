//! Points of the plane as a picture.

use super::Picture;

/// Points within `-extent..extent` on both axes as dark dots on white, `size` pixels square; the first axis to the right, the second
/// up. Points outside are left out.
pub fn scatter(points: &[[f64; 2]], size: usize, extent: f64) -> Picture {
    let mut data = vec![255u8; size * size];
    let at = |v: f64| (0.5 + v / (2.0 * extent)) * size as f64;
    for point in points {
        let (x, y) = (at(point[0]), at(-point[1]));
        let within = |v: f64| (0.0..size as f64).contains(&v);
        if within(x) && within(y) {
            let pixel = &mut data[y as usize * size + x as usize];
            *pixel = (u16::from(*pixel) * 2 / 5) as u8;
        }
    }
    Picture {
        width: size,
        height: size,
        channels: 1,
        data,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_where_it_belongs_and_one_outside_is_nowhere() {
        let picture = scatter(&[[1.0, 1.0], [5.0, 0.0], [f64::NAN, 0.0]], 8, 2.0);
        let dark: Vec<usize> = (0..64).filter(|i| picture.data[*i] < 255).collect();
        assert_eq!(dark, [2 * 8 + 6]);
    }
}
