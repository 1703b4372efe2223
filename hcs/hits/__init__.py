"""Says which perturbations are active, how strongly, and how sure that is."""
