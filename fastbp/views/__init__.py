"""Networks and runs as a reader sees them: pictures, and tables for the terminal and for notebooks."""
