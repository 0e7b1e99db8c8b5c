//! Scalar functions in f64 that do not overflow, with their derivatives.
//!
//! They are made of the `libm` crate's functions alone, so that a table that a converter fills from them has the same bits on every machine.

use libm::{cos, erfc, exp, expm1, log1p, sin, tanh};

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    /// `x * sigmoid(x)` (Elfwing, Uchibe and Doya 2017).
    Silu,
    /// `x * tanh(softplus(x))` (Misra 2019).
    Mish,
    /// `x * Phi(x)`, with the normal distribution's `Phi` (Hendrycks and Gimpel 2016).
    Gelu,
    /// The same paper's approximation, `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))`.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
    /// `max(x, 0)^2` (So et al. 2021).
    Relu2,
    /// The hyperbolic tangent.
    Tanh,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// `ln(1 + e^x)`.
    Softplus,
    /// `max(x, 0) + slope * min(x, 0)` (Maas, Hannun and Ng 2013).
    LeakyRelu(Setting),
    /// `x` above 0, else `alpha * (e^x - 1)` (Clevert, Unterthiner and Hochreiter 2015).
    Elu(Setting),
    /// [`Function::Elu`] of the two constants that keep mean and variance (Klambauer et al. 2017).
    Selu,
    /// `min(max(x, low), high)`.
    Clamp(Setting, Setting),
    /// `x * min(max(x + 3, 0), 6) / 6` (Howard et al. 2019).
    Hardswish,
    /// `min(max(x + 3, 0), 6) / 6`.
    Hardsigmoid,
    /// The sine (Sitzmann et al. 2020).
    Sine,
}

/// A number that belongs to a function, by its bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Setting(u64);

impl Setting {
    /// `value` as a setting.
    #[must_use]
    pub const fn new(value: f64) -> Self {
        Self(value.to_bits())
    }

    /// The number.
    #[must_use]
    pub const fn value(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// Scale and alpha of [`Function::Selu`], as PyTorch has them.
const SELU: [f64; 2] = [1.050_700_987_355_480_5, 1.673_263_242_354_377_2];

/// `sqrt(2 / pi)`.
const ROOT_2_BY_PI: f64 = std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;
/// The cubic term of [`Function::GeluTanh`].
const CUBIC: f64 = 0.044_715;

impl Function {
    /// Every function without a corner off 0 that a table of segments holds, one of those with settings.
    pub const ALL: [Self; 12] = [
        Self::Silu,
        Self::Mish,
        Self::Gelu,
        Self::GeluTanh,
        Self::Relu,
        Self::Relu2,
        Self::Tanh,
        Self::Sigmoid,
        Self::Softplus,
        Self::LeakyRelu(Setting::new(0.01)),
        Self::Elu(Setting::new(1.0)),
        Self::Selu,
    ];

    /// Functions with corners off 0.
    pub const CORNERED: [Self; 3] = [
        Self::Clamp(Setting::new(0.0), Setting::new(6.0)),
        Self::Hardswish,
        Self::Hardsigmoid,
    ];

    /// Its name, as PyTorch writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Silu => "silu",
            Self::Mish => "mish",
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu_tanh",
            Self::Relu => "relu",
            Self::Relu2 => "relu2",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::Softplus => "softplus",
            Self::LeakyRelu(_) => "leaky_relu",
            Self::Elu(_) => "elu",
            Self::Selu => "selu",
            Self::Clamp(..) => "clamp",
            Self::Hardswish => "hardswish",
            Self::Hardsigmoid => "hardsigmoid",
            Self::Sine => "sin",
        }
    }

