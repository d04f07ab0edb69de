"""Files that districts have: XLSX, CSV, GeoJSON, YAML, GeoPackage and zipped Shapefile, read into a `Sheet` and written from one.

A file is bytes from outside: sizes are capped, zip archives are measured before they are opened, and GDAL works only in a
subprocess that can neither write, nor reach the network, nor outlive its time.
"""
