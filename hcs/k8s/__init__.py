"""The place on Kubernetes: what is created there for a run, and whether the manifests are sound."""
