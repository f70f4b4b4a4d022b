//! A number that was read, as text: JSON has none for infinities, and for what is not a number.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

pub(super) fn serialize<S: Serializer>(value: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
    value.map(|value| value.to_string()).serialize(to)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
}

#[cfg(test)]
mod tests {
    use crate::probe::Observation;

    #[test]
    fn every_number_survives_the_way() {
        for value in [0.1, -0.0, f64::MIN_POSITIVE, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            let seen = Observation { value: Some(value), ..Observation::ok() };
            let text = serde_json::to_string(&seen).unwrap();
            let again: Observation = serde_json::from_str(&text).unwrap();
            let again = again.value.unwrap();
            assert!(again.to_bits() == value.to_bits() || again.is_nan() && value.is_nan(), "{text}");
        }
    }
}
