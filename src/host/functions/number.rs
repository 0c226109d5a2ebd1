//! Statistics of numbers: `percentile`, `mean`, `min`, `max`. Of nothing there is none: an empty array is an error.

use crate::host::value;
use crate::host::value::describe::function;
use crate::host::value::described::Entry;
use crate::host::value::error::{Fallible, ScriptError};
use rhai::{Array, Dynamic, NativeCallContext};

pub const FUNCTIONS: &[Entry] = &[PERCENTILE, MEAN, MIN, MAX];

function! {
    /// The p-th percentile of an array of numbers, by nearest rank: the smallest of its items that at least p % of
    /// all are not above. So it is always one of the items; 0 gives the smallest, 100 the largest. Throws `usage`
    /// for an empty array, an item that is not a number, and a `p` that is not from 0 to 100.
    ///
    /// ```rhai
    /// let ms = [12, 15, 11, 90, 14];
    /// assert_eq(percentile(ms, 50), 14);
    /// assert_eq(percentile(ms, 95), 90);
    /// ```
    PERCENTILE = "percentile" -> Dynamic {
        (array: Array, p: Dynamic) => |_| percentile(&array, &p);
    }
}

function! {
    /// The arithmetic mean of an array of numbers, a float. Throws `usage` for an empty array and an item that is no
    /// number.
    ///
    /// ```rhai
    /// assert_eq(mean([1, 2, 6]), 3.0);
    /// ```
    MEAN = "mean" -> f64 {
        (array: Array) => mean;
    }
}

function! {
    /// The smallest item of an array of numbers, as it stands there. `min(a, b)` takes two numbers. Throws `usage`
    /// for an empty array and an item that is not a number.
    ///
    /// ```rhai
    /// assert_eq(min([3, 1.5, 2]), 1.5);
    /// assert_eq(min(3, 2), 2);
    /// ```
    MIN = "min" -> Dynamic {
        (array: Array) => min;
    }
}

function! {
    /// The largest item of an array of numbers, as it stands there. `max(a, b)` takes two numbers. Throws `usage` for
    /// an empty array and an item that is not a number.
    ///
    /// ```rhai
    /// assert_eq(max([3, 1.5, 2]), 3);
    /// assert_eq(max(3, 2), 3);
    /// ```
    MAX = "max" -> Dynamic {
        (array: Array) => max;
    }
}

fn mean(_: &NativeCallContext, array: Array) -> Fallible<f64> {
    let items = numbers("mean", &array)?;
    Ok(items.iter().map(|(number, _)| number).sum::<f64>() / items.len() as f64)
}

fn min(_: &NativeCallContext, array: Array) -> Fallible<Dynamic> {
    let items = sorted("min", &array)?;
    Ok(items[0].1.clone())
}

fn max(_: &NativeCallContext, array: Array) -> Fallible<Dynamic> {
    let items = sorted("max", &array)?;
    Ok(items[items.len() - 1].1.clone())
}

/// The items of an array that is not empty, each as a number too.
fn numbers<'a>(function: &str, array: &'a Array) -> Fallible<Vec<(f64, &'a Dynamic)>> {
    if array.is_empty() {
        return Err(ScriptError::usage(format!("{function}: the array is empty")).into());
    }
    let number = |(index, item): (usize, &'a Dynamic)| {
        let number = item.as_float().ok().or_else(|| item.as_int().ok().map(|whole| whole as f64));
        match number.filter(|number| !number.is_nan()) {
            Some(number) => Ok((number, item)),
            None => {
                let shown = value::show(item);
                Err(ScriptError::usage(format!("{function}: item {index} is {shown}, not a number")).into())
            }
        }
    };
    array.iter().enumerate().map(number).collect()
}

fn sorted<'a>(function: &str, array: &'a Array) -> Fallible<Vec<(f64, &'a Dynamic)>> {
    let mut items = numbers(function, array)?;
    items.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    Ok(items)
}

fn percentile(array: &Array, p: &Dynamic) -> Fallible<Dynamic> {
    let given = p.as_float().ok().or_else(|| p.as_int().ok().map(|whole| whole as f64));
    let Some(p) = given.filter(|p| (0.0..=100.0).contains(p)) else {
        let shown = value::show(p);
        return Err(ScriptError::usage(format!("percentile: {shown} is not a number from 0 to 100"))
            .hint("percentile(array, 95)")
            .into());
    };
    let items = sorted("percentile", array)?;
    Ok(items[rank(items.len(), p)].1.clone())
}

/// The nearest rank: the index of the first of `count` ascending items up to which at least `p` percent lie.
fn rank(count: usize, p: f64) -> usize {
    // Multiplied first: 0.07 * 100 is more than 7.
    let rank = (p * count as f64 / 100.0).ceil();
    (rank as usize).clamp(1, count) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rank_is_the_nearest_one() {
        let cases = [
            (1, 0.0, 0),
            (1, 100.0, 0),
            (4, 50.0, 1),
            (5, 50.0, 2),
            (100, 95.0, 94),
            (100, 7.0, 6),
            (20, 95.0, 18),
            (10, 99.9, 9),
        ];
        for (count, p, index) in cases {
            assert_eq!(rank(count, p), index, "{p} % of {count}");
        }
    }
}
