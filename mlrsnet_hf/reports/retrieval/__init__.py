"""Results of the retrieval protocol as tables, figures and a page."""
