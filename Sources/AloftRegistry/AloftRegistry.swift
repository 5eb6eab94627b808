// The logic of this module; see docs/ARCHITECTURE.md.
