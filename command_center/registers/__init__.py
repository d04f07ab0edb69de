"""What a district registers before the first alarm: areas, objects at risk, the people who answer for them, resources.

A kind of object is a document in `kinds/` (fields, labels, checks); one engine stores, imports, exports and shows all of them.
"""