    /// The function's value: within 1e-12 of itself, relatively, for `|x|` up to 100.
    #[must_use]
    pub fn value(self, x: f64) -> f64 {
        match self {
            Self::Silu => x * sigmoid(x),
            Self::Mish => x * tanh_of_softplus(x),
            Self::Gelu => x * normal_below(x),
            Self::GeluTanh => x * sigmoid(gelu_tanh_argument(x)),
            Self::Relu => relu(x),
            Self::Relu2 => relu(x) * relu(x),
            Self::Tanh => tanh(x),
            Self::Sigmoid => sigmoid(x),
            Self::Softplus => relu(x) + log1p(exp(-x.abs())),
            Self::LeakyRelu(slope) if x < 0.0 => slope.value() * x,
            Self::Elu(alpha) if x < 0.0 => alpha.value() * expm1(x),
            Self::LeakyRelu(_) | Self::Elu(_) => x,
            Self::Selu => SELU[0] * Self::Elu(Setting::new(SELU[1])).value(x),
            Self::Clamp(low, high) => clamped(x, low, high),
            Self::Hardswish => x * Self::Hardsigmoid.value(x),
            Self::Hardsigmoid => clamped(x + 3.0, Setting::new(0.0), Setting::new(6.0)) / 6.0,
            Self::Sine => sin(x),
        }
    }

    /// The derivative; that from the left where a function has none, of bounds 0.
    #[must_use]
    pub fn slope(self, x: f64) -> f64 {
        match self {
            Self::Silu => sigmoid(x) * (1.0 + x * sigmoid(-x)),
            Self::Mish => {
                let t = tanh_of_softplus(x);
                t + x * (1.0 - t * t) * sigmoid(x)
            }
            Self::Gelu => normal_below(x) + x * exp(-0.5 * x * x) * (0.5 * ROOT_2_BY_PI),
            Self::GeluTanh => {
                let u = gelu_tanh_argument(x);
                let inner = 2.0 * ROOT_2_BY_PI * (1.0 + 3.0 * CUBIC * x * x);
                sigmoid(u) * (1.0 + x * inner * sigmoid(-u))
            }
            Self::Relu => f64::from(x > 0.0),
            Self::Relu2 => 2.0 * relu(x),
            Self::Tanh => 4.0 * sigmoid(2.0 * x) * sigmoid(-2.0 * x),
            Self::Sigmoid => sigmoid(x) * sigmoid(-x),
            Self::Softplus => sigmoid(x),
            Self::LeakyRelu(slope) => {
                if x > 0.0 {
                    1.0
                } else {
                    slope.value()
                }
            }
            Self::Elu(_) if x > 0.0 => 1.0,
            Self::Elu(alpha) => alpha.value() * exp(x),
            Self::Selu => SELU[0] * Self::Elu(Setting::new(SELU[1])).slope(x),
            Self::Clamp(low, high) => f64::from(x > low.value() && x < high.value()),
            Self::Hardswish => Self::Hardsigmoid.value(x) + x * Self::Hardsigmoid.slope(x),
            Self::Hardsigmoid => f64::from(x > -3.0 && x < 3.0) / 6.0,
            Self::Sine => cos(x),
        }
    }
}

/// `min(max(x, low), high)`; what is no number stays none.
fn clamped(x: f64, low: Setting, high: Setting) -> f64 {
    if x < low.value() {
        low.value()
    } else if x > high.value() {
        high.value()
    } else {
        x
    }
}

/// `max(x, 0)`; what is no number stays none.
fn relu(x: f64) -> f64 {
    if x < 0.0 { 0.0 } else { x }
}

fn sigmoid(x: f64) -> f64 {
    let e = exp(-x.abs());
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

/// `((1 + e^x)^2 - 1) / ((1 + e^x)^2 + 1)`, divided by `e^2x` where that is large.
fn tanh_of_softplus(x: f64) -> f64 {
    let e = exp(-x.abs());
    let (above, rest) = if x < 0.0 {
        (e * (e + 2.0), 2.0)
    } else {
        (1.0 + 2.0 * e, 2.0 * e * e)
    };
    above / (above + rest)
}

/// The normal distribution's `Phi(x)`.
fn normal_below(x: f64) -> f64 {
    0.5 * erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

/// `1 + tanh(u) = 2 * sigmoid(2 u)`: this is `2 u`.
fn gelu_tanh_argument(x: f64) -> f64 {
    2.0 * ROOT_2_BY_PI * (x + CUBIC * x * x * x)
}

#[cfg(test)]
mod tests;
