"""Everything that touches the world: one module or sub-package per outside system."""
