"""When votes make an image sure: section 2.2.2 of Qi et al. (2020), from the log of votes to what is kept."""
