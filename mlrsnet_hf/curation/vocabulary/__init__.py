"""What scenes may carry, from what people see on samples of them: section 2.2.1 of Qi et al. (2020)."""
