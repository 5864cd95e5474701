"""What is told about a dataset: statistics, pages to look at and listen to, the card."""
