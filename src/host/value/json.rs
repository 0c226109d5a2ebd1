//! Values of scripts ↔ JSON.

use crate::host::value;
use rhai::{Array, Dynamic, Map};
use serde_json::Value;

/// A value of a script as JSON.
///
/// # Errors
/// What has no JSON form, such as a closure or a job; in words that stand after "cannot become JSON: ".
pub fn to_json(value: &Dynamic) -> Result<Value, String> {
    if value.is_unit() {
        return Ok(Value::Null);
    }
    if let Ok(bool) = value.as_bool() {
        return Ok(bool.into());
    }
    if let Ok(int) = value.as_int() {
        return Ok(int.into());
    }
    if let Ok(float) = value.as_float() {
        let number = serde_json::Number::from_f64(float);
        return number.map(Value::Number).ok_or_else(|| format!("the number {float}"));
    }
    if value.is_string() || value.is_char() {
        return Ok(value.to_string().into());
    }
    if let Some(array) = value.read_lock::<Array>() {
        return array.iter().map(to_json).collect();
    }
    if let Some(map) = value.read_lock::<Map>() {
        let pairs = map.iter().map(|(key, value)| {
            let value = to_json(value).map_err(|what| format!("{what} at `{key}`"))?;
            Ok((key.to_string(), value))
        });
        return pairs.collect::<Result<_, _>>().map(Value::Object);
    }
    Err(format!("a {}", value::type_name(value)))
}

/// JSON as a value of a script. A number that is no i64 becomes a float.
pub fn from_json(value: &Value) -> Dynamic {
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(bool) => (*bool).into(),
        Value::Number(number) => match number.as_i64() {
            Some(int) => int.into(),
            None => number.as_f64().unwrap_or(f64::NAN).into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(array) => array.iter().map(from_json).collect::<Array>().into(),
        Value::Object(object) => {
            let pairs = object.iter().map(|(key, value)| (key.as_str().into(), from_json(value)));
            pairs.collect::<Map>().into()
        }
    }
}
