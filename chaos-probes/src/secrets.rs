//! Where the secrets of probes come from.

use std::sync::Arc;

/// Finds the value of a secret by the name of its environment variable.
pub(crate) type Secrets = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;
