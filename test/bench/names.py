"""What the contestants are called."""

OURS, FILES = "kinto (on disk)", "nginx (file)"
MEMORY, POSTGRES = "reference (memory)", "reference (PostgreSQL)"
