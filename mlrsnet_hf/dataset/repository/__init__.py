"""A dataset repository for the Hub: Parquet files, their schema and parts."""
