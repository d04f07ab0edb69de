"""Commands down to devices: asked by a person, kept in a row, sent until they are answered or too old."""
