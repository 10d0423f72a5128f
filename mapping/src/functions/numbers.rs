//! Calculations: units of measurement, rounding, scales.

use rhai::{Dynamic, FLOAT, INT, Module, NativeCallContext, plugin::*};

use super::{Outcome, failed, number};
use crate::values;

/// What 0 degrees Celsius are in kelvin.
const KELVIN: FLOAT = 273.15;

/// Bar of a pound-force per square inch (NIST SP 811, B.8).
const BAR_OF_PSI: FLOAT = 0.068_947_572_931_683_6;

/// Kilometres of a mile (international).
const KM_OF_MILE: FLOAT = 1.609_344;

pub(super) fn module() -> Module {
    exported_module!(number_functions)
}

#[export_module]
#[expect(unreachable_pub, reason = "the macro registers what is public")]
mod number_functions {
    /// Degrees Celsius in degrees Fahrenheit.
    #[rhai_fn(return_raw)]
    pub fn c_to_f(ctx: NativeCallContext, celsius: Dynamic) -> Outcome<FLOAT> {
        Ok(number(&ctx, &celsius)? * 9.0 / 5.0 + 32.0)
    }

    /// Degrees Fahrenheit in degrees Celsius.
    #[rhai_fn(return_raw)]
    pub fn f_to_c(ctx: NativeCallContext, fahrenheit: Dynamic) -> Outcome<FLOAT> {
        Ok((number(&ctx, &fahrenheit)? - 32.0) * 5.0 / 9.0)
    }

    /// Degrees Celsius in kelvin.
    #[rhai_fn(return_raw)]
    pub fn c_to_k(ctx: NativeCallContext, celsius: Dynamic) -> Outcome<FLOAT> {
        Ok(number(&ctx, &celsius)? + KELVIN)
    }

    /// Kelvin in degrees Celsius.
    #[rhai_fn(return_raw)]
    pub fn k_to_c(ctx: NativeCallContext, kelvin: Dynamic) -> Outcome<FLOAT> {
        Ok(number(&ctx, &kelvin)? - KELVIN)
    }

    /// Pounds per square inch in bar.
    #[rhai_fn(return_raw)]
    pub fn psi_to_bar(ctx: NativeCallContext, psi: Dynamic) -> Outcome<FLOAT> {
        Ok(number(&ctx, &psi)? * BAR_OF_PSI)
    }

    /// Bar in pounds per square inch.
    #[rhai_fn(return_raw)]
    pub fn bar_to_psi(ctx: NativeCallContext, bar: Dynamic) -> Outcome<FLOAT> {
        Ok(number(&ctx, &bar)? / BAR_OF_PSI)
    }

    /// Miles per hour in kilometres per hour; also miles in kilometres.
    #[rhai_fn(return_raw)]
    pub fn mph_to_kmh(ctx: NativeCallContext, mph: Dynamic) -> Outcome<FLOAT> {
        Ok(number(&ctx, &mph)? * KM_OF_MILE)
    }

    /// Kilometres per hour in miles per hour; also kilometres in miles.
    #[rhai_fn(return_raw)]
    pub fn kmh_to_mph(ctx: NativeCallContext, kmh: Dynamic) -> Outcome<FLOAT> {
        Ok(number(&ctx, &kmh)? / KM_OF_MILE)
    }

    /// The number with so many digits after the point (0 to 15), halves away from zero. Integers stay what they are.
    #[rhai_fn(name = "round", return_raw)]
    pub fn round_to(ctx: NativeCallContext, x: Dynamic, digits: INT) -> Outcome<Dynamic> {
        let digits = i32::try_from(digits)
            .ok()
            .filter(|digits| (0..=15).contains(digits))
            .ok_or_else(|| failed(&ctx, format!("{digits} digits; 0 to 15 are allowed")))?;
        if x.is_int() {
            return Ok(x);
        }
        let (value, scale) = (number(&ctx, &x)?, FLOAT::powi(10.0, digits));
        let rounded = (value * scale).round() / scale;
        Ok((if rounded.is_finite() { rounded } else { value }).into())
    }

    /// Whether the value is a number that can be calculated with: of any type, and not beyond what a float holds.
    pub fn is_number(value: Dynamic) -> bool {
        values::as_float(&value).is_some_and(FLOAT::is_finite)
    }

    /// The number, or the bound that it is beyond.
    #[rhai_fn(return_raw)]
    pub fn clamp(ctx: NativeCallContext, x: Dynamic, least: Dynamic, greatest: Dynamic) -> Outcome<Dynamic> {
        let (value, low, high) = (number(&ctx, &x)?, number(&ctx, &least)?, number(&ctx, &greatest)?);
        if low > high {
            return Err(failed(&ctx, format!("the least is {low} and the greatest {high}; the least comes first")));
        }
        Ok(if value < low {
            least
        } else if value > high {
            greatest
        } else {
            x
        })
    }

    /// The number from one scale on another: 4 to 20 mA as 0 to 100 %. What is beyond the one is beyond the other.
    #[rhai_fn(return_raw)]
    pub fn scale(
        ctx: NativeCallContext,
        x: Dynamic,
        in_min: Dynamic,
        in_max: Dynamic,
        out_min: Dynamic,
        out_max: Dynamic,
    ) -> Outcome<FLOAT> {
        let (value, from, to) = (number(&ctx, &x)?, number(&ctx, &in_min)?, number(&ctx, &in_max)?);
        let (first, last) = (number(&ctx, &out_min)?, number(&ctx, &out_max)?);
        if from == to {
            return Err(failed(
                &ctx,
                format!("the scale of what comes in is from {from} to {to}, which has no length"),
            ));
        }
        Ok(first + (value - from) / (to - from) * (last - first))
    }
}
