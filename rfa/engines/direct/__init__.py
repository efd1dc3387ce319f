"""The direct engine: any shape; certified signs, sums by table look-up."""
