"""Running fits: cells, time limits, caching, Ray, out of core."""
