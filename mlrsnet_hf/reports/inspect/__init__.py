"""What training would read of a dataset, to be looked at before anyone trains."""
