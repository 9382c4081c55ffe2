"""Files and exports: what is written and read, and how it stays whole."""
