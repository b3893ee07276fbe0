"""Label Studio, which shows pictures to annotators and keeps their answers: its pages, and what they say."""
