"""Reports on runs: summary, the results that rfa train and rfa reproduce print."""
