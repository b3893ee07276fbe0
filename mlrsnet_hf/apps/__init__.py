"""Applications in the browser over the other stages; no logic of their own."""
