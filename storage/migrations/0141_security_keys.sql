-- Security keys (WebAuthn) beside the codes of a second factor: they go with it.
CREATE TABLE security_key (
    key_id               text        COLLATE "C" NOT NULL CONSTRAINT security_key_pkey PRIMARY KEY, -- credential id, base64url
    username             text        COLLATE "C" NOT NULL
                                     CONSTRAINT security_key_factor_fkey REFERENCES second_factor (username) ON DELETE CASCADE,
    name                 text        NOT NULL,
    rp_id                text        NOT NULL, -- host name that it is for
    public_key           text        NOT NULL, -- COSE, base64url
    sign_count           bigint      NOT NULL CONSTRAINT security_key_count_sign CHECK (sign_count >= 0),
    created_machine_at   timestamptz NOT NULL,
    last_used_machine_at timestamptz
);
CREATE INDEX security_key_by_user ON security_key (username, created_machine_at);
