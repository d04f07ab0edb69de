"""The grid (网格): what is seen is reported once and goes to everybody concerned; what is visited is visited once for all who ask."""
