-- upsert_layer: A layer's identity and the tag of its content.
INSERT INTO feature_layer (layer, etag, features, changed_at) VALUES (%(layer)s, %(etag)s, %(features)s, %(at)s)
ON CONFLICT ON CONSTRAINT feature_layer_pkey DO UPDATE
   SET etag = EXCLUDED.etag, features = EXCLUDED.features, changed_at = EXCLUDED.changed_at;

-- clear_layer: Before a layer is written anew.
DELETE FROM feature WHERE layer = %(layer)s;

-- insert_feature: One feature of a layer.
INSERT INTO feature (layer, feature_id, geometry, properties) VALUES (%(layer)s, %(feature_id)s, %(geometry)s, %(properties)s);

-- read_layer: A layer's tag. No row: there is no such layer.
SELECT layer, etag, features, changed_at FROM feature_layer WHERE layer = %(layer)s;

-- read_features: A layer's features, by id.
SELECT feature_id, geometry, properties FROM feature WHERE layer = %(layer)s ORDER BY feature_id;

-- list_layers: All layers, by name.
SELECT layer, etag, features, changed_at FROM feature_layer ORDER BY layer;

-- insert_document: A version of a rule, plan or model. A version never changes: no row when it is there already.
INSERT INTO document (kind, document_id, version, body, author, source, at)
VALUES (%(kind)s, %(document_id)s, %(version)s, %(body)s, %(author)s, %(source)s, %(at)s)
ON CONFLICT ON CONSTRAINT document_pkey DO NOTHING RETURNING version;

-- read_document: One version of a document.
SELECT kind, document_id, version, body, author, source, at FROM document
 WHERE kind = %(kind)s AND document_id = %(document_id)s AND version = %(version)s;

-- list_documents: All versions of a kind, the newest of each first.
SELECT kind, document_id, version, body, author, source, at FROM document
 WHERE kind = %(kind)s ORDER BY document_id, at DESC, version;

-- one_picture: All reads of this transaction see the same moment.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
