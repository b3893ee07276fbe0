"""The paper's retrieval protocol (section 4): queries, database, measures, results."""
