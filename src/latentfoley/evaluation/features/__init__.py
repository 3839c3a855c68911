"""Files → what metrics compute from: preprocessing, extraction, cache."""
