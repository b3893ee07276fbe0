"""A benchmark as the paper's tables and figures, in one page and as files."""
