"""Programs: the tables of instructions that the kernels execute, and how layers write them."""
