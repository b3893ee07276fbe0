"""How diverse datasets are beside each other: section 2.2.3 of Qi et al. (2020)."""
